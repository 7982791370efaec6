"""Whether there is room for what a call is about to do (room.pyx)."""
from libc.stdint cimport uint32_t, uint64_t

from rmapcore.pyx.base.ids cimport mm_id, vma_id, vpn_t
from rmapcore.pyx.seam.kernel cimport Kernel

cdef int border_room(Kernel k, mm_id mm, vpn_t start, vpn_t end, uint32_t n) noexcept nogil
cdef int tables_room(Kernel k, vpn_t start, uint64_t pages, uint64_t most) noexcept nogil
cdef int move_room(Kernel k, mm_id mm, vpn_t old, uint64_t old_pages, vpn_t new, uint64_t new_pages) noexcept nogil
cdef int late_room(Kernel k, uint32_t file, uint64_t index) noexcept nogil
cdef int growth_room(Kernel k, vma_id v) noexcept nogil
