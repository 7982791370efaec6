"""page_referenced and try_to_unmap: walks through the scheme, acting on page tables (rules K5, K6); sweeps (K10)."""
from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memset

from rmapcore.pyx.base.ids cimport mm_id, pfn_t, slot_t, vpn_t
from rmapcore.pyx.base.x86 cimport pte_get, pte_pfn, pte_present
from rmapcore.pyx.machine.pagetable cimport pt_lookup
from rmapcore.pyx.seam.kernel cimport LEAVES, Engine, Leaf
from rmapcore.pyx.seam.scheme cimport Walk

cdef enum:                    # try_to_unmap's answers [2.6.7 linux/rmap.h]
    SWAP_SUCCESS = 0
    SWAP_AGAIN = 1
    SWAP_FAIL = 2

cdef void frame_unmapped(Engine e, pfn_t pfn) noexcept nogil
cdef uint32_t page_referenced(Engine e, pfn_t pfn) noexcept nogil
cdef uint32_t folio_referenced(Engine e, pfn_t pfn, uint32_t* flags) noexcept nogil
cdef int try_to_unmap(Engine e, pfn_t pfn) noexcept nogil
cdef uint32_t sweep(Engine e) noexcept nogil


cdef inline slot_t leaf_slot(Engine e, mm_id mm, vpn_t vpn) noexcept nogil:
    """pt_lookup that remembers the leaf table it found last in each of a few address spaces: walks go round in families."""
    cdef uint32_t index = <uint32_t> vpn & e.s.index_mask
    cdef Leaf* leaf = &e.leaf[mm & (LEAVES - 1)]
    cdef slot_t slot
    if mm == leaf.mm and vpn >> e.s.bits == leaf.number:
        return leaf.base + index
    slot = pt_lookup(e.s, mm, vpn)
    if slot:
        leaf.mm = mm
        leaf.number = vpn >> e.s.bits
        leaf.base = slot - index
    return slot


cdef inline void forget_leaves(Engine e) noexcept nogil:
    """For every new batch of walks: tables may have been freed since the last."""
    memset(e.leaf, 0, sizeof(e.leaf))


cdef inline slot_t candidate_slot(Engine e, Walk* w) noexcept nogil:
    """The entry of a walk's candidate if it maps the walk's frame, else 0."""
    cdef slot_t slot = w.slot
    cdef uint64_t entry
    if slot == 0:
        slot = leaf_slot(e, w.mm, w.vpn)
        if slot == 0:
            return 0
    entry = pte_get(e.s, slot)
    if pte_present(entry) and pte_pfn(e.s, entry) == w.pfn:
        return slot
    return 0
