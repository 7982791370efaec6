"""mremap (rules E9, E10)."""
from libc.stdint cimport uint32_t, uint64_t

from rmapcore.pyx.base.ids cimport mm_id, vma_id, vpn_t
from rmapcore.pyx.seam.kernel cimport Engine

cdef int carry_over(Engine e, vma_id* v, vpn_t old, uint64_t old_pages, vpn_t new, uint64_t new_pages,
                    vma_id* target) noexcept nogil
cdef int do_mremap(Engine e, mm_id mm, uint64_t old_address, uint64_t old_size, uint64_t new_size, uint32_t flags,
                   uint64_t new_address) noexcept nogil
