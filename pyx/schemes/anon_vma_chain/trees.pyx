"""Chains of anon_vmas as from 3.7 on: an anon_vma keeps its avcs in an interval tree, by their areas' page offsets.

A walk asks the tree for the areas that hold the page's index, so pieces of an area that lie elsewhere cost nothing; they
come in order of their first index, equal ones in the order in which they came in (so parents before children). The price:
whatever changes an area's bounds takes all its avcs out of their trees before, and puts them in again after.

An area whose offsets wrap around (a stack that grew below index 0; later kernels refuse that, rules of 2.6.7 do not) is
kept as one that holds every index: the address decides.

One lock, in the root, for all that is done to one chain. Costs: what avchains says, times O(log n) for n areas in a tree; walk
O(log n + m) for m areas that hold the index. In the kernel: 32 or 64 bytes an avc.
"""
from libc.stdint cimport uint32_t, uint64_t

from rmapcore.pyx.base.counters cimport C_LOCK_ANON_VMA, C_LOCK_ANON_VMA_HELD, C_NODES_VISITED, C_VMAS_TRIED, tally
from rmapcore.pyx.base.ids cimport vma_id, vpn_t
from rmapcore.pyx.base.records cimport Area, Frame
from rmapcore.pyx.base.state cimport State
from rmapcore.pyx.machine.core cimport Core
from rmapcore.pyx.machine.vmas cimport area_pages
from rmapcore.pyx.parts.intervaltree cimport (
    IntervalNode, interval_first, interval_insert, interval_next, interval_remove, interval_survey,
)
from rmapcore.pyx.schemes.anon_vma_chain.chains cimport AvChains
from rmapcore.pyx.seam.scheme cimport Lead, Walk

from rmapcore.pyx.parts.intervaltree import INTERVAL_NODE


cdef class AvTrees(AvChains):
    """Base of the schemes; a subclass names itself before it calls __init__. No options."""

    def attach(self, Core core):
        AvChains.attach(self, core)
        most = self.s.pool[self.avcs].capacity
        self.node = <IntervalNode*> <size_t> core.new_arena("avc_nodes", INTERVAL_NODE, most, self.avcs)

    cdef void enter(self, uint32_t c, bint founder) noexcept nogil:
        cdef Area* a = &self.s.area[self.avc[c].vma]
        cdef IntervalNode* n = &self.node[c]
        n.start = a.pgoff
        n.last = a.pgoff + (a.end - a.start - 1)
        if n.last < n.start:
            n.start = 0
            n.last = ~<uint64_t> 0
        interval_insert(self.node, &self.anon_vma[self.avc[c].anon_vma].first, c)

    cdef void leave(self, uint32_t c) noexcept nogil:
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
            self.enter(c, False)
            c = self.avc[c].older

    # walks: a = the avc given last, b = 1 once begun, d = areas looked at, e = nodes entered

    cdef void walk_begin(self, Walk* w) noexcept nogil:
        tally(self.s, C_LOCK_ANON_VMA, 1)
        w.b = 0
        w.d = 0
        w.e = 0

    cdef bint walk_next(self, Walk* w) noexcept nogil:
        """The next area that holds the page's index."""
        cdef Frame* f = &self.s.frame[w.pfn]
        cdef uint32_t c
        cdef Area* a
        cdef vpn_t vpn
        if w.b:
            c = interval_next(self.node, w.a, f.index, f.index, &w.e)
        else:
            c = interval_first(self.node, self.anon_vma[f.rmap].first, f.index, f.index, &w.e)
            w.b = 1
        while c:
            w.d += 1
            a = &self.s.area[self.avc[c].vma]
            vpn = a.start + (f.index - a.pgoff)
            if a.start <= vpn < a.end:         # of no area whose offsets wrap around need it be so
                w.a = c
                w.vma = self.avc[c].vma
                w.mm = a.mm
                w.vpn = vpn
                w.slot = 0
                return True
            c = interval_next(self.node, c, f.index, f.index, &w.e)
        return False

    cdef void walk_end(self, Walk* w, bint complete) noexcept nogil:
        tally(self.s, C_VMAS_TRIED, w.d)
        tally(self.s, C_LOCK_ANON_VMA_HELD, w.d)
        tally(self.s, C_NODES_VISITED, w.e)

    cdef void lead(self, Lead* leads, uint32_t n) noexcept nogil:
        """The first area of each: no walk changes a tree. `tried`: nodes entered; areas looked at are one."""
        cdef State* s = self.s
        cdef Frame* f
        cdef Area* a
        cdef vpn_t vpn
        cdef uint64_t entered
        cdef uint32_t c, i
        for i in range(n):
            if leads[i].pfn == 0:
                continue
            f = &s.frame[leads[i].pfn]
            entered = 0
            c = interval_first(self.node, self.anon_vma[f.rmap].first, f.index, f.index, &entered)
            if c == 0:
                continue
            a = &s.area[self.avc[c].vma]
            vpn = a.start + (f.index - a.pgoff)
            if a.start <= vpn < a.end:
                leads[i].mm = a.mm
                leads[i].vma = self.avc[c].vma
                leads[i].slot = 0
                leads[i].vpn = vpn
                leads[i].tried = <uint32_t> entered

    cdef void leads_walked(self, uint64_t walks, uint64_t tried) noexcept nogil:
        tally(self.s, C_LOCK_ANON_VMA, walks)
        tally(self.s, C_VMAS_TRIED, walks)
        tally(self.s, C_LOCK_ANON_VMA_HELD, walks)
        tally(self.s, C_NODES_VISITED, tried)

    def survey(self, uint32_t o):
        cdef uint32_t c
        cdef Area* a
        order, faults = interval_survey(self.node, self.anon_vma[o].first, self.s.pool[self.avcs].bump)
        texts = [f"avc {c}: {text} ({kind})" for kind, c, text in faults]
        for c in order:
            a = &self.s.area[self.avc[c].vma]
            pages = area_pages(self.s, self.avc[c].vma)
            span = (a.pgoff, a.pgoff + pages - 1) if a.pgoff + pages <= 1 << 64 else (0, (1 << 64) - 1)
            if (self.node[c].start, self.node[c].last) != span:
                texts.append(f"avc {c}: holds {self.node[c].start} to {self.node[c].last}, its area {span[0]} to {span[1]}")
        return order, texts
