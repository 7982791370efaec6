"""Who keeps account of the work is told whose it is (pyx/profile). A machine without an account pays nothing for it."""
from libc.stdint cimport uint32_t, uint64_t

from rmapcore.pyx.base.ids cimport mm_id, vpn_t

cdef enum:
    NO_PAGE = (1 << 52) - 1                    # as a vpn: the operation has no address

cdef class Account:
    cdef bint quiet                            # what follows is no work: crosscheck takes back what it counts (hush)
    cdef void hush(self, bint quiet) noexcept nogil
    # an operation begins or goes on (Op; mm 0: of no process), at that page
    cdef void turn(self, mm_id mm, uint32_t op, vpn_t vpn, bint begins) noexcept nogil
    cdef void rest(self) noexcept nogil        # none is under way: what comes now is nobody's
    cdef void pass_begins(self) noexcept nogil                        # of reclaim over the lists, at one priority
    cdef void pass_ends(self, int priority, uint64_t freed) noexcept nogil         # freed: frames
