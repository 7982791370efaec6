"""6.18: faulting in what a call asks for (rule QE7) [6.18 mm/gup.c]."""
from libc.stdint cimport uint32_t, uint64_t

from rmapcore.pyx.base.ids cimport PAGE_SHIFT, mm_id, pfn_t, slot_t, vma_id, vpn_t
from rmapcore.pyx.base.records cimport (
    PG_DIRTY, PG_REFERENCED, VM_ACCESS, VM_LOCKED, VM_LOCKONFAULT, VM_READ, VM_SHARED, VM_WRITE,
)
from rmapcore.pyx.base.state cimport State
from rmapcore.pyx.base.x86 cimport PTE_DIRTY, PTE_PRESENT, PTE_RW, pte_get, pte_pfn
from rmapcore.pyx.machine.lru cimport mark_accessed
from rmapcore.pyx.machine.pagetable cimport pt_lookup
from rmapcore.pyx.machine.vmas cimport find_vma
from rmapcore.pyx.seam.kernel cimport E_BUS, E_OK, E_SEGV, Kernel


cdef inline void touched(State* s, vma_id v, pfn_t pfn) noexcept nogil:
    """A page that a call has asked for looks as used as one that was read; locked ones never come to the active list."""
    if s.area[v].flags & VM_LOCKED:
        s.frame[pfn].flags |= PG_REFERENCED
    else:
        mark_accessed(s, pfn)


cdef int fill(Kernel k, vma_id v, vpn_t start, vpn_t end, bint write) noexcept nogil:
    """Accesses every page of a part of an area that is not there for it already; for a write the others become dirty too
    (FOLL_TOUCH), so that a page under MADV_FREE stays."""
    cdef State* s = k.s
    cdef vpn_t vpn = start
    cdef slot_t slot
    cdef uint64_t entry
    cdef int status
    while vpn < end:
        slot = pt_lookup(s, s.area[v].mm, vpn)
        entry = pte_get(s, slot) if slot else 0
        if not entry & PTE_PRESENT or (write and not entry & PTE_RW):
            status = handle(k, v, vpn, write)
            if status != E_OK:
                k.address = vpn << PAGE_SHIFT
                return status
            entry = pte_get(s, pt_lookup(s, s.area[v].mm, vpn))
        elif write and not entry & PTE_DIRTY:
            s.frame[pte_pfn(s, entry)].flags |= PG_DIRTY
        if pte_pfn(s, entry):
            touched(s, v, pte_pfn(s, entry))
        vpn += 1
    return E_OK


cdef int bring_in(Kernel k, mm_id mm, vpn_t vpn) noexcept nogil:
    """A page that somebody wants a reference to (rule QE13): no stack grows for it, and its area must be readable."""
    cdef vma_id v = find_vma(k.s, mm, vpn) if vpn < k.s.task_vpn else 0
    k.address = vpn << PAGE_SHIFT
    if v == 0 or k.s.area[v].start > vpn or not k.s.area[v].flags & VM_READ:
        return E_SEGV
    return handle(k, v, vpn, False)


cdef int fill_area(Kernel k, vma_id v, vpn_t start, vpn_t end) noexcept nogil:
    """populate_vma_page_range (rule QE7): E_SEGV or E_BUS where a page cannot be had."""
    cdef uint32_t flags = k.s.area[v].flags
    if flags & VM_LOCKONFAULT:
        return E_OK
    if not flags & VM_ACCESS:
        return E_SEGV
    return fill(k, v, start, end, flags & (VM_WRITE | VM_SHARED) == VM_WRITE)


cdef int fill_range(Kernel k, mm_id mm, vpn_t start, vpn_t end, bint ignore) noexcept nogil:
    """__mm_populate (rule QE7). ignore: an area that cannot be filled is passed over; memory that runs out is told always."""
    cdef State* s = k.s
    cdef vma_id v = find_vma(s, mm, start)
    cdef vpn_t low, high
    cdef int status
    while v and s.area[v].start < end:
        low = s.area[v].start if s.area[v].start > start else start
        high = s.area[v].end if s.area[v].end < end else end
        status = fill_area(k, v, low, high)
        if status != E_OK and not (ignore and (status == E_SEGV or status == E_BUS)):
            return status
        v = s.area[v].next
    return E_OK


cdef int populate(Kernel k, mm_id mm, vpn_t start, vpn_t end) noexcept nogil:
    """What a call that maps or locks brings in; pages that cannot be had are no error."""
    return fill_range(k, mm, start, end, True)
