"""The hooks of pte_chain, one piece for both sides: 2.5.35 to 2.6.6 [2.6.6 mm/rmap.c; docs/facts/pte-chain.md; rule G1].

Each frame stores the addresses of its page-table entries: one in the frame itself, more in a chain of blocks. A walk is
exact: every candidate is a hit, and areas play no part, so no hook for areas or address spaces is here. The price is
paid where entries come and go: fork, exit, exec and mremap touch the frame and its chain for every page.

The page table's own record gives mm and page of an entry, as 2.6.6 keeps them in the page of the table. The walk takes
the chain's bit lock once and, in page_referenced, no page-table lock. frame.index is not used.

   walk fields   a block the walk is in (0: none, direct)   b slot in it   c next block   d candidates   e direct entry

Costs: pages_* O(entries) adds of O(1), removes of O(mapcount); walk O(mapcount).
"""
from libc.stdint cimport uint32_t, uint64_t

from rmapcore.pyx.base.counters cimport C_LOCK_CHAIN, C_LOCK_CHAIN_HELD, C_NODES_VISITED, C_RMAP_MOVES, tally
from rmapcore.pyx.base.ids cimport pfn_t, slot_t, vma_id, vpn_t
from rmapcore.pyx.base.records cimport P_FRAMES, PG_DIRECT, Frame
from rmapcore.pyx.base.state cimport State
from rmapcore.pyx.base.x86 cimport fetch_ahead, pte_get, pte_pfn
from rmapcore.pyx.machine.core cimport Core
from rmapcore.pyx.machine.pagetable cimport slot_mm, slot_vpn
from rmapcore.pyx.parts.chains cimport (
    CHAIN_IDX, CHAIN_IDX_BITS, Chains, chain_add, chain_add_range, chain_block, chain_collapse, chain_next, chain_ours,
    chain_remove, chain_remove_range, chain_unmapped,
)
from rmapcore.pyx.seam.scheme cimport HIT_UNMAPPED, WALK_REFERENCED, Lead, Outcome, Scheme, Walk

from rmapcore.pyx.parts.chains import chain_options


cdef class ChainSide(Scheme):
    """Base of both sides. A subclass sets `ours` when it is made, and says in attach that the chains are in use."""

    def __init__(self, **options):
        Scheme.__init__(self, **options)
        self.name = "pte_chain"
        self.line, self.highpte = chain_options(self.name, options)
        self.table_locks = False
        self.keeps_places = True

    def attach(self, Core core):
        Scheme.attach(self, core)
        self.chains = Chains.of(core, self.line, self.highpte)
        self.c = &self.chains.c
        self.s.high_tables = self.s.high_tables or self.highpte
        self.entry_pool = self.chains.pool

    def census(self):
        return {self.chains.name: (self.chains.pool, self.chains.line)}

    def check(self):
        return self.chains.violations(self.s, self.ours)

    def structure(self):
        """Each frame's entries: one, or the blocks of its chain."""
        cdef list rows = []
        cdef uint32_t pfn, block, next
        for pfn in range(1, <uint32_t> self.s.pool[P_FRAMES].bump):
            if not chain_ours(self.s, pfn, self.ours) or self.s.frame[pfn].rmap == 0:
                continue
            block = self.s.frame[pfn].rmap
            if self.s.frame[pfn].flags & PG_DIRECT:
                rows.append(("frame", pfn, {}, {"entry": ("entry", block)}))
                continue
            rows.append(("frame", pfn, {}, {"chain": ("pte_chain", block)}))
            while block:
                next = chain_block(self.c, block)[0] >> CHAIN_IDX_BITS
                links = {"entries": self.entries_of(block)} | ({"next": ("pte_chain", next)} if next else {})
                rows.append(("pte_chain", block, {"free": chain_block(self.c, block)[0] & CHAIN_IDX}, links))
                block = next
        return rows

    cdef list entries_of(self, uint32_t block):
        """The entries in a block, in the order of a walk."""
        cdef uint32_t* p = chain_block(self.c, block)
        cdef uint32_t i
        return [("entry", p[1 + i]) for i in range(p[0] & CHAIN_IDX, self.c.n)]

    def route(self, pfn):
        cdef uint32_t block = self.s.frame[pfn].rmap
        cdef list met = []
        if self.s.frame[pfn].flags & PG_DIRECT:
            return [("entry", block)]
        while block:
            met += [("pte_chain", block), *self.entries_of(block)]
            block = chain_block(self.c, block)[0] >> CHAIN_IDX_BITS
        return met

    cdef void pages_first(self, vma_id v, const vpn_t* vpn, const slot_t* slot, uint32_t n) noexcept nogil:
        cdef uint32_t i
        for i in range(n):
            chain_add(self.s, self.c, pte_pfn(self.s, pte_get(self.s, slot[i])), slot[i])

    cdef void pages_mapped(self, vma_id v, vpn_t vpn, slot_t slot, uint32_t n) noexcept nogil:
        chain_add_range(self.s, self.c, slot, n, self.ours)

    cdef void pages_forked(self, vma_id child, vpn_t vpn, slot_t slot, uint32_t n) noexcept nogil:
        chain_add_range(self.s, self.c, slot, n, self.ours)

    cdef void pages_unmapping(self, vma_id v, vpn_t vpn, slot_t slot, uint32_t n) noexcept nogil:
        chain_remove_range(self.s, self.c, slot, n, self.ours)

    cdef void page_moved(self, pfn_t pfn, vma_id v, vpn_t vpn, slot_t old, slot_t new) noexcept nogil:
        """mremap: out at the old entry, in at the new one, under the lock twice [2.6.6 mm/mremap.c]."""
        if not chain_ours(self.s, pfn, self.ours):
            return
        tally(self.s, C_RMAP_MOVES, 1)
        chain_remove(self.s, self.c, pfn, old)
        chain_add(self.s, self.c, pfn, new)

    cdef void walk_begin(self, Walk* w) noexcept nogil:
        cdef Frame* f = &self.s.frame[w.pfn]
        cdef bint direct = f.flags & PG_DIRECT != 0
        w.a = 0
        w.b = self.c.n - 1
        w.c = 0 if direct else f.rmap
        w.d = 0
        w.e = f.rmap if direct else 0
        if f.rmap:
            tally(self.s, C_LOCK_CHAIN, 1)

    cdef bint walk_next(self, Walk* w) noexcept nogil:
        cdef slot_t slot = <slot_t> w.e
        cdef uint32_t block = w.a
        if slot:
            w.e = 0
        else:
            slot = chain_next(self.c, &w.a, &w.b, &w.c)
            if slot == 0:
                return False
            if w.a != block:
                tally(self.s, C_NODES_VISITED, 1)
        w.d += 1
        w.slot = slot
        w.mm = slot_mm(self.s, slot)
        w.vpn = slot_vpn(self.s, slot)
        w.vma = 0
        return True

    cdef void walk_hit(self, Walk* w, Outcome outcome) noexcept nogil:
        if outcome == HIT_UNMAPPED:
            chain_unmapped(self.s, self.c, w.pfn, w.a, w.b)

    cdef void walk_end(self, Walk* w, bint complete) noexcept nogil:
        """page_referenced that met one entry in a chain makes it direct: the only place where chains collapse."""
        tally(self.s, C_LOCK_CHAIN_HELD, w.d)
        if w.purpose == WALK_REFERENCED and w.d == 1 and w.a:
            chain_collapse(self.s, self.c, w.pfn)

    cdef void lead(self, Lead* leads, uint32_t n) noexcept nogil:
        """A frame's only entry. One in a chain of its own would become direct at the end of page_referenced: no lead."""
        cdef State* s = self.s
        cdef uint32_t i
        for i in range(n):
            if leads[i].pfn == 0:
                continue
            if s.frame[leads[i].pfn].flags & PG_DIRECT:
                leads[i].slot = s.frame[leads[i].pfn].rmap
                leads[i].mm = slot_mm(s, leads[i].slot)
                leads[i].vpn = slot_vpn(s, leads[i].slot)
                leads[i].vma = 0
                leads[i].tried = 1
            else:
                fetch_ahead(chain_block(self.c, s.frame[leads[i].pfn].rmap))

    cdef void leads_walked(self, uint64_t walks, uint64_t tried) noexcept nogil:
        tally(self.s, C_LOCK_CHAIN, walks)
        tally(self.s, C_LOCK_CHAIN_HELD, tried)

    cdef void leads_unmapped(self, Lead* leads, uint32_t n) noexcept nogil:
        cdef uint32_t i
        for i in range(n):
            self.s.frame[leads[i].pfn].rmap = 0
            self.s.frame[leads[i].pfn].flags &= ~<uint32_t> PG_DIRECT
