"""How the COW contexts are shown (shown.pyx)."""
from libc.stdint cimport uint32_t, uint64_t

from rmapcore.pyx.base.ids cimport mm_id
from rmapcore.pyx.schemes.cow_context.contexts cimport CowContexts

cdef class ShownContexts(CowContexts):
    cdef list offsets_of(self, uint32_t e)
    cdef list lies(self, mm_id mm, uint64_t vpn)
