"""last_seen: a page knows its address, and in which address space a walk has met it last; a walk asks that one first.

    by frame: | vpn | mm |        a walk: mm, if it lives, and then every other living address space, oldest first

A number of an address space that was used again costs one candidate in vain, nothing else: the engine looks each up.
"""
import numpy as np

from libc.stdint cimport uint32_t, uint64_t

from rmapcore.pyx.base.counters cimport C_MMS_TRIED, C_RMAP_MOVES, tally
from rmapcore.pyx.base.ids cimport pfn_t, slot_t, vma_id, vpn_t
from rmapcore.pyx.base.records cimport P_FRAMES
from rmapcore.pyx.base.state cimport X86_64
from rmapcore.pyx.machine.core cimport Core
from rmapcore.pyx.scheme cimport HIT_SEEN, HIT_UNMAPPED, WALK_QUERY, Outcome, Scheme, Walk

cdef struct Seen:
    uint64_t vpn
    uint32_t mm
    uint32_t reserved

SEEN = np.dtype([("vpn", "<u8"), ("mm", "<u4"), ("reserved", "<u4")])
assert SEEN.itemsize == sizeof(Seen)


cdef class LastSeen(Scheme):
    """A page knows its address and the address space that it was met in last. No options."""

    cdef Seen* seen           # by frame

    def __init__(self):
        Scheme.__init__(self)
        self.name = "last_seen"

    def attach(self, Core core):
        Scheme.attach(self, core)
        self.seen = <Seen*> <size_t> core.new_arena("last_seen", SEEN, self.s.pool[<int> P_FRAMES].capacity, P_FRAMES)

    def overhead(self):
        """A pointer and an address in struct page."""
        return {"page": 2 * (8 if self.s.arch == X86_64 else 4)}

    cdef void page_first(self, pfn_t pfn, vma_id v, vpn_t vpn) noexcept nogil:
        self.seen[pfn].mm = self.s.area[v].mm
        self.seen[pfn].vpn = vpn

    cdef bint may_move(self, pfn_t pfn, vpn_t vpn) noexcept nogil:
        return self.s.frame[pfn].mapcount == 1 or self.seen[pfn].vpn == vpn

    cdef void page_moved(self, pfn_t pfn, vma_id v, vpn_t vpn, slot_t old, slot_t new) noexcept nogil:
        tally(self.s, C_RMAP_MOVES, 1)
        self.seen[pfn].vpn = vpn

    cdef bint may_swapin(self, pfn_t pfn, vpn_t vpn) noexcept nogil:
        return self.s.frame[pfn].mapcount == 0 or self.seen[pfn].vpn == vpn

    # the walk: a = whom it asked first, b = the next to ask, c = 1: the first has been asked

    cdef void walk_begin(self, Walk* w) noexcept nogil:
        w.a = self.seen[w.pfn].mm
        w.b = self.s.h.mm_first
        w.c = not (w.a and self.s.mm[w.a].alive)
        w.vma = 0
        w.slot = 0
        w.vpn = self.seen[w.pfn].vpn

    cdef bint walk_next(self, Walk* w) noexcept nogil:
        if not w.c:
            w.c = 1
            w.mm = w.a
        else:
            if w.b == w.a and w.b:
                w.b = self.s.mm[w.b].next
            if w.b == 0:
                return False
            w.mm = w.b
            w.b = self.s.mm[w.b].next
        tally(self.s, C_MMS_TRIED, 1)
        return True

    cdef void walk_hit(self, Walk* w, Outcome outcome) noexcept nogil:
        """A query changes nothing."""
        if w.purpose != WALK_QUERY and (outcome == HIT_SEEN or outcome == HIT_UNMAPPED):
            self.seen[w.pfn].mm = w.mm
