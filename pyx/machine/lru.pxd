"""The two LRU lists, active and inactive: doubly linked through the frame records, head newest (rule K1).

   head (newest) <-> ... <-> tail (oldest)      next: towards older, prev: towards newer, 0 ends the list

Reclaim reads a list from its tail, and each frame's record says only where the next one is: one cache miss after another
if frames lie in random order. So beside the list each frame notes in `ahead` which one came LRU_AHEAD frames after it:
the records of a whole group can be fetched at once. A note is a guess (what came in between may have left the list), used
for fetching and for nothing else.
"""
from libc.stdint cimport uint32_t, uint64_t

from rmapcore.pyx.base.ids cimport pfn_t
from rmapcore.pyx.base.records cimport LRU_AHEAD, PG_ACTIVE, PG_LRU, PG_REFERENCED, Frame, Head
from rmapcore.pyx.base.state cimport State


cdef inline void lru_note(State* s, pfn_t pfn, bint active) noexcept nogil:
    """The frame has come to the head of a list: the one that came LRU_AHEAD before it notes that."""
    cdef uint32_t at = s.h.recent_at[active]
    cdef uint32_t* earlier = &s.h.recent[(LRU_AHEAD if active else 0) + at]
    s.ahead[earlier[0]] = pfn
    earlier[0] = pfn
    s.h.recent_at[active] = (at + 1) & (LRU_AHEAD - 1)


cdef inline void lru_add(State* s, pfn_t pfn, bint active) noexcept nogil:
    """Puts a frame that is on no list at the head of active or inactive."""
    cdef Head* h = s.h
    cdef Frame* f = &s.frame[pfn]
    cdef uint32_t head
    f.prev = 0
    if active:
        f.flags |= PG_LRU | PG_ACTIVE
        head = h.active
        h.active = pfn
        h.n_active += 1
        if not head:
            h.active_tail = pfn
    else:
        f.flags |= PG_LRU
        head = h.inactive
        h.inactive = pfn
        h.n_inactive += 1
        if not head:
            h.inactive_tail = pfn
    f.next = head
    if head:
        s.frame[head].prev = pfn
    lru_note(s, pfn, active)


cdef inline void lru_del(State* s, pfn_t pfn) noexcept nogil:
    """Takes a frame off its list; clears LRU and ACTIVE."""
    cdef Head* h = s.h
    cdef Frame* f = &s.frame[pfn]
    if f.flags & PG_ACTIVE:
        h.n_active -= 1
        if f.prev:
            s.frame[f.prev].next = f.next
        else:
            h.active = f.next
        if f.next:
            s.frame[f.next].prev = f.prev
        else:
            h.active_tail = f.prev
    else:
        h.n_inactive -= 1
        if f.prev:
            s.frame[f.prev].next = f.next
        else:
            h.inactive = f.next
        if f.next:
            s.frame[f.next].prev = f.prev
        else:
            h.inactive_tail = f.prev
    f.flags &= ~<uint32_t> (PG_LRU | PG_ACTIVE)


cdef inline void lru_move(State* s, pfn_t pfn, bint active) noexcept nogil:
    """To the head of active or inactive."""
    lru_del(s, pfn)
    lru_add(s, pfn, active)


cdef inline void lru_move_tail(State* s, const pfn_t* pfn, uint32_t n, bint active) noexcept nogil:
    """lru_move of the n > 0 frames at the tail of the active list, the tail first: they stay in their order, so it is the list
    that is cut and tied."""
    cdef Head* h = s.h
    cdef Frame* frame = s.frame
    cdef uint32_t* ahead = s.ahead
    cdef uint32_t* recent = &h.recent[LRU_AHEAD if active else 0]
    cdef uint32_t at = h.recent_at[active]
    cdef pfn_t oldest = pfn[0]
    cdef pfn_t newest = pfn[n - 1]
    cdef pfn_t left = frame[newest].prev
    cdef pfn_t head
    cdef uint32_t i
    if left:
        frame[left].next = 0
    else:
        h.active = 0
    h.active_tail = left
    if active:
        head = h.active
        h.active = newest
        if not head:
            h.active_tail = oldest
    else:
        head = h.inactive
        h.inactive = newest
        if not head:
            h.inactive_tail = oldest
        h.n_active -= n
        h.n_inactive += n
        for i in range(n):
            frame[pfn[i]].flags &= ~<uint32_t> PG_ACTIVE
    frame[newest].prev = 0
    frame[oldest].next = head
    if head:
        frame[head].prev = oldest
    for i in range(n):
        ahead[recent[at]] = pfn[i]
        recent[at] = pfn[i]
        at = (at + 1) & (LRU_AHEAD - 1)
    h.recent_at[active] = at


cdef inline void mark_accessed(State* s, pfn_t pfn) noexcept nogil:
    """Rule F10: two touches activate an inactive page [2.6.7 mm/swap.c]."""
    cdef Frame* f = &s.frame[pfn]
    if f.flags & (PG_ACTIVE | PG_REFERENCED | PG_LRU) == PG_REFERENCED | PG_LRU:
        lru_move(s, pfn, True)
        f.flags &= ~<uint32_t> PG_REFERENCED
    else:
        f.flags |= PG_REFERENCED
