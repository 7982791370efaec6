"""The work counters: one enum, one row of uint64.

Everything is counted by `tally`, so that a build with RMAPCORE_UNCOUNTED=1 (setup.py; for measuring, never shipped) counts
nothing and shows what the counting costs.
"""
from libc.stdint cimport uint64_t

from rmapcore.pyx.base.state cimport State

cdef extern from *:
    """
    #ifdef RMAPCORE_UNCOUNTED
    #define tally(s, which, n) ((void) 0)
    #else
    #define tally(s, which, n) ((void) ((s)->count[which] += (n)))
    #endif
    """
    void tally(State* s, int which, uint64_t n) noexcept nogil

cpdef enum:                   # rmapcore.core.counting takes the names from here
    C_RMAP_WALKS
    C_MMS_TRIED
    C_VMAS_TRIED
    C_NODES_VISITED
    C_PTES_TRIED
    C_PTES_FOUND
    C_VMA_LOOKUPS
    C_RMAP_ADDS
    C_RMAP_DUPS
    C_RMAP_REMOVES
    C_RMAP_MOVES
    C_PAGES_COPIED_COW
    C_PAGES_COPIED_MREMAP
    C_COW_REUSES
    C_VMA_MERGES
    C_VMA_SPLITS
    C_FAULTS_ZERO             # the five kinds of fault stay together and in this order
    C_FAULTS_FILE
    C_FAULTS_SWAPIN
    C_FAULTS_COW
    C_FAULTS_SPURIOUS
    C_LOCK_PAGE_TABLE
    C_LOCK_PAGE_TABLE_HELD
    C_LOCK_CHAIN
    C_LOCK_CHAIN_HELD
    C_LOCK_ANONMM
    C_LOCK_ANONMM_HELD
    C_LOCK_ANON_VMA
    C_LOCK_ANON_VMA_HELD
    C_LOCK_I_MMAP
    C_LOCK_I_MMAP_HELD
    C_SCANNED_PTES
    N_COUNTERS
