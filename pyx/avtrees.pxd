"""Chains whose anon_vmas keep their avcs in interval trees (avtrees.pyx)."""
from rmapcore.pyx.avchains cimport AvChains
from rmapcore.pyx.intervaltree cimport IntervalNode

cdef class AvTrees(AvChains):
    cdef IntervalNode* node   # by avc
