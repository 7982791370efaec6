"""One walk looked at: whom it asks, which candidates it gives, and which of them map the frame. Counters are put back.

The walk is the one that all others are (reclaim/walk), through a scheme that passes everything on and notes it.
"""
import numpy as np

from libc.stdint cimport uint32_t, uint64_t

from rmapcore.pyx.base.ids cimport slot_t
from rmapcore.pyx.base.records cimport PG_ANON, P_FRAMES
from rmapcore.pyx.reclaim.walk cimport forget_leaves, walk
from rmapcore.pyx.seam.kernel cimport Kernel
from rmapcore.pyx.seam.scheme cimport HIT_NONE, HIT_SEEN, WALK_QUERY, Outcome, Scheme, Walk


cdef class Noted(Scheme):
    """Another scheme, whose candidates are noted. candidates: lists of mm, area, vpn, slot, whether it maps the frame."""

    cdef Scheme inner
    cdef list candidates

    def __init__(self, Scheme inner):
        Scheme.__init__(self)
        self.inner = inner
        self.candidates = []
        self.exhaustive = inner.exhaustive

    cdef void walk_begin(self, Walk* w) noexcept nogil:
        self.inner.walk_begin(w)

    cdef bint walk_next(self, Walk* w) noexcept nogil:
        cdef bint more = self.inner.walk_next(w)
        if more:
            with gil:
                self.candidates.append([w.mm, w.vma, w.vpn, w.slot, False])
        return more

    cdef void walk_hit(self, Walk* w, Outcome outcome) noexcept nogil:
        if outcome != HIT_NONE:
            with gil:
                self.candidates[len(self.candidates) - 1][4] = True
        self.inner.walk_hit(w, outcome)

    cdef void walk_end(self, Walk* w, bint complete) noexcept nogil:
        self.inner.walk_end(w, complete)


cdef Outcome seen(Kernel k, Walk* w, slot_t slot, uint64_t entry, void* told) noexcept nogil:
    return HIT_SEEN


def visits(Kernel k, uint32_t pfn):
    """(route, candidates, counted, exhaustive) of a walk for nothing but looking.

    route: as Scheme.route has it.  candidates: lists of mm, area (0: not known), vpn, slot (0: not known), whether it maps the
    frame.  counted: what the walk counts, an array as the counters.  exhaustive: as of its scheme.
    ValueError for what is no frame in use.
    """
    cdef Walk w
    cdef Scheme scheme
    cdef Noted noted
    if not 0 < pfn < k.s.pool[P_FRAMES].bump or k.s.frame[pfn].mapcount == 0:
        raise ValueError(f"frame {pfn} is mapped nowhere")
    scheme = k.anon if k.s.frame[pfn].flags & PG_ANON or k.anon.sweeps else k.side
    noted = Noted(scheme)
    saved = np.array(k.core.view("counters"))
    with k.step:
        if k.account is not None:
            k.account.hush(True)
        try:
            route = scheme.route(pfn)
            k.core.writable("counters")[:] = saved
            if not scheme.sweeps:
                forget_leaves(k)
                walk(k, noted, &w, pfn, WALK_QUERY, seen, NULL, False)
            counted = np.array(k.core.view("counters")) - saved
        finally:                               # a prototype's route may raise
            k.core.writable("counters")[:] = saved
            if k.account is not None:
                k.account.hush(False)
    k.anon.raise_kept()
    return route, noted.candidates, counted, noted.exhaustive
