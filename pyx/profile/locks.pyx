"""The log of locks (locks.pxd says what it is)."""
import numpy as np

from libc.stdint cimport uint32_t, uint64_t
from libc.stdlib cimport free, realloc
from libc.string cimport memcpy, memset

from rmapcore.pyx.base.counters cimport (
    C_COW_REUSES, C_FAULTS_SPURIOUS, C_FAULTS_ZERO, C_LOCK_I_MMAP_HELD, C_LOCK_PAGE_TABLE, C_PTES_FOUND, C_PTES_TRIED,
    C_RMAP_DUPS, C_RMAP_WALKS, C_SCANNED_PTES, C_VMA_MERGES, C_VMA_SPLITS, N_COUNTERS,
)
from rmapcore.pyx.base.ids cimport mm_id, vma_id, vpn_t
from rmapcore.pyx.base.records cimport OP_REMAP_FILE_PAGES, P_AREAS
from rmapcore.pyx.machine.vmas cimport peek_vma
from rmapcore.pyx.profile.locks cimport (
    LOG_AREA, LOG_CHAIN, LOG_COUNTED, LOG_FILE, LOG_FRAME, LOG_I_MMAP, LOG_PAGE_TABLE, LOG_TABLE, MARKS, MOST_EVENTS,
    MOST_POOLS, OPENED, WHY_HOOK, WHY_REST, LockEvent, LoggedOperation,
)
from rmapcore.pyx.seam.account cimport NO_PAGE, Account
from rmapcore.pyx.seam.kernel cimport Kernel
from rmapcore.pyx.seam.scheme cimport Walk

cdef LockEvent _event
cdef LoggedOperation _operation

EVENT = np.asarray(<LockEvent[:1]> &_event).dtype
OPERATION = np.asarray(<LoggedOperation[:1]> &_operation).dtype
WHYS = ("query", "referenced", "unmap", "sweep", "clusters", "hook", "rest")    # as WHY_


cdef bint grow(void** rows, uint64_t* room, uint64_t n, size_t size) noexcept nogil:
    """Makes room for row n. False: the host has no memory for it."""
    cdef uint64_t more = 2 * room[0] if room[0] else 1024
    cdef void* grown
    if n < room[0]:
        return True
    grown = realloc(rows[0], more * size)
    if grown == NULL:
        return False
    rows[0] = grown
    room[0] = more
    return True


cdef class LockLog(Account):
    """Of one machine, from now on. k: its Kernel; inner: who kept account before.

    cost: uint64 array of N_COUNTERS, ns of one count; operation, area, object: ns of an operation, and of an area, or an
    object of the scheme or file side, that comes or goes. table_of: pages of a page table's lock, 0: an address space has one.
    """

    def __init__(self, Kernel k, Account inner, const uint64_t[::1] cost, uint64_t operation, uint64_t area,
                 uint64_t object, uint64_t table_of):
        cdef int i
        self.s = k.s
        self.inner = inner
        self.keep = k.core
        self.operation_cost = operation
        self.table_of = table_of
        for i in range(N_COUNTERS):
            self.cost[i] = cost[i]
            self.step[i] = not (i == C_RMAP_WALKS or i == C_PTES_FOUND or C_COW_REUSES <= i <= C_FAULTS_SPURIOUS
                                or C_LOCK_PAGE_TABLE <= i <= C_LOCK_I_MMAP_HELD or i == C_VMA_MERGES or i == C_VMA_SPLITS)
        self.pool[0] = P_AREAS
        self.pool_cost[0] = area
        self.n_pools = 1
        self.owns = len(k.anon.census()) > 0   # those with a lock come first
        for pool, _ in (*k.anon.census().values(), *k.side.census().values()):
            if self.n_pools < MOST_POOLS:
                self.pool[self.n_pools] = pool
                self.pool_cost[self.n_pools] = object
                self.n_pools += 1

    def __dealloc__(self):
        free(self.operations)
        free(self.events)
        free(self.births)
        free(self.candidates)

    # the clock

    cdef void advance(self) noexcept nogil:
        """The clock and the steps take in what has been counted since."""
        cdef uint64_t* now = self.s.count
        cdef uint64_t grown, live
        cdef int i
        for i in range(N_COUNTERS):
            grown = now[i] - self.last[i]
            if grown:
                self.clock += grown * self.cost[i]
                self.steps += grown * self.step[i]
                self.last[i] = now[i]
        for i in range(self.n_pools):
            live = self.s.pool[self.pool[i]].live
            if live != self.live[i]:
                grown = live - self.live[i] if live > self.live[i] else self.live[i] - live
                self.clock += grown * self.pool_cost[i]
                self.steps += grown
                self.live[i] = live

    cdef uint64_t fault_count(self) noexcept nogil:
        cdef uint64_t faults = 0
        cdef int i
        for i in range(C_FAULTS_ZERO, C_FAULTS_SPURIOUS + 1):
            faults += self.s.count[i]
        return faults

    # what a ledger, which may stand behind it, is told too

    cdef void hush(self, bint quiet) noexcept nogil:
        self.inner.hush(quiet)

    cdef void pass_begins(self) noexcept nogil:
        self.inner.pass_begins()

    cdef void pass_ends(self, int priority, uint64_t freed) noexcept nogil:
        self.inner.pass_ends(priority, freed)

    # operations

    cdef void turn(self, mm_id mm, uint32_t op, vpn_t vpn, bint begins) noexcept nogil:
        cdef LoggedOperation* row
        cdef vma_id v
        cdef int i
        self.inner.turn(mm, op, vpn, begins)
        if not begins and self.goes_on(mm, op, vpn):
            if not self.busy:
                self.resume()
            return
        if self.busy:
            self.close_up()
        self.busy = False
        if begins and self.announced and self.goes_on(mm, op, vpn):        # it is looked at first (replay, RUN_FOLD)
            self.n_operations -= 1
        self.announced = not begins
        if not grow(<void**> &self.operations, &self.operation_room, self.n_operations, sizeof(LoggedOperation)):
            self.lost += 1
            return
        self.n_operations += 1
        self.resume()
        self.clock = self.operation_cost
        self.steps = 0
        self.depth[0] = self.depth[1] = 0
        self.closed[0] = self.closed[1] = 0
        for i in range(MARKS):
            self.marked[i] = 0
        v = peek_vma(self.s, mm, vpn) if mm and vpn != NO_PAGE else 0
        row = &self.operations[self.n_operations - 1]
        row.first = self.n_events
        row.index = self.s.h.op_index + 1
        row.page = vpn
        row.pid = self.s.mm[mm].pid if mm else 0
        row.op = op
        row.area = v if v and self.s.area[v].start <= vpn else 0
        row.ns = 0
        row.steps = row.faults = row.child = row.reserved = 0

    cdef bint goes_on(self, mm_id mm, uint32_t op, vpn_t vpn) noexcept nogil:
        """Is it the operation that came to rest? The parts of a batch do not say when they begin."""
        cdef LoggedOperation* row
        if self.n_operations == 0:
            return False
        row = &self.operations[self.n_operations - 1]
        return row.op == op and row.page == vpn and row.pid == (self.s.mm[mm].pid if mm else 0)

    cdef void rest(self) noexcept nogil:
        self.inner.rest()
        if self.busy:
            self.close_up()
        self.busy = False

    cdef void resume(self) noexcept nogil:
        """The operation goes on: what was counted since it came to rest is nobody's."""
        cdef int i
        memcpy(self.last, self.s.count, sizeof(self.last))
        for i in range(self.n_pools):
            self.live[i] = self.s.pool[self.pool[i]].live
        for i in range(LOG_COUNTED):
            self.began[i] = self.s.count[C_LOCK_PAGE_TABLE + 2 * i]
            self.logged[i] = 0
        self.faulted = self.fault_count()
        self.busy = True

    cdef void close_up(self) noexcept nogil:
        """What the operation's row says, as far as it has come, and one event for each lock that no hook told of."""
        cdef LoggedOperation* row = &self.operations[self.n_operations - 1]
        cdef uint64_t count
        cdef int i
        self.close_table()
        self.advance()
        for i in range(LOG_COUNTED):
            count = self.s.count[C_LOCK_PAGE_TABLE + 2 * i] - self.began[i] - self.logged[i]
            if count:
                self.add(i, WHY_REST, 0, count, 0, 0, count)
        row.faults += <uint32_t> (self.fault_count() - self.faulted)
        row.ns = self.clock
        row.steps = self.steps

    # events

    cdef uint64_t add(self, uint32_t lock, uint32_t why, uint64_t o, uint64_t count, uint64_t at, uint64_t hold,
                      uint64_t steps) noexcept nogil:
        """The number of a new event, from 1; 0: there is no room."""
        cdef LockEvent* e
        if lock < LOG_COUNTED:
            self.logged[lock] += count
        if self.n_events == MOST_EVENTS or not grow(<void**> &self.events, &self.event_room, self.n_events,
                                                    sizeof(LockEvent)):
            self.lost += 1
            return 0
        e = &self.events[self.n_events]
        e.at = at
        e.hold = hold
        e.operation = <uint32_t> (self.n_operations - 1)
        e.object = o
        e.count = <uint32_t> count
        e.steps = <uint32_t> steps
        e.lock = lock
        e.why = why
        e.reserved = 0
        self.n_events += 1
        return self.n_events

    cdef void enter(self) noexcept nogil:
        """A hook is about to be called."""
        cdef int i
        if not self.busy:
            return
        self.close_table()
        self.advance()
        for i in range(LOG_COUNTED):
            self.mark[i] = self.s.count[C_LOCK_PAGE_TABLE + 2 * i]
        self.entered = self.clock
        self.entered_steps = self.steps

    cdef void leave(self, uint32_t before, uint32_t o) noexcept nogil:
        """It has been. before, o: its object as it was then, and as it is; where there was none, it may be a new one."""
        cdef uint64_t count
        cdef int i
        if not self.busy:
            return
        if before == 0 and o and self.grew():
            self.born(o)
        self.advance()
        for i in range(LOG_CHAIN + 1, LOG_COUNTED):
            count = self.s.count[C_LOCK_PAGE_TABLE + 2 * i] - self.mark[i]
            if count:
                self.add(i, WHY_HOOK, (o if o else before) if i == LOG_I_MMAP else self.named(o if o else before), count,
                         self.entered, self.clock - self.entered,
                         self.steps - self.entered_steps + count)

    cdef bint grew(self) noexcept nogil:
        """Was one made since enter()? Where an area adopts another's, none is."""
        return self.owns and self.s.pool[self.pool[1]].live > self.live[1]

    cdef uint64_t named(self, uint32_t o) noexcept nogil:
        """The object of a scheme, told from those that had its number before."""
        return o | (<uint64_t> self.births[o] << 32 if o < self.n_births else 0)

    cdef void born(self, uint32_t o) noexcept nogil:
        cdef uint64_t had = self.n_births
        if not grow(<void**> &self.births, &self.n_births, o, sizeof(uint32_t)):
            self.lost += 1
            return
        while self.n_births <= o:
            if not grow(<void**> &self.births, &self.n_births, self.n_births, sizeof(uint32_t)):
                self.lost += 1
                return
        memset(self.births + had, 0, (self.n_births - had) * sizeof(uint32_t))
        self.births[o] += 1

    cdef void bounds_open(self, uint32_t o, bint side) noexcept nogil:
        """After area_before: what it took is held until the last area_after."""
        cdef uint64_t count
        cdef int i
        if not self.busy:
            return
        self.advance()
        for i in range(LOG_CHAIN + 1, LOG_COUNTED):
            count = self.s.count[C_LOCK_PAGE_TABLE + 2 * i] - self.mark[i]
            if count and self.depth[side] < OPENED:
                self.opened[side * OPENED + self.depth[side]] = self.add(
                    i, WHY_HOOK, o if side else self.named(o), count, self.entered, 0, self.entered_steps)
                self.depth[side] += 1

    cdef void bounds_close(self, bint side) noexcept nogil:
        """After area_after: all are let go of. Taking the lock again, as trees are counted, is the same hold."""
        cdef uint64_t count
        cdef LockEvent* e
        cdef int i
        if not self.busy:
            return
        self.advance()
        for i in range(self.depth[side]):
            self.closed[side] = self.opened[side * OPENED + i]
            self.let_go(self.closed[side], self.clock, self.steps)
        self.depth[side] = 0
        if self.closed[side]:
            e = &self.events[self.closed[side] - 1]
            count = self.s.count[C_LOCK_PAGE_TABLE + 2 * e.lock] - self.mark[e.lock]
            e.count += <uint32_t> count
            e.steps += <uint32_t> count
            self.logged[e.lock] += count

    cdef void mark_area(self, vma_id v) noexcept nogil:
        """An area is to change: its lock is taken for as long as the operation lasts (lockrules.py)."""
        cdef int i
        if not self.busy:
            return
        for i in range(MARKS):
            if self.marked[i] == v:
                return
        self.marked[self.next_mark] = v
        self.next_mark = (self.next_mark + 1) % MARKS
        self.add(LOG_AREA, WHY_HOOK, v, 1, 0, 0, 1)

    cdef void forked(self, mm_id child) noexcept nogil:
        if self.busy:
            self.operations[self.n_operations - 1].child = self.s.mm[child].pid

    # walks

    cdef void walk_begins(self, Walk* w) noexcept nogil:
        cdef int i
        self.walk_event = 0
        self.walk_frame = 0
        self.n_candidates = 0
        self.walking = True
        if not self.busy:
            return
        self.close_table()
        self.advance()
        for i in range(LOG_COUNTED):
            self.walk_mark[i] = self.s.count[C_LOCK_PAGE_TABLE + 2 * i]
        self.walk_at = self.clock
        self.walk_steps = self.steps
        if w.pfn:
            self.walk_frame = self.add(LOG_FRAME, w.purpose, w.pfn, 1, self.clock, 0, 0)

    cdef void walk_began(self, Walk* w, uint32_t o) noexcept nogil:
        """The scheme has taken its lock, if it has one."""
        cdef uint64_t count
        cdef int i
        if not self.busy:
            return
        for i in range(LOG_CHAIN, LOG_COUNTED):
            count = self.s.count[C_LOCK_PAGE_TABLE + 2 * i] - self.walk_mark[i]
            if count:
                self.walk_event = self.add(i, w.purpose, w.pfn if i == LOG_CHAIN else o if i == LOG_I_MMAP else self.named(o),
                                           count, self.walk_at, 0, 0)

    cdef void let_go(self, uint64_t number, uint64_t clock, uint64_t steps) noexcept nogil:
        """A lock is let go of, at that time and after so many steps, whose event has those from when it was taken; 0: none."""
        cdef LockEvent* e
        if number:
            e = &self.events[number - 1]
            e.hold = clock - e.at
            e.steps = <uint32_t> (steps - e.steps) + e.count

    cdef void candidate(self, mm_id mm, vpn_t vpn) noexcept nogil:
        """The walk has looked into this page's table."""
        if self.walking and self.busy and grow(<void**> &self.candidates, &self.candidate_room, self.n_candidates,
                                               sizeof(uint64_t)):
            self.candidates[self.n_candidates] = self.table_at(mm, vpn)
            self.n_candidates += 1

    cdef void walk_ends(self, Walk* w) noexcept nogil:
        """Tables are counted at the end, so a walk is spread evenly over them: each is held as long as an entry takes."""
        cdef uint64_t tables, hold, each, i
        self.walking = False
        if not self.busy:
            return
        self.advance()
        self.let_go(self.walk_frame, self.clock, self.steps - self.walk_steps)
        self.let_go(self.walk_event, self.clock, self.steps - self.walk_steps)
        tables = self.s.count[C_LOCK_PAGE_TABLE] - self.walk_mark[LOG_PAGE_TABLE]
        if tables == 0:
            return
        hold = self.cost[C_LOCK_PAGE_TABLE] + self.cost[C_PTES_TRIED]
        if tables != self.n_candidates:        # a sweep's, which are not told one by one
            self.add(LOG_PAGE_TABLE, w.purpose, 0, tables, self.walk_at, tables * hold, 2 * tables)
            return
        each = (self.clock - self.walk_at) // tables
        for i in range(tables):
            self.add(LOG_PAGE_TABLE, w.purpose, self.candidates[i], 1, self.walk_at + i * each, min(hold, each), 2)

    # page tables that operations go through

    cdef uint64_t table_at(self, mm_id mm, vpn_t vpn) noexcept nogil:
        """The lock of a page's table, as lockrules.table_object numbers them."""
        return <uint64_t> self.s.mm[mm].pid << 36 | (vpn // self.table_of + 1 if self.table_of else 1)

    cdef void tables_copied(self, mm_id child, mm_id parent, vpn_t vpn, uint32_t n) noexcept nogil:
        """fork has copied n entries of a table: the child's was held, and in it the parent's."""
        cdef uint64_t before = self.clock
        cdef uint64_t steps = self.steps
        cdef uint64_t most = n * (self.cost[C_SCANNED_PTES] + self.cost[C_RMAP_DUPS])
        cdef uint64_t hold
        if not self.busy:
            return
        self.advance()
        hold = self.clock - before if self.clock - before < most else most
        steps = self.steps - steps + 1
        self.add(LOG_TABLE, WHY_HOOK, self.table_at(child, vpn), 1, self.clock - hold, hold, steps)
        self.add(LOG_TABLE, WHY_HOOK, self.table_at(parent, vpn), 1, self.clock - hold, hold, steps)

    cdef void table_empties(self, mm_id mm, vpn_t vpn, uint32_t n) noexcept nogil:
        """n entries of a table have been read, and are about to go: it is held until the next table, or whatever comes next."""
        cdef uint64_t before = self.clock
        cdef uint64_t read = n * self.cost[C_SCANNED_PTES]
        # what a walk takes out is under the walk's locks; and an entry that is replaced was not read with its table: by a fault
        # that copies the page, by remap_file_pages of 2.6.7
        if (not self.busy or self.walking or self.s.count[C_SCANNED_PTES] == self.last[C_SCANNED_PTES]
                or (self.table_of == 0 and self.operations[self.n_operations - 1].op == OP_REMAP_FILE_PAGES)):
            return
        self.advance()
        read = read if read < self.clock - before else self.clock - before
        self.let_go(self.emptied, self.clock - read, self.steps - n)
        self.emptied = self.add(LOG_TABLE, WHY_HOOK, self.table_at(mm, vpn), 1, self.clock - read, 0, self.steps - n)

    cdef void close_table(self) noexcept nogil:
        if self.emptied:
            self.advance()
            self.let_go(self.emptied, self.clock, self.steps)
            self.emptied = 0

    cdef void file_unmaps(self, uint32_t file, bint begins) noexcept nogil:
        if not self.busy:
            return
        self.close_table()
        self.advance()
        if begins:
            self.cut = self.add(LOG_FILE, WHY_HOOK, file, 1, self.clock, 0, self.steps)
        else:
            self.let_go(self.cut, self.clock, self.steps)

    # for Python. The caller holds the machine

    def extent(self):
        """Something that changes with the rows."""
        return self.n_operations, self.n_events, self.n_operations and self.operations[self.n_operations - 1].ns

    def rows(self):
        """(operations, events) so far: arrays of OPERATION and EVENT."""
        operations, events = np.zeros(0, OPERATION), np.zeros(0, EVENT)
        if self.n_operations:
            operations = np.array(np.asarray(<LoggedOperation[:self.n_operations]> self.operations)).view(OPERATION)
        if self.n_events:
            events = np.array(np.asarray(<LockEvent[:self.n_events]> self.events)).view(EVENT)
        return operations, events
