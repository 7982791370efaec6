"""Fault-around (rule QF3)."""
from rmapcore.pyx.base.ids cimport slot_t, vma_id, vpn_t
from rmapcore.pyx.seam.kernel cimport Engine

cdef void map_around(Engine e, vma_id v, vpn_t vpn, slot_t slot) noexcept nogil
