"""The check of a recorded fault: a look at the entry and at the area (found.pxd)."""
from libc.stdint cimport uint16_t, uint32_t, uint64_t

from rmapcore.pyx.base.ids cimport mm_id, pfn_t, slot_t, vma_id, vpn_t
from rmapcore.pyx.base.records cimport (
    FILE_SHMEM, PG_ANON, VM_EXEC, VM_GROWSDOWN, VM_LOCKED, VM_READ, VM_SHARED, VM_WRITE, Area,
)
from rmapcore.pyx.base.state cimport State
from rmapcore.pyx.base.x86 cimport PTE_PRESENT, PTE_RW, pte_get, pte_is_swap, pte_pfn
from rmapcore.pyx.machine.pagetable cimport pt_lookup
from rmapcore.pyx.machine.vmas cimport has_cache, peek_vma

FOUND = {"right": FOUND_RIGHT, "present": FOUND_PRESENT, "rw": FOUND_RW, "anon": FOUND_ANON, "zero": FOUND_ZERO,
         "swap": FOUND_SWAP, "area": FOUND_AREA, "grows": FOUND_GROWS, "file": FOUND_FILE, "shmem": FOUND_SHMEM,
         "shared": FOUND_SHARED, "read": FOUND_READ, "write": FOUND_WRITE, "locked": FOUND_LOCKED, "taken": FOUND_TAKEN,
         "checked": FOUND_CHECKED}


cdef inline bint denies(uint16_t found, uint32_t code) noexcept nogil:
    """Whether a present entry does not allow the access of an error code."""
    if code & FAULT_WRITE:
        return not found & FOUND_RW
    return not found & FOUND_READ


cdef uint16_t look(State* s, mm_id mm, vpn_t vpn, uint32_t code, bint lost) noexcept nogil:
    """What the page table and the areas have at a page that faulted when it was recorded; lost: areas may be missing."""
    cdef slot_t slot = pt_lookup(s, mm, vpn) if vpn < s.task_vpn else 0
    cdef uint64_t entry = pte_get(s, slot) if slot else 0
    cdef vma_id v = peek_vma(s, mm, vpn)
    cdef uint16_t found = 0
    cdef pfn_t pfn
    cdef Area* a
    if entry & PTE_PRESENT:
        pfn = pte_pfn(s, entry)
        found |= FOUND_PRESENT
        found |= FOUND_RW if entry & PTE_RW else 0
        found |= FOUND_ZERO if pfn == 0 else FOUND_ANON if s.frame[pfn].flags & PG_ANON else 0
    elif pte_is_swap(entry):
        found |= FOUND_SWAP
    a = &s.area[v]
    if v and (a.start <= vpn or a.flags & VM_GROWSDOWN):
        found |= FOUND_AREA
        found |= FOUND_GROWS if a.start > vpn else 0
        found |= FOUND_FILE if has_cache(s, v) else 0
        found |= FOUND_SHMEM if a.file and s.file[a.file].kind == FILE_SHMEM else 0
        found |= FOUND_SHARED if a.flags & VM_SHARED else 0
        found |= FOUND_READ if a.flags & (VM_READ | VM_EXEC) else 0
        found |= FOUND_WRITE if a.flags & VM_WRITE else 0
        found |= FOUND_LOCKED if a.flags & VM_LOCKED else 0
        if code & FAULT_PRESENT:
            found |= FOUND_RIGHT if found & FOUND_PRESENT and denies(found, code) else 0
        else:
            found |= 0 if found & FOUND_PRESENT else FOUND_RIGHT
    elif not code & FAULT_PRESENT and not lost:
        found |= FOUND_RIGHT
    return found
