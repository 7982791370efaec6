"""prio_tree: file pages by object, one radix priority search tree of areas per file (2.6.7 - 3.6; the mechanism is priotree).

A walk asks the file's tree for the areas over the page [2.6.7 mm/rmap.c, mm/prio_tree.c]. Private and shared areas stand in
the same tree. When areas enter and leave it, and where nonlinear ones are, is treeside's part.

   fork               the child joins its parent's set at once, without a search; nonlinear: right behind its parent
   page_referenced    an area both LOCKED and MAYSHARE answers for the page: no entry is read

Costs: link and unlink O(bits of the largest file page), fork O(1), walk O(bits + m) for m areas over the page. What
stays costly: a library that every process maps but hardly any has faulted this page of: m areas for a few entries.
In the kernel: 16 or 32 bytes in the area; in the file 8 or 16 for the tree and as many for the list of nonlinear areas.
Left out on purpose: i_mmap_writable, truncate_count, and trylock failures, which need a second CPU.
"""
import numpy as np

from libc.stdint cimport uint32_t, uint64_t

from rmapcore.pyx.base.counters cimport C_LOCK_I_MMAP, C_NODES_VISITED, tally
from rmapcore.pyx.base.ids cimport vma_id
from rmapcore.pyx.base.records cimport P_AREAS, P_FILES, VM_LOCKED, VM_MAYSHARE, VM_NONLINEAR, Area
from rmapcore.pyx.base.state cimport State
from rmapcore.pyx.filemap.treeside cimport SCANNING, TreeSide, areas_tried
from rmapcore.pyx.machine.core cimport Core
from rmapcore.pyx.parts.priotree cimport (
    Forest, PrioCursor, PrioNode, PrioRoot, prio_add, prio_first, prio_insert, prio_last, prio_next, prio_remove,
)
from rmapcore.pyx.seam.scheme cimport WALK_QUERY, WALK_REFERENCED, Walk

cdef PrioNode _node
cdef PrioRoot _root

PRIO_NODE = np.asarray(<PrioNode[:1]> &_node).dtype
PRIO_ROOT = np.asarray(<PrioRoot[:1]> &_root).dtype
assert PRIO_NODE.itemsize == 16 and PRIO_ROOT.itemsize == 8


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

    def check(self):
        """PT1 every linear area of a file is in its tree once, and nothing else. PT2 heap order. PT3 each node where radix
        descent leads. PT4 parent links. PT5 sets: cross links, circle, equal intervals. Then NL1, NL2."""
        cdef State* s = self.s
        cdef Forest* t = &self.forest
        cdef PrioNode* n = t.node
        cdef uint32_t bump = <uint32_t> s.pool[P_AREAS].bump
        cdef vma_id v, top, child
        faults = []
        expected, nonlinear = self.areas_by_kind()
        seen = {}

        def fault(rule, area, text):
            faults.append(self.violation(rule, area, text))

        for file in range(1, s.pool[P_FILES].bump):
            top = self.root[<uint32_t> file].node
            bits = self.root[<uint32_t> file].bits
            stack = [(top, top, 0, 0)] if top else []
            while stack:
                v, above, depth, path = stack.pop()
                if v >= bump or v in seen or expected.get(v) != file:
                    fault("PT1", above, f"leads to area {v} in the tree of file {file}")
                    continue
                seen[v] = file
                first = prio_first(t, v)
                last = prio_last(t, v)
                if n[v].parent != above:
                    fault("PT4", v, f"parent is {n[v].parent}, not {above}")
                if v != top:
                    order = prio_last(t, above), -prio_first(t, above)
                    if order <= (last, -first):
                        fault("PT2", v, f"[{first}, {last}] below [{-order[1]}, {order[0]}]")
                if bits > 64 or last >> bits or depth > 2 * bits:
                    fault("PT3", v, f"[{first}, {last}] at depth {depth} of a tree of {bits} bits")
                elif (first << bits | last - first) >> 2 * bits - depth != path:
                    fault("PT3", v, f"[{first}, {last}] is off its radix path")
                for bit, child in enumerate((n[v].left, n[v].right)):
                    if child:
                        stack.append((child, v, depth + 1, path << 1 | bit))
                self.check_set(v, file, expected, seen, fault)
        for v, file in expected.items():
            if v not in seen:
                fault("PT1", v, f"is not in the tree of file {file}")
        return faults + self.check_nonlinear(nonlinear)

    def check_set(self, vma_id node, file, expected, seen, fault):
        """PT1 and PT5 for the areas that share a tree node."""
        cdef PrioNode* n = self.forest.node
        cdef Forest* t = &self.forest
        cdef vma_id head = n[node].head
        cdef vma_id v = head
        cdef vma_id before = 0
        while head:
            if v >= self.s.pool[P_AREAS].bump or v in seen or expected.get(v) != file:
                fault("PT1", node, f"leads to area {v} in the tree of file {file}")
                return
            seen[v] = file
            if n[v].parent or n[v].head != (node if v == head else 0):
                fault("PT5", v, f"parent {n[v].parent}, head {n[v].head} in the set of area {node}")
            if before and n[v].right != before:
                fault("PT5", v, f"prev is {n[v].right}, not {before}")
            if prio_first(t, v) != prio_first(t, node) or prio_last(t, v) != prio_last(t, node):
                fault("PT5", v, f"another interval than area {node}")
            before = v
            v = n[v].left
            if v == head:
                if n[head].right != before:
                    fault("PT5", head, f"prev is {n[head].right}, not {before}")
                return
