"""Core: owns the arenas and the State of one machine. No policy: that is the engine's, above the seam.

Public: schemes outside may use it (docs/schemes-of-your-own.md).
"""
from libc.stdint cimport uint64_t

from rmapcore.pyx.base.state cimport State

cdef class Core:
    cdef State state
    cdef readonly dict arenas          # name -> Arena, in the order they are saved
    cdef readonly dict pool_names      # pool number -> name
    cdef readonly dict mechanisms      # what scheme and file side may share, by its maker's key (chains.pyx)
    cdef readonly str arch
    cdef readonly bint track
    cdef int pools                     # pools in use

    cdef void* make(self, str name, dtype, uint64_t capacity, int pool, int stride=?) except NULL
