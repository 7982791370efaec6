"""How the chains are shown (shown.pyx)."""
from libc.stdint cimport uint32_t, uint64_t

from rmapcore.pyx.base.ids cimport vma_id
from rmapcore.pyx.schemes.anon_vma_chain.chains cimport AvChains

cdef class ShownChains(AvChains):
    cdef bint asked(self, uint32_t c, uint64_t index) noexcept nogil     # does a walk for this index look at the avc's area?
    cdef list chained(self, vma_id v)
