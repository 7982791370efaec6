"""Page tables: T1 to T9, M4 to M6."""
from rmapcore.pyx.check cimport Check

cdef bint tables(Check* c) noexcept nogil
