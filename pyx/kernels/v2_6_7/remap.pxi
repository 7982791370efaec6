"""2.6.7: remap_file_pages: the pages of a file in any order in one area (rule E11) [2.6.7 mm/fremap.c].

   area   page of the file, by place        entries when all but two are unmapped
   linear     0  1  2  3  4  5                  0    0    pfn  0    pfn  0            an empty entry: the linear page
   nonlinear  5  4  3  3  4  0                  =5   =4   pfn  0    pfn  =0           =n: an absent entry that names page n

The first page off its linear place makes the area nonlinear for good: VM_NONLINEAR, and the file side hears of it. From then
on a present entry may map any page of the file, and every hand that clears one leaves the page's number in its place, except
at the page's linear place. Costs: a look-up in the page cache and a mapping for each page.
"""
from libc.errno cimport EINVAL
from libc.stdint cimport uint32_t, uint64_t

from rmapcore.pyx.base.ids cimport PAGE_SHIFT, mm_id, pfn_t, slot_t, vma_id, vpn_t
from rmapcore.pyx.base.pool cimport pool_room
from rmapcore.pyx.base.records cimport GONE_UNMAP, PG_DIRTY, P_TABLES, VM_NONLINEAR, VM_SHARED, Area
from rmapcore.pyx.base.state cimport State
from rmapcore.pyx.base.uapi cimport MAP_NONBLOCK
from rmapcore.pyx.base.x86 cimport PTE_DIRTY, file_bits, pte_get, pte_pfn, pte_present, pte_set
from rmapcore.pyx.engine.mapping cimport map_frame, unmap_frame
from rmapcore.pyx.engine.room cimport late_room
from rmapcore.pyx.machine.files cimport cache_pfn, file_pages
from rmapcore.pyx.machine.gone cimport tell_changed
from rmapcore.pyx.machine.lru cimport mark_accessed
from rmapcore.pyx.machine.pagetable cimport pt_alloc
from rmapcore.pyx.machine.vmas cimport absent_entry, area_index, area_prot, find_vma
from rmapcore.pyx.seam.kernel cimport E_FULL, E_OK, E_OOM, Kernel, full


cdef int install(Kernel k, vma_id v, vpn_t vpn, uint64_t index, bint nonblock) noexcept nogil:
    """One page of ->populate: install_page, or install_file_pte where it would have to be read."""
    cdef State* s = k.s
    cdef Area* a = &s.area[v]
    cdef uint64_t entry
    cdef slot_t slot
    cdef pfn_t pfn, old
    if not pool_room(s, P_TABLES, s.levels - 1):
        return full(k, P_TABLES)
    if late_room(k, a.file, index) != E_OK:
        return E_FULL
    slot = pt_alloc(s, a.mm, vpn)
    pfn = cache_pfn(s, a.file, index) if nonblock else read_file(k, a.file, index)
    if pfn:
        mark_accessed(s, pfn)
    elif not nonblock:
        return E_OOM
    entry = pte_get(s, slot)                   # only now: reading may have reclaimed
    if pte_present(entry):
        old = pte_pfn(s, entry)
        if entry & PTE_DIRTY:
            s.frame[old].flags |= PG_DIRTY
        unmap_frame(k, v, vpn, slot, old)
    if pfn:
        map_frame(k, v, vpn, slot, pfn, area_prot(s, v), False)
    else:
        pte_set(s, slot, absent_entry(s, v, vpn, index))
    if s.gone:
        tell_changed(s, a.mm, vpn, entry, pte_get(s, slot), GONE_UNMAP)
    return E_OK


cdef int do_remap_file_pages(Kernel k, mm_id mm, uint64_t addr, uint64_t size, uint32_t prot, uint64_t pgoff,
                             uint32_t flags) noexcept nogil:
    """remap_file_pages (rule E11)."""
    cdef State* s = k.s
    cdef vpn_t start = addr >> PAGE_SHIFT
    cdef uint64_t pages = size >> PAGE_SHIFT
    cdef uint64_t limit = <uint64_t> 1 << file_bits(s)
    cdef uint64_t i
    cdef vma_id v
    cdef Area* a
    cdef int status
    if prot or pages == 0 or start >= s.task_vpn or pgoff >= limit or pages >= limit - pgoff:
        return EINVAL
    v = find_vma(s, mm, start)
    a = &s.area[v]
    if v == 0 or start < a.start or pages > a.end - start or not a.flags & VM_SHARED:
        return EINVAL
    if pgoff + pages > file_pages(s, a.file):
        return EINVAL
    if pgoff != area_index(s, v, start) and not a.flags & VM_NONLINEAR:
        a.flags |= VM_NONLINEAR
        k.side.area_nonlinear(v)
    for i in range(pages):
        status = install(k, v, start + i, pgoff + i, flags & MAP_NONBLOCK)
        if status != E_OK:
            return status
    return E_OK
