"""Zap: taking entries away from an area (rule H1)."""
from libc.stdint cimport uint64_t

from rmapcore.pyx.engine cimport Engine
from rmapcore.pyx.ids cimport vma_id, vpn_t

cdef void zap(Engine e, vma_id v, vpn_t start, vpn_t end, bint keep_swap) noexcept nogil
cdef void zap_nonlinear(Engine e, vma_id v, vpn_t start, vpn_t end, uint64_t first) noexcept nogil
