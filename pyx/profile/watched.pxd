from rmapcore.pyx.profile.walked cimport Alike, Walked
from rmapcore.pyx.seam.scheme cimport Scheme, Walk

cdef class Watched(Scheme):
    cdef readonly Scheme watched
    cdef Walked ledger
    cdef Alike* alike                          # of the ledger, by purpose
    cdef bint of_files                         # it is the file side, which is not asked about areas a second time
    cdef bint told                             # the scheme wants to hear of entries
    cdef bint placed                           # the walk under way has found its page

    cdef bint look_and_next(self, Walk* w) noexcept nogil
    cdef void want(self) noexcept nogil
