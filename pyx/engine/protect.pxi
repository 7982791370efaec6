"""change_protection (rules E3, QE3): what mprotect does to entries [2.6.7 and 6.18 mm/mprotect.c].

Text of every kernel, which says what is writable at once (`needs_no_fault`).
"""
from libc.stdint cimport uint32_t, uint64_t

from rmapcore.pyx.base.ids cimport PAGE_SHIFT, mm_id, slot_t, vma_id, vpn_t
from rmapcore.pyx.base.records cimport GONE_PROTECT
from rmapcore.pyx.base.state cimport State
from rmapcore.pyx.base.x86 cimport PTE_ACCESSED, PTE_DIRTY, PTE_RW, pte_get, pte_pfn, pte_present, pte_set
from rmapcore.pyx.machine.gone cimport tell_changed
from rmapcore.pyx.machine.pagetable cimport leaf_run, pt_next
from rmapcore.pyx.seam.kernel cimport Kernel


cdef void change_protection(Kernel k, vma_id v, vpn_t start, vpn_t end, uint64_t prot) noexcept nogil:
    """Gives present entries of a part of area v new protection bits; frame, young and dirty stay."""
    cdef State* s = k.s
    cdef mm_id mm = s.area[v].mm
    cdef uint32_t flags = s.area[v].flags
    cdef vpn_t vpn = start
    cdef uint64_t old, entry
    cdef uint32_t n, i
    cdef slot_t slot
    prot &= ~<uint64_t> PTE_ACCESSED
    while True:
        slot = pt_next(s, mm, &vpn, end)
        if slot == 0:
            return
        n = leaf_run(s, vpn, end)
        for i in range(n):
            old = pte_get(s, slot + i)
            if not pte_present(old):
                continue
            entry = (<uint64_t> pte_pfn(s, old) << PAGE_SHIFT) | old & (PTE_ACCESSED | PTE_DIRTY) | prot
            if needs_no_fault(s, flags, entry):
                entry |= PTE_RW
            if s.gone:
                tell_changed(s, mm, vpn + i, old, entry, GONE_PROTECT)
            pte_set(s, slot + i, entry)
        vpn += n
