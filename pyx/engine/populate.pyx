"""Faulting in what a call asks for: MAP_POPULATE, mlock and their like (rules E8, QE7) [2.6.7 mm/memory.c; 6.18 mm/gup.c]."""
from libc.stdint cimport uint32_t, uint64_t

from rmapcore.pyx.base.ids cimport PAGE_SHIFT, mm_id, slot_t, vma_id, vpn_t
from rmapcore.pyx.base.records cimport PG_DIRTY, VM_ACCESS, VM_LOCKONFAULT, VM_NONLINEAR, VM_READ, VM_SHARED, VM_WRITE
from rmapcore.pyx.base.state cimport State
from rmapcore.pyx.base.x86 cimport PTE_DIRTY, PTE_PRESENT, PTE_RW, pte_get, pte_pfn, pte_present
from rmapcore.pyx.engine.fault cimport handle
from rmapcore.pyx.machine.files cimport file_pages
from rmapcore.pyx.machine.pagetable cimport pt_lookup
from rmapcore.pyx.machine.vmas cimport area_index, find_vma, page_of
from rmapcore.pyx.seam.kernel cimport E_BUS, E_OK, E_SEGV, Engine


cdef int make_present(Engine e, mm_id mm, vpn_t start, vpn_t end) noexcept nogil:
    """make_pages_present of 2.6.7: faults in what may be read or written and is inside its file (rule E8)."""
    cdef State* s = e.s
    cdef vpn_t vpn = start
    cdef vpn_t stop
    cdef vma_id v
    cdef uint64_t entry
    cdef slot_t slot
    cdef bint write, nonlinear
    cdef int status
    while vpn < end:
        v = find_vma(s, mm, vpn)
        if v == 0 or s.area[v].start >= end:
            return E_OK
        if vpn < s.area[v].start:
            vpn = s.area[v].start
        stop = s.area[v].end if s.area[v].end < end else end
        if not s.area[v].flags & (VM_READ | VM_WRITE):
            vpn = stop
            continue
        write = s.area[v].flags & VM_WRITE
        while vpn < stop:
            nonlinear = s.area[v].flags & VM_NONLINEAR
            if s.area[v].file and not nonlinear and area_index(s, v, vpn) >= file_pages(s, s.area[v].file):
                vpn = stop
                break
            slot = pt_lookup(s, mm, vpn)
            entry = pte_get(s, slot) if slot else 0
            if nonlinear and not pte_present(entry) and page_of(s, v, vpn, entry) >= file_pages(s, s.area[v].file):
                vpn += 1
                continue
            if not entry & PTE_PRESENT or (write and not entry & PTE_RW):
                status = handle(e, v, vpn, write)
                if status != E_OK:
                    e.address = vpn << PAGE_SHIFT
                    return status
            vpn += 1
    return E_OK


cdef int fill(Engine e, vma_id v, vpn_t start, vpn_t end, bint write) noexcept nogil:
    """Accesses every page of a part of an area that is not there for it already; for a write the others become dirty too
    (FOLL_TOUCH), so that a page under MADV_FREE stays."""
    cdef State* s = e.s
    cdef vpn_t vpn = start
    cdef slot_t slot
    cdef uint64_t entry
    cdef int status
    while vpn < end:
        slot = pt_lookup(s, s.area[v].mm, vpn)
        entry = pte_get(s, slot) if slot else 0
        if not entry & PTE_PRESENT or (write and not entry & PTE_RW):
            status = handle(e, v, vpn, write)
            if status != E_OK:
                e.address = vpn << PAGE_SHIFT
                return status
        elif write and not entry & PTE_DIRTY:
            s.frame[pte_pfn(s, entry)].flags |= PG_DIRTY
        vpn += 1
    return E_OK


cdef int fill_area(Engine e, vma_id v, vpn_t start, vpn_t end) noexcept nogil:
    """populate_vma_page_range (rule QE7): E_SEGV or E_BUS where a page cannot be had."""
    cdef uint32_t flags = e.s.area[v].flags
    if flags & VM_LOCKONFAULT:
        return E_OK
    if not flags & VM_ACCESS:
        return E_SEGV
    return fill(e, v, start, end, flags & (VM_WRITE | VM_SHARED) == VM_WRITE)


cdef int fill_range(Engine e, mm_id mm, vpn_t start, vpn_t end, bint ignore) noexcept nogil:
    """__mm_populate (rule QE7). ignore: an area that cannot be filled is passed over; memory that runs out is told always."""
    cdef State* s = e.s
    cdef vma_id v = find_vma(s, mm, start)
    cdef vpn_t low, high
    cdef int status
    while v and s.area[v].start < end:
        low = s.area[v].start if s.area[v].start > start else start
        high = s.area[v].end if s.area[v].end < end else end
        status = fill_area(e, v, low, high)
        if status != E_OK and not (ignore and (status == E_SEGV or status == E_BUS)):
            return status
        v = s.area[v].next
    return E_OK


cdef int populate(Engine e, mm_id mm, vpn_t start, vpn_t end) noexcept nogil:
    """What a call that maps or locks brings in (rules E8, QE7); pages that cannot be had are no error."""
    if e.s.rules.calls:
        return fill_range(e, mm, start, end, True)
    return make_present(e, mm, start, end)
