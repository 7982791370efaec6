"""6.18: a fault on a swap entry (rule QF5) [6.18 mm/memory.c do_swap_page].

   slot ──> frame in the swap cache ──> mapped here: one entry less in the slot's count
                                  └───> copied: the write has other holders, or the scheme refuses this address

The swap entry, or the counts, tell that nobody else can have the page: it is mapped writable at once.
"""
from libc.stdint cimport uint64_t

from rmapcore.pyx.base.counters cimport C_FAULTS_SWAPIN, C_PAGES_COPIED_COW, C_PAGES_COPIED_MREMAP, tally
from rmapcore.pyx.base.ids cimport pfn_t, slot_t, swp_t, vma_id, vpn_t
from rmapcore.pyx.base.records cimport PG_EXCLUSIVE, PG_PIN, PG_PINS, VM_LOCKED, Frame
from rmapcore.pyx.base.state cimport State
from rmapcore.pyx.base.x86 cimport PTE_DIRTY, pte_get, swap_slot
from rmapcore.pyx.engine.mapping cimport map_frame, unpin_frame, writable
from rmapcore.pyx.machine.frames cimport frame_give
from rmapcore.pyx.machine.swap cimport free_swap, slot_put, swap_full
from rmapcore.pyx.machine.vmas cimport area_prot
from rmapcore.pyx.seam.kernel cimport E_OK, E_OOM, Kernel


cdef bint swapin_exclusive(Kernel k, vma_id v, pfn_t pfn, uint64_t entry, bint write, bint* leaves) noexcept nogil:
    """Will this be the one mapping that may write? leaves: the frame leaves the swap cache. One pin is ours (rule QF5)."""
    cdef State* s = k.s
    cdef Frame* f = &s.frame[pfn]
    cdef bint alone = f.mapcount == 0 and f.flags & PG_PINS == PG_PIN
    leaves[0] = (s.swap_map[f.owner] == 2
                 and (swap_full(s) or s.area[v].flags & VM_LOCKED != 0 or (write and alone)))
    return entry & s.swap_exclusive != 0 or (leaves[0] and alone)


cdef int fault_swapin(Kernel k, vma_id v, vpn_t vpn, slot_t slot, bint write) noexcept nogil:
    """do_swap_page: writable at once if nobody else can have it; a write to a shared one copies (rule QF5)."""
    cdef State* s = k.s
    cdef uint64_t entry = pte_get(s, slot)
    cdef swp_t swap = swap_slot(s, entry)
    cdef pfn_t pfn = read_swap(k, swap)
    cdef pfn_t fresh = 0
    cdef uint64_t bits
    cdef bint leaves, exclusive, clash
    cdef Frame* f
    if pfn == 0:
        return E_OOM
    exclusive = swapin_exclusive(k, v, pfn, entry, write, &leaves)
    clash = not k.anon.may_swapin(pfn, vpn)
    if clash or (write and not exclusive):
        fresh = alloc_frame(k)
        if fresh == 0:
            unpin_frame(k, pfn)
            return E_OOM
        exclusive = swapin_exclusive(k, v, pfn, entry, write, &leaves)
        clash = not k.anon.may_swapin(pfn, vpn)
        if not clash and (exclusive or not write):
            frame_give(s, fresh)
    f = &s.frame[pfn]
    slot_put(s, swap)
    s.mm[s.area[v].mm].swapents -= 1
    if leaves:
        free_swap(s, pfn)
    if clash:
        map_copy(k, v, vpn, slot, fresh, pfn)
        tally(s, C_PAGES_COPIED_COW if write and not exclusive else C_PAGES_COPIED_MREMAP, 1)
    else:
        bits = area_prot(s, v)
        if exclusive:
            f.flags |= PG_EXCLUSIVE
            bits |= writable(s.area[v].flags) | (PTE_DIRTY if write else 0)
        map_frame(k, v, vpn, slot, pfn, bits, True)
        if write and not exclusive:
            copy_to(k, v, vpn, slot, fresh, pfn)
            tally(s, C_PAGES_COPIED_COW, 1)
    unpin_frame(k, pfn)
    tally(s, C_FAULTS_SWAPIN, 1)
    return E_OK
