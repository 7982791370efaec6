"""What the file sides with a tree of areas share: when an area enters and leaves it, and the nonlinear areas beside it."""
from libc.stdint cimport uint32_t, uint64_t

from rmapcore.pyx.base.counters cimport C_LOCK_I_MMAP_HELD, C_VMAS_TRIED, tally
from rmapcore.pyx.base.ids cimport file_id, vma_id
from rmapcore.pyx.base.state cimport State
from rmapcore.pyx.seam.scheme cimport Scheme, Walk

cdef enum:                    # Walk.c beyond the tree; a side's own values of it are smaller
    SCANNING = 1 << 8         # entries of nonlinear areas are read; a: the area, d: the next page
    SWEEPING = SCANNING + 1   # clusters are given out; a: the area (0: all done), b: entries that are to go

# SWEEPING: d is how far this round goes, e how far the last one will, in pages from an area's start

cdef struct NonlinearLink:    # by area: a circle; all 0 while the area is linear
    uint32_t next
    uint32_t prev


cdef inline void areas_tried(State* s, uint64_t areas) noexcept nogil:
    tally(s, C_VMAS_TRIED, areas)
    tally(s, C_LOCK_I_MMAP_HELD, areas)


cdef class TreeSide(Scheme):
    cdef NonlinearLink* link  # by area
    cdef vma_id* nonlinear    # by file: the oldest nonlinear area, 0: none
    cdef uint64_t* cursor     # by area, while nonlinear: pages of it swept; may lie beyond its end
    cdef int word             # bytes of a kernel pointer

    # a subclass' tree; who calls has counted the lock
    cdef void tree_insert(self, vma_id v) noexcept nogil
    cdef void tree_remove(self, vma_id v) noexcept nogil

    cdef void insert(self, vma_id v) noexcept nogil
    cdef void remove(self, vma_id v) noexcept nogil
    cdef void nonlinear_put(self, vma_id v, vma_id before) noexcept nogil
    cdef void nonlinear_remove(self, vma_id v) noexcept nogil
    cdef bint beyond_tree(self, Walk* w) noexcept nogil
    cdef bint past_tree(self, Walk* w) noexcept nogil
    cdef bint scan_next(self, Walk* w) noexcept nogil
    cdef void clusters_begin(self, Walk* w) noexcept nogil
    cdef bint clusters_next(self, Walk* w) noexcept nogil

    cdef list tree_order(self, file_id file)           # the areas in a file's tree, in the order of a walk
    cdef list beside_tree(self, file_id file)
    cdef int areas_by_kind(self, dict linear, dict nonlinear) except -1
    cdef int check_nonlinear(self, dict expected, list faults) except -1

    cdef inline vma_id nonlinear_next(self, file_id file, vma_id v) noexcept nogil:
        """The nonlinear area of that file after v, or 0."""
        v = self.link[v].next
        return v if v != self.nonlinear[file] else 0
