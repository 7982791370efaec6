"""What a recording says of the kernel's own doing: flags of new tasks, signals, counts of pages, states of processes.

    task:task_newtask       behind PERF_RECORD_FORK: the flags of clone, which of clone3 nothing else tells
    signal:signal_generate  SIGSEGV and SIGBUS of the thread's last fault: it was not handled, and must not be in a replay
    kmem:rss_stat           how many pages of a kind an address space has now; beside faults, it shows what came without one
    mm_vmscan_…_reclaim_end that reclaim took pages, so that a fault that finds none may be its doing
    sys_enter_read, _pread64  of whole blocks, without an end: up to the thread's next line it may be what brought them
    sys_enter_futex         of words that processes may share, the same
    mm_filemap_fault        a fault of a file that fault-around has not settled, which waits and begins again

rss_stat names an address space by a number (mm_id). Whose it is shows wherever it is the one of the task that runs (curr=1).
"""
import re
import struct

import numpy as np

from rmapcore.operations import FAULT_PRESENT, FAULT_WRITE, GONE, OPERATION, UNHANDLED, Op, Status
from rmapcore.traces.lines import RSS_KINDS, BadLine, whole
from rmapcore.units import PAGE

SIGNALS = {7: int(Status.BUS), 11: int(Status.SEGV)}
EXECS = ("execve", "execveat")
AROUND = 16                                    # pages that fault-around maps at most
LONG_AGO = 1 << 14                             # operations of all processes, from what brings pages until it has, at most
BEHIND = 64                                    # operations of all processes between a fault and its signal, at most
OP_FAULT, unpack = int(Op.FAULT), struct.Struct("<HHIIIQQQQ").unpack_from         # of records
RECORD_BYTES, PROT_AT = OPERATION.itemsize, OPERATION.fields["prot"][1]
INHERITED = {"MM_FILEPAGES", "MM_ANONPAGES"}
_NEWTASK = re.compile(r"pid=(\d+) comm=.* clone_flags=([0-9a-f]+) oom_score_adj=", re.S)
_SIGNAL = re.compile(r"sig=(\d+) errno=-?\d+ code=(-?\d+) ")


class KernelSide:
    """Of an importer, which has: records, tasks, remarks, left_out, file_table, n_recognised, and `emit` of Calls."""

    def begin_kernel_side(self):
        self.signals = {}                      # place of a FAULT in the records -> the status that it ended with
        self.failed = []                       # (place of an operation, its status), of calls that failed and are kept
        self.memory = {}                       # id of a space -> mm_id
        self.inherited = set()                 # ids of spaces that began with what their parent had
        self.reclaim_began = None              # place in the records from which on reclaim is known to have taken pages
        self.counts = {}                       # mm_id -> {kind: pages}
        self.special_pages = {}                # id of a space -> its pages of vdso and vvar, which count as those of files
        self.lives = []                        # (place of its end in the records, id, pages in memory, in swap) of spaces

    def newtask(self, thread, values, text):
        match = _NEWTASK.match(text)
        if not match:
            raise BadLine("the fields of task_newtask cannot be read")
        self.tasks.told_flags(whole(match[1], bits=31), whole(match[2], 16), thread)

    def signalled(self, thread, values, text):
        match = _SIGNAL.match(text)
        if not match:
            raise BadLine("the fields of signal_generate cannot be read")
        status = SIGNALS.get(whole(match[1]))
        if status is None or whole(match[2]) <= 0:               # not sent by the kernel
            return
        start = max(0, len(self.records) - BEHIND * RECORD_BYTES)
        near = np.frombuffer(bytes(self.records[start:]), OPERATION)
        own = np.flatnonzero((near["op"] == Op.FAULT) & (near["arg2"] == max(thread.who[1], 0)))
        if len(own):
            place, fault = start + int(own[-1]) * RECORD_BYTES, near[own[-1]]
            if self.refuses(thread.process.space, status, fault):
                self.signals[place] = status
            else:
                self.records[place + PROT_AT] = UNHANDLED

    def refuses(self, space, status, fault):
        """Whether a replay can refuse an access as the kernel did. Else it had no effect, and has none then.

        It does not know how long a file was that nobody cut, nor how far a stack may grow under a limit that a program has set.
        """
        if status == Status.BUS:
            return space is not None and self.was_short(space, int(fault["addr"]))
        return not self.own_stack_limits or int(fault["flags"]) & FAULT_PRESENT

    def counted(self, thread, values, text):
        mm, own, kind, size = values
        kind, pages, space = RSS_KINDS[kind], size >> 12, thread.process.space
        executes = thread.call in EXECS        # its new memory is not its own yet, or what goes is no longer
        if own and space is not None and not executes:
            self.memory[space.id] = mm
        elif executes and space is not None and self.memory.get(space.id) == mm:
            return
        if own:
            thread.shown = len(self.records)
        counts = self.counts.setdefault(mm, {})
        before = counts.get(kind, 0)
        counts[kind] = pages
        if kind == "MM_SWAPENTS" and pages > 0:
            self.reclaimed()
        if pages > before and own and space is not None:
            if thread.direct is not None:
                self.came_unasked(space, thread)
            elif kind != "MM_ANONPAGES" and (before or thread.missed is not None):
                self.came_of_a_file(space, thread, pages - before)

    def emit_life(self, op, process, **fields):
        """Emits an operation of `Tasks`; at the end of an address space what was counted in it is kept."""
        if op in (Op.EXIT, Op.EXECVE):
            self.count_up(process)
        elif op == Op.FORK:
            self.inherited.add(fields["other"])
        self.emit(op, process, **fields)

    def count_up(self, id):
        """Keeps what an address space has now, if it is known: of a child only if it has had more itself, of memory and files.

        What fork gave it is not recorded: it would be a third of the events of a program that only forks.
        """
        counts = self.counts.pop(self.memory.pop(id, None), None)
        if counts and (id not in self.inherited or counts.keys() >= INHERITED):
            swapped = counts.get("MM_SWAPENTS", 0)
            pages = sum(counts.values()) - swapped - len(self.special_pages.pop(id, ()))
            self.lives.append((len(self.records), id, pages, swapped))
        self.inherited.discard(id)

    def reclaimed(self, *line):
        """Reclaim has taken pages: from here on a fault may find that it had."""
        if self.reclaim_began is None:
            self.reclaim_began = len(self.records)

    def mark_gone(self, numbers):
        """Sets prot 2 of the faults without a page that reclaim may have made."""
        if self.reclaim_began is not None:
            later = self.operations[numbers[self.reclaim_began // RECORD_BYTES]:]
            gone = (later["op"] == Op.FAULT) & (later["flags"] & FAULT_PRESENT == 0) & (later["prot"] == 0)
            later["prot"][gone] = GONE

    def block_read(self, thread, values, text):
        """A read of whole blocks begins: it may go past the page cache."""
        _, start, length = values
        thread.direct = len(self.records), start, length

    def waits(self, thread, values, text):
        """futex, of a word that others may share: the kernel looks for its page (kernel/futex/core.c get_futex_key)."""
        thread.direct = len(self.records), values[0] & -PAGE, PAGE

    def came_unasked(self, space, thread):
        """Pages came in a call that needs some: if it had no fault, they were brought where they are needed, and pinned."""
        first, start, length = thread.direct
        thread.direct = None
        if not self.faults_since(thread, first):
            self.emit(Op.WRITE, space.id, start, length)
            self.assumed["pages that came without a fault, by a read past the page cache or a shared futex"] += 1

    def missed(self, thread, values, text):
        """mm_filemap_fault: the page is not there, or fault-around has passed over it, or does not apply.

        A fault that begins again, to wait for the page, may be told twice.
        """
        if thread.missed is None or self.faults_since(thread, thread.missed) > 1:
            run = self.page_cache.missed(text)             # fails if the line is damaged
            place, _, flags = self.last_fault(thread)
            thread.missed = place
            if place is not None and not flags & FAULT_WRITE:
                self.page_cache.keep(run)

    def faults_since(self, thread, place):
        """How many faults of this thread are in the records from a place on; of a place that is long ago it is not asked."""
        if len(self.records) - place > LONG_AGO * RECORD_BYTES:
            return LONG_AGO
        near = np.frombuffer(bytes(self.records[place:]), OPERATION)
        return np.count_nonzero((near["op"] == OP_FAULT) & (near["arg2"] == max(thread.who[1], 0)))

    def last_fault(self, thread):
        """(place, address, flags) of the last record of all if it is a fault of this thread, else (None, 0, 0)."""
        place = len(self.records) - RECORD_BYTES
        if place >= 0:
            op, _, flags, _, _, address, _, _, tid = unpack(self.records, place)
            if op == OP_FAULT and tid == thread.who[1]:
                return place, address, flags
        return None, 0, 0

    def came_of_a_file(self, space, thread, pages):
        """A fault has mapped so many pages of a file.

        One that was missed has waited for its page and begun again: it finds by fault-around what is there now. One that brings
        more than fault-around does, or is a write, has mapped its large folio as a whole; folios lie in their file at a
        multiple of their size. Where it is told in which folios the file lies, this guess is not needed.
        """
        place, thread.missed = thread.missed, None
        if place is not None and self.faults_since(thread, place) == 1:
            record = self.records[place : place + RECORD_BYTES]
            self.records[place : place + RECORD_BYTES] = bytes(RECORD_BYTES)
            self.records += record
        if pages < AROUND:
            return
        last, address, flags = self.last_fault(thread)
        if last is None or (pages == AROUND and not flags & FAULT_WRITE):
            return
        address, size = address & -PAGE, PAGE << (pages - 1).bit_length()
        part = space.files.at(address)
        if part is not None:
            start = address - (part.offset + address - part.start) % size
            folio = part.between(start, start + size)
            self.page_cache.guess(part.file)
            self.emit(Op.READ, space.id, folio.start, folio.end - folio.start)

    # --- remarks ---------------------------------------------------------------------------------------------------

    def remark(self, line):
        """A line that begins with #."""
        self.images.tell(line)
        self.page_cache.folios.tell(line)
        try:
            begun = self.remarks.take(line, self.n_recognised > 0)
        except BadLine:
            raise
        except (ValueError, AttributeError, IndexError):
            raise BadLine("the fields of a state cannot be read") from None
        if begun:
            begun.at = len(self.records)
            begun.owners = {pid: process.space.id for pid, process in self.tasks.processes.items() if process.space}

    def fork_windows(self, numbers):
        """As `order_forks` wants them. numbers: of the operations, by that of a record."""
        return [(int(numbers[first // RECORD_BYTES]), int(numbers[at // RECORD_BYTES]), tid,
                 {other: int(numbers[place // RECORD_BYTES]) for other, place in shown.items()} if self.counts else {})
                for first, at, tid, shown in self.tasks.fork_windows]

    def told(self, numbers):
        """(states, lives, expected) with numbers of operations; numbers: of these, by that of a record.

        lives: [(number of the operation behind it, pid, pages in memory, pages in swap)] of address spaces at their end.
        expected: {number of an operation: status that it had}, of those that failed when they were recorded.
        """
        for state in self.remarks.states:
            state.at = int(numbers[state.at // RECORD_BYTES])
            for process in state.processes:
                process.space = state.owners.get(process.pid, process.pid)
                process.areas[:] = [area._replace(file=self.file_table.find(area.path, area.device, area.inode))
                                    for area in process.areas]
        expected = {int(numbers[place // RECORD_BYTES]): status for place, status in (*self.signals.items(), *self.failed)}
        for process in self.tasks.processes.values():
            if process.space is not None:
                self.count_up(process.space.id)
        lives = [(int(numbers[place // RECORD_BYTES]), *facts) for place, *facts in self.lives]
        return self.remarks.states, lives, expected
