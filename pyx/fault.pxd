"""Access and faults: what a touch does to the page table (rules F)."""
from libc.stdint cimport uint32_t, uint64_t

from rmapcore.pyx.engine cimport Engine
from rmapcore.pyx.ids cimport mm_id, pfn_t, slot_t, vma_id, vpn_t
from rmapcore.pyx.pagetable cimport pt_lookup
from rmapcore.pyx.records cimport Mm
from rmapcore.pyx.state cimport State
from rmapcore.pyx.x86 cimport PTE_ACCESSED, PTE_DIRTY, PTE_PRESENT, PTE_RW, pte_get, pte_pfn, pte_set

cdef struct Cursor:           # the leaf table touched last; good as long as no table is freed
    uint64_t leaf             # vpn >> bits of its entries, plus 1; 0: none
    slot_t base               # slot of its first entry

cdef int fault(Engine e, mm_id mm, vpn_t vpn, bint write) noexcept nogil
cdef int touch_page(Engine e, mm_id mm, vpn_t vpn, bint write, Cursor* c) noexcept nogil
cdef int touch_range(Engine e, mm_id mm, vpn_t start, vpn_t end, bint write, uint64_t* done) noexcept nogil
cdef int populate(Engine e, mm_id mm, vpn_t start, vpn_t end) noexcept nogil
cdef int force_copy(Engine e, mm_id mm, vma_id v, vpn_t vpn, slot_t slot) noexcept nogil
