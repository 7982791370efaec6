"""Page tables, frames, LRU, swap slots, page cache: T, M4 to M6, F, L, S, C."""
from rmapcore.pyx.look.check.violation cimport Check

cdef bint free_frames(Check* c) noexcept nogil
cdef bint free_slots(Check* c) noexcept nogil
cdef bint tables(Check* c) noexcept nogil
cdef bint frames(Check* c) noexcept nogil
cdef bint lru(Check* c) noexcept nogil
cdef bint cache(Check* c) noexcept nogil
cdef bint swap(Check* c) noexcept nogil
cdef bint exclusive(Check* c) noexcept nogil
