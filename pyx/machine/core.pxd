"""Core: owns the arenas and the State of one machine. No policy: that is the engine's, above the seam.

Public: schemes outside may use it (docs/schemes-of-your-own.md).
"""
from rmapcore.pyx.base.records cimport Ring
from rmapcore.pyx.base.state cimport State

cdef class Core:
    cdef State state
    cdef readonly dict arenas          # name -> Arena, in the order they are saved
    cdef readonly dict pool_names      # pool number -> name
    cdef readonly dict mechanisms      # what scheme and file side may share, by its maker's key (chains.pyx)
    cdef readonly str arch
    cdef readonly bint track
    cdef readonly unsigned long long most_entries      # of all page tables
    cdef readonly object block         # the Reservation that arenas are cut from
    cdef int pools                     # pools in use
    cdef Ring ring                     # what State.gone points to
    cdef object ring_records

    cdef void plan(self, room, bint wide, int bits, bint track) except *
    cdef object reserve(self, size, spare=?, huge=?)
    cdef void* place(self, str name) except NULL
    cdef int fence(self, str name) except -1
