"""What becomes of one frame of the inactive list (rules K4, QK3, QK4)."""
from rmapcore.pyx.base.ids cimport pfn_t
from rmapcore.pyx.seam.kernel cimport Engine

cdef bint shrink_frame(Engine e, pfn_t pfn) noexcept nogil
cdef bint push_out(Engine e, pfn_t pfn) noexcept nogil
