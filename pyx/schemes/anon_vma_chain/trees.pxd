"""What the schemes with trees of avcs share (trees.pyx)."""
from rmapcore.pyx.parts.intervaltree cimport IntervalNode
from rmapcore.pyx.schemes.anon_vma_chain.shown cimport ShownChains

cdef class AvTrees(ShownChains):
    cdef IntervalNode* node   # by avc
