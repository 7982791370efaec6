"""anon_vma_chain_2010: chains as they came (Rik van Riel, March 2010; 2.6.34), each anon_vma a list of avcs with its own lock.

   anon_vma:  its founder <-> ... <-> first to fork from it <-> ... <-> last to

A walk passes the whole list: the area that made the page comes first, kin by age after it; so it costs O(kin), as with
anon_vma, but for a page that a child wrote the kin are the child's own descendants only. Who adopts a neighbour's anon_vma
comes in at the head, a copied chain at the tails. A child always gets an anon_vma of its own, so chains grow by one with
each generation, and where parents exit they never shrink: what `degree` was made for.

Areas merge if their anon_vmas are equal or one has none. All else: chains.
In the kernel: 16 or 24 bytes an anon_vma (ksm_refcount), 24 or 48 an avc.
"""
import numpy as np

from libc.stdint cimport uint32_t, uint64_t

from rmapcore.pyx.base.counters cimport C_LOCK_ANON_VMA, C_LOCK_ANON_VMA_HELD, C_VMAS_TRIED, tally
from rmapcore.pyx.base.ids cimport pfn_t, vma_id, vpn_t
from rmapcore.pyx.base.records cimport Area, Frame
from rmapcore.pyx.base.state cimport State
from rmapcore.pyx.machine.core cimport Core
from rmapcore.pyx.machine.vmas cimport anon_shift
from rmapcore.pyx.parts.checks cimport fault
from rmapcore.pyx.parts.leads cimport lead_as_before, lead_to
from rmapcore.pyx.schemes.anon_vma_chain.chains cimport AvChains, AvcRecord, ChainedRecord
from rmapcore.pyx.schemes.anon_vma_chain.shown cimport ShownChains
from rmapcore.pyx.seam.scheme cimport Lead, Walk

cdef struct AvcPlace:         # by avc: its place on the list of its anon_vma
    uint32_t next             # 0 ends the list
    uint32_t prev

cdef AvcPlace _place

AVC_PLACE = np.asarray(<AvcPlace[:1]> &_place).dtype
assert AVC_PLACE.itemsize == 8


cdef class AnonVmaChain2010(ShownChains):
    """anon_vma_chain of 2.6.34. No options."""

    cdef AvcPlace* place      # by avc

    def __init__(self, **options):
        self.name = "anon_vma_chain_2010"
        AvChains.__init__(self, **options)
        self.era = "2.6.34"
        self.lock_each = True
        self.repoint = True

    def attach(self, Core core):
        AvChains.attach(self, core)
        most = self.s.pool[self.avcs].capacity
        self.place = <AvcPlace*> <size_t> core.new_arena("avc_places", AVC_PLACE, most, self.avcs)

    def sizes(self):
        return {"anon_vma": 24, "anon_vma_chain": 48} if self.word == 8 else {"anon_vma": 16, "anon_vma_chain": 24}

    cdef void enter(self, uint32_t c, bint founder) noexcept nogil:
        cdef ChainedRecord* r = &self.anon_vma[self.avc[c].anon_vma]
        cdef AvcPlace* p = &self.place[c]
        p.next = r.first if founder else 0
        p.prev = 0 if founder else r.last
        if p.next:
            self.place[p.next].prev = c
        else:
            r.last = c
        if p.prev:
            self.place[p.prev].next = c
        else:
            r.first = c

    cdef void leave(self, uint32_t c) noexcept nogil:
        cdef ChainedRecord* r = &self.anon_vma[self.avc[c].anon_vma]
        cdef AvcPlace* p = &self.place[c]
        if p.next:
            self.place[p.next].prev = p.prev
        else:
            r.last = p.prev
        if p.prev:
            self.place[p.prev].next = p.next
        else:
            r.first = p.next

    cdef bint compatible(self, vma_id v, vma_id source) noexcept nogil:
        return source == 0 or self.may_bridge(v, source)

    # walks: a = the avc to look at next, d = areas looked at

    cdef void walk_begin(self, Walk* w) noexcept nogil:
        tally(self.s, C_LOCK_ANON_VMA, 1)
        w.a = self.anon_vma[self.s.frame[w.pfn].rmap].first
        w.d = 0

    cdef bint walk_next(self, Walk* w) noexcept nogil:
        """The next area that covers the page's index."""
        cdef uint64_t index = self.s.frame[w.pfn].index
        cdef uint32_t c = w.a
        cdef Area* a
        cdef vpn_t vpn
        while c:
            w.d += 1
            a = &self.s.area[self.avc[c].vma]
            vpn = index + anon_shift(self.s, self.avc[c].vma)      # wraps; the comparison below sorts that out
            if a.start <= vpn < a.end:
                w.vma = self.avc[c].vma
                w.mm = a.mm
                w.vpn = vpn
                w.slot = 0
                w.a = self.place[c].next
                return True
            c = self.place[c].next
        w.a = 0
        return False

    cdef void walk_end(self, Walk* w, bint complete) noexcept nogil:
        tally(self.s, C_VMAS_TRIED, w.d)
        tally(self.s, C_LOCK_ANON_VMA_HELD, w.d)

    cdef uint32_t lock_of_area(self, vma_id v) noexcept nogil:
        return self.s.area[v].rmap

    cdef uint32_t lock_of_frame(self, pfn_t pfn) noexcept nogil:
        return self.s.frame[pfn].rmap

    cdef void lead(self, Lead* leads, uint32_t n) noexcept nogil:
        """walk_begin and walk_next of each: no walk changes a list."""
        cdef State* s = self.s
        cdef Area* area = s.area
        cdef uint64_t* shift = s.anon_shift
        cdef AvcRecord* avc = self.avc
        cdef AvcPlace* place = self.place
        cdef Frame* f
        cdef Area* a
        cdef vpn_t vpn
        cdef uint32_t c, i, tried
        cdef uint32_t word = 0                 # of the page before, which the first area on the list had: this area
        cdef vma_id first = 0
        for i in range(n):
            if leads[i].pfn == 0:
                continue
            f = &s.frame[leads[i].pfn]
            if lead_as_before(&leads[i], f, word, first, area, shift):
                continue
            c = self.anon_vma[f.rmap].first
            tried = 0
            while c:
                tried += 1
                a = &s.area[avc[c].vma]
                vpn = f.index + anon_shift(s, avc[c].vma)
                if a.start <= vpn < a.end:
                    lead_to(&leads[i], a.mm, avc[c].vma, vpn, tried)
                    if tried == 1:
                        word = f.rmap
                        first = leads[i].vma
                    break
                c = place[c].next

    cdef list survey(self, uint32_t o, list faults):
        cdef uint32_t c = self.anon_vma[o].first
        cdef uint32_t before = 0
        cdef dict found = {}                   # keys, in order
        while c:
            if c >= self.s.pool[self.avcs].bump or c in found:
                fault(faults, "AC3", 0, 0, 0, "anon_vma {0}: its list leads to avc {1}", o, c)
                break
            if self.place[c].prev != before:
                fault(faults, "AC3", 0, 0, 0, f"anon_vma {o}: prev of avc {c} is not {before}")
            found[c] = True
            before = c
            c = self.place[c].next
        if self.anon_vma[o].last != before:
            fault(faults, "AC3", 0, 0, 0, f"anon_vma {o}: its last is {self.anon_vma[o].last}, not {before}")
        return list(found)
