"""What the schemes with lists of areas share (lists.pyx): the records, and the steps on lists that they call."""
from libc.stdint cimport uint32_t

from rmapcore.pyx.base.ids cimport vma_id
from rmapcore.pyx.seam.scheme cimport Scheme

cdef struct AnonVmaRecord:
    uint32_t first            # newest area on the list; 0 in a free record
    uint32_t free             # next free record

cdef enum:
    ANON_VMA_LINK = 4         # offset of the free link, asserted in lists.pyx

cdef struct AnonVmaNode:      # by area: its place on the list of the anon_vma in its word
    uint32_t next             # older, 0 ends the list
    uint32_t prev             # newer, 0: it is the first

cdef class AnonVmas(Scheme):
    cdef AnonVmaRecord* anon_vma
    cdef AnonVmaNode* node    # by area
    cdef int pool
    cdef int word             # bytes of a kernel pointer
    cdef uint32_t locked      # the anon_vma whose lock an adjust holds between area_before and area_after; 0 none

    cdef void link(self, vma_id v, uint32_t o) noexcept nogil
    cdef void link_locked(self, vma_id v, uint32_t o) noexcept nogil
    cdef void unlink(self, vma_id v) noexcept nogil
    cdef uint32_t neighbours(self, vma_id v) noexcept nogil
    cdef void create(self, vma_id v) noexcept nogil
