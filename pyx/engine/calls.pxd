"""mmap munmap brk truncate, and what kernels' own calls share with them (rules E1, E2, E7, H4)."""
from libc.stdint cimport uint32_t, uint64_t

from rmapcore.pyx.base.ids cimport mm_id, vma_id, vpn_t
from rmapcore.pyx.seam.kernel cimport Kernel

cdef int room_for_areas(Kernel k, mm_id mm, int n) noexcept nogil
cdef int cut(Kernel k, vma_id v, vpn_t start, vpn_t end) noexcept nogil
cdef bint range_is_free(Kernel k, mm_id mm, vpn_t at, uint64_t pages) noexcept nogil
cdef int do_mmap(Kernel k, mm_id mm, uint64_t addr, uint64_t length, uint32_t prot, uint32_t flags, uint32_t file,
                 uint64_t offset) noexcept nogil
cdef int do_munmap(Kernel k, mm_id mm, uint64_t addr, uint64_t length) noexcept nogil
cdef int do_brk(Kernel k, mm_id mm, uint64_t addr) noexcept nogil
cdef int do_setbrk(Kernel k, mm_id mm, uint64_t addr) noexcept nogil
cdef int do_truncate(Kernel k, uint32_t file, uint64_t size) noexcept nogil
cdef int growing_range(Kernel k, mm_id mm, uint32_t grows, vpn_t* start, vpn_t end) noexcept nogil
