"""madvise's ways into reclaim: FREE, COLD, PAGEOUT (rule QE9)."""
from libc.stdint cimport uint32_t

from rmapcore.pyx.engine cimport Engine
from rmapcore.pyx.ids cimport vma_id, vpn_t

cdef void advise_pages(Engine e, vma_id v, vpn_t start, vpn_t end, uint32_t advice) noexcept nogil
