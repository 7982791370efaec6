"""Faulting in what a call asks for (rules E8, QE7)."""
from rmapcore.pyx.base.ids cimport mm_id, vma_id, vpn_t
from rmapcore.pyx.seam.kernel cimport Engine

cdef int fill(Engine e, vma_id v, vpn_t start, vpn_t end, bint write) noexcept nogil
cdef int fill_area(Engine e, vma_id v, vpn_t start, vpn_t end) noexcept nogil
cdef int fill_range(Engine e, mm_id mm, vpn_t start, vpn_t end, bint ignore) noexcept nogil
cdef int populate(Engine e, mm_id mm, vpn_t start, vpn_t end) noexcept nogil
