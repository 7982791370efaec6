"""remap_file_pages (rule E11)."""
from libc.stdint cimport uint32_t, uint64_t

from rmapcore.pyx.base.ids cimport mm_id
from rmapcore.pyx.seam.kernel cimport Engine

cdef int remap_by_mmap(Engine e, mm_id mm, uint64_t addr, uint64_t size, uint32_t prot, uint64_t pgoff,
                       uint32_t flags) noexcept nogil
cdef int do_remap_file_pages(Engine e, mm_id mm, uint64_t addr, uint64_t size, uint32_t prot, uint64_t pgoff,
                             uint32_t flags) noexcept nogil
