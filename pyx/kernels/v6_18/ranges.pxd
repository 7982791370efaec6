"""The calls of 6.18 that go through areas one after another (rules QE3-QE5, QE9-QE11)."""
from libc.stdint cimport uint16_t, uint32_t, uint64_t

from rmapcore.pyx.base.ids cimport mm_id, vma_id, vpn_t
from rmapcore.pyx.seam.kernel cimport Engine

cdef int change_area(Engine e, vma_id* v, vpn_t start, vpn_t end, uint32_t flags, uint16_t policy) noexcept nogil
cdef int protect_range(Engine e, mm_id mm, uint64_t addr, uint64_t length, uint32_t prot) noexcept nogil
cdef int lock_pages(Engine e, mm_id mm, uint64_t addr, uint64_t length, uint32_t flags) noexcept nogil
cdef int unlock_pages(Engine e, mm_id mm, uint64_t addr, uint64_t length) noexcept nogil
cdef int lock_all(Engine e, mm_id mm, uint32_t flags) noexcept nogil
cdef int unlock_all(Engine e, mm_id mm) noexcept nogil
cdef int bind_range(Engine e, mm_id mm, uint64_t addr, uint64_t length, uint32_t policy) noexcept nogil
cdef int seal_range(Engine e, mm_id mm, uint64_t addr, uint64_t length) noexcept nogil
