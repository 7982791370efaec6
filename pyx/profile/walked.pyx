"""Walks in the ledger (walked.pxd says what is kept of them)."""
import numpy as np

from libc.stdint cimport uint32_t, uint64_t
from libc.stdlib cimport calloc, free, realloc
from libc.string cimport memcpy, memset

from rmapcore.pyx.base.counters cimport (
    C_MMS_TRIED, C_NODES_VISITED, C_PTES_FOUND, C_PTES_TRIED, C_RMAP_WALKS, C_VMAS_TRIED,
)
from rmapcore.pyx.base.ids cimport PAGE_SHIFT
from rmapcore.pyx.base.records cimport R_SCANNED
from rmapcore.pyx.profile.ledger cimport ROW_PROCESS, Ledger, Row
from rmapcore.pyx.profile.walked cimport (
    BUCKETS, EXACT, FINE, LOCKED, LONGEST, LOOKED, M_HELD, M_MMS_TRIED, M_NODES_VISITED, M_PTES_FOUND, M_PTES_TRIED,
    M_VMAS_TRIED, MEASURES, MOST_LONG, MOST_PASSES, N_LOCKED, N_LOOKED, PURPOSES, WALKS, LongWalk, Open, Pass, Ranked,
)
from rmapcore.pyx.seam.kernel cimport Kernel
from rmapcore.pyx.seam.scheme cimport Walk

cdef LongWalk _long
cdef Pass _pass

LONG_WALK = np.asarray(<LongWalk[:1]> &_long).dtype
PASS = np.asarray(<Pass[:1]> &_pass).dtype
SHAPE = (WALKS, MEASURES, BUCKETS)
MEASURE_NAMES = ("ptes_tried", "ptes_found", "mms_tried", "vmas_tried", "nodes_visited", "steps_locked")


cdef inline uint32_t bucket(uint64_t value) noexcept nogil:
    """The bucket of a value: exact below EXACT, FINE to each doubling above."""
    cdef uint32_t shift = 0
    if value < EXACT:
        return <uint32_t> value
    while value >> shift >= 2 * FINE:
        shift += 1
    return EXACT + (shift - 5) * FINE + <uint32_t> (value >> shift) - FINE


def bucket_values():
    """The highest value of each bucket: uint64 array of BUCKETS."""
    fine = np.arange(FINE, 2 * FINE, dtype=np.uint64)
    above = [((fine + np.uint64(1)) << np.uint64(shift)) - np.uint64(1) for shift in range(5, 57)]
    return np.concatenate([np.arange(EXACT, dtype=np.uint64), *above])


cdef bint before(const Ranked* one, const Ranked* other) noexcept nogil:
    """Whether it leaves the heap first."""
    return one.tried < other.tried or (one.tried == other.tried and one.number > other.number)


cdef void join_passes(Pass* one, const Pass* next) noexcept nogil:
    one.last_op = next.last_op
    one.last_begun = next.last_begun
    one.passes += next.passes
    one.scanned += next.scanned
    one.freed += next.freed
    one.walks += next.walks
    one.tried += next.tried


cdef class Walked(Ledger):
    """Of one machine, from now on. k: its Kernel."""

    def __init__(self, Kernel k):
        Ledger.__init__(self, k)
        self.histograms = np.zeros(SHAPE, np.uint64)
        self.histogram = <uint64_t*> <size_t> self.histograms.ctypes.data
        self.long_walk = <LongWalk*> calloc(MOST_LONG, sizeof(LongWalk))
        self.long_rank = <Ranked*> calloc(MOST_LONG, sizeof(Ranked))
        if self.long_walk == NULL or self.long_rank == NULL:
            raise MemoryError("no memory for a profile")

    def __dealloc__(self):
        free(self.long_walk)
        free(self.long_rank)
        free(self.passes)

    cdef void walk_begins(self) noexcept nogil:
        cdef Open* o = &self.open
        o.placed = False
        o.given = False
        o.mm = 0
        o.vma = 0
        memcpy(o.looked, self.s.count + LOOKED, sizeof(o.looked))
        memcpy(o.locked, self.s.count + LOCKED, sizeof(o.locked))

    cdef void walk_ends(self, Walk* w, int side) noexcept nogil:
        """Its measures go to the histograms, its work to the area of its page."""
        cdef Open* o = &self.open
        cdef uint64_t* now = self.s.count + LOOKED
        cdef uint64_t* paid = self.paid + LOOKED
        cdef uint64_t[MEASURES] measure
        cdef uint32_t kind = side * PURPOSES + w.purpose
        cdef uint64_t* histogram = self.histogram + kind * MEASURES * BUCKETS
        cdef uint64_t* most = &self.most[kind * MEASURES]
        cdef uint64_t* row
        cdef uint64_t* share
        cdef int i
        if not o.placed and w.found:           # it ended there
            o.mm = w.mm
            o.vma = w.vma
            o.vpn = w.vpn
        if o.mm and o.vma == 0:
            o.vma = self.area_there(o.mm, o.vpn)
        share = self.share(o.mm if o.mm else self.mm)
        row = (self.area_row(o.vma) if o.vma else self.mm_row(o.mm) if o.mm else self.here()).work
        row[C_RMAP_WALKS] += 1
        share[C_RMAP_WALKS] += 1
        self.paid[C_RMAP_WALKS] += 1           # the engine has counted it before
        row += LOOKED
        for i in range(N_LOOKED):
            o.looked[i] = now[i] - o.looked[i]
        for i in range(N_LOOKED):
            row[i] += o.looked[i]
        share += LOOKED
        for i in range(N_LOOKED):
            share[i] += o.looked[i]
        for i in range(N_LOOKED):
            paid[i] += o.looked[i]
        now += LOCKED - LOOKED
        paid += LOCKED - LOOKED
        row += LOCKED - LOOKED
        for i in range(N_LOCKED):
            o.locked[i] = now[i] - o.locked[i]
        for i in range(N_LOCKED):
            row[i] += o.locked[i]
        share += LOCKED - LOOKED
        for i in range(N_LOCKED):
            share[i] += o.locked[i]
        for i in range(N_LOCKED):
            paid[i] += o.locked[i]
        measure[M_PTES_TRIED] = o.looked[C_PTES_TRIED - LOOKED]
        measure[M_PTES_FOUND] = o.looked[C_PTES_FOUND - LOOKED]
        measure[M_MMS_TRIED] = o.looked[C_MMS_TRIED - LOOKED]
        measure[M_VMAS_TRIED] = o.looked[C_VMAS_TRIED - LOOKED]
        measure[M_NODES_VISITED] = o.looked[C_NODES_VISITED - LOOKED]
        measure[M_HELD] = 0
        for i in range(3, N_LOCKED, 2):        # locks and steps under them take turns; page tables' come first
            measure[M_HELD] += o.locked[i]
        for i in range(MEASURES):
            histogram[i * BUCKETS + bucket(measure[i])] += 1
            if measure[i] > most[i]:
                most[i] = measure[i]
        if self.n_longest[kind] < LONGEST or measure[M_PTES_TRIED] > self.longest[kind * LONGEST + LONGEST - 1].measure[0]:
            self.rank(w, kind, side, measure)
        if measure[M_PTES_TRIED] > self.long_from:
            self.rank_long(w, side, measure)

    cdef void rank(self, Walk* w, uint32_t kind, int side, const uint64_t* measure) noexcept nogil:
        """It is one of the longest: of those that tried as many entries the earlier ones stay."""
        cdef LongWalk* longest = &self.longest[kind * LONGEST]
        cdef uint32_t n = self.n_longest[kind]
        cdef uint32_t i = n if n < LONGEST else n - 1
        self.n_longest[kind] = i + 1
        while i and longest[i - 1].measure[M_PTES_TRIED] < measure[M_PTES_TRIED]:
            longest[i] = longest[i - 1]
            i -= 1
        self.describe_walk(&longest[i], w, side, measure)

    cdef void rank_long(self, Walk* w, int side, const uint64_t* measure) noexcept nogil:
        """It is one of those that the timeline shows; if there are enough, the first of the heap is so no more."""
        cdef Ranked* heap = self.long_rank
        cdef Ranked mine
        cdef uint32_t i = self.n_long
        cdef uint32_t other
        mine.tried = measure[M_PTES_TRIED]
        mine.number = self.n_ranked
        mine.place = self.n_long
        mine.pad = 0
        self.n_ranked += 1
        if self.n_long < MOST_LONG:
            self.n_long += 1
            while i and before(&mine, &heap[(i - 1) // 2]):
                heap[i] = heap[(i - 1) // 2]
                i = (i - 1) // 2
        else:
            mine.place = heap[0].place
            i = 0
            while True:
                other = 2 * i + 1
                if other + 1 < MOST_LONG and before(&heap[other + 1], &heap[other]):
                    other += 1
                if other >= MOST_LONG or not before(&heap[other], &mine):
                    break
                heap[i] = heap[other]
                i = other
        heap[i] = mine
        self.describe_walk(&self.long_walk[mine.place], w, side, measure)
        if self.n_long == MOST_LONG:
            self.long_from = heap[0].tried

    cdef void describe_walk(self, LongWalk* walk, Walk* w, int side, const uint64_t* measure) noexcept nogil:
        cdef Row about
        memset(walk, 0, sizeof(LongWalk))
        memcpy(walk.measure, measure, sizeof(walk.measure))
        walk.op_index = self.s.h.op_index
        walk.begun = self.begun
        walk.pfn = w.pfn
        walk.side = side
        walk.purpose = w.purpose
        if self.open.mm == 0:
            return
        walk.address = self.open.vpn << PAGE_SHIFT
        walk.pid = self.s.mm[self.open.mm].pid
        walk.kind = ROW_PROCESS
        if self.open.vma:
            memset(&about, 0, sizeof(Row))
            self.describe_area(self.open.vma, &about)
            walk.start = about.start
            walk.end = about.end
            walk.file = about.file
            walk.name = about.name
            walk.kind = about.kind

    # reclaim

    cdef void pass_begins(self) noexcept nogil:
        self.under_way.scanned = self.s.h.reclaimed[R_SCANNED]
        self.under_way.walks = self.s.count[C_RMAP_WALKS]
        self.under_way.tried = self.s.count[C_PTES_TRIED]

    cdef void pass_ends(self, int priority, uint64_t freed) noexcept nogil:
        cdef Pass* more
        cdef Pass* last
        cdef uint32_t room, i
        if self.n_passes == MOST_PASSES:
            for i in range(MOST_PASSES // 2):
                self.passes[i] = self.passes[2 * i]
                join_passes(&self.passes[i], &self.passes[2 * i + 1])
            self.n_passes = MOST_PASSES // 2
        if self.n_passes == self.passes_room:
            room = 2 * self.passes_room if self.passes_room else 64
            more = <Pass*> realloc(self.passes, room * sizeof(Pass))
            if more == NULL:
                return
            self.passes = more
            self.passes_room = room
        last = &self.passes[self.n_passes]
        self.n_passes += 1
        last.first_op = last.last_op = self.s.h.op_index
        last.begun = last.last_begun = self.begun
        last.passes = 1
        last.scanned = self.s.h.reclaimed[R_SCANNED] - self.under_way.scanned
        last.freed = freed
        last.walks = self.s.count[C_RMAP_WALKS] - self.under_way.walks
        last.tried = self.s.count[C_PTES_TRIED] - self.under_way.tried
        last.pid = self.s.mm[self.mm].pid if self.mm else 0
        last.priority = <uint32_t> priority

    # for Python. The caller holds the machine

    def long_walks(self):
        """Array of LONG_WALK: those of all walks that tried most entries, in the order of operations."""
        places = [(self.long_rank[i].number, self.long_rank[i].place) for i in range(self.n_long)]
        if not places:
            return np.zeros(0, LONG_WALK)
        walks = np.asarray(<LongWalk[:self.n_long]> self.long_walk)
        return walks[[place for _, place in sorted(places)]].view(LONG_WALK)

    def reclaim_passes(self):
        """Array of PASS, in the order of operations."""
        if self.n_passes == 0:
            return np.zeros(0, PASS)
        return np.array(np.asarray(<Pass[:self.n_passes]> self.passes).view(PASS))

    def longest_walk(self):
        """Entries that the longest walk of all has tried."""
        return max(self.most[kind * MEASURES + M_PTES_TRIED] for kind in range(WALKS))

    def walks(self):
        """(histograms, the most of each): uint64 arrays of SHAPE and (WALKS, MEASURES)."""
        return self.histograms.copy(), np.array(<uint64_t[:WALKS * MEASURES]> self.most).reshape(WALKS, MEASURES)

    def longest_walks(self):
        """Array of LONG_WALK, the longest first, of every kind."""
        found = []
        cdef int kind
        cdef uint32_t i
        for kind in range(WALKS):
            for i in range(self.n_longest[kind]):
                found.append((<char*> &self.longest[kind * LONGEST + i])[:sizeof(LongWalk)])
        walks = np.frombuffer(b"".join(found), LONG_WALK).copy()
        return walks[np.argsort(-walks["measure"][:, 0].astype(np.int64), kind="stable")]
