"""6.18: entries: what swap entries keep, what fork and zap make of them (rules QA1, QA2, QB4) [6.18 mm/memory.c]."""
from libc.stdint cimport uint32_t, uint64_t

from rmapcore.pyx.base.ids cimport pfn_t, slot_t, vma_id, vpn_t
from rmapcore.pyx.base.records cimport PG_ANON, PG_EXCLUSIVE, VM_RAND_READ, VM_SEQ_READ, VM_SHARED, VM_WRITE
from rmapcore.pyx.base.state cimport State
from rmapcore.pyx.base.x86 cimport PTE_DIRTY, PTE_PRESENT, pte_pfn, pte_set
from rmapcore.pyx.machine.pagetable cimport leaf_is_empty, pt_drop_leaf
from rmapcore.pyx.machine.vmas cimport has_cache

cdef enum:
    QUIET = PG_ANON                        # frames whose entries say nothing when they are zapped (rule QB4)
    KEEPS_COPIES = 1                       # MADV_REMOVE zaps a range but its private copies (rule QE9)
    MARKERS = 1                            # guard markers (rule QA2)


cdef inline uint64_t exclusive_bit(State* s, uint32_t flags) noexcept nogil:
    """What the swap entry of a frame with these flags keeps of them (rule QA1)."""
    return s.swap_exclusive if flags & PG_EXCLUSIVE else 0


cdef inline void share(State* s, pfn_t pfn) noexcept nogil:
    s.frame[pfn].flags &= ~<uint32_t> PG_EXCLUSIVE


cdef inline uint64_t share_swapped(State* s, slot_t slot, uint64_t entry) noexcept nogil:
    if entry & s.swap_exclusive:
        entry &= ~s.swap_exclusive
        pte_set(s, slot, entry)
    return entry


cdef inline bint needs_no_fault(State* s, uint32_t vm_flags, uint64_t entry) noexcept nogil:
    """can_change_pte_writable: what mprotect makes writable at once, as a write fault would change nothing else (rule QE3)."""
    cdef pfn_t pfn = pte_pfn(s, entry)
    if not vm_flags & VM_WRITE or not entry & PTE_PRESENT or pfn == 0:
        return False
    if vm_flags & VM_SHARED:
        return entry & PTE_DIRTY != 0
    return s.frame[pfn].flags & (PG_ANON | PG_EXCLUSIVE) == PG_ANON | PG_EXCLUSIVE


cdef void leave_fresh_leaf(State* s, vma_id v, vpn_t vpn, slot_t slot) noexcept nogil:
    """A leaf table that was made for a fault which failed: a file's pages get theirs with the first entry (rule QC1)."""
    if has_cache(s, v) and leaf_is_empty(s, slot >> s.bits):
        pt_drop_leaf(s, s.area[v].mm, vpn)


cdef inline bint notes_use(uint32_t vm_flags) noexcept nogil:
    """Whether young bits of an area count when it is zapped (rule QB4)."""
    return not vm_flags & (VM_SEQ_READ | VM_RAND_READ)
