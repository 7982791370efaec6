"""Roots of pages that name an area instead of an anon_vma (roots.pyx)."""
from libc.stdint cimport uint32_t, uint64_t

from rmapcore.pyx.base.ids cimport pfn_t, vma_id
from rmapcore.pyx.schemes.anon_vma_chain.trees cimport AvTrees

cdef enum:
    LAZY_WORD = 0x80000000    # a word that names a root
    ROOT_LINK = 20            # offset of the free link, asserted in roots.pyx

cdef enum Kind:
    NONE                      # no anonymous page so far
    LAZY
    PARENT
    REGULAR

cdef struct RootRecord:       # 32 bytes: an area that pages name
    uint64_t off              # how far its pages lie from their index
    uint32_t mm               # 0 in a free record
    uint32_t area             # whose vm_area_struct it is; 0: that one maps nothing any more
    uint32_t group            # towards the root that stands for its group
    uint32_t next             # of its group, in a ring; in a free record the next free one
    uint32_t holders          # of the one that stands for the group: areas that hold one of it
    uint32_t detached         # record of its vm_area_struct while it has no area

cdef struct LazyArea:         # 12 bytes, by area
    uint32_t root             # that it holds
    uint32_t own              # whose vm_area_struct it is
    uint32_t inherited        # 1: PARENT

cdef class AvRoots(AvTrees):
    cdef RootRecord* root
    cdef LazyArea* lazy       # by area
    cdef uint32_t* detached   # roots without an area
    cdef int roots            # pools
    cdef int detacheds

    cdef Kind kind(self, vma_id v) noexcept nogil
    cdef uint32_t standing(self, uint32_t r) noexcept nogil
    cdef void hold(self, vma_id v, uint32_t r) noexcept nogil
    cdef void found(self, vma_id v) noexcept nogil
    cdef void share(self, vma_id v, vma_id giver) noexcept nogil
    cdef void lose(self, uint32_t r) noexcept nogil
    cdef void release(self, vma_id v) noexcept nogil
    cdef vma_id place(self, pfn_t pfn, vma_id* met) noexcept nogil
    # checks
    cdef set ring(self, uint32_t r)
    cdef int check_area(self, vma_id v, dict holders, list faults) except -1
    cdef int check_roots(self, set live, set detached, dict holders, list faults) except -1
    cdef int check_group(self, uint32_t first, dict holders, set seen, list faults) except -1
