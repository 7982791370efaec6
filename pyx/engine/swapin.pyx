"""Swap-in: a fault on a swap entry (rules F8, QF5) [2.6.7 and 6.18 mm/memory.c do_swap_page].

   slot ──> frame in the swap cache ──> mapped here: one entry less in the slot's count
                                  └───> copied: the write has other holders, or the scheme refuses this address

2.6.7 maps what it read as clean and not writable, and a later write takes another fault. 6.18 knows from the swap entry, or
from the counts, that nobody else can have the page, and maps it writable at once.
"""
from libc.stdint cimport uint32_t, uint64_t

from rmapcore.pyx.base.counters cimport C_FAULTS_SWAPIN, C_PAGES_COPIED_COW, C_PAGES_COPIED_MREMAP, tally
from rmapcore.pyx.base.ids cimport pfn_t, slot_t, swp_t, vma_id, vpn_t
from rmapcore.pyx.base.records cimport PG_DIRTY, PG_EXCLUSIVE, PG_PIN, PG_PINS, VM_LOCKED, Frame
from rmapcore.pyx.base.state cimport State
from rmapcore.pyx.base.x86 cimport PTE_DIRTY, pte_get, swap_slot
from rmapcore.pyx.engine.fault cimport copy_to, map_copy, map_frame, writable
from rmapcore.pyx.machine.frames cimport frame_give, frame_pin, frame_unpin
from rmapcore.pyx.machine.lru cimport lru_add_new, mark_accessed
from rmapcore.pyx.machine.swap cimport free_swap, slot_dup, slot_put, swap_full, swapcache_add, swapcache_del
from rmapcore.pyx.machine.vmas cimport area_prot
from rmapcore.pyx.reclaim.scan cimport alloc_frame
from rmapcore.pyx.seam.kernel cimport E_OK, E_OOM, Engine


cdef inline bint swapin_copies(Engine e, pfn_t pfn, vpn_t vpn, bint write, bint* clash) noexcept nogil:
    """Must this swap-in make a private copy? The frame carries our one pin (rule F8)."""
    cdef Frame* f = &e.s.frame[pfn]
    clash[0] = not e.anon.may_swapin(pfn, vpn)
    if clash[0]:
        return True
    return write and not (f.mapcount == 0 and f.flags & PG_PINS == PG_PIN and e.s.swap_map[f.owner] == 2)


cdef inline pfn_t read_swap(Engine e, swp_t swap) noexcept nogil:
    """The slot's frame in the swap cache, read in if need be, with a pin of ours; 0: out of memory."""
    cdef State* s = e.s
    cdef pfn_t pfn = s.swap_cache[swap]
    if pfn == 0:
        pfn = alloc_frame(e)
        if pfn == 0:
            return 0
        if s.stamp:
            s.stamp[pfn] = s.swap_stamp[swap]
        slot_dup(s, swap)
        swapcache_add(s, pfn, swap)
        lru_add_new(s, pfn)
    if not s.rules.inactive_first:
        mark_accessed(s, pfn)
    frame_pin(s, pfn)
    return pfn


cdef int swapin_clean(Engine e, vma_id v, vpn_t vpn, slot_t slot, bint write) noexcept nogil:
    """do_swap_page of 2.6.7: mapped as clean and not writable, unless it is written (rule F8)."""
    cdef State* s = e.s
    cdef uint32_t flags = s.area[v].flags
    cdef swp_t swap = swap_slot(s, pte_get(s, slot))
    cdef pfn_t pfn = read_swap(e, swap)
    cdef pfn_t fresh = 0
    cdef bint copy, clash
    cdef Frame* f
    if pfn == 0:
        return E_OOM
    copy = swapin_copies(e, pfn, vpn, write, &clash)
    if copy:
        fresh = alloc_frame(e)
        if fresh == 0:
            frame_unpin(s, pfn)
            return E_OOM
        copy = swapin_copies(e, pfn, vpn, write, &clash)
        if not copy:
            frame_give(s, fresh)
    f = &s.frame[pfn]
    slot_put(s, swap)
    s.mm[s.area[v].mm].swapents -= 1
    if copy:
        map_copy(e, v, vpn, slot, fresh, pfn)
        if write and not (f.mapcount == 0 and f.flags & PG_PINS == PG_PIN and s.swap_map[swap] == 1):
            tally(s, C_PAGES_COPIED_COW, 1)
        else:
            tally(s, C_PAGES_COPIED_MREMAP, 1)
    else:
        if swap_full(s) and f.mapcount == 0 and f.flags & PG_PINS == PG_PIN and s.swap_map[swap] == 1:
            swapcache_del(s, pfn)
            f.flags |= PG_DIRTY
        map_frame(e, v, vpn, slot, pfn, area_prot(s, v) | (writable(flags) | PTE_DIRTY if write else 0), True)
    frame_unpin(s, pfn)
    tally(s, C_FAULTS_SWAPIN, 1)
    return E_OK


cdef bint swapin_exclusive(Engine e, vma_id v, pfn_t pfn, uint64_t entry, bint write, bint* leaves) noexcept nogil:
    """Will this be the one mapping that may write? leaves: the frame leaves the swap cache. One pin is ours (rule QF5)."""
    cdef State* s = e.s
    cdef Frame* f = &s.frame[pfn]
    cdef bint alone = f.mapcount == 0 and f.flags & PG_PINS == PG_PIN
    leaves[0] = (s.swap_map[f.owner] == 2
                 and (swap_full(s) or s.area[v].flags & VM_LOCKED != 0 or (write and alone)))
    return entry & s.swap_exclusive != 0 or (leaves[0] and alone)


cdef int swapin_writable(Engine e, vma_id v, vpn_t vpn, slot_t slot, bint write) noexcept nogil:
    """do_swap_page of 6.18: writable at once if nobody else can have it; a write to a shared one copies (rule QF5)."""
    cdef State* s = e.s
    cdef uint64_t entry = pte_get(s, slot)
    cdef swp_t swap = swap_slot(s, entry)
    cdef pfn_t pfn = read_swap(e, swap)
    cdef pfn_t fresh = 0
    cdef uint64_t bits
    cdef bint leaves, exclusive, clash
    cdef Frame* f
    if pfn == 0:
        return E_OOM
    exclusive = swapin_exclusive(e, v, pfn, entry, write, &leaves)
    clash = not e.anon.may_swapin(pfn, vpn)
    if clash or (write and not exclusive):
        fresh = alloc_frame(e)
        if fresh == 0:
            frame_unpin(s, pfn)
            return E_OOM
        exclusive = swapin_exclusive(e, v, pfn, entry, write, &leaves)
        clash = not e.anon.may_swapin(pfn, vpn)
        if not clash and (exclusive or not write):
            frame_give(s, fresh)
    f = &s.frame[pfn]
    slot_put(s, swap)
    s.mm[s.area[v].mm].swapents -= 1
    if leaves:
        free_swap(s, pfn)
    if clash:
        map_copy(e, v, vpn, slot, fresh, pfn)
        tally(s, C_PAGES_COPIED_COW if write and not exclusive else C_PAGES_COPIED_MREMAP, 1)
    else:
        bits = area_prot(s, v)
        if exclusive:
            f.flags |= PG_EXCLUSIVE
            bits |= writable(s.area[v].flags) | (PTE_DIRTY if write else 0)
        map_frame(e, v, vpn, slot, pfn, bits, True)
        if write and not exclusive:
            copy_to(e, v, vpn, slot, fresh, pfn)
            tally(s, C_PAGES_COPIED_COW, 1)
    frame_unpin(s, pfn)
    tally(s, C_FAULTS_SWAPIN, 1)
    return E_OK


cdef int fault_swapin(Engine e, vma_id v, vpn_t vpn, slot_t slot, bint write) noexcept nogil:
    if e.s.rules.exclusive:
        return swapin_writable(e, v, vpn, slot, write)
    return swapin_clean(e, v, vpn, slot, write)
