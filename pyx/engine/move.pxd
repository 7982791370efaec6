"""The moving half of mremap (rule E10)."""
from libc.stdint cimport uint64_t

from rmapcore.pyx.base.ids cimport mm_id, vma_id, vpn_t
from rmapcore.pyx.seam.kernel cimport Kernel

cdef int move_entries(Kernel k, mm_id mm, vma_id source, vma_id target, vpn_t old, vpn_t new, uint64_t pages,
                      uint64_t* moved) noexcept nogil
cdef int carry_over(Kernel k, vma_id* v, vpn_t old, uint64_t old_pages, vpn_t new, uint64_t new_pages,
                    vma_id* target) noexcept nogil
