"""The interval tree: closed intervals [start, last] in a red-black tree by start, each node knowing how far its subtree
reaches; one mechanism, for the areas of a file and for the areas of an anon_vma (3.7 on).

Follows 3.7 mm/interval_tree.c as docs/facts/file-pages.md has it, "Interval tree"; the balancing is the textbook's (Cormen,
Leiserson, Rivest, Stein: Introduction to Algorithms, ch. 13 and 14.3), so shapes, and with them the nodes that a query
enters, are fixed.

   order          ascending start; of equal starts who came later stands to the right, whatever their ends
   insert         from the root down, right unless the new start is smaller
   insert_after   right behind a node of the same start that is in the tree, without a search: its right child if it has none,
                  else the leftmost below its right child
   remove         a node with two children gives its place to the leftmost below its right child; nodes keep their numbers
   query [b, e]   gives the nodes with start <= e and b <= last, in order

                 [3, 9] reach 30              A query ENTERS the root if b <= its reach; of a node it entered the left
           .-----------'------.               child if b <= that child's reach, and the right child if besides start <= e.
    [1, 4] reach 4    [5, 7] reach 30         Each node entered counts, overlapping or not; a look at a child's reach is
                              '---.           no entry. It goes no further than the node given last needs: node before
                       [8, 30] reach 30       left side, left side before what is right. [10, 10] here enters all but
                                              [1, 4], and gives [8, 30].

Nodes are 32-bit numbers of an array of records, root a number in the owner's record; 0 is none, and record 0 stays all 0. The
owner sets start and last before a node enters and leaves them alone while it is in. A cursor is the node given last: it
must still be in the tree. last < start (an offset that wrapped around) breaks nothing; queries then find what the two
comparisons find. Costs: insert, remove O(log n), insert_after O(1) amortised and the reach upwards, first and next
O(log n) a piece, O(log n + m) for m results of a typical query; nothing is allocated.
Left out on purpose: the leftmost node that later trees keep at hand (rb_root_cached), which ends some empty queries at once.
"""
from libc.stdint cimport uint32_t, uint64_t

cdef struct IntervalNode:     # 40 bytes
    uint32_t child[2]         # left, right
    uint32_t parent           # 0: the root
    uint32_t red
    uint64_t start
    uint64_t last
    uint64_t reach            # the largest `last` of it and all below it: the kernel's subtree_last


cdef struct Span:             # places for which a query answers as it did for one of them, by the same way: first to last
    uint64_t first
    uint64_t last


cdef inline bint is_up_to(uint64_t b, uint64_t bound, Span* alike) noexcept nogil:
    """Is b <= bound, which is how far a node, or it and all below, reach?

    alike, where it is not NULL: places that are answered as b is, narrowed by this answer.
    """
    if b <= bound:
        if alike != NULL:
            alike.last = min(alike.last, bound)
        return True
    if alike != NULL:
        alike.first = max(alike.first, bound + 1)
    return False


cdef inline bint begins_behind(IntervalNode* n, uint32_t v, uint64_t e, Span* alike) noexcept nogil:
    """Is start > e?"""
    if n[v].start > e:
        if alike != NULL:
            alike.last = min(alike.last, n[v].start - 1)
        return True
    if alike != NULL:
        alike.first = max(alike.first, n[v].start)
    return False


cdef inline uint32_t interval_search(
    IntervalNode* n, uint32_t v, uint64_t b, uint64_t e, uint64_t* entered, Span* alike,
) noexcept nogil:
    """The first node that overlaps [b, e], at or below v, whose reach is at least b, or 0: v's subtree has none."""
    cdef uint32_t below
    while True:
        entered[0] += 1
        below = n[v].child[0]
        if below and is_up_to(b, n[below].reach, alike):
            v = below
            continue
        while True:                            # nothing on the left reaches b: v or its right side
            if begins_behind(n, v, e, alike):
                return 0
            if is_up_to(b, n[v].last, alike):
                return v
            v = n[v].child[1]
            if v == 0 or not is_up_to(b, n[v].reach, alike):
                return 0
            entered[0] += 1
            below = n[v].child[0]
            if below and is_up_to(b, n[below].reach, alike):
                v = below
                break


cdef inline uint32_t interval_first(
    IntervalNode* n, uint32_t root, uint64_t b, uint64_t e, uint64_t* entered, Span* alike,
) noexcept nogil:
    """The first node that overlaps [b, e], or 0. Nodes entered are added to *entered.

    alike: NULL, or of a query of one place, b = e; what it becomes narrower by may be joined over several calls.
    """
    return interval_search(n, root, b, e, entered, alike) if root and is_up_to(b, n[root].reach, alike) else 0


cdef inline uint32_t interval_next(
    IntervalNode* n, uint32_t v, uint64_t b, uint64_t e, uint64_t* entered, Span* alike,
) noexcept nogil:
    """The next one after v, which overlaps [b, e], or 0."""
    cdef uint32_t right = n[v].child[1]
    cdef uint32_t from_right
    while True:
        if right and is_up_to(b, n[right].reach, alike):
            return interval_search(n, right, b, e, entered, alike)
        while True:                            # up to the first ancestor on whose left side v is
            from_right = v
            v = n[v].parent
            if v == 0:
                return 0
            right = n[v].child[1]
            if right != from_right:
                break
        if begins_behind(n, v, e, alike):
            return 0
        if is_up_to(b, n[v].last, alike):
            return v


cdef void interval_insert(IntervalNode* n, uint32_t* root, uint32_t v) noexcept nogil
cdef void interval_insert_after(IntervalNode* n, uint32_t* root, uint32_t v, uint32_t before) noexcept nogil
cdef void interval_remove(IntervalNode* n, uint32_t* root, uint32_t v) noexcept nogil
cdef tuple interval_survey(IntervalNode* n, uint32_t root, uint32_t bump)
