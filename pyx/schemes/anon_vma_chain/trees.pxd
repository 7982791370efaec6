"""Chains whose anon_vmas keep their avcs in interval trees (trees.pyx)."""
from rmapcore.pyx.parts.intervaltree cimport IntervalNode
from rmapcore.pyx.schemes.anon_vma_chain.chains cimport AvChains

cdef class AvTrees(AvChains):
    cdef IntervalNode* node   # by avc
