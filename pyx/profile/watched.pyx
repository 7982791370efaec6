"""A scheme, or a file side, whose walks and hooks a ledger sees on their way. It changes nothing that the scheme does.

It stands in the place of the scheme while a machine is profiled, so that one which is not pays nothing. Of walks that their
leads settle (leads.pyx) the ledger hears from reclaim. Counters and results are those without a ledger.
"""
from libc.stdint cimport uint32_t, uint64_t

from rmapcore.pyx.base.ids cimport mm_id, pfn_t, slot_t, vma_id, vpn_t
from rmapcore.pyx.profile.ledger cimport work_at
from rmapcore.pyx.profile.walked cimport PURPOSES, Open, Walked, walk_begins
from rmapcore.pyx.profile.watched cimport Watched
from rmapcore.pyx.seam.kernel cimport Kernel
from rmapcore.pyx.seam.scheme cimport WALK_UNMAP, Lead, Outcome, Scheme, Walk


def watch(Kernel k):
    """The machine of this Kernel is profiled from now on, if it is not yet: its Walked. The caller holds the machine."""
    if k.account is None:
        ledger = Walked(k)
        k.watch(ledger, Watched(k.anon, ledger, False), Watched(k.side, ledger, True))
    return k.account


cdef class Watched(Scheme):
    def __init__(self, Scheme watched, Walked ledger, bint of_files):
        Scheme.__init__(self)
        self.watched = watched
        self.ledger = ledger
        self.of_files = of_files
        self.alike = &ledger.alike[of_files * PURPOSES]
        self.core = watched.core
        self.s = watched.s
        self.name = watched.name
        self.options = watched.options
        self.era = watched.era
        self.linear = watched.linear
        self.table_locks = watched.table_locks
        self.exhaustive = watched.exhaustive
        self.sweeps = watched.sweeps
        self.clusters = watched.clusters
        self.wants_last = watched.wants_last
        self.wants_room = watched.wants_room
        self.wants_freed = watched.wants_freed
        self.want()
        watched.outer = self

    cdef void want(self) noexcept nogil:
        """What a side may want from its first nonlinear area on, and not before."""
        self.told = self.watched.wants_entries
        self.wants_entries = self.told or not self.of_files             # whose entries go is whose work it is
        self.wants_moves = self.watched.wants_moves
        self.keeps_places = self.watched.keeps_places
        self.entry_pool = self.watched.entry_pool

    def census(self):
        return self.watched.census()

    def overhead(self):
        return self.watched.overhead()

    def raise_kept(self):
        self.failed = False
        self.watched.raise_kept()

    def restored(self):
        self.watched.restored()

    def check(self):
        return self.watched.check()

    cdef int mm_room(self, mm_id parent) noexcept nogil:
        return self.watched.mm_room(parent)

    cdef int prepare_room(self, vma_id v) noexcept nogil:
        return self.watched.prepare_room(v)

    cdef int area_room(self, vma_id v, uint32_t n) noexcept nogil:
        return self.watched.area_room(v, n)

    cdef void mm_exec(self, mm_id mm) noexcept nogil:
        self.ledger.pay()
        self.ledger.mm = mm
        self.ledger.vma = 0
        self.ledger.be_child(mm, 0)
        self.watched.mm_exec(mm)

    cdef void mm_fork(self, mm_id child, mm_id parent) noexcept nogil:
        self.ledger.be_child(child, parent)
        self.ledger.pay()
        self.watched.mm_fork(child, parent)
        self.ledger.hold(0, child)

    cdef void mm_exit(self, mm_id mm) noexcept nogil:
        work_at(self.ledger, 0)
        self.ledger.mm = mm
        self.watched.mm_exit(mm)
        self.ledger.pay()
        self.ledger.retire_mm(mm)

    cdef void area_link(self, vma_id v) noexcept nogil:
        work_at(self.ledger, v)
        self.watched.area_link(v)

    cdef void area_unlink(self, vma_id v) noexcept nogil:
        work_at(self.ledger, v)
        self.watched.area_unlink(v)
        if not self.of_files:
            self.ledger.pay()
            self.ledger.retire_area(v)

    cdef void area_before(self, vma_id v) noexcept nogil:
        work_at(self.ledger, v)
        self.watched.area_before(v)

    cdef void area_after(self, vma_id v) noexcept nogil:
        work_at(self.ledger, v)
        self.watched.area_after(v)

    cdef void area_split(self, vma_id new, vma_id v) noexcept nogil:
        work_at(self.ledger, v)
        self.watched.area_split(new, v)

    cdef void area_clone(self, vma_id new, vma_id v) noexcept nogil:
        work_at(self.ledger, new)
        self.watched.area_clone(new, v)

    cdef void area_import(self, vma_id v, vma_id giver) noexcept nogil:
        work_at(self.ledger, v)
        self.watched.area_import(v, giver)

    cdef void area_merge(self, vma_id v, vma_id gone) noexcept nogil:
        work_at(self.ledger, v)
        self.watched.area_merge(v, gone)
        self.ledger.join_areas(v, gone)

    cdef void area_fork(self, vma_id child, vma_id parent) noexcept nogil:
        self.ledger.hold(0, self.s.area[child].mm)
        work_at(self.ledger, parent)
        self.watched.area_fork(child, parent)
        self.ledger.hold(child, self.s.area[child].mm)

    cdef void area_nonlinear(self, vma_id v) noexcept nogil:
        self.watched.area_nonlinear(v)
        self.want()

    cdef void area_emptied(self, vma_id v) noexcept nogil:
        self.watched.area_emptied(v)

    cdef bint compatible(self, vma_id v, vma_id source) noexcept nogil:
        return self.watched.compatible(v, source)

    cdef bint may_bridge(self, vma_id prev, vma_id next) noexcept nogil:
        return self.watched.may_bridge(prev, next)

    cdef void anon_prepare(self, vma_id v) noexcept nogil:
        work_at(self.ledger, v)
        self.watched.anon_prepare(v)

    cdef void page_first(self, pfn_t pfn, vma_id v, vpn_t vpn) noexcept nogil:
        work_at(self.ledger, v)
        self.watched.page_first(pfn, v, vpn)

    cdef void pages_first(self, vma_id v, const vpn_t* vpn, const slot_t* slot, uint32_t n) noexcept nogil:
        work_at(self.ledger, v)
        self.watched.pages_first(v, vpn, slot, n)

    cdef void page_last(self, pfn_t pfn) noexcept nogil:
        self.watched.page_last(pfn)

    cdef void page_freed(self, pfn_t pfn) noexcept nogil:
        self.watched.page_freed(pfn)

    cdef void page_reused(self, pfn_t pfn, vma_id v, vpn_t vpn) noexcept nogil:
        work_at(self.ledger, v)
        self.watched.page_reused(pfn, v, vpn)

    cdef void pages_mapped(self, vma_id v, vpn_t vpn, slot_t slot, uint32_t n) noexcept nogil:
        if self.told:
            self.watched.pages_mapped(v, vpn, slot, n)

    cdef void pages_forked(self, vma_id child, vpn_t vpn, slot_t slot, uint32_t n) noexcept nogil:
        if self.told:
            self.watched.pages_forked(child, vpn, slot, n)
            self.ledger.hold(child, self.s.area[child].mm)

    cdef void pages_unmapping(self, vma_id v, vpn_t vpn, slot_t slot, uint32_t n) noexcept nogil:
        work_at(self.ledger, v)
        if self.told:
            self.watched.pages_unmapping(v, vpn, slot, n)

    cdef bint may_move(self, pfn_t pfn, vpn_t vpn) noexcept nogil:
        return self.watched.may_move(pfn, vpn)

    cdef void page_moved(self, pfn_t pfn, vma_id v, vpn_t vpn, slot_t old, slot_t new) noexcept nogil:
        self.watched.page_moved(pfn, v, vpn, old, new)

    cdef bint may_swapin(self, pfn_t pfn, vpn_t vpn) noexcept nogil:
        return self.watched.may_swapin(pfn, vpn)

    cdef void walk_begin(self, Walk* w) noexcept nogil:
        if w.purpose <= WALK_UNMAP and not self.ledger.quiet:
            walk_begins(self.ledger)
            self.placed = False
        self.watched.walk_begin(w)

    cdef bint walk_next(self, Walk* w) noexcept nogil:
        if self.placed:
            return self.watched.walk_next(w)
        return self.look_and_next(w)           # neither of them needs a frame of its own

    cdef bint look_and_next(self, Walk* w) noexcept nogil:
        """The walk still holds the candidate given last: was that where the page is?"""
        cdef Open* o = &self.ledger.open
        if o.given:
            self.placed = w.found != 0
            o.mm = w.mm
            o.vma = w.vma
            o.vpn = w.vpn
        o.given = True
        return self.watched.walk_next(w)

    cdef void walk_hit(self, Walk* w, Outcome outcome) noexcept nogil:
        self.watched.walk_hit(w, outcome)

    cdef void walk_end(self, Walk* w, bint complete) noexcept nogil:
        self.watched.walk_end(w, complete)
        if w.purpose <= WALK_UNMAP and not self.ledger.quiet:
            self.ledger.walk_ends(w, &self.alike[w.purpose], self.placed)

    cdef pfn_t circle(self, Walk* w) noexcept nogil:
        return self.watched.circle(w)

    cdef void lead(self, Lead* leads, uint32_t n) noexcept nogil:
        self.watched.lead(leads, n)

    cdef void leads_walked(self, uint64_t walks, uint64_t tried) noexcept nogil:
        self.watched.leads_walked(walks, tried)

    cdef void leads_unmapped(self, Lead* leads, uint32_t n) noexcept nogil:
        self.watched.leads_unmapped(leads, n)
