"""Swap-in (rules F8, QF5)."""
from rmapcore.pyx.base.ids cimport slot_t, vma_id, vpn_t
from rmapcore.pyx.seam.kernel cimport Engine

cdef int fault_swapin(Engine e, vma_id v, vpn_t vpn, slot_t slot, bint write) noexcept nogil
