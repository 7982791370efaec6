"""Fault-around (rule QF3)."""
from rmapcore.pyx.engine cimport Engine
from rmapcore.pyx.ids cimport slot_t, vma_id, vpn_t

cdef void map_around(Engine e, vma_id v, vpn_t vpn, slot_t slot) noexcept nogil
