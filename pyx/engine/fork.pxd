"""Birth, fork, exec and exit of processes (rules H2, H3)."""
from libc.stdint cimport uint32_t

from rmapcore.pyx.base.ids cimport mm_id
from rmapcore.pyx.seam.kernel cimport Engine

cdef int spawn(Engine e, uint32_t pid, mm_id* out) noexcept nogil
cdef int fork(Engine e, mm_id parent, uint32_t pid, mm_id* out) noexcept nogil
cdef int execve(Engine e, mm_id mm, mm_id* out) noexcept nogil
cdef void tear_down(Engine e, mm_id mm) noexcept nogil
