"""An account that hears nothing."""
from libc.stdint cimport uint32_t, uint64_t

from rmapcore.pyx.base.ids cimport mm_id, vma_id, vpn_t
from rmapcore.pyx.seam.scheme cimport Lead, Purpose


cdef class Account:
    cdef void hush(self, bint quiet) noexcept nogil:
        self.quiet = quiet

    cdef void turn(self, mm_id mm, uint32_t op, vpn_t vpn, bint begins) noexcept nogil:
        pass

    cdef void rest(self) noexcept nogil:
        pass

    cdef void file_unmaps(self, uint32_t file, bint begins) noexcept nogil:
        pass

    cdef void pass_begins(self) noexcept nogil:
        pass

    cdef void pass_ends(self, int priority, uint64_t freed) noexcept nogil:
        pass

    cdef bint leads_alike(self, const Lead* lead, vma_id v, uint32_t n, bint unmapped) noexcept nogil:
        return True

    cdef void leads_differ(self, const Lead* lead, const uint64_t* each, Purpose purpose) noexcept nogil:
        pass

    cdef void rank_leads(self, const Lead* leads, vma_id v, uint32_t n, bint unmapped) noexcept nogil:
        pass
