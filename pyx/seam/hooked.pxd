"""Hooked: the Python side of Prototype (hooked.pyx)."""
from libc.stdint cimport uint32_t, uint64_t

from rmapcore.pyx.base.ids cimport pfn_t
from rmapcore.pyx.seam.scheme cimport Scheme, Walk

cdef class Hooked(Scheme):
    cdef readonly Scheme inner
    cdef dict walks                    # open generators by number
    cdef uint32_t opened
    cdef bint deaf                     # an exception that is no Exception was kept: no hook is called until it has come out
    cdef uint64_t given                # candidates of the inner scheme in the walk that began last
    cdef void tell(self, str hook, tuple arguments) noexcept
    cdef bint ask(self, str hook, tuple arguments, bint otherwise) noexcept
    cdef bint lets_go(self, pfn_t pfn, bint answer) noexcept
    cdef void keep(self, str hook, object error) noexcept
    cdef void open(self, Walk* w) noexcept
    cdef bint step(self, Walk* w) noexcept
    cdef void close(self, Walk* w) noexcept
    cdef void begin(self, Walk* w) noexcept nogil
    cdef bint next(self, Walk* w) noexcept nogil
