"""The sweep of schemes that cannot walk one page (rules K9, K10) [2.4.22 mm/vmscan.c try_to_swap_out]. Text of every kernel."""
from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memset

from rmapcore.pyx.base.counters cimport C_RMAP_REMOVES, tally
from rmapcore.pyx.base.ids cimport pfn_t, slot_t, swp_t
from rmapcore.pyx.base.records cimport GONE_RECLAIM, PG_ACTIVE, PG_ANON, PG_DIRTY, PG_SWAPCACHE, R_UNMAPPED, VM_LOCKED, Frame
from rmapcore.pyx.base.state cimport State
from rmapcore.pyx.base.x86 cimport PTE_ACCESSED, PTE_DIRTY, pte_get, pte_pfn, pte_present, pte_set
from rmapcore.pyx.machine.frames cimport page_count
from rmapcore.pyx.machine.gone cimport tell_gone
from rmapcore.pyx.machine.lru cimport mark_accessed
from rmapcore.pyx.machine.swap cimport slot_take, swapcache_add
from rmapcore.pyx.machine.vmas cimport absent_entry
from rmapcore.pyx.reclaim.walk cimport frame_unmapped, leaf_slot
from rmapcore.pyx.seam.kernel cimport Kernel
from rmapcore.pyx.seam.scheme cimport WALK_SWEEP, Walk

cdef enum:
    SWEEP_TARGET = 32         # entries one sweep tries to make freeable


cdef bint sweep_entry(Kernel k, Walk* w) noexcept nogil:
    """Unmaps one entry of a sweep if it may go (rule K10). True: only the caches refer to its frame now."""
    cdef State* s = k.s
    cdef slot_t slot = w.slot if w.slot else leaf_slot(k, w.mm, w.vpn)
    cdef uint64_t entry = pte_get(s, slot) if slot else 0
    cdef pfn_t pfn = pte_pfn(s, entry)
    cdef Frame* f = &s.frame[pfn]
    cdef swp_t swap
    if not pte_present(entry) or pfn == 0:
        return False
    if s.area[w.vma].flags & VM_LOCKED:
        mark_accessed(s, pfn)
        return False
    if entry & PTE_ACCESSED:
        pte_set(s, slot, entry & ~<uint64_t> PTE_ACCESSED)
        mark_accessed(s, pfn)
        return False
    if f.flags & PG_ACTIVE:
        return False
    if entry & PTE_DIRTY:
        f.flags |= PG_DIRTY
    if f.flags & PG_ANON and not f.flags & PG_SWAPCACHE:
        swap = slot_take(s)
        if swap == 0:
            return False
        swapcache_add(s, pfn, swap)
        f.flags = f.flags & ~<uint32_t> LAZY | PG_DIRTY
    if f.flags & PG_ANON:
        entry_to_swap(s, f, pfn, w.mm, slot)
    else:
        if k.side.wants_entries:
            k.side.pages_unmapping(w.vma, w.vpn, slot, 1)
        pte_set(s, slot, absent_entry(s, w.vma, w.vpn, f.index))
    if s.gone:
        tell_gone(s, w.mm, w.vpn, pfn, GONE_RECLAIM)
    s.mm[w.mm].rss -= 1
    f.mapcount -= 1
    tally(s, C_RMAP_REMOVES, 1)
    if f.mapcount:
        return False
    frame_unmapped(k, pfn)
    s.h.reclaimed[R_UNMAPPED] += 1
    return page_count(s, pfn) == 1


cdef uint32_t sweep(Kernel k) noexcept nogil:
    """For a scheme without a walk of one page: unmaps what its sweep proposes, file pages too, until enough looks freeable:
    how many frames do.

    The rules of 2.4's try_to_swap_out [2.4.22 mm/vmscan.c]: locked and young entries stay, and are accesses (young is cleared);
    entries of active pages stay; the others go, and each that leaves its page to the caches counts as freeable.
    """
    cdef uint32_t freeable = 0
    cdef Walk w
    memset(&w, 0, sizeof(Walk))
    w.purpose = WALK_SWEEP
    k.anon.walk_begin(&w)
    while freeable < SWEEP_TARGET and k.anon.walk_next(&w):
        freeable += sweep_entry(k, &w)
    k.anon.walk_end(&w, False)
    return freeable
