"""madvise's ways into reclaim: FREE, COLD, PAGEOUT (rule QE9)."""
from libc.stdint cimport uint32_t

from rmapcore.pyx.base.ids cimport vma_id, vpn_t
from rmapcore.pyx.seam.kernel cimport Engine

cdef void advise_pages(Engine e, vma_id v, vpn_t start, vpn_t end, uint32_t advice) noexcept nogil
