"""Reclaim: the two lists, and allocation that may need them (rules B2, K)."""
from libc.stdint cimport uint64_t

from rmapcore.pyx.base.ids cimport pfn_t
from rmapcore.pyx.machine.frames cimport frame_take
from rmapcore.pyx.seam.kernel cimport Engine, Scan

cdef uint64_t age(Engine e, uint64_t n, bint reclaim_mapped) noexcept nogil
cdef bint direct_reclaim(Engine e) noexcept nogil
cdef bint scan_step(Engine e, Scan* r, uint64_t budget) noexcept nogil
cdef void scan_begin(Scan* r, uint64_t target, bint direct) noexcept nogil


cdef inline pfn_t alloc_frame(Engine e) noexcept nogil:
    """A free frame, by direct reclaim if need be; 0: out of memory. Whatever the caller holds must be pinned."""
    cdef pfn_t pfn = frame_take(e.s)
    while pfn == 0:
        if not direct_reclaim(e):
            return 0
        pfn = frame_take(e.s)
    return pfn
