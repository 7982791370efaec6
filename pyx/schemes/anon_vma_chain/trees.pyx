"""Chains of anon_vmas as from 3.7 on: an anon_vma keeps its avcs in an interval tree, by their areas' page offsets.

A walk asks the tree for the areas that hold the page's index, so pieces of an area that lie elsewhere cost nothing; they
come in order of their first index, equal ones in the order in which they came in (so parents before children). The price:
whatever changes an area's bounds takes all its avcs out of their trees before, and puts them in again after.

An area whose offsets wrap around (a stack that grew below index 0; later kernels refuse that, rules of 2.6.7 do not) is
kept as one that holds every index: the address decides.

One lock, in the root, for all that is done to one chain. Costs: what chains says, times O(log n) for n areas in a tree; walk
O(log n + m) for m areas that hold the index. In the kernel: 32 or 64 bytes an avc.
"""
from libc.stdint cimport uint32_t, uint64_t

from rmapcore.pyx.base.counters cimport C_LOCK_ANON_VMA, C_LOCK_ANON_VMA_HELD, C_NODES_VISITED, C_VMAS_TRIED, tally
from rmapcore.pyx.base.ids cimport pfn_t, vma_id, vpn_t
from rmapcore.pyx.base.records cimport P_AREAS, Area, Frame
from rmapcore.pyx.base.state cimport State
from rmapcore.pyx.machine.core cimport Core
from rmapcore.pyx.machine.vmas cimport anon_index, anon_shift, area_pages
from rmapcore.pyx.parts.checks cimport fault
from rmapcore.pyx.parts.intervaltree cimport (
    IntervalNode, interval_first, interval_insert, interval_next, interval_remove, interval_survey,
)
from rmapcore.pyx.parts.leads cimport lead_as_before, lead_to
from rmapcore.pyx.parts.trail cimport LONGEST_TRAIL, Noted, Trail, begin_trail, is_on_trail, leave_trail, note_next
from rmapcore.pyx.schemes.anon_vma_chain.chains cimport AvChains, ChainedRecord
from rmapcore.pyx.schemes.anon_vma_chain.shown cimport ShownChains
from rmapcore.pyx.schemes.anon_vma_chain.trees cimport AvTrees
from rmapcore.pyx.seam.scheme cimport Lead, Walk

from rmapcore.pyx.parts.intervaltree import INTERVAL_NODE

cdef enum:                    # of a walk
    BEGUN = 0
    ON_TRAIL = 1
    IN_TREE = 2


cdef class AvTrees(ShownChains):
    """What they do; a subclass names itself before it calls __init__. No options."""

    def attach(self, Core core):
        AvChains.attach(self, core)
        most = self.s.pool[self.avcs].capacity
        self.node = <IntervalNode*> <size_t> core.new_arena("avc_nodes", INTERVAL_NODE, most, self.avcs)

    cdef void enter(self, uint32_t c, bint founder) noexcept nogil:
        cdef Area* a = &self.s.area[self.avc[c].vma]
        cdef IntervalNode* n = &self.node[c]
        n.start = anon_index(self.s, self.avc[c].vma, a.start)
        n.last = n.start + (a.end - a.start - 1)
        if n.last < n.start:
            n.start = 0
            n.last = ~<uint64_t> 0
        leave_trail(&self.trail, self.avc[c].anon_vma)
        interval_insert(self.node, &self.anon_vma[self.avc[c].anon_vma].first, c)

    cdef void leave(self, uint32_t c) noexcept nogil:
        leave_trail(&self.trail, self.avc[c].anon_vma)
        interval_remove(self.node, &self.anon_vma[self.avc[c].anon_vma].first, c)

    cdef void area_before(self, vma_id v) noexcept nogil:
        cdef uint32_t c = self.chain[v].newest
        AvChains.area_before(self, v)
        while c:
            self.leave(c)
            c = self.avc[c].older

    cdef void area_after(self, vma_id v) noexcept nogil:
        cdef uint32_t c = self.chain[v].newest
        AvChains.area_after(self, v)
        while c:
            # one that did not leave, as area_before was kept from this scheme, would enter twice, and its tree go in circles
            if self.node[c].parent == 0 and self.anon_vma[self.avc[c].anon_vma].first != c:
                self.enter(c, False)
            c = self.avc[c].older

    # walks: b = BEGUN or ON_TRAIL, then ON_TRAIL or IN_TREE
    #    begun, on the trail: a = nodes given, d = the trail's number, e = 1 once there was no more
    #    in the tree: a = the avc given last, d = areas looked at, e = nodes entered

    cdef void walk_begin(self, Walk* w) noexcept nogil:
        cdef Trail* t = &self.trail
        cdef Frame* f = &self.s.frame[w.pfn]
        tally(self.s, C_LOCK_ANON_VMA, 1)
        w.b = ON_TRAIL if is_on_trail(t, f.rmap, f.index) else BEGUN
        w.a = 0
        w.d = t.number
        w.e = 0

    cdef bint walk_next(self, Walk* w) noexcept nogil:
        """The next area that holds the page's index."""
        cdef Trail* t = &self.trail
        cdef vma_id v
        cdef Area* a
        cdef vpn_t vpn
        if w.b == ON_TRAIL and w.d == t.number and w.a < t.n:
            v = self.avc[t.noted[w.a].node].vma
            a = &self.s.area[v]
            vpn = self.s.frame[w.pfn].index + anon_shift(self.s, v)
            if a.start <= vpn < a.end:
                w.a += 1
                w.vma = v
                w.mm = a.mm
                w.vpn = vpn
                w.slot = 0
                return True
        return self.walk_on(w)

    cdef bint walk_on(self, Walk* w) noexcept nogil:
        """The same where nothing is noted, or no more."""
        cdef Trail* t = &self.trail
        cdef Frame* f = &self.s.frame[w.pfn]
        if w.b == BEGUN:
            begin_trail(t, f.rmap)
            w.b = ON_TRAIL
            w.d = t.number
        if w.b == ON_TRAIL:
            if w.d == t.number and w.a == t.n and t.n < LONGEST_TRAIL:
                w.e = t.whole or note_next(t, self.node, self.anon_vma[f.rmap].first, f.index) == 0
                w.d = t.number                 # which noting may have changed
                return w.e == 0 and self.walk_next(w)
            self.walk_astray(w)
        return self.walk_tree(w)

    cdef void walk_astray(self, Walk* w) noexcept nogil:
        """A walk that was on the trail goes on in the tree, from the same node, with its counts."""
        cdef uint32_t again = w.a + <uint32_t> w.e
        cdef Noted* last
        if w.d == self.trail.number and w.a:
            last = &self.trail.noted[w.a - 1]
            w.b = IN_TREE
            w.d = w.a
            w.e = last.entered
            w.a = last.node
            return
        w.b = BEGUN
        w.d = 0
        w.e = 0
        while again:
            again -= 1
            self.walk_tree(w)

    cdef bint walk_tree(self, Walk* w) noexcept nogil:
        cdef Frame* f = &self.s.frame[w.pfn]
        cdef uint32_t c
        cdef Area* a
        cdef vpn_t vpn
        if w.b == IN_TREE:
            c = interval_next(self.node, w.a, f.index, f.index, &w.e, NULL)
        else:
            c = interval_first(self.node, self.anon_vma[f.rmap].first, f.index, f.index, &w.e, NULL)
            w.b = IN_TREE
        while c:
            w.d += 1
            a = &self.s.area[self.avc[c].vma]
            vpn = f.index + anon_shift(self.s, self.avc[c].vma)
            if a.start <= vpn < a.end:         # of no area whose offsets wrap around need it be so
                w.a = c
                w.vma = self.avc[c].vma
                w.mm = a.mm
                w.vpn = vpn
                w.slot = 0
                return True
            c = interval_next(self.node, c, f.index, f.index, &w.e, NULL)
        return False

    cdef void walk_end(self, Walk* w, bint complete) noexcept nogil:
        cdef Trail* t = &self.trail
        cdef uint64_t looked, entered
        if w.b == ON_TRAIL and w.d != t.number:
            self.walk_astray(w)
        if w.b == IN_TREE:
            looked, entered = w.d, w.e
        else:
            looked = w.a
            entered = t.entered if w.e else t.noted[w.a - 1].entered if w.a else 0
        tally(self.s, C_VMAS_TRIED, looked)
        tally(self.s, C_LOCK_ANON_VMA_HELD, looked)
        tally(self.s, C_NODES_VISITED, entered)

    cdef uint32_t lock_of_area(self, vma_id v) noexcept nogil:
        return self.anon_vma[self.s.area[v].rmap].root

    cdef uint32_t lock_of_frame(self, pfn_t pfn) noexcept nogil:
        return self.anon_vma[self.s.frame[pfn].rmap].root

    cdef void lead(self, Lead* leads, uint32_t n) noexcept nogil:
        """The first area of each: no walk changes a tree. `tried`: nodes entered; areas looked at are one."""
        cdef State* s = self.s
        cdef Area* area = s.area
        cdef uint64_t* shift = s.anon_shift
        cdef Frame* f
        cdef Area* a
        cdef vpn_t vpn
        cdef uint64_t entered
        cdef uint32_t c, i
        cdef uint32_t word = 0                 # of the page before, whose tree is one node, which had it: of this area
        cdef vma_id only = 0
        for i in range(n):
            if leads[i].pfn == 0:
                continue
            f = &s.frame[leads[i].pfn]
            if lead_as_before(&leads[i], f, word, only, area, shift):
                continue
            entered = 0
            c = interval_first(self.node, self.anon_vma[f.rmap].first, f.index, f.index, &entered, NULL)
            if c == 0:
                continue
            a = &s.area[self.avc[c].vma]
            vpn = f.index + anon_shift(s, self.avc[c].vma)
            if a.start <= vpn < a.end:
                lead_to(&leads[i], a.mm, self.avc[c].vma, vpn, <uint32_t> entered)
                if entered == 1 and self.node[c].child[0] == 0 and self.node[c].child[1] == 0:
                    word = f.rmap
                    only = leads[i].vma

    cdef void leads_walked(self, uint64_t walks, uint64_t tried) noexcept nogil:
        tally(self.s, C_LOCK_ANON_VMA, walks)
        tally(self.s, C_VMAS_TRIED, walks)
        tally(self.s, C_LOCK_ANON_VMA_HELD, walks)
        tally(self.s, C_NODES_VISITED, tried)

    cdef bint asked(self, uint32_t c, uint64_t index) noexcept nogil:
        return self.node[c].start <= index <= self.node[c].last

    cdef list survey(self, uint32_t o, list faults):
        cdef uint32_t c
        cdef uint64_t start, last
        cdef Area* a
        order, wrong = interval_survey(self.node, self.anon_vma[o].first, self.s.pool[self.avcs].bump)
        for kind, c, text in wrong:
            fault(faults, "AC3", 0, 0, 0, f"anon_vma {o}: avc {c}: {text} ({kind})")
        for c in order:
            if self.avc[c].vma >= self.s.pool[P_AREAS].bump:
                fault(faults, "AC3", 0, 0, 0, f"anon_vma {o}: avc {c}: its area is {self.avc[c].vma}")
                continue
            a = &self.s.area[self.avc[c].vma]
            start = anon_index(self.s, self.avc[c].vma, a.start)
            last = start + area_pages(self.s, self.avc[c].vma) - 1
            if last < start:
                start = 0
                last = ~<uint64_t> 0
            if self.node[c].start != start or self.node[c].last != last:
                text = f"holds {self.node[c].start} to {self.node[c].last}, its area {start} to {last}"
                fault(faults, "AC3", 0, 0, 0, f"anon_vma {o}: avc {c}: {text}")
        return order


# 3.19 to 5.19, anon_vma_chain_degree: one count to know an anon_vma that may be reused.
#
# Where each parent of a long line of forks exits, chains grew without end. So a child takes over, instead of a new anon_vma,
# the oldest of its chain whose `degree` (its users, and its children; a root counts itself) is below 2, except its parent's
# own. That was to mean: no user and one child. But it also holds for an anon_vma with one user and no child left, and for one
# that has neither, which the areas of one process may then take one after the other, while their chains differ:
#
#    Y1 [z1, b, ..] and Y2 [z2, b, ..], both call b their own     merged, they keep one chain: pages of the other are lost
#
# That is the defect of this scheme, as it was (found and fixed by Jann Horn, 2555283eb40d, 6.0-rc4).
#
# What may merge (3.0 to 6.15): equal anon_vmas; or one side has none and the *neighbour's* chain has one avc. An area without
# anonymous pages has an empty chain, not one of one, so it never takes in pages; nor does a forked area take in a fresh range.
# prev and next of a range that joins both: equal, or one has none, whatever their chains.
# In the kernel: 44 or 72 bytes an anon_vma (5.x: 48 or 80).


cdef class AnonVmaChainDegree(AvTrees):
    """anon_vma_chain of 3.19, with its fault. No options."""

    def __init__(self, **options):
        self.name = "anon_vma_chain_degree"
        AvTrees.__init__(self, **options)
        self.era = "3.19"
        self.alike = False

    def sizes(self):
        return {"anon_vma": 72, "anon_vma_chain": 64} if self.word == 8 else {"anon_vma": 44, "anon_vma_chain": 32}

    cdef bint reusable(self, uint32_t o, vma_id parent) noexcept nogil:
        cdef ChainedRecord* r = &self.anon_vma[o]
        return o != self.s.area[parent].rmap and r.children + r.users < 2

    cdef bint compatible(self, vma_id v, vma_id source) noexcept nogil:
        cdef Area* a = self.s.area
        cdef uint32_t theirs = a[source].rmap if source else 0
        if a[v].rmap == theirs:
            return True
        return (a[v].rmap == 0 or theirs == 0) and self.singular(v)


# 6.0 to 6.19, anon_vma_chain: children and users of an anon_vma are counted apart.
#
# A child takes over, instead of a new anon_vma, the oldest of its chain that no area calls its own and that has at most one
# child: that of an ancestor which has gone. So chains of a daemon that forks and exits stay short.
#
#    P exits ╳    A1: no user, one child (A2)      V3, forked from V2, takes A1 for its own
#       V1 ──── V2 ──── V3                         pages of V3 are looked for in V2 and V3
#    Two counts, because one (anon_vma_chain_degree) took a user for a child (2555283eb40d, 6.0-rc4).
#
# What may merge (6.16 on, 879bca0a2c4f): equal anon_vmas; or one side has none and the other has not inherited from a parent
# (its chain has one anon_vma). The side that has none gets the other's. Also where mremap moves: the source is asked.
# In the kernel: 52 or 104 bytes an anon_vma (96, and the 8 of the allocator's free pointer, as /proc/slabinfo of 6.18 shows;
# i386 without it: UNVERIFIED).


cdef class AnonVmaChain(AvTrees):
    """anon_vma_chain of today. No options."""

    def __init__(self, **options):
        self.name = "anon_vma_chain"
        AvTrees.__init__(self, **options)
        self.era = "6.18"

    def attach(self, Core core):
        AvTrees.attach(self, core)
        self.newest_first = self.s.copied_from != 0

    def sizes(self):
        return {"anon_vma": 104, "anon_vma_chain": 64} if self.word == 8 else {"anon_vma": 52, "anon_vma_chain": 32}

    cdef bint reusable(self, uint32_t o, vma_id parent) noexcept nogil:
        cdef ChainedRecord* r = &self.anon_vma[o]
        return r.children < 2 and r.users == 0

    cdef bint inherited(self, vma_id v) noexcept nogil:
        """Has it anonymous pages, and maybe an ancestor's among them? (vma_is_fork_child)"""
        return self.s.area[v].rmap != 0 and not self.singular(v)

    cdef bint compatible(self, vma_id v, vma_id source) noexcept nogil:
        cdef Area* a = self.s.area
        cdef uint32_t theirs = a[source].rmap if source else 0
        if a[v].rmap == theirs:
            return True
        if a[v].rmap and theirs:
            return False
        return not self.inherited(v if theirs == 0 else source)
