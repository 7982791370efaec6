"""Who keeps account of the work is told whose it is (pyx/profile). A machine without an account pays nothing for it."""
from libc.stdint cimport uint32_t, uint64_t

from rmapcore.pyx.base.ids cimport mm_id, vma_id, vpn_t
from rmapcore.pyx.seam.scheme cimport Lead, Purpose

cdef enum:
    NO_PAGE = (1 << 52) - 1                    # as a vpn: the operation has no address

cdef class Account:
    cdef bint quiet                            # what follows is no work: crosscheck takes back what it counts (hush)
    cdef void hush(self, bint quiet) noexcept nogil
    # an operation begins or goes on (Op; mm 0: of no process), at that page
    cdef void turn(self, mm_id mm, uint32_t op, vpn_t vpn, bint begins) noexcept nogil
    cdef void rest(self) noexcept nogil        # none is under way: what comes now is nobody's
    cdef void file_unmaps(self, uint32_t file, bint begins) noexcept nogil         # pages of it leave every page table; or have
    cdef void pass_begins(self) noexcept nogil                        # of reclaim over the lists, at one priority
    cdef void pass_ends(self, int priority, uint64_t freed) noexcept nogil         # freed: frames
    # n walks of page_referenced ended at their leads, all of one mm, in area v, after as many tried; `unmapped`: each followed
    # by one of try_to_unmap. False: they do not count what the last of these purposes did. Then leads_differ is told what one
    # of a purpose counts, by counter, and leads_alike is asked again
    cdef bint leads_alike(self, const Lead* lead, vma_id v, uint32_t n, bint unmapped) noexcept nogil
    cdef void leads_differ(self, const Lead* lead, const uint64_t* each, Purpose purpose) noexcept nogil
    cdef void rank_leads(self, const Lead* leads, vma_id v, uint32_t n, bint unmapped) noexcept nogil      # after them
