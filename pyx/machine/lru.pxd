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


cdef inline void mark_accessed(State* s, pfn_t pfn) noexcept nogil:
    """Rule F10: two touches activate an inactive page [2.6.7 mm/swap.c]."""
    cdef Frame* f = &s.frame[pfn]
    if f.flags & (PG_ACTIVE | PG_REFERENCED | PG_LRU) == PG_REFERENCED | PG_LRU:
        lru_move(s, pfn, True)
        f.flags &= ~<uint32_t> PG_REFERENCED
    else:
        f.flags |= PG_REFERENCED
