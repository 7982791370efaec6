"""THE TRAIL of the walk before: which nodes of an interval tree it was given, and how many it entered for each.

Pages of a family that lie in the same areas are looked for in the same nodes, one page after the other. So a walk notes
where it went, and for which places the tree would have led it the same way; the next one goes along what is noted, and notes
what comes behind, without the tree. Answers and counts are those of the tree.

   walk of index 7     tree ──> a, entered 2    ──> b, entered 3    (found all)      alike: 4 to 90
   walk of index 8     noted    a, 2            noted b, 3          tree ──> c, 5    alike: 4 to 60, another number

Several walks may be under way; one whose trail has become another finds its place in the tree again (number).
"""
from libc.stdint cimport uint32_t, uint64_t

from rmapcore.pyx.parts.intervaltree cimport IntervalNode, Span

cdef enum:
    LONGEST_TRAIL = 256       # nodes; what comes behind is asked of the tree

cdef struct Noted:
    uint32_t node
    uint32_t entered          # nodes, till it was given

cdef struct Trail:
    uint64_t number           # another one whenever what is noted may be for others than before; never 0 once begun
    Span alike
    uint32_t tree             # 0: none
    uint32_t n
    uint32_t entered          # in all, where it is known that no node comes behind
    bint whole                # it is
    Noted[LONGEST_TRAIL] noted


cdef inline bint is_on_trail(const Trail* t, uint32_t tree, uint64_t at) noexcept nogil:
    return tree != 0 and t.tree == tree and t.alike.first <= at <= t.alike.last


cdef inline void leave_trail(Trail* t, uint32_t tree) noexcept nogil:
    """That tree is about to change, or has."""
    if t.tree == tree:
        t.tree = 0
        t.number += 1


cdef void begin_trail(Trail* t, uint32_t tree) noexcept nogil
cdef uint32_t note_next(Trail* t, IntervalNode* n, uint32_t root, uint64_t at) noexcept nogil
