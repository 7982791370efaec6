"""Changing an interval tree, looking through all of it, and a door to one for tests."""
import numpy as np

from libc.stdint cimport uint32_t, uint64_t

from rmapcore.pyx.parts.intervaltree cimport IntervalNode, interval_first, interval_next

cdef enum:
    LEFT = 0
    RIGHT = 1

cdef IntervalNode _node

INTERVAL_NODE = np.asarray(<IntervalNode[:1]> &_node).dtype
assert INTERVAL_NODE.itemsize == 40


cdef inline uint64_t reach_of(IntervalNode* n, uint32_t v) noexcept nogil:
    """What v's reach must be. Record 0 reaches nowhere."""
    return max(n[v].last, max(n[n[v].child[LEFT]].reach, n[n[v].child[RIGHT]].reach))


cdef inline int side_of(IntervalNode* n, uint32_t v) noexcept nogil:
    """On which side of its parent v hangs."""
    return RIGHT if n[n[v].parent].child[RIGHT] == v else LEFT


cdef inline void put_in_place(IntervalNode* n, uint32_t* root, uint32_t old, uint32_t v) noexcept nogil:
    """What hung old hangs v, which may be none. Old's own links stay."""
    cdef uint32_t parent = n[old].parent
    if parent == 0:
        root[0] = v
    else:
        n[parent].child[side_of(n, old)] = v
    if v:
        n[v].parent = parent


cdef void rotate(IntervalNode* n, uint32_t* root, uint32_t v, int side) noexcept nogil:
    """v goes down to this side, and its child on the other comes up. What they reach together is as before."""
    cdef uint32_t up = n[v].child[1 - side]
    cdef uint32_t between = n[up].child[side]
    put_in_place(n, root, v, up)
    n[v].child[1 - side] = between
    if between:
        n[between].parent = v
    n[up].child[side] = v
    n[v].parent = up
    n[up].reach = n[v].reach
    n[v].reach = reach_of(n, v)


cdef void grown(IntervalNode* n, uint32_t* root, uint32_t v) noexcept nogil:
    """v is a new leaf: the nodes above reach as far, and no red node stays below a red one."""
    cdef uint32_t parent = n[v].parent
    cdef uint32_t above, uncle
    cdef int side
    n[v].child[LEFT] = 0
    n[v].child[RIGHT] = 0
    n[v].red = 1
    n[v].reach = n[v].last
    while parent and n[parent].reach < n[v].last:
        n[parent].reach = n[v].last
        parent = n[parent].parent
    while True:
        parent = n[v].parent
        if n[parent].red == 0:                 # also where v is the root
            break
        above = n[parent].parent
        side = side_of(n, parent)
        uncle = n[above].child[1 - side]
        if n[uncle].red:
            n[parent].red = 0
            n[uncle].red = 0
            n[above].red = 1
            v = above
            continue
        if side_of(n, v) != side:
            rotate(n, root, parent, side)
            parent = v
        n[parent].red = 0
        n[above].red = 1
        rotate(n, root, above, 1 - side)
        break
    n[root[0]].red = 0


cdef void interval_insert(IntervalNode* n, uint32_t* root, uint32_t v) noexcept nogil:
    """v, with start and last set, takes its place behind all equal starts."""
    cdef uint32_t parent = 0
    cdef uint32_t below = root[0]
    cdef int side = LEFT
    while below:
        parent = below
        side = LEFT if n[v].start < n[parent].start else RIGHT
        below = n[parent].child[side]
    n[v].parent = parent
    if parent:
        n[parent].child[side] = v
    else:
        root[0] = v
    grown(n, root, v)


cdef void interval_insert_after(IntervalNode* n, uint32_t* root, uint32_t v, uint32_t before) noexcept nogil:
    """v, with start and last set, takes the place right behind `before`, which has the same start."""
    cdef uint32_t parent = before
    cdef int side = RIGHT
    if n[before].child[RIGHT]:
        parent = n[before].child[RIGHT]
        side = LEFT
        while n[parent].child[LEFT]:
            parent = n[parent].child[LEFT]
    n[v].parent = parent
    n[parent].child[side] = v
    grown(n, root, v)


cdef void shrunk(IntervalNode* n, uint32_t v) noexcept nogil:
    """Something below v has gone: v and the nodes above reach what they reach now."""
    cdef uint64_t reach
    while v:
        reach = reach_of(n, v)
        if n[v].reach == reach:
            break
        n[v].reach = reach
        v = n[v].parent


cdef void lightened(IntervalNode* n, uint32_t* root, uint32_t parent, int side) noexcept nogil:
    """A black node less on this side of parent, where a black one, or none, hangs now: paths are made equal again."""
    cdef uint32_t sibling, v
    while parent:
        sibling = n[parent].child[1 - side]
        if n[sibling].red:
            n[sibling].red = 0
            n[parent].red = 1
            rotate(n, root, parent, side)
            sibling = n[parent].child[1 - side]
        if n[n[sibling].child[LEFT]].red == 0 and n[n[sibling].child[RIGHT]].red == 0:
            n[sibling].red = 1
            v = parent
            if n[v].red:
                n[v].red = 0
                return
            parent = n[v].parent
            side = side_of(n, v) if parent else LEFT
            continue
        if n[n[sibling].child[1 - side]].red == 0:
            n[n[sibling].child[side]].red = 0
            n[sibling].red = 1
            rotate(n, root, sibling, 1 - side)
            sibling = n[parent].child[1 - side]
        n[sibling].red = n[parent].red
        n[parent].red = 0
        n[n[sibling].child[1 - side]].red = 0
        rotate(n, root, parent, side)
        return


cdef void interval_remove(IntervalNode* n, uint32_t* root, uint32_t v) noexcept nogil:
    """Takes v out. Its links are 0 afterwards."""
    cdef uint32_t left = n[v].child[LEFT]
    cdef uint32_t right = n[v].child[RIGHT]
    cdef uint32_t heir, below, parent
    cdef int side
    cdef bint black
    if left and right:
        heir = right
        while n[heir].child[LEFT]:
            heir = n[heir].child[LEFT]
        black = n[heir].red == 0
        below = n[heir].child[RIGHT]
        if heir == right:
            parent = heir
            side = RIGHT
        else:
            parent = n[heir].parent
            side = LEFT
            put_in_place(n, root, heir, below)
            n[heir].child[RIGHT] = right
            n[right].parent = heir
        put_in_place(n, root, v, heir)
        n[heir].child[LEFT] = left
        n[left].parent = heir
        n[heir].red = n[v].red
        n[heir].reach = n[v].reach             # not yet true; the second look sees to it if the first stops below
        shrunk(n, parent)
        shrunk(n, heir)
    else:
        black = n[v].red == 0
        below = left if left else right
        parent = n[v].parent
        side = side_of(n, v) if parent else LEFT
        put_in_place(n, root, v, below)
        shrunk(n, parent)
    if black:
        if n[below].red:
            n[below].red = 0
        else:
            lightened(n, root, parent, side)
    n[v].child[LEFT] = 0
    n[v].child[RIGHT] = 0
    n[v].parent = 0
    n[v].red = 0


cdef tuple interval_survey(IntervalNode* n, uint32_t root, uint32_t bump):
    """Looks through a tree: (its nodes in order, what is wrong as a list of (kind, node, text)). For checks.

    Nodes are numbers below bump. Kinds: "order", "reach", "colour" (a red child of a red node, a red root, unequal numbers of
    black nodes on paths), "links" (a node not of that range or met before, or one that does not lead back).
    """
    cdef uint32_t v, above, black, left, right
    cdef uint32_t before = 0
    cdef uint64_t reach
    cdef bint left_done
    cdef list order = []
    cdef list faults = []
    cdef set seen = set()
    cdef set paths = set()
    cdef list todo = [(root, 0, 0, False)]
    while todo:
        v, above, black, left_done = todo.pop()
        if v == 0:
            paths.add(black)
            continue
        if left_done:
            if before and n[before].start > n[v].start:
                faults.append(("order", v, f"start {n[v].start} after {n[before].start}"))
            before = v
            order.append(v)
            continue
        if v >= bump or v in seen:
            faults.append(("links", above, f"leads to {v}"))
            continue
        seen.add(v)
        left = n[v].child[LEFT]
        right = n[v].child[RIGHT]
        reach = n[v].last
        if left < bump:
            reach = max(reach, n[left].reach)
        if right < bump:
            reach = max(reach, n[right].reach)
        if n[v].parent != above:
            faults.append(("links", v, f"parent is {n[v].parent}, not {above}"))
        if n[v].red and (above == 0 or n[above].red):
            faults.append(("colour", v, f"red below {above or 'none'}"))
        if n[v].reach != reach:
            faults.append(("reach", v, f"reaches {n[v].reach}"))
        black += 1 - n[v].red
        todo += [(right, v, black, False), (v, above, black, True), (left, v, black, False)]
    if len(paths) > 1:
        faults.append(("colour", root, f"paths of {sorted(paths)} black nodes"))
    return order, faults


cdef class Door:
    """One tree in an array of its own, for tests. Nodes are 1 to size - 1."""

    cdef IntervalNode[::1] nodes
    cdef readonly object records          # the array, of INTERVAL_NODE
    cdef readonly uint32_t root

    def __init__(self, size):
        self.records = np.zeros(size, INTERVAL_NODE)
        self.nodes = self.records

    def insert(self, uint32_t v, start, last, uint32_t after=0):
        """Of node number v; right behind another if that is named."""
        self.nodes[v].start = start
        self.nodes[v].last = last
        if after:
            interval_insert_after(&self.nodes[0], &self.root, v, after)
        else:
            interval_insert(&self.nodes[0], &self.root, v)

    def remove(self, uint32_t v):
        interval_remove(&self.nodes[0], &self.root, v)

    def query(self, b, e, most=None):
        """(nodes that overlap [b, e], how many were entered); at most so many."""
        cdef uint64_t entered = 0
        cdef uint32_t v = interval_first(&self.nodes[0], self.root, b, e, &entered, NULL)
        found = []
        while v:
            found.append(v)
            if len(found) == most:
                break
            v = interval_next(&self.nodes[0], v, b, e, &entered, NULL)
        return found, entered

    def survey(self):
        """As interval_survey."""
        return interval_survey(&self.nodes[0], self.root, len(self.records))
