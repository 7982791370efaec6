"""6.18: pages of files are written back (rule QF7) [6.18 mm/page-writeback.c, mm/rmap.c folio_mkclean].

   msync, fsync, sync ..   dirty page of the file   ──> every entry of it loses RW and DIRTY ──> on disk, clean
   next write              fault: page_mkwrite      ──> RW, DIRTY, the page is dirty again
"""
from libc.errno cimport EINVAL
from libc.stdint cimport uint32_t, uint64_t

from rmapcore.pyx.base.counters cimport C_SCANNED_PTES, tally
from rmapcore.pyx.base.ids cimport PAGE_SHIFT, mm_id, pfn_t, slot_t, vma_id, vpn_t
from rmapcore.pyx.base.records cimport FILE_DISK, GONE_PROTECT, PG_DIRTY, P_FILES, VM_SHARED, Frame
from rmapcore.pyx.base.state cimport State
from rmapcore.pyx.base.x86 cimport PTE_DIRTY, PTE_RW, pte_get, pte_present, pte_set
from rmapcore.pyx.machine.files cimport cache_pfn, file_pages
from rmapcore.pyx.machine.gone cimport tell_changed
from rmapcore.pyx.machine.pagetable cimport leaf_run, pt_next
from rmapcore.pyx.reclaim.walk cimport forget_leaves, walk
from rmapcore.pyx.seam.kernel cimport E_OK, Kernel
from rmapcore.pyx.seam.scheme cimport HIT_SEEN, WALK_QUERY, Outcome, Walk


cdef inline void clean_entry(State* s, mm_id mm, vpn_t vpn, slot_t slot, uint64_t entry) noexcept nogil:
    if entry & (PTE_RW | PTE_DIRTY):
        if s.gone:
            tell_changed(s, mm, vpn, entry, entry & ~<uint64_t> PTE_RW, GONE_PROTECT)
        pte_set(s, slot, entry & ~<uint64_t> (PTE_RW | PTE_DIRTY))


cdef Outcome make_clean(Kernel k, Walk* w, slot_t slot, uint64_t entry, void* told) noexcept nogil:
    """page_vma_mkclean_one. An entry of a private area that maps a page of the file has neither bit."""
    clean_entry(k.s, w.mm, w.vpn, slot, entry)
    return HIT_SEEN


cdef void write_file_page(Kernel k, pfn_t pfn) noexcept nogil:
    """A dirty page of a file on disk becomes clean, and nobody may write it without a fault."""
    cdef State* s = k.s
    cdef Frame* f = &s.frame[pfn]
    cdef Walk w
    if f.mapcount and not k.anon.sweeps:
        walk(k, k.side, &w, pfn, WALK_QUERY, make_clean, NULL, True)
    if s.disk:
        s.disk[s.file[f.owner].base + f.index] = s.stamp[pfn]
    f.flags &= ~<uint32_t> PG_DIRTY


cdef void clean_areas(Kernel k, uint32_t file, uint64_t first, uint64_t last) noexcept nogil:
    """For a scheme that cannot walk one page: the page tables of the file's shared areas are read, as truncation does."""
    cdef State* s = k.s
    cdef vma_id v = s.file[file].areas
    cdef vpn_t vpn, end
    cdef uint32_t n, i
    cdef slot_t slot
    while v:
        if s.area[v].flags & VM_SHARED and shows(&s.area[v], first, last, &vpn, &end):
            while True:
                slot = pt_next(s, s.area[v].mm, &vpn, end)
                if slot == 0:
                    break
                n = leaf_run(s, vpn, end)
                tally(s, C_SCANNED_PTES, n)
                for i in range(n):
                    if pte_present(pte_get(s, slot + i)):
                        clean_entry(s, s.area[v].mm, vpn + i, slot + i, pte_get(s, slot + i))
                vpn += n
        v = s.area[v].fnext


cdef int write_back_file(Kernel k, uint32_t file, uint64_t start, uint64_t length) noexcept nogil:
    """msync(MS_SYNC), fsync, sync_file_range; length 0: up to the end of the file."""
    cdef State* s = k.s
    cdef uint64_t index = start >> PAGE_SHIFT
    cdef uint64_t end = file_pages(s, file)
    cdef uint32_t left = s.file[file].n_cached
    cdef pfn_t pfn
    if start + length < start:
        return EINVAL
    if length and (start + length - 1 >> PAGE_SHIFT) + 1 < end:
        end = (start + length - 1 >> PAGE_SHIFT) + 1
    if s.file[file].kind != FILE_DISK or index >= end:
        return E_OK
    if k.anon.sweeps:
        clean_areas(k, file, index, end)
    while index < end and left:
        pfn = cache_pfn(s, file, index)
        if pfn:
            left -= 1
            if s.frame[pfn].flags & PG_DIRTY:
                write_file_page(k, pfn)
        index += 1
    return E_OK


cdef int write_back(Kernel k, uint32_t file, uint64_t start, uint64_t length) noexcept nogil:
    """Of file 0: sync, all of every file."""
    cdef State* s = k.s
    cdef uint32_t one
    forget_leaves(k)
    if file:
        return write_back_file(k, file, start, length)
    for one in range(1, <uint32_t> s.pool[P_FILES].bump):
        if s.file[one].alive:
            write_back_file(k, one, 0, 0)
    return E_OK
