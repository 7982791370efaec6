"""Fence: how the sanitizer build learns what of an arena is in use. In any other build nothing is left of these calls.

An arena is one mapping at full capacity, most of it never used, so a sanitizer takes an access beyond the records that there
are for a good one. With RMAPCORE_SANITIZE (setup.py) the functions are those of tests/sanitizer/fence.c, which keeps such
memory, and records that were given back, closed.

Public: schemes outside may use it (docs/schemes-of-your-own.md).
"""
from libc.stdint cimport uint32_t

from rmapcore.pyx.base.records cimport Pool

cdef extern from *:
    """
    #ifdef RMAPCORE_SANITIZE
    void rmapcore_fence_arena(const void *pools, int number, void *start, size_t record, size_t records);
    void rmapcore_fence_raised(const void *pools, int number);
    void rmapcore_fence_taken(const void *pools, int number, unsigned record);
    void rmapcore_fence_given(const void *pools, int number, unsigned record);
    void rmapcore_fence_gone(const void *pools);
    #define RMAPCORE_FENCE_GAP 4096
    #else
    #define rmapcore_fence_arena(pools, number, start, record, records) ((void) 0)
    #define rmapcore_fence_raised(pools, number) ((void) 0)
    #define rmapcore_fence_taken(pools, number, record) ((void) 0)
    #define rmapcore_fence_given(pools, number, record) ((void) 0)
    #define rmapcore_fence_gone(pools) ((void) 0)
    #define RMAPCORE_FENCE_GAP 0
    #endif
    """
    enum: FENCE_GAP "RMAPCORE_FENCE_GAP"      # bytes between arenas that belong to none: a page, and no arena shares one
    # A new arena; pools: the machine's, NULL for the first, which holds them. number: of its pool, -1: all of it is in use.
    void fence_arena "rmapcore_fence_arena"(const Pool* pools, int number, void* start, size_t record,
                                            size_t records) noexcept nogil
    # The pool's bump went up.
    void fence_raised "rmapcore_fence_raised"(const Pool* pools, int number) noexcept nogil
    # A record comes from the free list, whose link has not been read yet; goes there, and the link is written.
    void fence_taken "rmapcore_fence_taken"(const Pool* pools, int number, uint32_t record) noexcept nogil
    void fence_given "rmapcore_fence_given"(const Pool* pools, int number, uint32_t record) noexcept nogil
    # The machine ends.
    void fence_gone "rmapcore_fence_gone"(const Pool* pools) noexcept nogil
