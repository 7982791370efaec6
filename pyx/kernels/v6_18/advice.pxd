"""madvise of 6.18 (rule QE9)."""
from libc.stdint cimport uint32_t, uint64_t

from rmapcore.pyx.base.ids cimport mm_id
from rmapcore.pyx.seam.kernel cimport Engine

cdef int do_advice(Engine e, mm_id mm, uint64_t addr, uint64_t length, uint32_t advice) noexcept nogil
