"""Swap-in (rules F8, QF5)."""
from rmapcore.pyx.engine cimport Engine
from rmapcore.pyx.ids cimport slot_t, vma_id, vpn_t

cdef int fault_swapin(Engine e, vma_id v, vpn_t vpn, slot_t slot, bint write) noexcept nogil
