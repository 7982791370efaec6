"""What the schemes with trees of avcs share (trees.pyx)."""
from rmapcore.pyx.parts.intervaltree cimport IntervalNode
from rmapcore.pyx.parts.trail cimport Trail
from rmapcore.pyx.schemes.anon_vma_chain.shown cimport ShownChains
from rmapcore.pyx.seam.scheme cimport Walk

cdef class AvTrees(ShownChains):
    cdef IntervalNode* node   # by avc
    cdef Trail trail

    cdef bint walk_on(self, Walk* w) noexcept nogil
    cdef bint walk_tree(self, Walk* w) noexcept nogil
    cdef void walk_astray(self, Walk* w) noexcept nogil
