"""Frames and the LRU: F1 to F10, T10, L1 to L4."""
from rmapcore.pyx.look.check.violation cimport Check

cdef bint free_frames(Check* c) noexcept nogil
cdef bint frames(Check* c) noexcept nogil
cdef bint exclusive(Check* c) noexcept nogil
cdef bint lru(Check* c) noexcept nogil
