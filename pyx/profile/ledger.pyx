"""The ledger (ledger.pxd says what it is)."""
import numpy as np

from libc.stdint cimport uint32_t, uint64_t
from libc.stdlib cimport calloc, free, realloc
from libc.string cimport memcpy, memset

from rmapcore.pyx.base.counters cimport (
    C_MMS_TRIED, C_NODES_VISITED, C_PTES_FOUND, C_PTES_TRIED, C_RMAP_WALKS, C_VMAS_TRIED, N_COUNTERS,
)
from rmapcore.pyx.base.ids cimport PAGE_SHIFT, mm_id, vma_id, vpn_t
from rmapcore.pyx.base.records cimport VM_GROWSDOWN, Area
from rmapcore.pyx.machine.vmas cimport peek_vma
from rmapcore.pyx.profile.ledger cimport (
    BUCKETS, EXACT, FINE, GONE_PLACES, LOCKED, LONGEST, LOOKED, M_HELD, M_MMS_TRIED, M_NODES_VISITED, M_PTES_FOUND,
    M_PTES_TRIED, M_VMAS_TRIED, MEASURES, MOST_GONE, N_LOCKED, N_LOOKED, OPS, PURPOSES, ROW_HEAP, ROW_KERNEL, ROW_MAPPING,
    ROW_NOBODY, ROW_PROCESS, ROW_STACK, WALKS, WORK, WORK_BYTES, LongWalk, Open, Row,
)
from rmapcore.pyx.seam.account cimport Account
from rmapcore.pyx.seam.kernel cimport Kernel
from rmapcore.pyx.seam.scheme cimport Walk

cdef Row _row
cdef LongWalk _long

ROW = np.asarray(<Row[:1]> &_row).dtype
LONG_WALK = np.asarray(<LongWalk[:1]> &_long).dtype
SHAPE = (WALKS, MEASURES, BUCKETS)
MEASURE_NAMES = ("ptes_tried", "ptes_found", "mms_tried", "vmas_tried", "nodes_visited", "steps_locked")
KINDS = {ROW_NOBODY: "nobody", ROW_KERNEL: "kernel", ROW_PROCESS: "process", ROW_MAPPING: "mapping", ROW_HEAP: "heap",
         ROW_STACK: "stack"}


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


cdef Row* numbered(Row** rows, uint64_t* n, uint64_t number) noexcept nogil:
    """The row of that number, of *rows, of which there are *n and then more, zero; NULL where there is no memory for them."""
    cdef uint64_t room = n[0] if n[0] else 256
    cdef Row* more
    if number >= n[0]:
        while room <= number:
            room *= 2
        more = <Row*> realloc(rows[0], room * sizeof(Row))
        if more == NULL:
            return NULL
        memset(more + n[0], 0, (room - n[0]) * sizeof(Row))
        rows[0] = more
        n[0] = room
    return rows[0] + number


cdef void add_work(Row* row, const Row* other) noexcept nogil:
    cdef int i
    for i in range(WORK):
        row.work[i] += other.work[i]


cdef uint64_t key_hash(const Row* row) noexcept nogil:
    cdef uint64_t mixed = row.pid
    cdef uint64_t factor = <uint64_t> 0x9E3779B97F4A7C15
    mixed = (mixed ^ row.start >> PAGE_SHIFT) * factor
    mixed = (mixed ^ row.file ^ <uint64_t> row.generation << 32) * factor
    mixed = (mixed ^ row.name ^ <uint64_t> row.kind << 32) * factor
    return mixed >> 40


cdef class Ledger(Account):
    """Of one machine, from now on. k: its Kernel."""

    def __init__(self, Kernel k):
        self.s = k.s
        histogram = np.zeros(SHAPE, np.uint64)
        self.keep = k.core, histogram
        self.histogram = <uint64_t*> <size_t> histogram.ctypes.data
        self.gone_place = <uint32_t*> calloc(GONE_PLACES, sizeof(uint32_t))
        if self.gone_place == NULL:
            raise MemoryError("no memory for a profile")
        self.nobody.kind = ROW_NOBODY
        self.kernel.kind = ROW_KERNEL
        self.count(self.paid)
        self.count(self.paid_calls)

    def __dealloc__(self):
        free(self.areas)
        free(self.mms)
        free(self.gone)
        free(self.gone_place)

    # rows

    cdef void count(self, uint64_t* into) noexcept nogil:
        """What the rows divide, as it stands."""
        memcpy(into, self.s.count, N_COUNTERS * sizeof(uint64_t))
        into[WORK_BYTES] = self.s.h.rmap_bytes

    cdef Row* area_row(self, vma_id v) noexcept nogil:
        cdef Row* row = numbered(&self.areas, &self.n_areas, v)
        return row if row else &self.nobody

    cdef Row* mm_row(self, mm_id mm) noexcept nogil:
        cdef Row* row = numbered(&self.mms, &self.n_mms, mm)
        return row if row else &self.nobody

    cdef Row* here(self) noexcept nogil:
        """The row of who is under way."""
        if self.vma:
            return self.area_row(self.vma)
        if self.mm:
            return self.mm_row(self.mm)
        return &self.kernel if self.op else &self.nobody

    cdef void charge(self, uint64_t* row, uint64_t* paid) noexcept nogil:
        """What has been counted since `paid` goes to a row."""
        cdef uint64_t* now = self.s.count
        cdef int i
        for i in range(N_COUNTERS):
            row[i] += now[i] - paid[i]
            paid[i] = now[i]
        row[WORK_BYTES] += self.s.h.rmap_bytes - paid[WORK_BYTES]
        paid[WORK_BYTES] = self.s.h.rmap_bytes

    cdef void pay(self) noexcept nogil:
        """What has been counted since goes to who is under way,"""
        self.charge(self.here().work, self.paid)

    cdef void pay_call(self) noexcept nogil:
        """and to the call that is."""
        self.charge(&self.call[self.op * WORK], self.paid_calls)

    cdef void turn(self, mm_id mm, uint32_t op, vpn_t vpn, bint begins) noexcept nogil:
        cdef Area* a = &self.s.area[self.vma]
        if op == self.op and mm == self.mm and self.vma and a.start <= vpn < a.end:
            self.calls[op] += begins
            return
        if op != self.op:
            self.pay_call()
        self.pay()
        self.op = op
        self.calls[op] += begins
        self.mm = mm
        self.vma = self.area_there(mm, vpn) if mm else 0

    cdef vma_id area_there(self, mm_id mm, vpn_t vpn) noexcept nogil:
        """The area of a page; 0: none."""
        cdef vma_id v = peek_vma(self.s, mm, vpn)
        return v if v and self.s.area[v].start <= vpn else 0

    cdef void rest(self) noexcept nogil:
        self.pay_call()
        self.pay()
        self.op = 0
        self.mm = 0
        self.vma = 0

    cdef void at(self, vma_id v) noexcept nogil:
        """What comes is work in this area."""
        if v != self.vma:
            self.pay()
            self.vma = v

    cdef void be_child(self, mm_id child, mm_id parent) noexcept nogil:
        """parent 0: it is the child of nobody, after exec."""
        cdef uint32_t generation = self.mm_row(parent).generation + 1 if parent else 0
        self.mm_row(child).generation = generation

    cdef void describe_area(self, vma_id v, Row* row) noexcept nogil:
        """Fills in what the row of a living area is about."""
        cdef Area* a = &self.s.area[v]
        cdef uint64_t start = a.start << PAGE_SHIFT
        cdef uint64_t end = a.end << PAGE_SHIFT
        row.start = start
        row.end = end
        row.pid = self.s.mm[a.mm].pid
        row.generation = self.mm_row(a.mm).generation
        row.file = a.file
        row.name = a.name
        row.areas = 1
        row.kind = ROW_MAPPING
        if a.flags & VM_GROWSDOWN:
            row.kind = ROW_STACK
        elif a.file == 0 and start < self.s.mm[a.mm].brk and end > self.s.mm[a.mm].start_brk:
            row.kind = ROW_HEAP

    cdef void describe_mm(self, mm_id mm, Row* row) noexcept nogil:
        row.pid = self.s.mm[mm].pid
        row.kind = ROW_PROCESS

    cdef bint worked(self, Row* row) noexcept nogil:
        cdef int i
        for i in range(WORK):
            if row.work[i]:
                return True
        return False

    cdef void retire(self, Row* row) noexcept nogil:
        """A row whose area or process has gone: joined to the one of the same key, and zero again."""
        cdef Row* more
        cdef Row* old
        cdef uint32_t room, number
        cdef uint64_t place = key_hash(row)
        while True:
            place &= GONE_PLACES - 1
            number = self.gone_place[place]
            if number == 0:
                break
            old = &self.gone[number - 1]
            if (old.pid == row.pid and old.start == row.start and old.file == row.file and old.name == row.name
                    and old.kind == row.kind and old.generation == row.generation):
                break
            place += 1
        if number == 0 and self.n_gone == MOST_GONE:
            old = &self.nobody
        elif number == 0:
            if self.n_gone == self.gone_room:
                room = 2 * self.gone_room if self.gone_room else 1024
                more = <Row*> realloc(self.gone, room * sizeof(Row))
                if more != NULL:
                    self.gone = more
                    self.gone_room = room
            if self.n_gone == self.gone_room:
                old = &self.nobody
            else:
                old = &self.gone[self.n_gone]
                self.n_gone += 1
                self.gone_place[place] = self.n_gone
                memcpy(old, row, sizeof(Row))
                memset(row, 0, sizeof(Row))
                return
        add_work(old, row)
        if old.kind != ROW_NOBODY:
            old.areas += row.areas
            if row.end > old.end:
                old.end = row.end
        memset(row, 0, sizeof(Row))

    cdef void retire_area(self, vma_id v) noexcept nogil:
        """v is about to leave, and its work is paid."""
        cdef Row* row = self.area_row(v)
        self.describe_area(v, row)
        if row != &self.nobody and self.worked(row):
            self.retire(row)
        elif row != &self.nobody:
            memset(row, 0, sizeof(Row))
        self.vma = 0

    cdef void retire_mm(self, mm_id mm) noexcept nogil:
        cdef Row* row = self.mm_row(mm)
        if row != &self.nobody:
            self.describe_mm(mm, row)
            if self.worked(row):
                self.retire(row)
            else:
                memset(row, 0, sizeof(Row))
        self.mm = 0
        self.vma = 0

    cdef void join_areas(self, vma_id v, vma_id gone) noexcept nogil:
        """v has swallowed `gone`, and its work."""
        cdef Row* old = self.area_row(gone)
        cdef Row* row = self.area_row(v)
        old = self.area_row(gone)              # the other may have moved it
        if row == &self.nobody or old == &self.nobody:
            return
        add_work(row, old)
        memset(old, 0, sizeof(Row))

    # walks

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
        cdef int i
        if not o.placed and w.found:           # it ended there
            o.mm = w.mm
            o.vma = w.vma
            o.vpn = w.vpn
        if o.mm and o.vma == 0:
            o.vma = self.area_there(o.mm, o.vpn)
        row = (self.area_row(o.vma) if o.vma else self.mm_row(o.mm) if o.mm else self.here()).work
        row[C_RMAP_WALKS] += 1
        self.paid[C_RMAP_WALKS] += 1           # the engine has counted it before
        row += LOOKED
        for i in range(N_LOOKED):
            o.looked[i] = now[i] - o.looked[i]
        for i in range(N_LOOKED):
            row[i] += o.looked[i]
        for i in range(N_LOOKED):
            paid[i] += o.looked[i]
        now += LOCKED - LOOKED
        paid += LOCKED - LOOKED
        row += LOCKED - LOOKED
        for i in range(N_LOCKED):
            o.locked[i] = now[i] - o.locked[i]
        for i in range(N_LOCKED):
            row[i] += o.locked[i]
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

    cdef void rank(self, Walk* w, uint32_t kind, int side, const uint64_t* measure) noexcept nogil:
        """It is one of the longest: of those that tried as many entries the earlier ones stay."""
        cdef LongWalk* longest = &self.longest[kind * LONGEST]
        cdef LongWalk* place
        cdef Row about
        cdef uint32_t i
        cdef uint32_t n = self.n_longest[kind]
        i = n if n < LONGEST else n - 1
        self.n_longest[kind] = i + 1
        while i and longest[i - 1].measure[M_PTES_TRIED] < measure[M_PTES_TRIED]:
            longest[i] = longest[i - 1]
            i -= 1
        place = &longest[i]
        memset(place, 0, sizeof(LongWalk))
        memcpy(place.measure, measure, sizeof(place.measure))
        place.op_index = self.s.h.op_index
        place.pfn = w.pfn
        place.side = side
        place.purpose = w.purpose
        if self.open.mm == 0:
            return
        place.address = self.open.vpn << PAGE_SHIFT
        place.pid = self.s.mm[self.open.mm].pid
        place.kind = ROW_PROCESS
        if self.open.vma:
            memset(&about, 0, sizeof(Row))
            self.describe_area(self.open.vma, &about)
            place.start = about.start
            place.end = about.end
            place.file = about.file
            place.name = about.name
            place.kind = about.kind

    # for Python. The caller holds the machine

    def rows(self):
        """Everything so far: array of ROW, of nobody, the kernel, living areas, living processes, and what is gone."""
        cdef mm_id mm
        cdef vma_id v
        self.pay()
        found = []
        self.describe(&self.nobody, found)
        self.describe(&self.kernel, found)
        mm = self.s.h.mm_first
        while mm:
            self.describe_mm(mm, self.mm_row(mm))
            self.describe(self.mm_row(mm), found)
            v = self.s.mm[mm].first
            while v:
                self.describe_area(v, self.area_row(v))
                if self.worked(self.area_row(v)):
                    self.describe(self.area_row(v), found)
                v = self.s.area[v].next
            mm = self.s.mm[mm].next
        living = np.frombuffer(b"".join(found), ROW)
        if self.n_gone == 0:
            return living.copy()
        gone = np.array(np.asarray(<Row[:self.n_gone]> self.gone))
        return np.concatenate([living, gone.view(ROW)])

    cdef void describe(self, Row* row, list found):
        found.append((<char*> row)[:sizeof(Row)])

    def call_rows(self):
        """(operations, work) by number of the operation, 0: none was under way: uint64 arrays of OPS and (OPS, WORK)."""
        self.pay_call()
        return (np.array(<uint64_t[:OPS]> self.calls), np.array(<uint64_t[:OPS * WORK]> self.call).reshape(OPS, WORK))

    def totals(self):
        """What the rows sum to, if it was zero when the ledger began: uint64 array of WORK."""
        out = np.empty(WORK, np.uint64)
        self.count(<uint64_t*> <size_t> out.ctypes.data)
        return out

    def walks(self):
        """(histograms, the most of each): uint64 arrays of SHAPE and (WALKS, MEASURES)."""
        return self.keep[1].copy(), np.array(<uint64_t[:WALKS * MEASURES]> self.most).reshape(WALKS, MEASURES)

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
