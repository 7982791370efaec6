"""Birth, fork, exec and exit of processes (rules H2, H3)."""
from libc.stdint cimport uint32_t

from rmapcore.pyx.engine cimport Engine
from rmapcore.pyx.ids cimport mm_id

cdef int spawn(Engine e, uint32_t pid, mm_id* out) noexcept nogil
cdef int fork(Engine e, mm_id parent, uint32_t pid, mm_id* out) noexcept nogil
cdef int execve(Engine e, mm_id mm, mm_id* out) noexcept nogil
cdef void tear_down(Engine e, mm_id mm) noexcept nogil
