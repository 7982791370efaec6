"""Areas and files: V1 to V9, C5, C6."""
from rmapcore.pyx.look.check.violation cimport Check

cdef bint areas(Check* c) noexcept nogil
cdef bint files(Check* c) noexcept nogil
cdef bint extents(Check* c) noexcept nogil
