"""The second half of 2.6.7's try_to_unmap_file: the sweep over nonlinear areas (rule K6a) [2.6.7 mm/rmap.c].

Where in a nonlinear area a page is mapped, no index says. So whole clusters are unmapped, which the file side gives out in
turn, in the hope that the page is among them. Costs: 32 entries read for each cluster.
"""
from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memset

from rmapcore.pyx.base.counters cimport C_LOCK_PAGE_TABLE, C_LOCK_PAGE_TABLE_HELD, C_RMAP_REMOVES, C_SCANNED_PTES, tally
from rmapcore.pyx.base.ids cimport pfn_t, slot_t, vpn_t
from rmapcore.pyx.base.records cimport GONE_RECLAIM, PG_DIRTY, Area, Frame
from rmapcore.pyx.base.state cimport State
from rmapcore.pyx.base.x86 cimport PTE_ACCESSED, PTE_DIRTY, pte_get, pte_pfn, pte_present, pte_set
from rmapcore.pyx.machine.gone cimport tell_run
from rmapcore.pyx.machine.vmas cimport absent_entry
from rmapcore.pyx.reclaim.walk cimport frame_unmapped, leaf_slot
from rmapcore.pyx.seam.kernel cimport Kernel
from rmapcore.pyx.seam.scheme cimport CLUSTER_PAGES, WALK_CLUSTERS, Scheme, Walk


cdef void unmap_clusters(Kernel k, Scheme scheme, pfn_t pfn) noexcept nogil:
    """Unmaps entries, at least as many as the frame has or all that may go. Whether the frame is still mapped, its mapcount
    says; its own last unmap is the caller's."""
    cdef Walk w
    memset(&w, 0, sizeof(Walk))
    w.pfn = pfn
    w.purpose = WALK_CLUSTERS
    scheme.walk_begin(&w)
    while scheme.walk_next(&w):
        unmap_cluster(k, &w)
    scheme.walk_end(&w, False)


cdef void unmap_cluster(Kernel k, Walk* w) noexcept nogil:
    """try_to_unmap_cluster: young entries are made old, all others go, whatever page they map."""
    cdef State* s = k.s
    cdef Area* a = &s.area[w.vma]
    cdef vpn_t end = (w.vpn | (CLUSTER_PAGES - 1)) + 1
    cdef vpn_t vpn
    cdef uint64_t entry
    cdef slot_t slot = leaf_slot(k, w.mm, w.vpn)
    cdef pfn_t pfn
    cdef Frame* f
    tally(s, C_LOCK_PAGE_TABLE, 1)
    if slot == 0:
        return
    if end > a.end:
        end = a.end
    tally(s, C_LOCK_PAGE_TABLE_HELD, end - w.vpn)
    tally(s, C_SCANNED_PTES, end - w.vpn)
    if s.gone:
        tell_run(s, w.mm, w.vpn, slot, <uint32_t> (end - w.vpn), 0, PTE_ACCESSED, 0, GONE_RECLAIM)
    for vpn in range(w.vpn, end):
        entry = pte_get(s, slot)
        if pte_present(entry):
            if entry & PTE_ACCESSED:
                pte_set(s, slot, entry & ~<uint64_t> PTE_ACCESSED)
            else:
                pfn = pte_pfn(s, entry)
                f = &s.frame[pfn]
                if entry & PTE_DIRTY:
                    f.flags |= PG_DIRTY
                pte_set(s, slot, absent_entry(s, w.vma, vpn, f.index))
                s.mm[w.mm].rss -= 1
                f.mapcount -= 1
                tally(s, C_RMAP_REMOVES, 1)
                w.found += 1
                if f.mapcount == 0 and pfn != w.pfn:
                    frame_unmapped(k, pfn)
        slot += 1
