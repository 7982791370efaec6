"""An account that hears nothing."""
from libc.stdint cimport uint32_t, uint64_t

from rmapcore.pyx.base.ids cimport mm_id, vpn_t


cdef class Account:
    cdef void hush(self, bint quiet) noexcept nogil:
        self.quiet = quiet

    cdef void turn(self, mm_id mm, uint32_t op, vpn_t vpn, bint begins) noexcept nogil:
        pass

    cdef void rest(self) noexcept nogil:
        pass

    cdef void pass_begins(self) noexcept nogil:
        pass

    cdef void pass_ends(self, int priority, uint64_t freed) noexcept nogil:
        pass
