"""prio_tree, 2.6.7 to 3.6: file pages by object, one radix priority search tree of areas per file (prio_tree.pxd).

A walk asks the file's tree for the areas over the page [2.6.7 mm/rmap.c, mm/prio_tree.c]. Private and shared areas stand in
the same tree. When areas enter and leave it, and where nonlinear ones are, is side's part.

First how the tree changes: moving a node never moves an area, only links of records change. Then the file side.

   fork               the child joins its parent's set at once, without a search; nonlinear: right behind its parent
   page_referenced    an area both LOCKED and MAYSHARE answers for the page: no entry is read

Costs: link and unlink O(bits of the largest file page), fork O(1), walk O(bits + m) for m areas over the page. What
stays costly: a library that every process maps but hardly any has faulted this page of: m areas for a few entries.
In the kernel: 16 or 32 bytes in the area; in the file 8 or 16 for the tree and as many for the list of nonlinear areas.
Left out on purpose: i_mmap_writable, truncate_count, and trylock failures, which need a second CPU.
"""
import numpy as np

from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memset

from rmapcore.pyx.base.counters cimport C_LOCK_I_MMAP, C_NODES_VISITED, tally
from rmapcore.pyx.base.ids cimport file_id, vma_id
from rmapcore.pyx.base.records cimport P_AREAS, P_FILES, VM_LOCKED, VM_MAYSHARE, VM_NONLINEAR, Area
from rmapcore.pyx.base.state cimport State
from rmapcore.pyx.filemap.trees.prio_tree cimport Forest, PrioCursor, PrioNode, PrioRoot, prio_first, prio_last, prio_next
from rmapcore.pyx.filemap.trees.side cimport SCANNING, TreeSide, areas_tried
from rmapcore.pyx.machine.core cimport Core
from rmapcore.pyx.parts.checks cimport area_fault
from rmapcore.pyx.seam.scheme cimport WALK_QUERY, WALK_REFERENCED, Walk

cdef PrioNode _node
cdef PrioRoot _root

PRIO_NODE = np.asarray(<PrioNode[:1]> &_node).dtype
PRIO_ROOT = np.asarray(<PrioRoot[:1]> &_root).dtype
assert PRIO_NODE.itemsize == 16 and PRIO_ROOT.itemsize == 8


# the tree


cdef uint64_t max_last(uint32_t bits) noexcept nogil:
    """Largest `last` that a tree of that many bits can hold."""
    return ((<uint64_t> 1 << bits) - 1) if bits < 64 else ~<uint64_t> 0


cdef void replace(Forest* t, PrioRoot* root, vma_id old, vma_id v) noexcept nogil:
    """v takes the place of the tree node `old`, whose own links stay as they were."""
    cdef PrioNode* n = t.node
    cdef vma_id parent = n[old].parent
    if root.node == old:
        root.node = v
        n[v].parent = v
    else:
        n[v].parent = parent
        if n[parent].left == old:
            n[parent].left = v
        else:
            n[parent].right = v
    n[v].left = n[old].left
    n[v].right = n[old].right
    if n[v].left:
        n[n[v].left].parent = v
    if n[v].right:
        n[n[v].right].parent = v


cdef void tree_remove(Forest* t, PrioRoot* root, vma_id v) noexcept nogil:
    """Takes a tree node out: on the path from it down to a leaf, along the larger `last`, all move up one place."""
    cdef PrioNode* n = t.node
    cdef vma_id cur = v
    cdef vma_id left, right, parent
    while True:
        left = n[cur].left
        right = n[cur].right
        if left and right:
            cur = left if prio_last(t, left) >= prio_last(t, right) else right
        elif left or right:
            cur = left | right
        else:
            break
    parent = n[cur].parent
    if parent == cur:                          # the root, alone
        root.node = 0
        root.bits = 1
        return
    if n[parent].right == cur:
        n[parent].right = 0
    else:
        n[parent].left = 0
    while cur != v:
        parent = n[cur].parent
        replace(t, root, parent, cur)
        cur = parent


cdef void hang_left(Forest* t, vma_id parent, vma_id child) noexcept nogil:
    t.node[parent].left = child
    t.node[child].parent = parent


cdef void expand(Forest* t, PrioRoot* root, vma_id v) noexcept nogil:
    """Makes v, whose `last` is above all others', the root of a tree of enough bits.

    Every bit more puts the old tree one level deeper, always to the left: v fills the first of these levels, roots
    taken off the old tree, in their order, the others. A tree that runs empty begins again with one bit.
    """
    cdef uint64_t last = prio_last(t, v)
    cdef vma_id bottom = v                     # of the left spine built so far
    cdef vma_id spine = 0                      # its first removed root
    cdef vma_id old
    if last > max_last(root.bits):
        root.bits += 1
    while last > max_last(root.bits):
        root.bits += 1
        if root.node == 0:
            continue
        old = root.node
        tree_remove(t, root, old)
        t.node[old].left = 0
        t.node[old].right = 0
        if spine == 0:
            spine = old
        else:
            hang_left(t, bottom, old)
        bottom = old
    t.node[v].left = 0
    t.node[v].right = 0
    t.node[v].parent = v
    if spine:
        hang_left(t, v, spine)
    if root.node:
        hang_left(t, bottom, root.node)
    root.node = v


cdef vma_id tree_insert(Forest* t, PrioRoot* root, vma_id v) noexcept nogil:
    """Makes v a tree node and returns v; or returns the tree node that has its interval already, changing nothing."""
    cdef PrioNode* n = t.node
    cdef vma_id cur, displaced, child
    cdef uint64_t first = prio_first(t, v)
    cdef uint64_t last = prio_last(t, v)
    cdef uint64_t cur_first, cur_last
    cdef uint32_t depth = 0
    cdef bint right
    if root.node == 0:
        root.bits = 1
    if root.node == 0 or last > max_last(root.bits):
        expand(t, root, v)
        return v
    cur = root.node
    displaced = v                              # the one that still needs a place; its interval is [first, last]
    while True:
        cur_first = prio_first(t, cur)
        cur_last = prio_last(t, cur)
        if cur_first == first and cur_last == last:
            return cur                         # nothing was displaced yet: an equal is met before any smaller node
        if cur_last < last or (cur_last == last and cur_first > first):
            replace(t, root, cur, displaced)
            cur, displaced = displaced, cur
            first = cur_first
            last = cur_last
        if depth < root.bits:
            right = (first >> (root.bits - 1 - depth)) & 1
        else:
            right = ((last - first) >> (2 * root.bits - 1 - depth)) & 1
        child = n[cur].right if right else n[cur].left
        if child == 0:
            break
        cur = child
        depth += 1
    n[displaced].left = 0
    n[displaced].right = 0
    n[displaced].parent = cur
    if right:
        n[cur].right = displaced
    else:
        n[cur].left = displaced
    return v


cdef void list_after(PrioNode* n, vma_id v, vma_id old) noexcept nogil:
    n[v].left = n[old].left
    n[v].right = old
    n[n[v].left].right = v
    n[old].left = v


cdef vma_id list_del(PrioNode* n, vma_id v) noexcept nogil:
    """Takes v out of its circle; who came after it, or 0 if it was alone."""
    cdef vma_id after = n[v].left
    n[n[v].right].left = after
    n[after].right = n[v].right
    return after if after != v else 0


cdef void prio_add(Forest* t, vma_id v, vma_id old) noexcept nogil:
    """v joins the areas with old's interval; the tree is not touched. Behind a list area, or at a tree node's tail."""
    cdef PrioNode* n = t.node
    n[v].parent = 0
    n[v].head = 0
    if n[old].parent == 0:
        list_after(n, v, old)
    elif n[old].head:
        list_after(n, v, n[n[old].head].right)
    else:
        n[v].left = v
        n[v].right = v
        n[v].head = old
        n[old].head = v


cdef void prio_insert(Forest* t, PrioRoot* root, vma_id v) noexcept nogil:
    """Adds an area with its present bounds."""
    cdef vma_id equal
    t.node[v].head = 0
    equal = tree_insert(t, root, v)
    if equal != v:
        prio_add(t, v, equal)


cdef void prio_remove(Forest* t, PrioRoot* root, vma_id v) noexcept nogil:
    """Takes an area out, in whichever of the four roles; its record is all 0 afterwards."""
    cdef PrioNode* n = t.node
    cdef vma_id head, after
    if n[v].head == 0:
        if n[v].parent:
            tree_remove(t, root, v)
        else:
            list_del(n, v)
    elif n[v].parent:                          # tree node with a set: the head succeeds it, the next becomes head
        head = n[v].head
        after = list_del(n, head)
        replace(t, root, v, head)
        n[head].head = after
        if after:
            n[after].head = head
    else:                                      # head: the next becomes head
        after = list_del(n, v)
        n[n[v].head].head = after
        if after:
            n[after].head = n[v].head
    n[v].left = 0
    n[v].right = 0
    n[v].parent = 0
    n[v].head = 0


# the file side


cdef class PrioTree(TreeSide):
    """The file side of 2.6.7. No options."""

    cdef Forest forest        # nodes by area
    cdef PrioRoot* root       # by file

    def __init__(self, **options):
        for option in options:
            raise ValueError(f"prio_tree has no option {option!r}")
        TreeSide.__init__(self)
        self.name = "prio_tree"

    def attach(self, Core core):
        TreeSide.attach(self, core)
        self.forest.area = self.s.area
        self.forest.node = <PrioNode*> <size_t> core.new_arena(
            "prio_nodes", PRIO_NODE, self.s.pool[P_AREAS].capacity, P_AREAS)
        self.root = <PrioRoot*> <size_t> core.new_arena(
            "prio_roots", PRIO_ROOT, self.s.pool[P_FILES].capacity, P_FILES)
        core.charge_area(4 * self.word)
        core.charge_file(4 * self.word)

    def overhead(self):
        return {"vma": 4 * self.word, "file": 4 * self.word, "page": 0}

    cdef void tree_insert(self, vma_id v) noexcept nogil:
        prio_insert(&self.forest, &self.root[self.s.area[v].file], v)

    cdef void tree_remove(self, vma_id v) noexcept nogil:
        prio_remove(&self.forest, &self.root[self.s.area[v].file], v)

    cdef void area_fork(self, vma_id child, vma_id parent) noexcept nogil:
        if self.s.area[child].file:
            tally(self.s, C_LOCK_I_MMAP, 1)
            if self.s.area[child].flags & VM_NONLINEAR:
                self.nonlinear_put(child, parent)
                self.cursor[child] = self.cursor[parent]
            else:
                prio_add(&self.forest, child, parent)

    cdef bint walk_next(self, Walk* w) noexcept nogil:
        """The next area over the page whose mm has pages at all."""
        cdef State* s = self.s
        cdef PrioRoot* root = &self.root[s.frame[w.pfn].owner]
        cdef PrioCursor c
        cdef uint64_t entered = 0
        cdef uint64_t tried = 0
        cdef bint found = False
        cdef Area* a
        cdef vma_id v
        if w.c >= SCANNING:
            return self.beyond_tree(w)
        c.tree = w.a
        c.at = w.b
        c.depth = w.c
        c.value = w.d
        while True:
            v = prio_next(&self.forest, root, &c, w.e, w.e, &entered)
            if v == 0:
                break
            tried += 1
            a = &s.area[v]
            if w.purpose == WALK_REFERENCED and a.flags & VM_LOCKED and a.flags & VM_MAYSHARE:
                w.stop = 1
                break
            if s.mm[a.mm].rss:
                w.vma = v
                w.mm = a.mm
                w.vpn = a.start + (w.e - a.pgoff)
                w.slot = 0
                found = True
                break
        w.a = c.tree
        w.b = c.at
        w.c = c.depth
        w.d = c.value
        tally(s, C_NODES_VISITED, entered)
        areas_tried(s, tried)
        return found or (w.purpose == WALK_QUERY and self.past_tree(w))

    cdef list tree_order(self, file_id file):
        cdef list found = []
        cdef PrioCursor c
        cdef uint64_t entered = 0
        cdef vma_id v
        memset(&c, 0, sizeof(PrioCursor))
        while True:
            v = prio_next(&self.forest, &self.root[file], &c, 0, ~<uint64_t> 0, &entered)
            if v == 0:
                return found
            found.append(v)

    def check(self):
        """PT1 every linear area of a file is in its tree once, and nothing else. PT2 heap order. PT3 each node where radix
        descent leads. PT4 parent links. PT5 sets: cross links, circle, equal intervals. Then NL1, NL2."""
        cdef list faults = []
        cdef set seen = set()
        cdef dict expected = {}
        cdef dict nonlinear = {}
        cdef file_id file
        cdef vma_id v
        self.areas_by_kind(expected, nonlinear)
        for file in range(1, <file_id> self.s.pool[P_FILES].bump):
            self.check_tree(file, expected, seen, faults)
        for v, file in expected.items():
            if v not in seen:
                area_fault(self.s, faults, "PT1", v, "is not in the tree of file {0}", file)
        self.check_nonlinear(nonlinear, faults)
        return faults

    cdef int check_tree(self, file_id file, dict expected, set seen, list faults) except -1:
        """PT1 to PT5 for one file."""
        cdef State* s = self.s
        cdef Forest* t = &self.forest
        cdef PrioNode* n = t.node
        cdef PrioRoot* root = &self.root[file]
        cdef uint64_t first, last
        cdef uint32_t depth
        cdef vma_id v, above
        cdef list stack = [(root.node, root.node, 0, 0)] if root.node else []
        while stack:
            v, above, depth, path = stack.pop()
            if v >= s.pool[P_AREAS].bump or v in seen or expected.get(v) != file:
                area_fault(s, faults, "PT1", above, "leads to area {0} in the tree of file {1}", v, file)
                continue
            seen.add(v)
            first = prio_first(t, v)
            last = prio_last(t, v)
            if n[v].parent != above:
                area_fault(s, faults, "PT4", v, "parent is {0}, not {1}", n[v].parent, above)
            if v != root.node and (prio_last(t, above), -<object> prio_first(t, above)) <= (last, -<object> first):
                text = f"[{first}, {last}] below [{prio_first(t, above)}, {prio_last(t, above)}]"
                area_fault(s, faults, "PT2", v, text)
            if root.bits > 64 or depth > 2 * root.bits or last > max_last(root.bits):
                text = f"[{first}, {last}] at depth {depth} of a tree of {root.bits} bits"
                area_fault(s, faults, "PT3", v, text)
            elif (<object> first << root.bits | last - first) >> 2 * root.bits - depth != path:
                area_fault(s, faults, "PT3", v, "[{0}, {1}] is off its radix path", first, last)
            if n[v].left:
                stack.append((n[v].left, v, depth + 1, path << 1))
            if n[v].right:
                stack.append((n[v].right, v, depth + 1, path << 1 | 1))
            self.check_set(v, file, expected, seen, faults)
        return 0

    cdef int check_set(self, vma_id node, file_id file, dict expected, set seen, list faults) except -1:
        """PT1 and PT5 for the areas that share a tree node."""
        cdef State* s = self.s
        cdef PrioNode* n = self.forest.node
        cdef Forest* t = &self.forest
        cdef vma_id head = n[node].head
        cdef vma_id v = head
        cdef vma_id before = 0
        while head:
            if v >= s.pool[P_AREAS].bump or v in seen or expected.get(v) != file:
                area_fault(s, faults, "PT1", node, "leads to area {0} in the tree of file {1}", v, file)
                break
            seen.add(v)
            if n[v].parent or n[v].head != (node if v == head else 0):
                text = f"parent {n[v].parent}, head {n[v].head} in the set of area {node}"
                area_fault(s, faults, "PT5", v, text)
            if before and n[v].right != before:
                area_fault(s, faults, "PT5", v, "prev is {0}, not {1}", n[v].right, before)
            if prio_first(t, v) != prio_first(t, node) or prio_last(t, v) != prio_last(t, node):
                area_fault(s, faults, "PT5", v, "another interval than area {0}", node)
            before = v
            v = n[v].left
            if v == head:
                if n[head].right != before:
                    area_fault(s, faults, "PT5", head, "prev is {0}, not {1}", n[head].right, before)
                break
        return 0
