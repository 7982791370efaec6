"""rmap_chain: anonmm with chains of addresses, never merged [docs/facts/rmap-chain.md].

A page is looked for in the address spaces of its fork group (forkgroup) at its own address, and at those of its chain
(addrchains): where it was moved while others mapped it, or swapped in at another place. So mremap and swap-in never copy.

   page_first          names the mapper's anonmm, index = address        mapped elsewhere, moved: address to the chain
   moved, alone        index = the new address, if it has no chain       reused after copy-on-write: names the writer's
                                                                         anonmm, index and chain stay
   last unmap          the chain goes                                    fork: nothing but the count

The price: addresses that hold nothing any more stay until the page is unmapped everywhere, so that moving a shared page
again and again makes the walk of it longer and longer. A walk counts mms_tried once for each address space and ptes_tried
once for each address in it; nodes_visited counts blocks entered. A page is not passed on from a dead anonmm.

Costs: walk O(address spaces x addresses). In the kernel: as anonmm; the page has a union of 4 or 8 bytes (count or chain).
"""
from libc.stdint cimport uint32_t, uint64_t

from rmapcore.pyx.base.counters cimport C_LOCK_ANONMM_HELD, C_MMS_TRIED, C_NODES_VISITED, C_RMAP_MOVES, tally
from rmapcore.pyx.base.ids cimport PAGE_SHIFT, mm_id, pfn_t, slot_t, vma_id, vpn_t
from rmapcore.pyx.base.records cimport PG_ANON, Frame
from rmapcore.pyx.base.state cimport State
from rmapcore.pyx.base.x86 cimport pte_get, pte_pfn, pte_present
from rmapcore.pyx.machine.core cimport Core
from rmapcore.pyx.parts.addrchains cimport (
    AddressChains, AddressPool, addresses_add, addresses_drop, addresses_hold, addresses_next,
)
from rmapcore.pyx.parts.forkgroup cimport AnonmmRecord, ForkGroup
from rmapcore.pyx.seam.scheme cimport Lead, Outcome, Walk


cdef class RmapChain(ForkGroup):
    """Hugh Dickins' scheme of 2003. No options."""

    cdef AddressChains chains
    cdef AddressPool* c

    def __init__(self, **options):
        self.name = "rmap_chain"
        ForkGroup.__init__(self, **options)
        self.era = "2.6.0"
        self.wants_entries = True

    def attach(self, Core core):
        ForkGroup.attach(self, core)
        self.chains = AddressChains.of(core)
        self.c = &self.chains.c
        self.entry_pool = self.chains.pool

    def census(self):
        return {**ForkGroup.census(self), "rmap_chain": (self.chains.pool, self.chains.bytes)}

    def overhead(self):
        return {"page": self.word, "mm": self.word}

    # pages

    cdef void page_last(self, pfn_t pfn) noexcept nogil:
        addresses_drop(self.s, self.c, pfn)
        ForkGroup.page_last(self, pfn)

    cdef void page_reused(self, pfn_t pfn, vma_id v, vpn_t vpn) noexcept nogil:
        """page_turn_rmap: the page names the anonmm of who writes it."""
        cdef uint32_t old = self.s.frame[pfn].rmap
        cdef uint32_t new = self.s.mm[self.s.area[v].mm].rmap
        if new != old:
            self.s.frame[pfn].rmap = new
            self.anonmm[new].count += 1
            self.put(old)

    cdef void pages_mapped(self, vma_id v, vpn_t vpn, slot_t slot, uint32_t n) noexcept nogil:
        """page_add_rmap: a mapping elsewhere than at the index is chained."""
        cdef State* s = self.s
        cdef uint64_t entry
        cdef uint32_t i
        cdef pfn_t pfn
        for i in range(n):
            entry = pte_get(s, slot + i)
            pfn = pte_pfn(s, entry)
            if pte_present(entry) and pfn and s.frame[pfn].flags & PG_ANON:
                if s.frame[pfn].index != (vpn + i) << PAGE_SHIFT:
                    addresses_add(s, self.c, pfn, vpn + i)

    cdef bint may_move(self, pfn_t pfn, vpn_t vpn) noexcept nogil:
        return True

    cdef void page_moved(self, pfn_t pfn, vma_id v, vpn_t vpn, slot_t old, slot_t new) noexcept nogil:
        """page_move_rmap. A chained page keeps its index: the new address may be in the chain already, and must not be
        looked at twice."""
        cdef Frame* f = &self.s.frame[pfn]
        tally(self.s, C_RMAP_MOVES, 1)
        if f.mapcount == 1 and self.c.head[pfn] == 0:
            f.index = vpn << PAGE_SHIFT
        elif f.index != vpn << PAGE_SHIFT:
            addresses_add(self.s, self.c, pfn, vpn)

    cdef bint may_swapin(self, pfn_t pfn, vpn_t vpn) noexcept nogil:
        return True

    # walks: a = the page's anonmm, b = the one looked at (0: none yet), c = block of the chain (0: at the natural address),
    # d = slot of the block | the candidate's mm << 32, e = address spaces | blocks entered << 32

    cdef void walk_begin(self, Walk* w) noexcept nogil:
        ForkGroup.walk_begin(self, w)
        w.b = 0

    cdef bint walk_next(self, Walk* w) noexcept nogil:
        """The next address in this address space, or the natural one in the next that lives and has pages at all."""
        cdef State* s = self.s
        cdef uint32_t o = w.b
        cdef uint32_t at
        cdef uint64_t entered = 0
        cdef bint more
        cdef mm_id mm
        if o:
            at = <uint32_t> w.d
            more = addresses_next(self.c, w.pfn, &w.c, &at, &w.vpn, &entered)
            w.e += entered << 32
            if more:
                w.d = w.d >> 32 << 32 | at
                w.mm = <mm_id> (w.d >> 32)
                w.vma = 0
                w.slot = 0
                return True
            o = self.anonmm[o].next
            if o == w.a:
                return False
        else:
            o = w.a
        while True:
            mm = self.anonmm[o].mm
            if mm:
                w.e += 1
                if s.mm[mm].rss:
                    w.b = o
                    w.c = 0
                    w.d = <uint64_t> mm << 32
                    w.mm = mm
                    w.vma = 0                  # the engine looks it up if it needs it
                    w.vpn = s.frame[w.pfn].index >> PAGE_SHIFT
                    w.slot = 0
                    return True
            o = self.anonmm[o].next
            if o == w.a:
                return False

    cdef void walk_hit(self, Walk* w, Outcome outcome) noexcept nogil:
        pass

    cdef void walk_end(self, Walk* w, bint complete) noexcept nogil:
        tally(self.s, C_MMS_TRIED, <uint32_t> w.e)
        tally(self.s, C_LOCK_ANONMM_HELD, <uint32_t> w.e)
        tally(self.s, C_NODES_VISITED, w.e >> 32)

    cdef void lead(self, Lead* leads, uint32_t n) noexcept nogil:
        """walk_begin and walk_next of each; a chained page's lead is good for fetching only."""
        cdef State* s = self.s
        cdef AnonmmRecord* r = self.anonmm
        cdef uint32_t i, own, o, tried
        cdef mm_id mm
        for i in range(n):
            if leads[i].pfn == 0:
                continue
            own = s.frame[leads[i].pfn].rmap
            o = own
            tried = 0
            while True:
                mm = r[o].mm
                if mm:
                    tried += 1
                    if s.mm[mm].rss:
                        leads[i].mm = mm
                        leads[i].vma = 0
                        leads[i].slot = 0
                        leads[i].vpn = s.frame[leads[i].pfn].index >> PAGE_SHIFT
                        leads[i].tried = 0 if self.c.head[leads[i].pfn] else tried
                        break
                o = r[o].next
                if o == own:
                    break

    # invariants

    cdef bint knows(self, pfn_t pfn, vpn_t vpn) noexcept nogil:
        return ForkGroup.knows(self, pfn, vpn) or addresses_hold(self.c, pfn, vpn)

    def check(self):
        """The chains' RC1 to RC3; if they are whole, forkgroup's AM1 to AM5, which follow them."""
        return self.chains.violations(self.s) or ForkGroup.check(self)
