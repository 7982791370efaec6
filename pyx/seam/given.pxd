"""Checks of what schemes in Python say (given.pyx)."""
from libc.stdint cimport uint64_t

from rmapcore.pyx.base.state cimport State
from rmapcore.pyx.seam.scheme cimport Walk

cdef int take_candidate(State* s, Walk* w, object candidate) except -1
cdef uint64_t most_candidates(State* s, Walk* w) noexcept nogil
