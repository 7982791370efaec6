"""2.6.7: a fault on a swap entry (rule F8) [2.6.7 mm/memory.c do_swap_page].

   slot ──> frame in the swap cache ──> mapped here: one entry less in the slot's count
                                  └───> copied: the write has other holders, or the scheme refuses this address

What was read is mapped clean and not writable, and a later write takes another fault.
"""
from libc.stdint cimport uint32_t

from rmapcore.pyx.base.counters cimport C_FAULTS_SWAPIN, C_PAGES_COPIED_COW, C_PAGES_COPIED_MREMAP, tally
from rmapcore.pyx.base.ids cimport pfn_t, slot_t, swp_t, vma_id, vpn_t
from rmapcore.pyx.base.records cimport PG_DIRTY, PG_PIN, PG_PINS, Frame
from rmapcore.pyx.base.state cimport State
from rmapcore.pyx.base.x86 cimport PTE_DIRTY, pte_get, swap_slot
from rmapcore.pyx.engine.mapping cimport map_frame, unpin_frame, writable
from rmapcore.pyx.machine.frames cimport frame_give
from rmapcore.pyx.machine.swap cimport slot_put, swap_full, swapcache_del
from rmapcore.pyx.machine.vmas cimport area_prot
from rmapcore.pyx.seam.kernel cimport E_OK, E_OOM, Kernel


cdef inline bint swapin_copies(Kernel k, pfn_t pfn, vpn_t vpn, bint write, bint* clash) noexcept nogil:
    """Must this swap-in make a private copy? The frame carries our one pin (rule F8)."""
    cdef Frame* f = &k.s.frame[pfn]
    clash[0] = not k.anon.may_swapin(pfn, vpn)
    if clash[0]:
        return True
    return write and not (f.mapcount == 0 and f.flags & PG_PINS == PG_PIN and k.s.swap_map[f.owner] == 2)


cdef int fault_swapin(Kernel k, vma_id v, vpn_t vpn, slot_t slot, bint write) noexcept nogil:
    """do_swap_page: mapped as clean and not writable, unless it is written (rule F8)."""
    cdef State* s = k.s
    cdef uint32_t flags = s.area[v].flags
    cdef swp_t swap = swap_slot(s, pte_get(s, slot))
    cdef pfn_t pfn = read_swap(k, swap)
    cdef pfn_t fresh = 0
    cdef bint copy, clash
    cdef Frame* f
    if pfn == 0:
        return E_OOM
    copy = swapin_copies(k, pfn, vpn, write, &clash)
    if copy:
        fresh = alloc_frame(k)
        if fresh == 0:
            unpin_frame(k, pfn)
            return E_OOM
        copy = swapin_copies(k, pfn, vpn, write, &clash)
        if not copy:
            frame_give(s, fresh)
    f = &s.frame[pfn]
    slot_put(s, swap)
    s.mm[s.area[v].mm].swapents -= 1
    if copy:
        map_copy(k, v, vpn, slot, fresh, pfn)
        if write and not (f.mapcount == 0 and f.flags & PG_PINS == PG_PIN and s.swap_map[swap] == 1):
            tally(s, C_PAGES_COPIED_COW, 1)
        else:
            tally(s, C_PAGES_COPIED_MREMAP, 1)
    else:
        if swap_full(s) and f.mapcount == 0 and f.flags & PG_PINS == PG_PIN and s.swap_map[swap] == 1:
            swapcache_del(s, pfn)
            f.flags |= PG_DIRTY
        map_frame(k, v, vpn, slot, pfn, area_prot(s, v) | (writable(flags) | PTE_DIRTY if write else 0), True)
    unpin_frame(k, pfn)
    tally(s, C_FAULTS_SWAPIN, 1)
    return E_OK
