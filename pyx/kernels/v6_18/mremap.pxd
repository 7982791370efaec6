"""mremap of 6.18 (rule QE8)."""
from libc.stdint cimport uint32_t, uint64_t

from rmapcore.pyx.base.ids cimport mm_id
from rmapcore.pyx.seam.kernel cimport Engine

cdef int remap(Engine e, mm_id mm, uint64_t old_address, uint64_t old_size, uint64_t new_size, uint32_t flags,
               uint64_t new_address) noexcept nogil
