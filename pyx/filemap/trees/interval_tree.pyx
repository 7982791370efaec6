"""interval_tree: file pages by object, one interval tree of areas per file (3.7 to today; the mechanism is parts/intervaltree).

A walk asks the file's tree for the areas over the page [docs/facts/file-pages.md, "Interval tree"]. Private and shared areas
stand in the same tree, each as a node of its own, keyed by its file pages. When areas enter and leave it, and where nonlinear
ones are (in a list of the file, up to 3.19), is side's part.

   fork               the child goes right behind its parent, without a search; nonlinear: to the end of the list
   page_referenced    every area over the page is looked at, locked ones too

   P of [0, 9], Q of [0, 3] in another process, then children c1, c2 of P:   P c2 c1 Q, elder siblings behind younger ones

Costs: link and unlink O(log n) for n areas of the file, fork O(1) and the balancing, walk O(log n + m) for m areas over the
page. What stays costly is what was with the prio_tree: m areas for a few entries.
In the kernel: 16 or 32 bytes in the area (three links and the reach); 8 or 16 in the file, for the root and the leftmost node
of today's tree. From 3.7 to 3.19 it was a root of one word, and two words for the list.
Left out on purpose: readers that share the lock, i_mmap_writable, and trylock failures, which need a second CPU.
"""
import numpy as np

from libc.stdint cimport uint32_t, uint64_t

from rmapcore.pyx.base.counters cimport C_LOCK_I_MMAP, C_NODES_VISITED, tally
from rmapcore.pyx.base.ids cimport file_id, vma_id
from rmapcore.pyx.base.records cimport P_AREAS, P_FILES, VM_NONLINEAR, Area
from rmapcore.pyx.base.state cimport State
from rmapcore.pyx.filemap.trees.side cimport SCANNING, TreeSide, areas_tried
from rmapcore.pyx.machine.core cimport Core
from rmapcore.pyx.machine.vmas cimport area_pages
from rmapcore.pyx.parts.checks cimport area_fault
from rmapcore.pyx.parts.intervaltree cimport (
    IntervalNode, interval_first, interval_insert, interval_insert_after, interval_next, interval_remove, interval_survey,
)
from rmapcore.pyx.seam.scheme cimport WALK_QUERY, Walk

from rmapcore.pyx.parts.intervaltree import INTERVAL_NODE

cdef enum:
    TREE_ENDED = 1            # Walk.c: the tree is through; a: the area given last


cdef class IntervalTree(TreeSide):
    """The file side of 3.7 and later. No options."""

    cdef IntervalNode* node   # by area
    cdef uint32_t* root       # by file; 0: empty

    def __init__(self, **options):
        for option in options:
            raise ValueError(f"interval_tree has no option {option!r}")
        TreeSide.__init__(self)
        self.name = "interval_tree"

    def attach(self, Core core):
        TreeSide.attach(self, core)
        self.node = <IntervalNode*> <size_t> core.new_arena(
            "interval_nodes", INTERVAL_NODE, self.s.pool[P_AREAS].capacity, P_AREAS)
        self.root = <uint32_t*> <size_t> core.new_arena(
            "interval_roots", np.uint32, self.s.pool[P_FILES].capacity, P_FILES)
        core.charge_area(4 * self.word)
        core.charge_file(2 * self.word)

    def overhead(self):
        return {"vma": 4 * self.word, "file": 2 * self.word, "page": 0}

    cdef inline void key(self, vma_id v) noexcept nogil:
        self.node[v].start = self.s.area[v].pgoff
        self.node[v].last = self.s.area[v].pgoff + area_pages(self.s, v) - 1

    cdef void tree_insert(self, vma_id v) noexcept nogil:
        self.key(v)
        interval_insert(self.node, &self.root[self.s.area[v].file], v)

    cdef void tree_remove(self, vma_id v) noexcept nogil:
        interval_remove(self.node, &self.root[self.s.area[v].file], v)

    cdef void area_fork(self, vma_id child, vma_id parent) noexcept nogil:
        if self.s.area[child].file:
            tally(self.s, C_LOCK_I_MMAP, 1)
            if self.s.area[child].flags & VM_NONLINEAR:
                self.nonlinear_put(child, 0)
                self.cursor[child] = self.cursor[parent]
            else:
                self.key(child)
                interval_insert_after(self.node, &self.root[self.s.area[child].file], child, parent)

    cdef bint walk_next(self, Walk* w) noexcept nogil:
        """The next area over the page whose mm has pages at all."""
        cdef State* s = self.s
        cdef uint64_t entered = 0
        cdef uint64_t tried = 0
        cdef bint found = False
        cdef vma_id v = w.a
        cdef Area* a
        if w.c:
            return self.beyond_tree(w) if w.c >= SCANNING else False
        while True:
            if v:
                v = interval_next(self.node, v, w.e, w.e, &entered, NULL)
            else:
                v = interval_first(self.node, self.root[s.frame[w.pfn].owner], w.e, w.e, &entered, NULL)
            if v == 0:
                w.c = TREE_ENDED
                break
            tried += 1
            a = &s.area[v]
            if s.mm[a.mm].rss:
                w.vma = v
                w.mm = a.mm
                w.vpn = a.start + (w.e - a.pgoff)
                w.slot = 0
                found = True
                break
        w.a = v
        tally(s, C_NODES_VISITED, entered)
        areas_tried(s, tried)
        return found or (w.purpose == WALK_QUERY and self.past_tree(w))

    cdef list tree_order(self, file_id file):
        return interval_survey(self.node, self.root[file], <uint32_t> self.s.pool[P_AREAS].bump)[0]

    def check(self):
        """IT1 every linear area of a file is in its tree once, and nothing else. IT2 ascending order, by the areas' bounds.
        IT3 reaches. IT4 links lead back; red and black. Then NL1, NL2."""
        cdef State* s = self.s
        cdef IntervalNode* n = self.node
        cdef file_id file
        cdef vma_id v
        cdef list faults = []
        cdef set seen = set()
        cdef dict expected = {}
        cdef dict nonlinear = {}
        self.areas_by_kind(expected, nonlinear)
        for file in range(1, <file_id> s.pool[P_FILES].bump):
            order, wrong = interval_survey(n, self.root[file], <uint32_t> s.pool[P_AREAS].bump)
            for kind, v, text in wrong:
                area_fault(s, faults, "IT2" if kind == "order" else "IT3" if kind == "reach" else "IT4", v, text)
            for v in order:
                if v in seen or expected.get(v) != file:
                    area_fault(s, faults, "IT1", v, "is in the tree of file {0}", file)
                    continue
                seen.add(v)
                if n[v].start != s.area[v].pgoff or n[v].last != s.area[v].pgoff + area_pages(s, v) - 1:
                    area_fault(s, faults, "IT2", v, "stands as [{0}, {1}]", n[v].start, n[v].last)
        for v, file in expected.items():
            if v not in seen:
                area_fault(s, faults, "IT1", v, "is not in the tree of file {0}", file)
        self.check_nonlinear(nonlinear, faults)
        return faults
