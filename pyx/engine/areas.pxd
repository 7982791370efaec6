"""How areas come, change and go: merge, adjust, split, unmap (rules D3-D9, E2, E8)."""
from libc.stdint cimport uint16_t, uint32_t, uint64_t

from rmapcore.pyx.base.ids cimport mm_id, vma_id, vpn_t
from rmapcore.pyx.seam.kernel cimport Kernel

cdef struct Range:            # pages that are being mapped, changed or moved: what they will be
    vpn_t start
    vpn_t end
    uint64_t pgoff
    uint64_t anon_shift
    uint32_t flags
    uint32_t file
    vma_id source             # whose pages they are (mprotect: the area's own; mremap: the moved one's); 0: fresh ones
    uint16_t policy
    uint16_t name

cdef Range fresh_range(Kernel k, vpn_t start, vpn_t end, uint32_t flags, uint32_t file,
                       uint64_t pgoff) noexcept nogil
cdef Range range_of(Kernel k, vma_id v, vpn_t start, vpn_t end) noexcept nogil
cdef bint fits_before(Kernel k, vma_id v, Range* r) noexcept nogil
cdef vma_id merge(Kernel k, mm_id mm, vma_id prev, Range* r) noexcept nogil
cdef vma_id extend(Kernel k, vma_id v, Range* r) noexcept nogil
cdef void take_over(Kernel k, vma_id v, vma_id giver) noexcept nogil
cdef vma_id split(Kernel k, vma_id v, vpn_t at, bint new_below) noexcept nogil
cdef void adjust(Kernel k, vma_id v, vpn_t start, vpn_t end, uint64_t pgoff, vma_id insert) noexcept nogil
cdef vma_id add_area(Kernel k, mm_id mm, vpn_t start, vpn_t end, uint32_t flags, uint32_t file,
                     uint64_t pgoff) noexcept nogil
cdef void drop_area(Kernel k, vma_id v) noexcept nogil
cdef void empty_area(Kernel k, vma_id v) noexcept nogil
cdef int splits_of(Kernel k, mm_id mm, vpn_t start, vpn_t end) noexcept nogil
cdef bint has_flag(Kernel k, mm_id mm, vpn_t start, vpn_t end, uint32_t flag) noexcept nogil
cdef bint covered(Kernel k, mm_id mm, vpn_t start, vpn_t end) noexcept nogil
cdef void unmap_areas(Kernel k, mm_id mm, vpn_t start, vpn_t end) noexcept nogil
