"""Roots: areas that pages name instead of an anon_vma, while nothing was forked (lazy.pyx, rule G20).

A root says in which address space its pages lie, and how far from their index. It lives as long as its area, or an area
that holds it: pieces split off hold the same one, and an area that swallows another has the groups of both become one, since
pages go on naming either.

   V1 [R]   V2 [R]   V3 [R]     three pieces of an area, and the pages of all: R, whose area is V1
   V1 goes                      R is kept by V2 and V3: a vm_area_struct that nothing maps (detached_vma)
   V3 swallows V4 [S]           R and S are a group, and both stay until V2 and V3 have gone

A group is a ring, and a forest of which one root stands for all and counts who holds any of them. Costs: O(log n) to find
that one, O(1) to join two groups.
"""
import numpy as np

from libc.stdint cimport uint32_t, uint64_t

from rmapcore.pyx.base.ids cimport mm_id, pfn_t, vma_id, vpn_t
from rmapcore.pyx.base.pool cimport pool_give, pool_take
from rmapcore.pyx.base.records cimport P_AREAS, Frame
from rmapcore.pyx.base.state cimport State
from rmapcore.pyx.machine.core cimport Core
from rmapcore.pyx.machine.vmas cimport anon_shift, peek_vma
from rmapcore.pyx.parts.checks cimport area_fault, fault, in_use
from rmapcore.pyx.parts.shown cimport live_areas, records_shown
from rmapcore.pyx.schemes.anon_vma_chain.roots cimport (
    LAZY, LAZY_WORD, NONE, PARENT, REGULAR, ROOT_LINK, Kind, LazyArea, RootRecord,
)
from rmapcore.pyx.schemes.anon_vma_chain.trees cimport AvTrees

cdef RootRecord _root
cdef LazyArea _lazy

ROOT = np.asarray(<RootRecord[:1]> &_root).dtype
LAZY_AREA = np.asarray(<LazyArea[:1]> &_lazy).dtype
assert ROOT.itemsize == 32 and LAZY_AREA.itemsize == 12 and ROOT.fields["next"][1] == ROOT_LINK

DETACHED = {"i386": 96, "i386-pae": 100, "x86_64": 196}        # vm_area_struct, with an interval tree for files


cdef class AvRoots(AvTrees):
    """What anon_vma_lazy has besides anon_vmas."""

    def attach(self, Core core):
        AvTrees.attach(self, core)
        most = self.s.pool[self.anon_vmas].capacity
        size = DETACHED[core.arch]
        self.roots = core.new_pool("lazy_root", most, 0, 0)
        self.root = <RootRecord*> <size_t> core.new_arena("lazy_roots", ROOT, most, self.roots)
        self.detacheds = core.new_pool("detached_vma", most, size, size)
        self.detached = <uint32_t*> <size_t> core.new_arena("detached_vmas", np.uint32, most, self.detacheds)
        self.lazy = <LazyArea*> <size_t> core.new_arena("lazy_areas", LAZY_AREA, self.s.pool[P_AREAS].capacity, P_AREAS)
        core.charge_area(4)

    def census(self):
        return AvTrees.census(self) | {"detached_vma": (self.detacheds, DETACHED[self.core.arch])}

    def overhead(self):
        return {"page": 4, "vma": 3 * self.word + 4}

    cdef Kind kind(self, vma_id v) noexcept nogil:
        cdef uint32_t word = self.s.area[v].rmap
        if word == 0:
            return NONE
        if word & LAZY_WORD:
            return LAZY
        return PARENT if self.lazy[v].inherited else REGULAR

    # roots

    cdef uint32_t standing(self, uint32_t r) noexcept nogil:
        """The root that stands for its group; the way to it gets shorter."""
        while self.root[r].group != r:
            self.root[r].group = self.root[self.root[r].group].group
            r = self.root[r].group
        return r

    cdef void hold(self, vma_id v, uint32_t r) noexcept nogil:
        self.lazy[v].root = r
        self.root[self.standing(r)].holders += 1

    cdef void found(self, vma_id v) noexcept nogil:
        """v becomes LAZY, and its own root."""
        cdef uint32_t r = pool_take(self.s, self.roots, self.root, sizeof(RootRecord), ROOT_LINK)
        cdef RootRecord* root = &self.root[r]
        root.off = anon_shift(self.s, v)
        root.mm = self.s.area[v].mm
        root.area = v
        root.group = r
        root.next = r
        root.holders = 0
        root.detached = 0
        self.lazy[v].own = r
        self.hold(v, r)
        self.s.area[v].rmap = LAZY_WORD | r

    cdef void share(self, vma_id v, vma_id giver) noexcept nogil:
        """v takes over pages of giver, at their distance; what they may name stays as long as v does."""
        cdef uint32_t r = self.lazy[giver].root
        cdef uint32_t one, other
        if r == 0 or self.root[r].off != anon_shift(self.s, v):
            return                             # mremap brings its pages, and rewrites them (page_moved)
        if self.lazy[v].root == 0:
            self.hold(v, r)
            return
        one = self.standing(self.lazy[v].root)
        other = self.standing(r)
        if one == other:
            return
        self.root[other].group = one
        self.root[one].holders += self.root[other].holders
        r = self.root[one].next
        self.root[one].next = self.root[other].next
        self.root[other].next = r

    cdef void lose(self, uint32_t r) noexcept nogil:
        self.root[r].mm = 0
        pool_give(self.s, self.roots, self.root, sizeof(RootRecord), ROOT_LINK, r)

    cdef void release(self, vma_id v) noexcept nogil:
        """v lets go of its root. The last of a group dissolves it: who has an area is alone then, who has none goes."""
        cdef uint32_t r = self.lazy[v].root
        cdef uint32_t first, next
        if r == 0:
            return
        self.lazy[v].root = 0
        first = self.standing(r)
        self.root[first].holders -= 1
        if self.root[first].holders:
            return
        r = self.root[first].next
        while True:
            next = self.root[r].next
            if self.root[r].area:
                self.root[r].group = r
                self.root[r].next = r
                self.root[r].holders = 0
            else:
                pool_give(self.s, self.detacheds, self.detached, sizeof(uint32_t), 0, self.root[r].detached)
                self.lose(r)
            if r == first:
                return
            r = next

    cdef void unlink(self, vma_id v) noexcept nogil:
        """v has no pages any more. A root that others hold goes on, without an area."""
        cdef uint32_t r
        self.release(v)
        r = self.lazy[v].own
        self.lazy[v].own = 0
        if r and self.root[self.standing(r)].holders:
            self.root[r].area = 0
            self.root[r].detached = pool_take(self.s, self.detacheds, self.detached, sizeof(uint32_t), 0)
            self.detached[self.root[r].detached] = r
        elif r:
            self.lose(r)
        if self.s.area[v].rmap & LAZY_WORD:
            self.s.area[v].rmap = 0
        AvTrees.unlink(self, v)
        self.lazy[v].inherited = 0

    cdef vma_id place(self, pfn_t pfn, vma_id* met) noexcept nogil:
        """The area in which a page that names a root lies, or 0; *met: that which has its address."""
        cdef Frame* f = &self.s.frame[pfn]
        cdef RootRecord* root = &self.root[f.rmap ^ LAZY_WORD]
        cdef vpn_t vpn = f.index + root.off
        cdef vma_id v = peek_vma(self.s, root.mm, vpn)
        met[0] = v if v and self.s.area[v].start <= vpn else 0
        return v if met[0] and anon_shift(self.s, v) == root.off else 0

    def of(self, word):
        return {"root": ("lazy_root", <uint32_t> word ^ LAZY_WORD)} if word & LAZY_WORD else AvTrees.of(self, word)

    def structure(self):
        cdef list rows = AvTrees.structure(self)
        cdef uint32_t r
        cdef vma_id v
        for r in sorted(records_shown(self.s, self.roots, self.root, sizeof(RootRecord), ROOT_LINK)):
            links = {"made for": ("area", self.root[r].area)} if self.root[r].area else {}
            links["address space"] = "mm", self.root[r].mm
            if self.root[r].next != r:
                links["group"] = "lazy_root", self.root[r].next
            rows.append(("lazy_root", r, {"distance": self.root[r].off}, links))
        for v in live_areas(self.s):
            if self.lazy[v].root:
                rows.append(("area", v, {}, {"holds": ("lazy_root", self.lazy[v].root)}))
        return rows

    def route(self, pfn):
        cdef uint32_t word = self.s.frame[pfn].rmap
        cdef vma_id met = 0
        if not word & LAZY_WORD:
            return AvTrees.route(self, pfn)
        self.place(<pfn_t> pfn, &met)
        word ^= LAZY_WORD
        return [("lazy_root", word), ("mm", self.root[word].mm)] + [("area", met)] * (met != 0)

    # invariants

    cdef uint32_t named(self, vma_id v) noexcept nogil:
        return 0 if self.s.area[v].rmap & LAZY_WORD else self.s.area[v].rmap

    cdef set ring(self, uint32_t r):
        """The group of a root; of one that is none what can be reached from it."""
        cdef set met = set()
        while 0 < r < self.s.pool[self.roots].bump and r not in met:
            met.add(r)
            r = self.root[r].next
        return met

    cdef set words(self, vma_id v, list names):
        return set(names) | {<uint32_t> LAZY_WORD | r for r in self.ring(self.lazy[v].root)}

    cdef set all_words(self, set live):
        return live | {<uint32_t> LAZY_WORD | r for r in range(1, self.s.pool[self.roots].bump) if self.root[r].mm}

    def check(self):
        """AC1 to AC10, where a page may also name a root of the group that its area holds one of. AL1 a LAZY area's word is the
        root that it holds; who is PARENT has an anon_vma; who holds a root is of its mm and distance. AL2 roots in use are
        counted, and have a mm; a group is one ring, stands by one root, and counts the areas that hold one of it; none: it is
        the root of an area, alone. AL3 a root and its area lead to each other, or its vm_area_struct counts as detached."""
        cdef list faults = []
        cdef State* s = self.s
        cdef set live = in_use(s, self.roots, self.root, sizeof(RootRecord), ROOT_LINK, "AL2", "root", faults)
        cdef set detached = in_use(s, self.detacheds, self.detached, sizeof(uint32_t), 0, "AL3", "detached area", faults)
        cdef dict holders = dict.fromkeys(live, 0)
        cdef mm_id mm = s.h.mm_first
        cdef vma_id v
        while mm:
            v = s.mm[mm].first
            while v:
                self.check_area(v, holders, faults)
                v = s.area[v].next
            mm = s.mm[mm].next
        for v in range(1, <vma_id> s.pool[P_AREAS].bump):
            if not s.area[v].alive and (self.lazy[v].root or self.lazy[v].own or self.lazy[v].inherited):
                fault(faults, "AL1", 0, 0, 0, "area {0}, which is gone, has a root", v)
        self.check_roots(live, detached, holders, faults)
        return faults + AvTrees.check(self)

    cdef int check_area(self, vma_id v, dict holders, list faults) except -1:
        """AL1, and AL3 from the area's side."""
        cdef LazyArea* lazy = &self.lazy[v]
        cdef uint32_t word = self.s.area[v].rmap
        cdef RootRecord* root
        if (word & LAZY_WORD and word != LAZY_WORD | lazy.root) or (lazy.inherited and not self.named(v)):
            area_fault(self.s, faults, "AL1", v, f"word {word:#x}, root {lazy.root}, inherited {lazy.inherited}")
        if lazy.own and (lazy.own not in holders or self.root[lazy.own].area != v):
            area_fault(self.s, faults, "AL3", v, "root {0} is not made of it", lazy.own)
        if lazy.root and lazy.root not in holders:
            area_fault(self.s, faults, "AL1", v, "holds root {0}, which is not in use", lazy.root)
        elif lazy.root:
            root = &self.root[lazy.root]
            holders[lazy.root] += 1
            if root.mm != self.s.area[v].mm or root.off != anon_shift(self.s, v):
                area_fault(self.s, faults, "AL1", v, f"holds root {lazy.root} of mm {root.mm} with distance {root.off}")
        return 0

    cdef int check_roots(self, set live, set detached, dict holders, list faults) except -1:
        """AL2 and AL3, once all holders are known."""
        cdef RootRecord* root
        cdef uint32_t r, up
        cdef set seen = set()
        for r in live:
            root = &self.root[r]
            up = root.group
            if root.mm == 0 or up not in live or root.next not in live:
                fault(faults, "AL2", 0, 0, 0, f"root {r}: mm {root.mm}, group {up}, next {root.next}")
            if root.area == 0:
                if root.detached not in detached or self.detached[root.detached] != r:
                    fault(faults, "AL3", 0, 0, 0, "root {0} has no area, and no detached one", r)
                detached.discard(root.detached)
            elif root.area >= self.s.pool[P_AREAS].bump or self.lazy[root.area].own != r or not self.s.area[root.area].alive:
                fault(faults, "AL3", 0, 0, 0, "root {0} is not that of area {1}", r, root.area)
            if up == r:
                self.check_group(r, holders, seen, faults)
        for r in live - seen:
            fault(faults, "AL2", 0, 0, 0, "root {0} is in no group", r)
        for r in detached:
            fault(faults, "AL3", 0, 0, 0, "detached area {0} is of no root without an area", r)
        return 0

    cdef int check_group(self, uint32_t first, dict holders, set seen, list faults) except -1:
        """AL2 for the group for which a root stands; its members are added to seen."""
        cdef set met = self.ring(first)
        cdef uint32_t r, up
        cdef uint64_t found = 0
        cdef uint64_t steps
        for r in met:
            found += holders.get(r, 0)
            up = r
            steps = 0
            while up != first and up in met and steps <= len(met):
                up = self.root[up].group
                steps += 1
            if up != first or r in seen or self.root[r].off != self.root[first].off or self.root[r].mm != self.root[first].mm:
                fault(faults, "AL2", 0, 0, 0, "root {0} is not of the group of {1}", r, first)
        seen |= met
        if found != self.root[first].holders or (found == 0 and (len(met) > 1 or self.root[first].area == 0)):
            fault(faults, "AL2", 0, 0, 0, f"group of root {first}: {self.root[first].holders} holders counted, {found} found")
        return 0
