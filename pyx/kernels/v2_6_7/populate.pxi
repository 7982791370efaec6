"""2.6.7: faulting in what a call asks for (rule E8) [2.6.7 mm/memory.c]."""
from libc.stdint cimport uint64_t

from rmapcore.pyx.base.ids cimport PAGE_SHIFT, mm_id, slot_t, vma_id, vpn_t
from rmapcore.pyx.base.records cimport VM_NONLINEAR, VM_READ, VM_WRITE
from rmapcore.pyx.base.state cimport State
from rmapcore.pyx.base.x86 cimport PTE_PRESENT, PTE_RW, pte_get, pte_present
from rmapcore.pyx.machine.files cimport file_pages
from rmapcore.pyx.machine.pagetable cimport pt_lookup
from rmapcore.pyx.machine.vmas cimport area_index, find_vma, has_cache, page_of
from rmapcore.pyx.seam.kernel cimport E_OK, Kernel


cdef int populate(Kernel k, mm_id mm, vpn_t start, vpn_t end) noexcept nogil:
    """make_pages_present: faults in what may be read or written and is inside its file."""
    cdef State* s = k.s
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
            if has_cache(s, v) and not nonlinear and area_index(s, v, vpn) >= file_pages(s, s.area[v].file):
                vpn = stop
                break
            slot = pt_lookup(s, mm, vpn)
            entry = pte_get(s, slot) if slot else 0
            if nonlinear and not pte_present(entry) and page_of(s, v, vpn, entry) >= file_pages(s, s.area[v].file):
                vpn += 1
                continue
            if not entry & PTE_PRESENT or (write and not entry & PTE_RW):
                status = handle(k, v, vpn, write)
                if status != E_OK:
                    k.address = vpn << PAGE_SHIFT
                    return status
            vpn += 1
    return E_OK
