"""Page tables: T1 to T9, M4 to M6."""
from rmapcore.pyx.look.check.violation cimport Check

cdef bint tables(Check* c) noexcept nogil
