"""Swap slots: use counts, the swap cache, contents (rules J1-J4) [2.6.7 and 6.18 mm/swapfile.c, swap_state.c].

A slot's count = swap entries + (its frame is in the swap cache) + (shmem's own reference). Slot numbers whose offset is
0 are headers and never handed out. A free slot keeps the next free one in swap_cache.
"""
from libc.stdint cimport uint32_t

from rmapcore.pyx.base.fence cimport fence_raised
from rmapcore.pyx.base.ids cimport pfn_t, swp_t
from rmapcore.pyx.base.records cimport PG_DIRTY, PG_SWAPCACHE, P_SLOTS, Frame, Head
from rmapcore.pyx.base.state cimport X86_64, State
from rmapcore.pyx.machine.frames cimport page_count

cdef enum:
    SWAP_GROUP = 4096         # slots whose first byte of the count is in one page
    DIGIT_BITS = 7            # that a byte of another page holds: SWAP_CONT_MAX, 6.18 include/linux/swap.h


cdef inline swp_t slot_take(State* s) noexcept nogil:
    """A free slot with count 1, or 0 if swap is full."""
    cdef Head* h = s.h
    cdef swp_t slot = h.slot_free
    if slot:
        h.slot_free = s.swap_cache[slot]
        s.swap_cache[slot] = 0
    else:
        slot = h.slot_bump
        if s.arch != X86_64 and slot & 0xFFFFFF == 0:
            slot += 1
        if slot >= s.n_slots:
            return 0
        h.slot_bump = slot + 1
        s.pool[P_SLOTS].bump = slot + 1
        fence_raised(s.pool, P_SLOTS)
    s.swap_map[slot] = 1
    h.slots_free -= 1
    return slot


cdef inline void slots_take(State* s, swp_t* slots, uint32_t n) noexcept nogil:
    """slot_take of n slots; as many are free."""
    cdef Head* h = s.h
    cdef uint32_t* users = s.swap_map
    cdef swp_t slot = h.slot_bump
    cdef uint32_t i
    if h.slot_free or s.arch != X86_64:
        for i in range(n):
            slots[i] = slot_take(s)
        return
    h.slot_bump = slot + n
    s.pool[P_SLOTS].bump = slot + n
    fence_raised(s.pool, P_SLOTS)
    h.slots_free -= n
    for i in range(n):
        users[slot + i] = 1
        slots[i] = slot + i


cdef inline void slot_dup_beyond(State* s, swp_t slot) noexcept nogil:
    """swap_count_continued: there are pages for all digits of the entries' count beyond its first (rule J4)."""
    cdef uint32_t rest
    cdef unsigned char pages = 0
    if s.swap_map[slot] == s.most_users:
        return
    s.swap_map[slot] += 1
    rest = (s.swap_map[slot] - (s.swap_cache[slot] != 0)) // (s.plain_users + 1)
    while rest:
        pages += 1
        rest >>= DIGIT_BITS
    if pages > s.swap_pages[slot // SWAP_GROUP]:
        s.swap_pages[slot // SWAP_GROUP] = pages


cdef inline void slot_dup(State* s, swp_t slot) noexcept nogil:
    if s.swap_map[slot] < s.plain_users:
        s.swap_map[slot] += 1
    else:
        slot_dup_beyond(s, slot)


cdef inline uint32_t slot_put(State* s, swp_t slot) noexcept nogil:
    """One user less; frees the slot at 0. Returns what is left."""
    cdef uint32_t left = s.swap_map[slot]
    if left == s.most_users:
        return left
    left -= 1
    s.swap_map[slot] = left
    if left == 0:
        s.swap_cache[slot] = s.h.slot_free
        s.h.slot_free = slot
        s.h.slots_free += 1
        if s.swap_stamp:
            s.swap_stamp[slot] = 0
    return left


cdef inline bint swap_full(State* s) noexcept nogil:
    """vm_swap_full: less than half of the slots free [2.6.7 include/linux/swap.h]."""
    return s.h.slots_free * 2 < s.n_slots - s.n_headers


cdef inline void swapcache_add(State* s, pfn_t pfn, swp_t slot) noexcept nogil:
    """The frame becomes the slot's cached copy; the caller has taken the cache's count."""
    s.frame[pfn].flags |= PG_SWAPCACHE
    s.frame[pfn].owner = slot
    s.swap_cache[slot] = pfn


cdef inline void swapcache_del(State* s, pfn_t pfn) noexcept nogil:
    """The frame leaves the swap cache, whose count is dropped."""
    cdef Frame* f = &s.frame[pfn]
    cdef swp_t slot = f.owner
    f.flags &= ~<uint32_t> PG_SWAPCACHE
    f.owner = 0
    s.swap_cache[slot] = 0
    slot_put(s, slot)


cdef inline bint comes_back_alone(State* s, pfn_t pfn) noexcept nogil:
    """Of a frame that is being mapped for the first time: can nothing but its one entry lead to it? What is in no swap cache is
    fresh, or came back alone."""
    cdef Frame* f = &s.frame[pfn]
    if not f.flags & PG_SWAPCACHE:
        return True
    return f.flags & s.sole_flags != 0 or s.swap_map[f.owner] == s.sole_users


cdef inline bint free_swap(State* s, pfn_t pfn) noexcept nogil:
    """folio_free_swap: a frame whose slot no entry uses leaves the swap cache, and is dirty. False: it is not such a one."""
    cdef Frame* f = &s.frame[pfn]
    if not f.flags & PG_SWAPCACHE or s.swap_map[f.owner] != 1:
        return False
    swapcache_del(s, pfn)
    f.flags |= PG_DIRTY
    return True


cdef inline bint can_share(State* s, pfn_t pfn) noexcept nogil:
    """can_share_swap_page: may the only mapper write in place? (rule F7) [2.6.7 mm/swapfile.c]"""
    cdef uint32_t count = page_count(s, pfn)
    if count == 1:
        return True
    return count == 2 and s.frame[pfn].flags & PG_SWAPCACHE and s.swap_map[s.frame[pfn].owner] == 1
