"""Walks in the ledger (walked.pxd says what is kept of them)."""
import numpy as np

from cython cimport final
from libc.stdint cimport uint32_t, uint64_t
from libc.stdlib cimport calloc, free, realloc
from libc.string cimport memcpy, memset

from rmapcore.pyx.base.counters cimport (
    C_MMS_TRIED, C_NODES_VISITED, C_PTES_FOUND, C_PTES_TRIED, C_RMAP_WALKS, C_VMAS_TRIED,
)
from rmapcore.pyx.base.ids cimport PAGE_SHIFT, pfn_t, vma_id
from rmapcore.pyx.base.records cimport R_SCANNED
from rmapcore.pyx.profile.ledger cimport ROW_PROCESS, Ledger, Row
from rmapcore.pyx.profile.walked cimport (
    BUCKETS, EXACT, FINE, LOCKED, LONGEST, LOOKED, M_HELD, M_MMS_TRIED, M_NODES_VISITED, M_PTES_FOUND, M_PTES_TRIED,
    M_VMAS_TRIED, MEASURES, MOST_LONG, MOST_PASSES, MOST_SCENES, N_LOCKED, N_LOOKED, NEVER, PURPOSES, SHORT, WALKS, Alike,
    LongWalk, Moved, Open, Pass, Ranked, Scene,
)
from rmapcore.pyx.profile.wide cimport moved_else
from rmapcore.pyx.seam.kernel cimport Kernel
from rmapcore.pyx.seam.scheme cimport WALK_REFERENCED, WALK_UNMAP, Lead, Purpose, Walk

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


cdef inline uint32_t lead_shape(const Lead* lead) noexcept nogil:
    """Walks that end at leads of one shape count the same: what they tried, and whether their area must be looked up."""
    return lead.tried << 1 | (lead.vma == 0)


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
        cdef Moved nothing
        cdef int kind
        Ledger.__init__(self, k)
        self.histograms = np.zeros(SHAPE, np.uint64)
        self.histogram = <uint64_t*> <size_t> self.histograms.ctypes.data
        self.long_rank = <Ranked*> calloc(MOST_LONG, sizeof(Ranked))
        self.scenes = <Scene*> calloc(MOST_SCENES, sizeof(Scene))
        if self.long_rank == NULL or self.scenes == NULL:
            raise MemoryError("no memory for a profile")
        self.long_from = SHORT
        memset(&nothing, 0, sizeof(Moved))
        for kind in range(WALKS):
            self.alike[kind].kind = kind
            self.take_shape(&self.alike[kind], &nothing, 0)

    def __dealloc__(self):
        free(self.long_rank)
        free(self.scenes)
        free(self.passes)

    @final
    cdef void walk_ends(self, Walk* w, Alike* a, bint placed) noexcept nogil:
        """Its measures go to the histograms, its work to the area of its page. a: of its kind; placed: `open` says where it was
        found.
        """
        cdef Open* o = &self.open
        if not placed and w.found:             # it ended there
            o.mm = w.mm
            o.vma = w.vma
            o.vpn = w.vpn
        if o.mm and o.vma == 0:
            o.vma = self.area_there(o.mm, o.vpn)
        if (a.lead or a.mm != o.mm or a.vma != o.vma
                or moved_else(self.s.count + LOOKED, o.before.looked, a.moved.looked, N_LOOKED, LOCKED - LOOKED, N_LOCKED)):
            self.walk_differs(a)
        a.n += 1
        a.seen += 1
        self.waiting = True
        if a.measure[M_PTES_TRIED] >= a.enough:
            self.rank(w.pfn, a)
        if a.measure[M_PTES_TRIED] > self.long_from:
            self.rank_long(w.pfn, a)

    cdef void walk_differs(self, Alike* a) noexcept nogil:
        """The walk that has ended may not be like the one of its kind before."""
        cdef Open* o = &self.open
        cdef uint64_t* now = self.s.count
        cdef Moved moved
        cdef int i
        if a.lead or moved_else(now + LOOKED, o.before.looked, a.moved.looked, N_LOOKED, LOCKED - LOOKED, N_LOCKED):
            for i in range(N_LOOKED):
                moved.looked[i] = now[LOOKED + i] - o.before.looked[i]
            for i in range(N_LOCKED):
                moved.locked[i] = now[LOCKED + i] - o.before.locked[i]
            self.take_shape(a, &moved, 0)
        if a.mm != o.mm or a.vma != o.vma:
            self.settle_rows(a)
            a.mm = o.mm
            a.vma = o.vma

    # walks that ended at their leads (seam/account.pxd)

    cdef bint leads_alike(self, const Lead* lead, vma_id v, uint32_t n, bint unmapped) noexcept nogil:
        cdef Alike* a
        cdef int purpose
        for purpose in range(WALK_REFERENCED, WALK_UNMAP + unmapped):
            if self.alike[purpose].lead != lead_shape(lead):
                return False
        for purpose in range(WALK_REFERENCED, WALK_UNMAP + unmapped):
            a = &self.alike[purpose]
            if a.mm != lead.mm or a.vma != v:
                self.settle_rows(a)
                a.mm = lead.mm
                a.vma = v
            a.n += n
            a.seen += n
        self.waiting = True
        return True

    cdef void leads_differ(self, const Lead* lead, const uint64_t* each, Purpose purpose) noexcept nogil:
        cdef Moved moved
        memcpy(moved.looked, each + LOOKED, sizeof(moved.looked))
        memcpy(moved.locked, each + LOCKED, sizeof(moved.locked))
        self.take_shape(&self.alike[<int> purpose], &moved, lead_shape(lead))

    cdef void rank_leads(self, const Lead* leads, vma_id v, uint32_t n, bint unmapped) noexcept nogil:
        cdef uint64_t tried = self.alike[<int> WALK_REFERENCED].measure[M_PTES_TRIED]      # that of one kind as of the other
        cdef uint32_t i
        cdef int purpose
        if tried <= self.long_from and tried < self.alike[<int> WALK_REFERENCED].enough and (
                not unmapped or tried < self.alike[<int> WALK_UNMAP].enough):
            return
        self.open.mm = leads.mm
        self.open.vma = v
        for i in range(n):
            self.open.vpn = leads[i].vpn
            for purpose in range(WALK_REFERENCED, WALK_UNMAP + unmapped):
                if tried >= self.alike[purpose].enough:
                    self.rank(leads[i].pfn, &self.alike[purpose])
                if tried > self.long_from:
                    self.rank_long(leads[i].pfn, &self.alike[purpose])

    # what is added up

    cdef void take_shape(self, Alike* a, const Moved* moved, uint32_t lead) noexcept nogil:
        """From now on walks of this kind count this."""
        cdef const uint64_t* looked = moved.looked
        cdef uint32_t n = 1
        cdef int i
        self.settle_rows(a)
        self.settle_histograms(a)
        self.scenes[a.scene].when = <uint64_t> NEVER
        a.lead = lead
        a.moved = moved[0]
        a.counter[0] = C_RMAP_WALKS
        a.each[0] = 1
        for i in range(N_LOOKED):
            a.counter[n] = LOOKED + i
            a.each[n] = looked[i]
            n += looked[i] != 0
        for i in range(N_LOCKED):
            a.counter[n] = LOCKED + i
            a.each[n] = moved.locked[i]
            n += moved.locked[i] != 0
        a.n_moved = n
        a.measure[M_PTES_TRIED] = looked[C_PTES_TRIED - LOOKED]
        a.measure[M_PTES_FOUND] = looked[C_PTES_FOUND - LOOKED]
        a.measure[M_MMS_TRIED] = looked[C_MMS_TRIED - LOOKED]
        a.measure[M_VMAS_TRIED] = looked[C_VMAS_TRIED - LOOKED]
        a.measure[M_NODES_VISITED] = looked[C_NODES_VISITED - LOOKED]
        a.measure[M_HELD] = 0
        for i in range(3, N_LOCKED, 2):        # locks and steps under them take turns; page tables' come first
            a.measure[M_HELD] += moved.locked[i]

    cdef void settle(self) noexcept nogil:
        cdef int kind
        for kind in range(WALKS):
            self.settle_rows(&self.alike[kind])
        self.waiting = False

    cdef void settle_rows(self, Alike* a) noexcept nogil:
        """What has been added up goes to the row of their area."""
        cdef uint64_t* row
        cdef uint64_t* share
        cdef uint64_t more
        cdef uint32_t i
        if a.n == 0:
            return
        share = self.share(a.mm if a.mm else self.mm)
        row = (self.area_row(a.vma) if a.vma else self.mm_row(a.mm) if a.mm else self.here()).work
        for i in range(a.n_moved):
            more = a.n * a.each[i]
            row[a.counter[i]] += more
            share[a.counter[i]] += more
            self.paid[a.counter[i]] += more
        a.n = 0

    cdef void settle_histograms(self, Alike* a) noexcept nogil:
        cdef uint64_t* histogram = self.histogram + a.kind * MEASURES * BUCKETS
        cdef uint64_t* most = &self.most[a.kind * MEASURES]
        cdef int i
        if a.seen == 0:
            return
        for i in range(MEASURES):
            histogram[i * BUCKETS + bucket(a.measure[i])] += a.seen
            if a.measure[i] > most[i]:
                most[i] = a.measure[i]
        a.seen = 0

    # the longest

    cdef void rank(self, pfn_t pfn, Alike* a) noexcept nogil:
        """It is one of the longest of its kind: of those that tried as many entries the earlier ones stay."""
        cdef LongWalk* longest = &self.longest[a.kind * LONGEST]
        cdef uint64_t tried = a.measure[M_PTES_TRIED]
        cdef uint32_t n = self.n_longest[a.kind]
        cdef uint32_t i = n if n < LONGEST else n - 1
        self.n_longest[a.kind] = i + 1
        while i and longest[i - 1].measure[M_PTES_TRIED] < tried:
            longest[i] = longest[i - 1]
            i -= 1
        self.describe_walk(&longest[i], a)
        longest[i].pfn = pfn
        longest[i].address = self.open.vpn << PAGE_SHIFT if self.open.mm else 0
        if self.n_longest[a.kind] == LONGEST:
            a.enough = longest[LONGEST - 1].measure[M_PTES_TRIED] + 1

    cdef void rank_long(self, pfn_t pfn, Alike* a) noexcept nogil:
        """It is one of those that the timeline shows; if there are enough, the first of the heap is so no more."""
        cdef uint32_t number = a.scene
        cdef Scene* scene = &self.scenes[number]
        cdef Ranked ranked
        if scene.when != self.changes + self.begun or scene.vma != self.open.vma or scene.mm != self.open.mm:
            number = self.new_scene(a)
            scene = &self.scenes[number]
        ranked.tried = a.measure[M_PTES_TRIED]
        ranked.number = self.n_ranked
        ranked.vpn = self.open.vpn
        ranked.pfn = pfn
        ranked.scene = number
        self.n_ranked += 1
        scene.walks += 1
        if self.n_long == MOST_LONG:
            self.leave_scene(self.long_rank[0].scene)
            self.sink(&ranked, 0)
            self.long_from = self.long_rank[0].tried
        else:                                  # they come to the heap from behind, which is in order if all have tried as many
            self.n_long += 1
            self.long_rank[MOST_LONG - self.n_long] = ranked
            if self.n_long == MOST_LONG:
                self.order_long()

    cdef void order_long(self) noexcept nogil:
        """There are as many as there may be: from now on they are a heap."""
        cdef Ranked mine
        cdef uint32_t i
        for i in range(MOST_LONG // 2, 0, -1):
            mine = self.long_rank[i - 1]
            self.sink(&mine, i - 1)
        self.long_from = self.long_rank[0].tried

    cdef void sink(self, const Ranked* mine, uint32_t i) noexcept nogil:
        """Comes to the i-th place of the heap, or below."""
        cdef Ranked* heap = self.long_rank
        cdef uint32_t other
        while True:
            other = 2 * i + 1
            if other + 1 < MOST_LONG and before(&heap[other + 1], &heap[other]):
                other += 1
            if other >= MOST_LONG or not before(&heap[other], mine):
                break
            heap[i] = heap[other]
            i = other
        heap[i] = mine[0]

    cdef uint32_t new_scene(self, Alike* a) noexcept nogil:
        """What is known of long walks of this kind where `open` says: its number."""
        cdef uint32_t number = a.scene
        cdef Scene* scene = &self.scenes[number]
        if number == 0 or scene.walks:         # else nothing else leads to it, and it can be another
            number = self.free_scene
            if number:
                self.free_scene = self.scenes[number].next
            else:
                self.n_scenes += 1
                number = self.n_scenes
            a.scene = number
            scene = &self.scenes[number]
        scene.when = self.changes + self.begun
        scene.mm = self.open.mm
        scene.vma = self.open.vma
        scene.walks = 0
        self.describe_walk(&scene.walk, a)
        return number

    cdef void leave_scene(self, uint32_t scene) noexcept nogil:
        """One of its walks is shown no more."""
        cdef int kind
        self.scenes[scene].walks -= 1
        if self.scenes[scene].walks:
            return
        for kind in range(WALKS):
            if self.alike[kind].scene == scene:
                return
        self.scenes[scene].next = self.free_scene
        self.free_scene = scene

    cdef void describe_walk(self, LongWalk* walk, const Alike* a) noexcept nogil:
        """Fills in what is known of the walk that is counted last, but its page, which is where `open` says."""
        cdef Row row
        memset(walk, 0, sizeof(LongWalk))
        if self.open.mm:
            walk.pid = self.s.mm[self.open.mm].pid
            walk.kind = ROW_PROCESS
        if self.open.vma:
            memset(&row, 0, sizeof(Row))
            self.describe_area(self.open.vma, &row)
            walk.start = row.start
            walk.end = row.end
            walk.file = row.file
            walk.name = row.name
            walk.kind = row.kind
        memcpy(walk.measure, a.measure, sizeof(walk.measure))
        walk.op_index = self.s.h.op_index
        walk.begun = self.begun
        walk.side = a.kind >= PURPOSES         # there are two
        walk.purpose = a.kind - walk.side * PURPOSES

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

    cdef void settle_all(self) noexcept nogil:
        """Histograms have all walks from now on."""
        cdef int kind
        for kind in range(WALKS):
            self.settle_histograms(&self.alike[kind])

    def long_walks(self):
        """Array of LONG_WALK: those of all walks that tried most entries, in the order of operations."""
        cdef Ranked* ranked
        cdef LongWalk walk
        cdef uint32_t i
        found = []
        for i in range(MOST_LONG - self.n_long, MOST_LONG):
            ranked = &self.long_rank[i]
            walk = self.scenes[ranked.scene].walk
            walk.pfn = ranked.pfn
            if self.scenes[ranked.scene].mm:
                walk.address = ranked.vpn << PAGE_SHIFT
            found.append((ranked.number, (<char*> &walk)[:sizeof(LongWalk)]))
        return np.frombuffer(b"".join(walk for _, walk in sorted(found)), LONG_WALK).copy()

    def reclaim_passes(self):
        """Array of PASS, in the order of operations."""
        if self.n_passes == 0:
            return np.zeros(0, PASS)
        return np.array(np.asarray(<Pass[:self.n_passes]> self.passes).view(PASS))

    def longest_walk(self):
        """Entries that the longest walk of all has tried."""
        self.settle_all()
        return max(self.most[kind * MEASURES + M_PTES_TRIED] for kind in range(WALKS))

    def walks(self):
        """(histograms, the most of each): uint64 arrays of SHAPE and (WALKS, MEASURES)."""
        self.settle_all()
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
