"""What pte_chain does on either side of the seam: for anonymous frames (schemes/pte_chain.pyx) and for those of the page
cache (filemap/pte_chain.pyx). The blocks and the steps on them are below (chains.pxd); here the seam's moments meet them.

A side is told apart by one value, `ours`: the PG_ANON bit of the frames that are its own. Ranges of entries hold frames of
both sides, so each entry's frame is compared with it once.
"""
from libc.stdint cimport uint32_t

from rmapcore.pyx.parts.chains cimport ChainPool, Chains
from rmapcore.pyx.seam.scheme cimport Scheme

cdef class ChainSide(Scheme):
    cdef readonly Chains chains         # set by attach
    cdef ChainPool* c                   # its blocks
    cdef uint32_t ours                  # set by the subclass: PG_ANON, or 0 for frames of the page cache
    cdef int line                       # bytes of a block; 0: the usual one
    cdef bint highpte

    cdef list entries_of(self, uint32_t block)
