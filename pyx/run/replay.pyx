"""Runs operations: the one loop behind every system call, batch, workload and recording.

An operation array (rmapcore.operations says which field means what) runs in one nogil loop; what an operation did is a
status: 0, an errno, or E_SEGV and the like. Long work stops after a budget of pages and goes on at the next call; the
place where it stops changes nothing. A range of touches and a reclaim may stop in the middle, everything else is one step.
"""
cimport cython
from cpython.exc cimport PyErr_CheckSignals
from libc.errno cimport EEXIST, EINVAL, ENOENT, ESRCH
from libc.stdint cimport uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy

from rmapcore.pyx.base.counters cimport C_FAULTS_SPURIOUS, C_FAULTS_ZERO, tally
from rmapcore.pyx.base.ids cimport PAGE_SHIFT, PAGE_SIZE, mm_id, slot_t, vpn_t
from rmapcore.pyx.base.pool cimport pool_room
from rmapcore.pyx.base.records cimport (
    OP_EXECVE, OP_EXIT, OP_FAULT, OP_FORK, OP_MMAP, OP_PUNCH_HOLE, OP_READ, OP_READAHEAD, OP_RECLAIM, OP_SPAWN, OP_TRUNCATE,
    OP_WRITE, OP_WRITEBACK, P_EXTENTS, P_FILES, Operation,
)
from rmapcore.pyx.base.state cimport State
from rmapcore.pyx.base.x86 cimport PTE_PRESENT, PTE_RW, pte_get, pte_pfn
from rmapcore.pyx.engine.fork cimport execve, fork, spawn, tear_down
from rmapcore.pyx.look.found cimport FAULT_WRITE, FOUND_CHECKED, FOUND_RIGHT, FOUND_TAKEN, look
from rmapcore.pyx.machine.files cimport extent_room, file_new
from rmapcore.pyx.machine.pagetable cimport TOUCHED, Cursor, pt_lookup
from rmapcore.pyx.reclaim.scan cimport scan_begin
from rmapcore.pyx.run.batch cimport FAULT_KINDS, SHORT, faults_since, find_mm, number
from rmapcore.pyx.seam.account cimport NO_PAGE
from rmapcore.pyx.seam.kernel cimport E_BUS, E_FULL, E_OK, E_OOM, E_SEGV, Kernel, full

import numpy as np
from rmapcore.pyx.base.records import OPERATION
from rmapcore.pyx.run import batch

STATUSES = {"OK": E_OK, "SEGV": E_SEGV, "BUS": E_BUS, "OOM": E_OOM, "FULL": E_FULL}

cdef enum:
    CALL_COST = 16            # budget that a call uses up, in pages touched

cdef enum:                    # calls that begin to work nowhere: a bit each
    NOWHERE = 1 | 1 << OP_SPAWN | 1 << OP_FORK | 1 << OP_EXECVE | 1 << OP_EXIT | 1 << OP_RECLAIM

cdef enum:                    # why run() came back
    RUN_END = 0
    RUN_BUDGET = 1
    RUN_FOLD = 2
    RUN_ERROR = 3
    RUN_DIFFERENCE = 4

cdef enum:                    # prot of a FAULT
    FAULT_UNHANDLED = 1       # the recorded kernel did not handle it
    FAULT_GONE = 2            # reclaim had taken the page

ENDED, PAUSED, FOLD, ERROR, DIFFERENCE = RUN_END, RUN_BUDGET, RUN_FOLD, RUN_ERROR, RUN_DIFFERENCE


cdef int pages_of(State* s, uint64_t addr, uint64_t length, vpn_t* start, vpn_t* end) noexcept nogil:
    """Every page of [addr, addr + length); beyond user space it ends in a fault, not in an overflow."""
    cdef uint64_t limit = (s.task_vpn + 1) << PAGE_SHIFT
    if length == 0:
        return EINVAL
    if addr > limit:
        addr = limit
    if length > limit:
        length = limit
    start[0] = addr >> PAGE_SHIFT
    end[0] = (addr + length + PAGE_SIZE - 1) >> PAGE_SHIFT
    return E_OK


cdef inline vpn_t page_of_operation(const Operation* op) noexcept nogil:
    """Where an operation begins to work; NO_PAGE if nowhere."""
    return NO_PAGE if NOWHERE >> op.op & 1 else op.addr >> PAGE_SHIFT


@cython.final
@cython.freelist(8)            # single calls make one each
cdef class Replay:
    """A run of an operation array on a machine.

    operations: 1-d array of OPERATION.  files: uint32, machine file of each file number (index 0 unused).
    statuses: uint16 array as long as operations, or None: gets the status of each operation.
    fold: come back before each EXIT and EXECVE of a living process (RUN_FOLD); the next run() carries it out.
    strict: come back at the first status that is not 0 (RUN_ERROR); otherwise only out of memory and full arenas stop it.
    found: uint16 array as long as operations, or None: each FAULT is checked, before it is performed, against its error
    code, and gets here what the page table held (found.pxd). While `stops` is not 0, which each time takes 1 off, a fault
    whose entry is not what was recorded comes back before it is performed (RUN_DIFFERENCE); the next run() does it.
    """
    cdef Kernel k
    cdef object keep
    cdef Operation own                 # of `call` and `access`
    cdef const Operation* ops
    cdef const uint32_t* files
    cdef uint16_t* statuses
    cdef uint16_t* found
    cdef readonly uint64_t count       # operations
    cdef readonly uint64_t index       # the next operation
    cdef readonly uint64_t done        # pages already done of a range operation at index
    cdef readonly uint64_t failed      # operations with another status than 0
    cdef readonly int status           # of the last operation
    cdef public uint32_t stops         # differences to come back for
    cdef uint64_t n_files
    cdef bint fold, strict, folded, inside
    cdef bint lost                     # a call has failed: areas may not be the recorded ones
    cdef bint stoppable                # fold or found: some operations are looked at before they are performed,
    cdef bint watch                    # and these, or all of them, if an account is told
    cdef Cursor cursor

    def __init__(self, Kernel k, operations, files, statuses=None, fold=False, strict=False, found=None):
        operations = np.ascontiguousarray(operations)
        if operations.dtype != OPERATION:
            raise TypeError(f"operations have dtype {operations.dtype}, not OPERATION")
        files = np.ascontiguousarray(files, np.uint32)
        for name, array in (("statuses", statuses), ("found", found)):
            if array is not None and (len(array) != len(operations) or array.dtype != np.uint16
                                      or not array.flags.c_contiguous):
                raise ValueError(f"{name} must be {len(operations)} uint16 in a row")
        self.keep = (operations, files, statuses, found)
        self.k = k
        self.ops = <const Operation*> <size_t> operations.ctypes.data
        self.files = <const uint32_t*> <size_t> files.ctypes.data
        self.statuses = <uint16_t*> <size_t> statuses.ctypes.data if statuses is not None else NULL
        self.found = <uint16_t*> <size_t> found.ctypes.data if found is not None else NULL
        self.count = len(operations)
        self.n_files = len(files)
        self.fold = fold
        self.strict = strict
        self.stoppable = fold or found is not None
        self.watch = self.stoppable or k.account is not None

    def run(self, uint64_t stop, uint64_t budget):
        """Goes on until operation `stop`, for about `budget` pages. ENDED, PAUSED, FOLD, ERROR or DIFFERENCE."""
        cdef int reason
        if stop > self.count:
            raise ValueError(f"stop {stop} is beyond the {self.count} operations")
        with self.k.step, nogil:
            reason = self.loop(stop, budget)
            if self.k.account is not None:
                self.k.account.rest()
        self.k.anon.raise_kept()
        return reason

    @property
    def process(self):
        """Pid of the operation at index."""
        return self.ops[self.index].process if self.index < self.count else 0

    @property
    def address(self):
        """Its address, bytes."""
        return self.ops[self.index].addr if self.index < self.count else 0

    cdef void begin(self, Kernel k, Operation operation) noexcept:
        """Becomes a strict run of one operation."""
        self.k = k
        self.own = operation
        self.ops = &self.own
        self.count = 1
        self.n_files = k.s.pool[P_FILES].bump
        self.strict = True
        self.watch = k.account is not None

    cdef int whole(self, bint short) except -1:
        """Runs that operation to its end, and raises its failure.  short: other threads need not run meanwhile."""
        cdef Kernel k = self.k
        cdef int reason = RUN_BUDGET
        cdef uint64_t budget
        while reason == RUN_BUDGET:
            budget = batch.SLICE
            k.step.enter()
            if short:
                reason = self.loop(1, budget)
            else:
                with nogil:
                    reason = self.loop(1, budget)
            if self.watch:
                k.account.rest()
            k.step.leave()
            if k.anon.failed:
                k.anon.raise_kept()
            if reason == RUN_ERROR:
                k.fails(k, self.status, self.done)
            elif reason == RUN_BUDGET:
                PyErr_CheckSignals()
        return 0

    cdef int loop(self, uint64_t stop, uint64_t budget) noexcept nogil:
        cdef const Operation* op
        cdef uint64_t used = 0
        cdef int status
        while self.index < stop:
            if used >= budget:
                return RUN_BUDGET
            op = &self.ops[self.index]
            if self.watch:
                status = self.before(op)
                if status != RUN_END:
                    return status
            if op.op == OP_READ or op.op == OP_WRITE:
                if not self.touches(op, budget, &used, &status):
                    return RUN_BUDGET
            elif op.op == OP_RECLAIM:
                if not self.inside:
                    self.k.s.h.op_index += 1
                    scan_begin(&self.k.scan, op.arg, False)
                    self.inside = True
                if not self.k.scan_step(&self.k.scan, budget - used):
                    return RUN_BUDGET
                self.inside = False
                used += CALL_COST
                status = E_OK
            else:
                status = self.step(self.k, op)
                used += CALL_COST
            self.status = status
            if self.statuses and self.statuses[self.index] != <uint16_t> status:       # zeros that nobody writes take no memory
                self.statuses[self.index] = <uint16_t> status
            if status != E_OK:
                self.failed += 1
                if op.op < OP_READ or op.op > OP_FAULT:
                    self.lost = True
                if self.strict or status == E_OOM or status == E_FULL:
                    return RUN_ERROR
            self.index += 1
            self.done = 0
            if self.k.anon.failed:             # it is raised at once: what comes next is not begun
                return RUN_BUDGET
        return RUN_END

    cdef int before(self, const Operation* op) noexcept nogil:
        """Whether to come back before an operation, once: RUN_FOLD, RUN_DIFFERENCE, or RUN_END for no. Tells the account."""
        cdef bint begins = self.done == 0 and not self.inside
        cdef int reason = RUN_END
        if self.stoppable:
            if begins and not self.folded:
                reason = self.reason_to_stop(op)
            self.folded = reason != RUN_END
        if self.k.account is not None:
            self.k.account.turn(find_mm(self.k.s, op.process), op.op, page_of_operation(op), begins and reason == RUN_END)
        return reason

    cdef int reason_to_stop(self, const Operation* op) noexcept nogil:
        """That, the first time. Checks recorded faults."""
        cdef mm_id mm
        if self.fold and (op.op == OP_EXIT or op.op == OP_EXECVE):
            return RUN_FOLD if find_mm(self.k.s, op.process) else RUN_END
        if not self.found or op.op != OP_FAULT:
            return RUN_END
        mm = find_mm(self.k.s, op.process)
        if mm and op.prot == FAULT_GONE and self.take_gone(mm, op.addr >> PAGE_SHIFT):
            self.found[self.index] = FOUND_TAKEN
        self.found[self.index] |= FOUND_CHECKED | (look(self.k.s, mm, op.addr >> PAGE_SHIFT, op.flags, self.lost) if mm else 0)
        if self.stops and not self.found[self.index] & FOUND_RIGHT:
            self.stops -= 1
            return RUN_DIFFERENCE
        return RUN_END

    cdef bint touches(self, const Operation* op, uint64_t budget, uint64_t* used, int* status) noexcept nogil:
        """A range of touches, from where it paused. False: paused again."""
        cdef mm_id mm = find_mm(self.k.s, op.process)
        cdef vpn_t start, end, vpn
        cdef vpn_t[TOUCHED] pages
        cdef uint64_t n, i, now
        cdef bint write = op.op == OP_WRITE
        if mm == 0:
            self.k.s.h.op_index += 1
            status[0] = ESRCH
            return True
        status[0] = pages_of(self.k.s, op.addr, op.length, &start, &end)
        if status[0] != E_OK:
            self.k.s.h.op_index += 1
            return True
        self.cursor.leaf = 0
        vpn = start + self.done
        while vpn < end:
            if used[0] >= budget:
                return False
            n = budget - used[0] if budget - used[0] < end - vpn else end - vpn
            if n > TOUCHED:
                n = TOUCHED
            for i in range(n):
                pages[i] = vpn + i
            now = 0
            status[0] = self.k.touch(mm, pages, <uint32_t> n, write, &self.cursor, &now)
            used[0] += now
            self.done += now
            vpn += now
            if status[0] != E_OK:
                return True
            if self.k.anon.failed:
                return False
        return True

    cdef int step(self, Kernel k, const Operation* op) noexcept nogil:
        """Any operation but ranges of touches and reclaim."""
        cdef State* s = k.s
        cdef mm_id mm = find_mm(self.k.s, op.process)
        cdef mm_id out
        cdef uint32_t file = 0
        if op.op != OP_FAULT:
            s.h.op_index += 1                  # touch counts for itself
        if op.op == OP_SPAWN:
            if mm:
                return EEXIST
            return spawn(k, op.process, &out)
        if op.op == OP_TRUNCATE or OP_PUNCH_HOLE <= op.op <= OP_WRITEBACK or op.other and op.op == OP_MMAP:
            if op.op == OP_WRITEBACK and op.other == 0:
                return k.write_back(0, 0, 0)
            if op.other >= self.n_files:
                return ENOENT
            file = self.files[op.other] if self.files else op.other
            if file == 0:
                return ENOENT
            if op.op == OP_TRUNCATE:
                return k.truncate(file, op.arg)
            if op.op == OP_PUNCH_HOLE:
                return k.punch_hole(file, op.addr, op.length)
            if op.op == OP_READAHEAD:
                return k.readahead(file, op.addr, op.length, op.arg)
            if op.op == OP_WRITEBACK:
                return k.write_back(file, op.addr, op.length)
        if mm == 0:
            if op.op == OP_FAULT:
                s.h.op_index += 1
            return ESRCH
        if op.op == OP_FAULT:
            if op.prot & FAULT_UNHANDLED:
                s.h.op_index += 1
                return E_OK
            if op.prot == FAULT_GONE:
                self.take_gone(mm, op.addr >> PAGE_SHIFT)
            return self.recorded_fault(mm, op.addr >> PAGE_SHIFT, op.flags & FAULT_WRITE)
        if op.op == OP_FORK:
            if op.other and find_mm(self.k.s, op.other):
                return EEXIST
            return fork(k, mm, op.other, &out)
        if op.op == OP_EXECVE:
            return execve(k, mm, &out)
        if op.op == OP_EXIT:
            tear_down(k, mm)
            return E_OK
        return k.call(mm, op, file)

    cdef bint take_gone(self, mm_id mm, vpn_t vpn) noexcept nogil:
        """Reclaim takes the page there, if there is one: when it was recorded it had. True: it is gone."""
        cdef State* s = self.k.s
        cdef slot_t slot = pt_lookup(s, mm, vpn) if vpn < s.task_vpn else 0
        cdef uint64_t entry = pte_get(s, slot) if slot else 0
        return entry & PTE_PRESENT and pte_pfn(s, entry) and self.k.take_frame(pte_pfn(s, entry))

    cdef int recorded_fault(self, mm_id mm, vpn_t vpn, bint write) noexcept nogil:
        """A touch that faulted when it was recorded; where the entry needs nothing, a spurious fault."""
        cdef State* s = self.k.s
        cdef uint64_t done = 0
        cdef slot_t slot = pt_lookup(s, mm, vpn) if vpn < s.task_vpn else 0
        cdef uint64_t entry = pte_get(s, slot) if slot else 0
        if entry & PTE_PRESENT and (entry & PTE_RW or not write):
            tally(s, C_FAULTS_SPURIOUS, 1)
        self.cursor.leaf = 0
        return self.k.touch(mm, &vpn, 1, write, &self.cursor, &done)


def call(Kernel k not None, uint16_t op, uint16_t prot=0, uint32_t flags=0, uint32_t process=0, uint32_t other=0,
         uint64_t addr=0, uint64_t length=0, uint64_t arg=0, uint64_t arg2=0):
    """One operation, given by its fields; files go by the machine's own numbers. What it answers: an address or the break.

    Raises what k.fails makes of a status. The caller holds the machine.
    Without an array: what a call costs beside its work is time under the GIL, which other threads wait for.
    """
    cdef Replay run = Replay.__new__(Replay)
    run.begin(k, Operation(op, prot, flags, process, other, addr, length, arg, arg2))
    run.whole(False)
    return k.result


def access(Kernel k not None, uint32_t process, addr, length, bint write):
    """Every page of a range (bytes) read or written once: {kind of fault: how many}. Raises as call does, and MachineBusy."""
    cdef Replay run = Replay.__new__(Replay)
    cdef uint64_t bytes = number(k, length, "length")
    cdef uint64_t[FAULT_KINDS] before
    cdef uint64_t* count = &k.s.count[C_FAULTS_ZERO]
    run.begin(k, Operation(OP_WRITE if write else OP_READ, 0, 0, process, 0, number(k, addr, "addr"), bytes, 0, 0))
    k.operation.enter()
    try:
        memcpy(before, count, sizeof(before))
        run.whole(bytes <= SHORT << PAGE_SHIFT)
        return faults_since(k.s, before)
    finally:
        k.operation.leave()


def create_file(Kernel k, uint64_t size, uint32_t kind, bint warm=False):
    """A file that stays until the machine ends: (status, file number). warm: all of it counts as in the page cache."""
    cdef State* s = k.s
    cdef uint32_t file
    cdef uint64_t pages = (size + PAGE_SIZE - 1) >> PAGE_SHIFT
    with k.step:
        if not pool_room(s, P_FILES, 1):
            return full(k, P_FILES), 0
        if not extent_room(s, pages):
            return full(k, P_EXTENTS), 0
        file = file_new(s, size, kind, 1)
        s.file[file].warm = warm
        return E_OK, file


def mm_of(Kernel k, uint32_t pid):
    """The mm of a living process, 0 for a dead one."""
    return find_mm(k.s, pid)


def next_pid(Kernel k):
    """The pid that the next spawn or fork takes."""
    return k.s.h.next_pid


def mm_facts(Kernel k, uint32_t pid):
    """(rss, swapped, page tables below the top one) of a living process, pages."""
    cdef mm_id mm = find_mm(k.s, pid)
    return k.s.mm[mm].rss, k.s.mm[mm].swapents, k.s.mm[mm].n_tables - 1
