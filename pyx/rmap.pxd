"""page_referenced and try_to_unmap: walks through the scheme, acting on page tables (rules K5, K6)."""
from libc.stdint cimport uint32_t, uint64_t

from rmapcore.pyx.engine cimport Engine
from rmapcore.pyx.ids cimport pfn_t, slot_t
from rmapcore.pyx.pagetable cimport pt_lookup
from rmapcore.pyx.scheme cimport Walk
from rmapcore.pyx.x86 cimport pte_get, pte_pfn, pte_present

cdef enum:                    # try_to_unmap's answers [2.6.7 linux/rmap.h]
    SWAP_SUCCESS = 0
    SWAP_AGAIN = 1
    SWAP_FAIL = 2

cdef void frame_unmapped(Engine e, pfn_t pfn) noexcept nogil
cdef uint32_t page_referenced(Engine e, pfn_t pfn) noexcept nogil
cdef int try_to_unmap(Engine e, pfn_t pfn) noexcept nogil


cdef inline slot_t candidate_slot(Engine e, Walk* w) noexcept nogil:
    """The entry of a walk's candidate if it maps the walk's frame, else 0."""
    cdef slot_t slot = w.slot
    cdef uint32_t index
    cdef uint64_t entry
    if slot == 0:
        index = <uint32_t> w.vpn & e.s.index_mask
        if w.mm == e.leaf_mm and w.vpn >> e.s.bits == e.leaf_number:
            slot = e.leaf_base + index
        else:
            slot = pt_lookup(e.s, w.mm, w.vpn)
            if slot == 0:
                return 0
            e.leaf_mm = w.mm
            e.leaf_number = w.vpn >> e.s.bits
            e.leaf_base = slot - index
    if slot >> e.s.bits != e.last_table:
        e.last_table = slot >> e.s.bits
        e.leaf_changes += 1
    entry = pte_get(e.s, slot)
    if pte_present(entry) and pte_pfn(e.s, entry) == w.pfn:
        return slot
    return 0
