"""The ledger (ledger.pxd says what it is)."""
import numpy as np

from cython cimport final
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset

from rmapcore.pyx.base.counters cimport N_COUNTERS
from rmapcore.pyx.base.ids cimport PAGE_SHIFT, POOLS, mm_id, vma_id, vpn_t
from rmapcore.pyx.base.records cimport P_AREAS, P_MMS, P_SCHEME, VM_GROWSDOWN, Area
from rmapcore.pyx.profile.ledger cimport (
    MOST_GONE, MOST_SHARES, OPS, PLACES, ROW_HEAP, ROW_KERNEL, ROW_MAPPING, ROW_NOBODY, ROW_PROCESS, ROW_STACK, WORK,
    WORK_BYTES, WORK_OBJECTS, Row, Share,
)
from rmapcore.pyx.profile.wide cimport add_numbers, any_of, pay_numbers
from rmapcore.pyx.seam.account cimport Account
from rmapcore.pyx.seam.kernel cimport Kernel

from rmapcore.pyx.base.arena import Arena, NoAddressSpace, Reservation, end_of

cdef Row _row
cdef Share _share

ROW = np.asarray(<Row[:1]> &_row).dtype
SHARE = np.asarray(<Share[:1]> &_share).dtype
BYTES, OBJECTS, FIRST_POOL = WORK_BYTES, WORK_OBJECTS, P_SCHEME        # places in a row's work
KINDS = {ROW_NOBODY: "nobody", ROW_KERNEL: "kernel", ROW_PROCESS: "process", ROW_MAPPING: "mapping", ROW_HEAP: "heap",
         ROW_STACK: "stack"}


cdef void add_work(Row* row, const Row* other) noexcept nogil:
    add_numbers(row.work, other.work, WORK)


cdef uint64_t key_hash(const Row* row) noexcept nogil:
    cdef uint64_t factor = <uint64_t> 0x9E3779B97F4A7C15
    cdef uint64_t mixed = row.pid * factor     # before anything is joined to it: pids and pages are small numbers alike
    mixed = (mixed ^ row.start >> PAGE_SHIFT) * factor
    mixed = (mixed ^ row.file ^ <uint64_t> row.generation << 32) * factor
    mixed = (mixed ^ row.name ^ <uint64_t> row.kind << 32) * factor
    return mixed >> 40


cdef class Ledger(Account):
    """Of one machine, from now on. k: its Kernel."""

    def __init__(self, Kernel k):
        self.s = k.s
        self.n_pools = k.core.pools - P_SCHEME
        self.core = k.core
        self.gone_place = <uint32_t*> calloc(PLACES, sizeof(uint32_t))
        self.share_place = <uint32_t*> calloc(PLACES, sizeof(uint32_t))
        room = [Arena("areas", ROW, k.core.pool(P_AREAS)[2], -1), Arena("mms", ROW, k.core.pool(P_MMS)[2], -1),
                Arena("gone", ROW, MOST_GONE, -1), Arena("shares", SHARE, MOST_SHARES, -1)]
        try:
            self.room = Reservation(end_of([arena.size for arena in room]))
        except NoAddressSpace:
            self.room = None
        if self.gone_place == NULL or self.share_place == NULL or self.room is None:
            raise MemoryError("no memory for a profile")
        areas, mms, gone, shares = (arena.address for arena in room if arena.lie_in(self.room))
        self.areas = <Row*> <size_t> areas
        self.mms = <Row*> <size_t> mms
        self.gone = <Row*> <size_t> gone
        self.shares = <Share*> <size_t> shares
        self.n_shares = OPS
        for op in range(OPS):
            self.shares[op].op = op
        self.nobody.kind = ROW_NOBODY
        self.kernel.kind = ROW_KERNEL
        self.shared_op = OPS
        self.count(self.paid)

    def __dealloc__(self):
        free(self.gone_place)
        free(self.share_place)

    # rows

    cdef void count(self, uint64_t* into) noexcept nogil:
        """What the rows divide, as it stands."""
        cdef int i
        memcpy(into, self.s.count, N_COUNTERS * sizeof(uint64_t))
        into[WORK_BYTES] = self.s.h.rmap_bytes
        memset(into + WORK_OBJECTS, 0, (POOLS - P_SCHEME) * sizeof(uint64_t))
        for i in range(self.n_pools):
            into[WORK_OBJECTS + i] = self.s.pool[P_SCHEME + i].live

    @final
    cdef Row* area_row(self, vma_id v) noexcept nogil:
        return &self.areas[v]

    @final
    cdef Row* mm_row(self, mm_id mm) noexcept nogil:
        return &self.mms[mm]

    @final
    cdef Row* here(self) noexcept nogil:
        """The row of who is under way."""
        if self.vma:
            return self.area_row(self.vma)
        if self.mm:
            return self.mm_row(self.mm)
        return &self.kernel if self.op else &self.nobody

    cdef uint32_t share_number(self, uint32_t pid) noexcept nogil:
        """The number of the share of a process in what is under way, a new one if need be; that of no process where there is
        no room for it.
        """
        cdef uint32_t number
        cdef uint64_t place = (<uint64_t> pid << 32 | self.op) * <uint64_t> 0x9E3779B97F4A7C15 >> 40
        while True:
            place &= PLACES - 1
            number = self.share_place[place]
            if number == 0 or (self.shares[number].pid == pid and self.shares[number].op == self.op):
                break
            place += 1
        if number:
            return number
        if self.n_shares == MOST_SHARES:
            return self.op
        number = self.n_shares
        self.n_shares += 1
        self.share_place[place] = number
        self.shares[number].pid = pid
        self.shares[number].op = self.op
        return number

    @final
    cdef uint64_t* share(self, mm_id mm) noexcept nogil:
        """The work of a living process, or of none, in what is under way."""
        if mm != self.shared_mm or self.op != self.shared_op:
            self.find_share(mm)
        return self.shares[self.shared].work

    cdef void find_share(self, mm_id mm) noexcept nogil:
        cdef Row* row
        self.shared_mm = mm
        self.shared_op = self.op
        self.shared = self.op
        if mm:
            row = self.mm_row(mm)
            if row.share == 0 or row.share_op != self.op:
                row.share = self.share_number(self.s.mm[mm].pid)
                row.share_op = self.op
            self.shared = row.share

    cdef void settle(self) noexcept nogil:
        """What waits goes to its rows."""
        self.waiting = False

    @final
    cdef void pay(self) noexcept nogil:
        """What has been counted since goes to who is under way."""
        cdef uint64_t* row
        cdef uint64_t* share
        if self.waiting:
            self.settle()
        row = self.here().work
        share = self.share(self.mm)
        pay_numbers(self.s.count, self.paid, row, share, N_COUNTERS)
        if self.objects_moved():
            self.charge_objects(row, share)

    @final
    cdef bint objects_moved(self) noexcept nogil:
        """Have objects, or their bytes, come or gone since?"""
        cdef uint64_t moved = self.s.h.rmap_bytes ^ self.paid[WORK_BYTES]
        cdef int i
        for i in range(self.n_pools):
            moved |= self.s.pool[P_SCHEME + i].live ^ self.paid[WORK_OBJECTS + i]
        return moved != 0

    @final
    cdef void charge_objects(self, uint64_t* row, uint64_t* share) noexcept nogil:
        """The objects that have come and gone since, and their bytes."""
        cdef uint64_t more = self.s.h.rmap_bytes - self.paid[WORK_BYTES]
        cdef uint64_t live
        cdef int i
        row[WORK_BYTES] += more
        share[WORK_BYTES] += more
        self.paid[WORK_BYTES] = self.s.h.rmap_bytes
        for i in range(self.n_pools):
            live = self.s.pool[P_SCHEME + i].live
            more = live - self.paid[WORK_OBJECTS + i]
            row[WORK_OBJECTS + i] += more
            share[WORK_OBJECTS + i] += more
            self.paid[WORK_OBJECTS + i] = live

    cdef void hold(self, vma_id v, mm_id mm) noexcept nogil:
        """The objects that have come since pay() are those of an area (0: none) and its process, though others are at work."""
        if self.objects_moved():
            self.charge_objects((self.area_row(v) if v else self.mm_row(mm)).work, self.share(mm))

    cdef void turn(self, mm_id mm, uint32_t op, vpn_t vpn, bint begins) noexcept nogil:
        cdef Area* a = &self.s.area[self.vma]
        if op == self.op and mm == self.mm and self.vma and a.start <= vpn < a.end:
            self.calls[op] += begins
            self.begun += begins
            return
        self.pay()
        self.op = op
        self.calls[op] += begins
        self.begun += begins
        self.mm = mm
        self.vma = self.area_there(mm, vpn) if mm else 0

    @final
    cdef vma_id area_there(self, mm_id mm, vpn_t vpn) noexcept nogil:
        """The area of a page; 0: none."""
        cdef Area* area = self.s.area
        cdef vma_id v = self.s.mm[mm].cache    # what the kernel found last, but it is not to be remembered that we looked
        if v and area[v].start <= vpn < area[v].end:
            return v
        v = self.s.mm[mm].root
        while v and not area[v].start <= vpn < area[v].end:
            v = area[v].left if vpn < area[v].start else area[v].right
        return v

    cdef void rest(self) noexcept nogil:
        self.pay()
        self.op = 0
        self.mm = 0
        self.vma = 0

    @final
    cdef void goes_to(self, vma_id v) noexcept nogil:
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

    @final
    cdef bint worked(self, Row* row) noexcept nogil:
        return any_of(row.work, WORK) != 0

    cdef void retire(self, Row* row) noexcept nogil:
        """A row whose area or process has gone: joined to the one of the same key, and zero again."""
        cdef Row* old
        cdef uint32_t number
        cdef uint64_t place = key_hash(row)
        while True:
            place &= PLACES - 1
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
        if self.worked(row):
            self.retire(row)
        else:
            memset(row, 0, sizeof(Row))
        self.vma = 0

    cdef void retire_mm(self, mm_id mm) noexcept nogil:
        cdef Row* row = self.mm_row(mm)
        self.shared_op = OPS                   # who has its number next is somebody else
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
        if self.waiting:
            self.settle()
        add_work(row, old)
        memset(old, 0, sizeof(Row))

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

    def operations(self):
        """Operations of each call, by its number: uint64 array of OPS."""
        return np.array(<uint64_t[:OPS]> self.calls)

    def by_share(self):
        """Array of SHARE: by process and call."""
        self.pay()
        return np.array(np.asarray(<Share[:self.n_shares]> self.shares).view(SHARE))

    def held(self):
        """(pid, objects by pool) of every share that holds any: uint32 and int64 arrays."""
        cdef uint32_t[::1] pid
        cdef int64_t[:, ::1] objects
        cdef uint32_t i, n
        cdef int j
        cdef bint some
        self.pay()
        pids = np.zeros(self.n_shares, np.uint32)
        counts = np.zeros((self.n_shares, POOLS - P_SCHEME), np.int64)
        pid, objects = pids, counts
        n = 0
        for i in range(self.n_shares):
            some = False
            for j in range(self.n_pools):
                objects[n, j] = <int64_t> self.shares[i].work[WORK_OBJECTS + j]
                some |= objects[n, j] != 0
            pid[n] = self.shares[i].pid
            n += some
        return pids[:n], counts[:n]

    def totals(self):
        """What the rows sum to, if it was zero when the ledger began: uint64 array of WORK."""
        out = np.empty(WORK, np.uint64)
        self.count(<uint64_t*> <size_t> out.ctypes.data)
        return out
