"""prio_tree: file pages by object, one tree of areas per file (2.6.7 - 3.6; the mechanism is priotree).

A page-cache frame knows its file and index, so whoever maps it is an area whose interval of file pages holds that
index: a walk asks the file's tree for them [2.6.7 mm/rmap.c, mm/prio_tree.c]. Private and shared areas stand in the
same tree. Nonlinear areas are in none, but in a list of the file (i_mmap_nonlinear).

   fork        child joins its parent's set, or list, at once: no search
   mmap, split, mremap's copy                 insert
   bounds or file pages change                remove before, insert after
   becomes nonlinear                          remove from the tree, append to the list
   page_referenced                            an area both LOCKED and MAYSHARE answers for the page: no entry is read

What a nonlinear area maps where, only its entries know. page_referenced does not look there. try_to_unmap, when the tree
has given all it has, sweeps *clusters* of 32 pages of all such areas in turn, each from where it stopped last (`cursor`,
the kernel's vm_private_data), until as many entries are gone as the page has mappings: any entries (rule K6a).

   area   [....32....|....32....|....32....|..]        rounds go on by one cluster in each area, and begin again at the
                      ^ cursor                          front when the longest is through

The machine's own question, who maps this frame, is answered by reading their entries one by one, which no kernel does.

Costs: link and unlink O(bits of the largest file page), fork O(1), walk O(bits + m) for m areas over the page. What
stays costly: a library that every process maps but hardly any has faulted this page of: m areas for a few entries; and
nonlinear areas, where 32 entries are read for each one that goes, seldom the right one.
In the kernel: 16 or 32 bytes in the area, 8 or 16 in the file. Each hook takes i_mmap_lock once, but where a nonlinear area
changes its bounds: its place in the list does not depend on them.
Left out on purpose: i_mmap_writable, truncate_count, and trylock failures, which need a second CPU.
"""
import numpy as np

from libc.stdint cimport uint32_t, uint64_t

from rmapcore.pyx.counters cimport (
    C_LOCK_I_MMAP, C_LOCK_I_MMAP_HELD, C_NODES_VISITED, C_SCANNED_PTES, C_VMAS_TRIED, tally,
)
from rmapcore.pyx.ids cimport mm_id, slot_t, vma_id
from rmapcore.pyx.machine cimport Core
from rmapcore.pyx.pagetable cimport leaf_run, pt_next
from rmapcore.pyx.priotree cimport (
    QUERY_ENDED, Forest, PrioCursor, PrioNode, PrioRoot, nonlinear_add, nonlinear_next, nonlinear_remove, prio_add, prio_first,
    prio_insert, prio_last, prio_next, prio_remove,
)
from rmapcore.pyx.records cimport P_AREAS, P_FILES, VM_LOCKED, VM_MAYSHARE, VM_NONLINEAR, Area
from rmapcore.pyx.scheme cimport CLUSTER_PAGES, WALK_CLUSTERS, WALK_QUERY, WALK_REFERENCED, Scheme, Walk
from rmapcore.pyx.state cimport X86_64, State
from rmapcore.pyx.vmas cimport area_pages
from rmapcore.pyx.x86 cimport pte_get, pte_pfn, pte_present

cdef enum:                    # Walk.c beyond the depths of a tree
    SCANNING = QUERY_ENDED + 1         # entries of nonlinear areas are read; a: the area, d: the next page
    SWEEPING = QUERY_ENDED + 2         # clusters are given out; a: the area (0: all done), b: entries that are to go

# SWEEPING: d is how far this round goes, e how far the last one will, in pages from an area's start

cdef PrioNode _node
cdef PrioRoot _root

PRIO_NODE = np.asarray(<PrioNode[:1]> &_node).dtype
PRIO_ROOT = np.asarray(<PrioRoot[:1]> &_root).dtype
assert PRIO_NODE.itemsize == 16 and PRIO_ROOT.itemsize == 16


cdef class PrioTree(Scheme):
    """The file side of 2.6.7. No options."""

    cdef Forest forest        # nodes by area
    cdef PrioRoot* root       # by file
    cdef uint64_t* cursor     # by area, while nonlinear: pages of it swept; may lie beyond its end
    cdef int word             # bytes of a kernel pointer

    def __init__(self, **options):
        for option in options:
            raise ValueError(f"prio_tree has no option {option!r}")
        Scheme.__init__(self)
        self.name = "prio_tree"
        self.clusters = True

    def attach(self, Core core):
        Scheme.attach(self, core)
        self.word = 8 if self.s.arch == X86_64 else 4
        self.forest.area = self.s.area
        self.forest.node = <PrioNode*> <size_t> core.new_arena(
            "prio_nodes", PRIO_NODE, self.s.pool[P_AREAS].capacity, P_AREAS)
        self.root = <PrioRoot*> <size_t> core.new_arena(
            "prio_roots", PRIO_ROOT, self.s.pool[P_FILES].capacity, P_FILES)
        self.cursor = <uint64_t*> <size_t> core.new_arena(
            "prio_cursors", np.uint64, self.s.pool[P_AREAS].capacity, P_AREAS)
        core.charge_area(4 * self.word)
        core.charge_file(2 * self.word)

    def overhead(self):
        return {"vma": 4 * self.word, "file": 2 * self.word, "page": 0}

    cdef void insert(self, vma_id v) noexcept nogil:
        cdef State* s = self.s
        if s.area[v].file:
            tally(s, C_LOCK_I_MMAP, 1)
            if s.area[v].flags & VM_NONLINEAR:
                nonlinear_add(&self.forest, &self.root[s.area[v].file], v)
            else:
                prio_insert(&self.forest, &self.root[s.area[v].file], v)

    cdef void remove(self, vma_id v) noexcept nogil:
        cdef State* s = self.s
        if s.area[v].file:
            tally(s, C_LOCK_I_MMAP, 1)
            if s.area[v].flags & VM_NONLINEAR:
                nonlinear_remove(&self.forest, &self.root[s.area[v].file], v)
            else:
                prio_remove(&self.forest, &self.root[s.area[v].file], v)

    cdef void area_nonlinear(self, vma_id v) noexcept nogil:
        cdef PrioRoot* root = &self.root[self.s.area[v].file]
        tally(self.s, C_LOCK_I_MMAP, 1)
        prio_remove(&self.forest, root, v)
        nonlinear_add(&self.forest, root, v)
        self.cursor[v] = 0

    cdef void area_link(self, vma_id v) noexcept nogil:
        self.insert(v)

    cdef void area_unlink(self, vma_id v) noexcept nogil:
        self.remove(v)

    cdef void area_before(self, vma_id v) noexcept nogil:
        if not self.s.area[v].flags & VM_NONLINEAR:
            self.remove(v)

    cdef void area_after(self, vma_id v) noexcept nogil:
        if not self.s.area[v].flags & VM_NONLINEAR:
            self.insert(v)

    cdef void area_split(self, vma_id new, vma_id v) noexcept nogil:
        self.insert(new)
        self.cursor[new] = self.cursor[v]

    cdef void area_clone(self, vma_id new, vma_id v) noexcept nogil:
        self.insert(new)
        self.cursor[new] = self.cursor[v]

    cdef void area_fork(self, vma_id child, vma_id parent) noexcept nogil:
        if self.s.area[child].file:
            tally(self.s, C_LOCK_I_MMAP, 1)
            prio_add(&self.forest, child, parent)
            if self.s.area[child].flags & VM_NONLINEAR:
                self.cursor[child] = self.cursor[parent]

    cdef void walk_begin(self, Walk* w) noexcept nogil:
        if w.purpose == WALK_CLUSTERS:
            self.clusters_begin(w)
            return
        tally(self.s, C_LOCK_I_MMAP, 1)
        w.a = 0                                # PrioCursor.tree
        w.b = 0                                # .at
        w.c = 0                                # .depth
        w.d = 0                                # .value
        w.e = self.s.frame[w.pfn].index        # the page asked for

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
        if w.c > QUERY_ENDED:
            return self.clusters_next(w) if w.c == SWEEPING else self.scan_next(w)
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
        self.tried(tried)
        if w.purpose == WALK_QUERY and not found and root.nonlinear:
            w.a = root.nonlinear
            w.c = SCANNING
            w.d = s.area[root.nonlinear].start
            self.tried(1)
            return self.scan_next(w)
        return found

    cdef inline void tried(self, uint64_t areas) noexcept nogil:
        tally(self.s, C_VMAS_TRIED, areas)
        tally(self.s, C_LOCK_I_MMAP_HELD, areas)

    cdef bint scan_next(self, Walk* w) noexcept nogil:
        """The next entry of a nonlinear area that maps the frame. Every entry read on the way counts."""
        cdef State* s = self.s
        cdef PrioRoot* root = &self.root[s.frame[w.pfn].owner]
        cdef uint64_t entry
        cdef uint32_t n, i
        cdef slot_t slot
        cdef Area* a
        while w.a:
            a = &s.area[w.a]
            while s.mm[a.mm].rss:
                slot = pt_next(s, a.mm, &w.d, a.end)
                if slot == 0:
                    break
                n = leaf_run(s, w.d, a.end)
                for i in range(n):
                    entry = pte_get(s, slot + i)
                    if pte_present(entry) and pte_pfn(s, entry) == w.pfn:
                        tally(s, C_SCANNED_PTES, i + 1)
                        w.vma = w.a
                        w.mm = a.mm
                        w.vpn = w.d + i
                        w.slot = slot + i
                        w.d += i + 1
                        return True
                tally(s, C_SCANNED_PTES, n)
                w.d += n
            w.a = nonlinear_next(&self.forest, root, w.a)
            if w.a:
                w.d = s.area[w.a].start
                self.tried(1)
        return False

    cdef void clusters_begin(self, Walk* w) noexcept nogil:
        """How much is to be swept; the first round goes as far as the area that is ahead."""
        cdef State* s = self.s
        cdef PrioRoot* root = &self.root[s.frame[w.pfn].owner]
        cdef vma_id v = root.nonlinear
        cdef uint64_t areas = 0
        w.c = SWEEPING
        w.d = 0
        w.e = 0
        while v:
            areas += 1
            if not s.area[v].flags & VM_LOCKED:
                w.d = max(w.d, self.cursor[v])
                w.e = max(w.e, area_pages(s, v))
            v = nonlinear_next(&self.forest, root, v)
        self.tried(areas)
        w.a = root.nonlinear if w.e else 0
        w.b = s.frame[w.pfn].mapcount
        w.d = max(w.d, <uint64_t> CLUSTER_PAGES)
        w.e = (w.e + CLUSTER_PAGES - 1) & ~<uint64_t> (CLUSTER_PAGES - 1)

    cdef bint clusters_next(self, Walk* w) noexcept nogil:
        """The next cluster, in this round or the next; none if enough entries are gone, or if all was swept."""
        cdef State* s = self.s
        cdef PrioRoot* root = &self.root[s.frame[w.pfn].owner]
        cdef uint64_t at
        cdef Area* a
        cdef vma_id v
        if w.a == 0 or w.found >= w.b:
            return False
        while w.a:
            a = &s.area[w.a]
            if not a.flags & VM_LOCKED:
                at = self.cursor[w.a]
                if s.mm[a.mm].rss and at < w.d and at < a.end - a.start:
                    self.cursor[w.a] = at + CLUSTER_PAGES
                    w.vma = w.a
                    w.mm = a.mm
                    w.vpn = max((a.start + at) & ~<uint64_t> (CLUSTER_PAGES - 1), a.start)
                    return True
                self.cursor[w.a] = w.d
            w.a = nonlinear_next(&self.forest, root, w.a)
            if w.a == 0:
                w.d += CLUSTER_PAGES
                if w.d <= w.e:
                    w.a = root.nonlinear
        v = root.nonlinear
        while v:
            self.cursor[v] = 0
            v = nonlinear_next(&self.forest, root, v)
        return False

    def check(self):
        """PT1 every linear area of a file is in its tree once, and nothing else. PT2 heap order. PT3 each node where radix
        descent leads. PT4 parent links. PT5 sets: cross links, circle, equal intervals. PT6 every nonlinear area of a
        file is on its list once, and nothing else; the links lead back; none has a parent or a head."""
        cdef State* s = self.s
        cdef Forest* t = &self.forest
        cdef PrioNode* n = t.node
        cdef uint32_t bump = <uint32_t> s.pool[P_AREAS].bump
        cdef vma_id v, top, child
        cdef mm_id mm = s.h.mm_first
        faults = []
        expected = {}
        nonlinear = {}
        seen = {}

        def fault(rule, area, text):
            known = <vma_id> (area if area < bump else 0)
            faults.append((rule, 0, s.area[<vma_id> known].mm, s.area[<vma_id> known].start, f"area {area}: {text}"))

        while mm:
            v = s.mm[mm].first
            while v:
                if s.area[v].file:
                    (nonlinear if s.area[v].flags & VM_NONLINEAR else expected)[v] = s.area[v].file
                v = s.area[v].next
            mm = s.mm[mm].next

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
            self.check_nonlinear(file, nonlinear, seen, fault)
        for v, file in expected.items():
            if v not in seen:
                fault("PT1", v, f"is not in the tree of file {file}")
        for v, file in nonlinear.items():
            if v not in seen:
                fault("PT6", v, f"is not on the nonlinear list of file {file}")
        return faults

    def check_nonlinear(self, file, expected, seen, fault):
        """PT6 along the list of a file."""
        cdef PrioNode* n = self.forest.node
        cdef vma_id first = self.root[<uint32_t> file].nonlinear
        cdef vma_id before = 0
        cdef vma_id v = first
        while first:
            if v >= self.s.pool[P_AREAS].bump or v in seen or expected.get(v) != file:
                fault("PT6", before, f"leads to area {v} on the nonlinear list of file {file}")
                return
            seen[v] = file
            if n[v].parent or n[v].head:
                fault("PT6", v, f"parent {n[v].parent}, head {n[v].head} on a nonlinear list")
            if before and n[v].right != before:
                fault("PT6", v, f"prev is {n[v].right}, not {before}")
            before = v
            v = n[v].left
            if v == first:
                if n[first].right != before:
                    fault("PT6", first, f"prev is {n[first].right}, not {before}")
                return

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
