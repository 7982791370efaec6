"""rmap_chain, March 2003, never merged: anonmm with chains of addresses [docs/facts/rmap-chain.md].

A page is looked for in the address spaces of its fork group (anonmm) at its own address, and at those of its chain: where it
was moved while others mapped it, or swapped in at another place. So mremap and swap-in never copy. A chain has addresses, not
entries: fork leaves it as it is.

   head[pfn] -> | next, 6 addresses | -> | next, 7 addresses | -> ...       a page's first block has the count in slot 0

   page_first          names the mapper's anonmm, index = address        mapped elsewhere, moved: address to the chain
   moved, alone        index = the new address, if it has no chain       reused after copy-on-write: names the writer's
                                                                         anonmm, index and chain stay
   last unmap          the chain goes                                    fork: nothing but the count

Blocks are filled from the front, addresses are never taken out one by one. The price: addresses that hold nothing any more stay
until the page is unmapped everywhere, so that moving a shared page again and again makes the walk of it longer and longer. A
walk counts mms_tried once for each address space and ptes_tried once for each address in it; nodes_visited counts blocks
entered. A page is not passed on from a dead anonmm.

Costs: adding an address O(those of the page); walk O(address spaces x addresses). In the kernel: as anonmm, 32 or 64 bytes a
block; the page has a union of 4 or 8 bytes (count or chain).
"""
import numpy as np

from libc.stdint cimport uint32_t, uint64_t

from rmapcore.pyx.base.counters cimport C_LOCK_ANONMM_HELD, C_MMS_TRIED, C_NODES_VISITED, C_RMAP_MOVES, tally
from rmapcore.pyx.base.ids cimport PAGE_SHIFT, mm_id, pfn_t, slot_t, vma_id, vpn_t
from rmapcore.pyx.base.pool cimport pool_give, pool_take
from rmapcore.pyx.base.records cimport P_FRAMES, PG_ANON, Frame
from rmapcore.pyx.base.state cimport State
from rmapcore.pyx.base.x86 cimport pte_get, pte_pfn, pte_present
from rmapcore.pyx.machine.core cimport Core
from rmapcore.pyx.parts.checks cimport fault
from rmapcore.pyx.parts.leads cimport lead_to
from rmapcore.pyx.schemes.anonmm.anonmm cimport AnonmmRecord, ForkGroup
from rmapcore.pyx.seam.scheme cimport Lead, Outcome, Walk

cdef enum:
    ADDRESSES = 7             # slots of a block
    FIRST_SLOT = 1            # of a frame's first block: slot 0 is the kernel's count
    ADDRESS_LINK = 56         # offset of `next`, asserted below

cdef struct AddressBlock:     # 64 bytes
    uint64_t[7] vpn
    uint32_t next             # 0: the last; free list
    uint32_t used             # slots in use, from the front, slot 0 of a first block included

cdef struct AddressPool:      # all chains of a machine
    AddressBlock* block
    uint32_t* head            # by frame: its first block, 0 none
    int pool

cdef AddressBlock _block

ADDRESS_BLOCK = np.asarray(<AddressBlock[:1]> &_block).dtype
assert ADDRESS_BLOCK.itemsize == 64 and ADDRESS_BLOCK.fields["next"][1] == ADDRESS_LINK

MOST_BLOCKS = 1 << 26


cdef inline bint addresses_hold(AddressPool* c, pfn_t pfn, vpn_t vpn) noexcept nogil:
    """Is the page among the frame's addresses?"""
    cdef uint32_t b = c.head[pfn]
    cdef uint32_t i = FIRST_SLOT
    while b:
        while i < c.block[b].used:
            if c.block[b].vpn[i] == vpn:
                return True
            i += 1
        b = c.block[b].next
        i = 0
    return False


cdef inline void addresses_add(State* s, AddressPool* c, pfn_t pfn, vpn_t vpn) noexcept nogil:
    """add_rmap_address: once, in the first free slot, in a new block at the tail if there is none."""
    cdef uint32_t b = c.head[pfn]
    cdef uint32_t last = 0
    cdef uint32_t fresh
    if addresses_hold(c, pfn, vpn):
        return
    while b:
        last = b
        b = c.block[b].next
    if last and c.block[last].used < ADDRESSES:
        c.block[last].vpn[c.block[last].used] = vpn
        c.block[last].used += 1
        return
    fresh = pool_take(s, c.pool, c.block, sizeof(AddressBlock), ADDRESS_LINK)
    c.block[fresh].next = 0
    c.block[fresh].used = 0 if last else FIRST_SLOT
    c.block[fresh].vpn[c.block[fresh].used] = vpn
    c.block[fresh].used += 1
    if last:
        c.block[last].next = fresh
    else:
        c.head[pfn] = fresh


cdef inline void addresses_drop(State* s, AddressPool* c, pfn_t pfn) noexcept nogil:
    """The frame is unmapped: its chain goes."""
    cdef uint32_t b = c.head[pfn]
    cdef uint32_t next
    c.head[pfn] = 0
    while b:
        next = c.block[b].next
        pool_give(s, c.pool, c.block, sizeof(AddressBlock), ADDRESS_LINK, b)
        b = next


cdef inline bint addresses_next(AddressPool* c, pfn_t pfn, uint32_t* block, uint32_t* at, vpn_t* vpn,
                                uint64_t* entered) noexcept nogil:
    """One step through a frame's addresses, from *block = 0; False: no more. *entered counts blocks."""
    cdef uint32_t b = block[0]
    if b == 0:
        b = c.head[pfn]
        at[0] = FIRST_SLOT
    elif at[0] < c.block[b].used:
        vpn[0] = c.block[b].vpn[at[0]]
        at[0] += 1
        return True
    else:
        b = c.block[b].next
        at[0] = 0
    if b == 0:
        return False
    entered[0] += 1
    block[0] = b
    vpn[0] = c.block[b].vpn[at[0]]
    at[0] += 1
    return True


cdef class RmapChain(ForkGroup):
    """Hugh Dickins' scheme of 2003. No options."""

    cdef AddressPool c
    cdef int bytes            # kernel bytes of a block

    def __init__(self, **options):
        self.name = "rmap_chain"
        ForkGroup.__init__(self, **options)
        self.era = "2.6.0"

    def attach(self, Core core):
        ForkGroup.attach(self, core)
        self.bytes = 64 if self.word == 8 else 32
        most = min(MOST_BLOCKS, core.most_entries)
        self.c.pool = core.new_pool("rmap_chain", most, self.bytes, self.bytes)
        self.c.block = <AddressBlock*> <size_t> core.new_arena("rmap_chains", ADDRESS_BLOCK, most, self.c.pool)
        self.c.head = <uint32_t*> <size_t> core.new_arena("rmap_chain_heads", np.uint32, self.s.n_frames, P_FRAMES)
        self.entry_pool = self.c.pool

    def census(self):
        return {**ForkGroup.census(self), "rmap_chain": (self.c.pool, self.bytes)}

    def overhead(self):
        return {"page": self.word, "mm": self.word}

    # pages

    cdef void page_last(self, pfn_t pfn) noexcept nogil:
        addresses_drop(self.s, &self.c, pfn)
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
                    addresses_add(s, &self.c, pfn, vpn + i)

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
            addresses_add(self.s, &self.c, pfn, vpn)

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
            more = addresses_next(&self.c, w.pfn, &w.c, &at, &w.vpn, &entered)
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
                        lead_to(&leads[i], mm, 0, s.frame[leads[i].pfn].index >> PAGE_SHIFT,
                                0 if self.c.head[leads[i].pfn] else tried)
                        break
                o = r[o].next
                if o == own:
                    break

    def structure(self):
        cdef list rows = ForkGroup.structure(self)
        cdef AddressBlock* r
        cdef uint32_t b, pfn, i
        for pfn in range(1, <uint32_t> self.s.pool[P_FRAMES].bump):
            b = self.c.head[pfn]
            if b:
                rows.append(("frame", pfn, {}, {"chain": ("rmap_chain", b)}))
            i = FIRST_SLOT
            while b:
                r = &self.c.block[b]
                places = [r.vpn[at] << PAGE_SHIFT for at in range(i, r.used)]
                rows.append(("rmap_chain", b, {"addresses": places}, {"next": ("rmap_chain", r.next)} if r.next else {}))
                b = r.next
                i = 0
        return rows

    def route(self, pfn):
        """After each address space that has pages at all the chain, whose addresses are tried there."""
        cdef list met = []
        cdef uint32_t b
        for kind, number in ForkGroup.route(self, pfn):
            met.append((kind, number))
            b = self.c.head[<uint32_t> pfn] if kind == "mm" and self.s.mm[<uint32_t> number].rss else 0
            while b:
                met.append(("rmap_chain", b))
                b = self.c.block[b].next
        return met

    # invariants

    cdef bint knows(self, pfn_t pfn, vpn_t vpn) noexcept nogil:
        return ForkGroup.knows(self, pfn, vpn) or addresses_hold(&self.c, pfn, vpn)

    def check(self):
        """RC1 blocks in use are those reached from mapped frames, each once. RC2 only a last block has free slots, and each
        has an address. RC3 no frame has an address twice. If the chains are whole, AM1 to AM5, which follow them."""
        return self.check_chains() or ForkGroup.check(self)

    cdef list check_chains(self):
        cdef State* s = self.s
        cdef list faults = []
        cdef set met = set()
        cdef set addresses
        cdef uint64_t bump = s.pool[self.c.pool].bump
        cdef uint32_t pfn, b, i
        cdef AddressBlock* block
        for pfn in range(1, <uint32_t> s.pool[P_FRAMES].bump):
            b = self.c.head[pfn]
            if b and s.frame[pfn].mapcount == 0:
                fault(faults, "RC1", pfn, 0, 0, "unmapped, but chained: block {0}", b)
                continue
            addresses = set()
            i = FIRST_SLOT
            while b:
                if b >= bump or b in met:
                    text = "block {0} was reached before" if b in met else "block {0} does not exist"
                    fault(faults, "RC1", pfn, 0, 0, text, b)
                    break
                met.add(b)
                block = &self.c.block[b]
                if block.used <= i or block.used > ADDRESSES or (block.next and block.used < ADDRESSES):
                    fault(faults, "RC2", pfn, 0, 0, "block {0}: {1} slots in use", b, block.used)
                    break
                while i < block.used:
                    if block.vpn[i] in addresses:
                        fault(faults, "RC3", pfn, 0, block.vpn[i], "the address is in the chain twice")
                    addresses.add(block.vpn[i])
                    i += 1
                b = block.next
                i = 0
        if len(met) != <Py_ssize_t> s.pool[self.c.pool].live:
            fault(faults, "RC1", 0, 0, 0, "{0} blocks reached, {1} counted", len(met), s.pool[self.c.pool].live)
        return faults
