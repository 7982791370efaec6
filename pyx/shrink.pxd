"""What becomes of one frame of the inactive list (rules K4, QK3, QK4)."""
from rmapcore.pyx.engine cimport Engine
from rmapcore.pyx.ids cimport pfn_t

cdef bint shrink_frame(Engine e, pfn_t pfn) noexcept nogil
cdef bint push_out(Engine e, pfn_t pfn) noexcept nogil
