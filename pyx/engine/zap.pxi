"""zap_pte_range (rules H1, QB4): what munmap, exit, MADV_DONTNEED and truncate do to entries [2.6.7 and 6.18 mm/memory.c].

One linear sweep of each existing leaf table of the range. The schemes hear of a whole run of entries before it goes. Text of
every kernel, which says what young and dirty bits of the entries mean (`notes_use`, QUIET).
"""
from libc.stdint cimport uint32_t, uint64_t

from rmapcore.pyx.base.counters cimport C_RMAP_REMOVES, C_SCANNED_PTES, tally
from rmapcore.pyx.base.ids cimport mm_id, pfn_t, slot_t, swp_t, vma_id, vpn_t
from rmapcore.pyx.base.records cimport GONE_EXIT, GONE_UNMAP, PG_ANON, PG_DIRTY, PG_SWAPCACHE, Frame
from rmapcore.pyx.base.state cimport State
from rmapcore.pyx.base.x86 cimport PTE_ACCESSED, PTE_DIRTY, pte_get, pte_is_swap, pte_pfn, pte_present, pte_set, swap_slot
from rmapcore.pyx.machine.frames cimport frame_give, page_count
from rmapcore.pyx.machine.gone cimport tell_run
from rmapcore.pyx.machine.lru cimport mark_accessed
from rmapcore.pyx.machine.pagetable cimport leaf_run, pt_next
from rmapcore.pyx.machine.swap cimport slot_put, swap_full, swapcache_del
from rmapcore.pyx.reclaim.walk cimport frame_unmapped, tell_freed
from rmapcore.pyx.seam.kernel cimport AT_EXIT, KEEP_ANON, KEEP_MARKS, KEEP_SWAP, Kernel


cdef void free_swap_and_cache(Kernel k, State* s, swp_t slot) noexcept nogil:
    """Drops a swap entry's count; a cached frame that nobody needs any more goes too [2.6.7 mm/swapfile.c]."""
    cdef uint32_t left = slot_put(s, slot)
    cdef pfn_t pfn
    if left != 1:
        return
    pfn = s.swap_cache[slot]
    if pfn and (page_count(s, pfn) == 1 or swap_full(s)):
        swapcache_del(s, pfn)
        s.frame[pfn].flags |= PG_DIRTY
        if page_count(s, pfn) == 0:
            tell_freed(k, pfn)
            frame_give(s, pfn)


cdef inline void zap_page(Kernel k, State* s, pfn_t pfn, uint64_t entry, bint notes) noexcept nogil:
    """One mapping of a frame goes. The bits say nothing of frames with a flag of QUIET, ACCESSED only if `notes`."""
    cdef Frame* f = &s.frame[pfn]
    cdef uint32_t flags = f.flags
    if not flags & QUIET:
        if entry & PTE_DIRTY:
            f.flags = flags | PG_DIRTY
        if entry & PTE_ACCESSED and notes and flags & (PG_SWAPCACHE | PG_ANON) != PG_ANON:
            mark_accessed(s, pfn)
    f.mapcount -= 1
    if f.mapcount == 0:
        frame_unmapped(k, pfn)
        if f.flags & PG_SWAPCACHE and page_count(s, pfn) == 1 and s.swap_map[f.owner] == 1:
            swapcache_del(s, pfn)
            tell_freed(k, pfn)
        if page_count(s, pfn) == 0:
            frame_give(s, pfn)


cdef void zap(Kernel k, vma_id v, vpn_t start, vpn_t end, uint32_t keep) noexcept nogil:
    """Clears the entries of [start, end), which lies in area v, but those that `keep` names."""
    cdef State* s = k.s
    cdef mm_id mm = s.area[v].mm
    cdef bint notes = notes_use(s.area[v].flags)
    cdef vpn_t vpn = start
    cdef uint32_t n, i, gone
    cdef slot_t slot
    cdef uint64_t entry
    cdef pfn_t pfn
    while True:
        slot = pt_next(s, mm, &vpn, end)
        if slot == 0:
            return
        n = leaf_run(s, vpn, end)
        gone = 0
        tally(s, C_SCANNED_PTES, n)
        if k.anon.wants_entries and not (KEEPS_COPIES and keep & KEEP_ANON):
            k.anon.pages_unmapping(v, vpn, slot, n)
        if s.area[v].file and k.side.wants_entries:
            k.side.pages_unmapping(v, vpn, slot, n)
        if s.gone:
            tell_run(s, mm, vpn, slot, n, 0, 0, PG_ANON if KEEPS_COPIES and keep & KEEP_ANON else 0,
                     GONE_EXIT if keep & AT_EXIT else GONE_UNMAP)
        for i in range(n):
            entry = pte_get(s, slot + i)
            if entry == 0:
                continue
            if pte_present(entry):
                pfn = pte_pfn(s, entry)
                if KEEPS_COPIES and keep & KEEP_ANON and s.frame[pfn].flags & PG_ANON:
                    continue
                pte_set(s, slot + i, 0)
                if pfn:
                    zap_page(k, s, pfn, entry, notes)
                    gone += 1
            elif pte_is_swap(entry):
                if keep & KEEP_SWAP:
                    continue
                pte_set(s, slot + i, 0)
                s.mm[mm].swapents -= 1
                free_swap_and_cache(k, s, swap_slot(s, entry))
            elif not keep & KEEP_MARKS:
                pte_set(s, slot + i, 0)
        s.mm[mm].rss -= gone
        tally(s, C_RMAP_REMOVES, gone)
        vpn += n
