"""Zap: taking entries away from an area (rule H1)."""
from rmapcore.pyx.engine cimport Engine
from rmapcore.pyx.ids cimport vma_id, vpn_t

cdef void zap(Engine e, vma_id v, vpn_t start, vpn_t end, bint keep_swap) noexcept nogil
