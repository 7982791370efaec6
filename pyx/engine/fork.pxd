"""Birth, fork, exec and exit of processes (rules H2, H3)."""
from libc.stdint cimport uint32_t

from rmapcore.pyx.base.ids cimport mm_id
from rmapcore.pyx.seam.kernel cimport Kernel

cdef int spawn(Kernel k, uint32_t pid, mm_id* out) noexcept nogil
cdef int fork(Kernel k, mm_id parent, uint32_t pid, mm_id* out) noexcept nogil
cdef int execve(Kernel k, mm_id mm, mm_id* out) noexcept nogil
cdef void tear_down(Kernel k, mm_id mm) noexcept nogil
