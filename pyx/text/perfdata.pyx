"""Events of the kernel's ring buffers, and perf's own of tasks and mappings, as lines of perf script, of one program only.

One file has both: pages as they were read from the rings of tracefs, one processor's after another's, and behind them perf's
file. `events` and `records` give time and place of each; they stand as they were read, so the caller sorts them by time;
`convert` then takes them in this order, keeps those of one process and its descendants, and writes the lines:

    raw_syscalls:sys_enter, id 9, args …   ──>   syscalls:sys_enter_mmap: addr: 0x00000000, len: 0x00002000, …

An event of a ring has no more than the number of its thread (tid): to which process that belongs, perf's records say. Where a
tracepoint has its fields, and how pages of a ring begin, comes from the kernel's own description (tracefs, format and
header_page), which the caller has read; the layout of perf's records: include/uapi/linux/perf_event.h, that of entries of a
ring: header_event of tracefs.

A process belongs to the program from its FORK record until its last thread has ended; the first one from its execve on.
"""
import numpy as np

from libc.stdint cimport int32_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memchr, memcpy, memset

from rmapcore.pyx.text.tracepoints cimport (
    COMM, FAULT_KERNEL, FAULT_USER, FIELDS, KINDS, NO_PLACE, PLACED, SYS_ENTER, SYS_EXIT, TASK_EXIT, Tracepoints, length_of,
)

cdef enum:                    # enum perf_event_type
    RECORD_LOST = 2
    RECORD_COMM = 3
    RECORD_EXIT = 4
    RECORD_FORK = 7
    RECORD_MMAP2 = 10

cdef enum:                    # of an entry of a ring: five bits are its type, 27 how many ns it is later than the one before
    TYPE_BITS = 5
    DATA_MOST = 28            # up to here: its words of data; 0: a word says how many bytes, itself among them
    PADDING = 29
    TIME_EXTEND = 30          # a word has further bits of the time that has passed
    TIME_STAMP = 31           # the same, of the time itself
    TIME_BITS = 27
    PAGE_FILLED = (1 << TIME_BITS) - 1         # of the word that says how much of a page is filled; above it are flags
    COMMON_PID = 4            # in every event, behind two bytes for its type
    COMMON = 8

cdef enum:
    HEADER = 8                # struct perf_event_header: u32 type, u16 misc, u16 size
    MISC_COMM_EXEC = 1 << 13
    MISC_BUILD_ID = 1 << 14
    PID_LIMIT = 1 << 22       # the kernel's PID_MAX_LIMIT
    LINE_MOST = 8192          # bytes of the longest line: a path has at most 4096


cdef class Converter(Tracepoints):
    """Over the bytes of pages of rings and of a perf.data file behind them.

    data: uint8 array, all of the file.  rings: bytes of the pages.
    kinds: uint8 array of 65536, by the type of an event: its tracepoint (1 to 17, 0: none).
    page: (bytes of a page, bytes before its entries, where in them the word stands that says how many are filled).
    trailer: of perf's records: pid and tid, time; bytes from their end.
    fields: int32 of shape (18, 7, 2): for each tracepoint the fields that its line has: bytes from the start of the event,
    and how many they are.
    heads: the event column of each tracepoint, bytes.  calls: {number: (column at enter, column at exit, labels of arguments)}.
    root: pid of the program.
    lines, faults, processes: what has been written; processes born.  lost: records of perf, known after `records`.
    damaged: 1 if an event was shorter than what it must hold; nothing was taken from it.
    """
    cdef const uint8_t[::1] kinds
    cdef uint64_t rings
    cdef uint32_t page_size, page_head, page_filled, end_tid, end_time
    cdef uint32_t root
    cdef bint started
    cdef int32_t[::1] threads          # by pid: how many live, of the processes that belong to the program
    cdef uint32_t[::1] pids            # by tid, of its threads; 0: of another program
    cdef uint8_t[:, ::1] names         # by tid
    cdef readonly uint64_t lines, processes, lost, damaged

    def __init__(self, data, rings, kinds, page, trailer, fields, heads, calls, root):
        self.kinds, self.rings = kinds, rings
        self.page_size, self.page_head, self.page_filled = page
        self.end_tid, self.end_time = trailer
        if len(kinds) != 1 << 16 or fields.shape != (KINDS, FIELDS, 2) or len(heads) != KINDS:
            raise ValueError("kinds, fields or heads of another length")
        if not self.page_filled + 4 <= self.page_head < self.page_size or rings % self.page_size or rings > len(data):
            raise ValueError("no whole pages of a ring")
        super().__init__(data, fields, heads, calls)
        self.root = root
        self.threads = np.zeros(PID_LIMIT, np.int32)
        self.pids = np.zeros(PID_LIMIT, np.uint32)
        self.names = np.zeros((PID_LIMIT, COMM), np.uint8)

    cdef uint32_t size_at(self, uint64_t at) noexcept nogil:
        return self.half(at + 4) >> 16

    def events(self):
        """(times in ns, places in the file) of the entries in the pages of rings that are events.

        ValueError if a page is damaged.
        """
        cdef uint64_t n = 0, page = 0, at = 0, end, time, length
        cdef uint32_t word, kind
        cdef bint good = True
        cdef uint64_t[::1] times, found
        most = self.rings // (4 + COMMON) + 1  # untouched memory costs nothing
        times, found = np.empty(most, np.uint64), np.empty(most, np.uint64)
        with nogil:
            while page < self.rings and good:
                time, at = self.word(page), page + self.page_head
                end = at + (self.half(page + self.page_filled) & PAGE_FILLED)
                good = end <= page + self.page_size
                while good and at + 4 <= end:
                    word = self.half(at)
                    kind, word = word & ((1 << TYPE_BITS) - 1), word >> TYPE_BITS
                    if kind == PADDING and word == 0:
                        break                  # to the end of the page
                    if 0 < kind <= DATA_MOST:
                        length = 4 + 4 * kind
                    elif at + 8 > end:
                        good = False
                        break
                    elif kind == TIME_EXTEND or kind == TIME_STAMP:
                        length = 8
                    else:
                        length = 4 + <uint64_t> self.half(at + 4)
                    good = length >= 8 and at + length <= end
                    if not good:
                        break
                    if kind == TIME_STAMP:     # the topmost bits are those of the page
                        time = time >> 59 << 59 | <uint64_t> self.half(at + 4) << TIME_BITS | word
                    elif kind == TIME_EXTEND:
                        time += (<uint64_t> self.half(at + 4) << TIME_BITS) + word
                    elif kind != PADDING:
                        time += word
                        times[n], found[n] = time, at
                        n += 1
                    at += length
                page += self.page_size
        if not good:
            raise ValueError(f"no event at byte {at:,}")
        return np.asarray(times)[:n], np.asarray(found)[:n]

    def records(self, uint64_t start, uint64_t end):
        """(times in ns, places in the file) of perf's records from start to end that may become lines; counts lost ones.

        ValueError if the file is damaged there.
        """
        cdef uint64_t n = 0, at = start
        cdef uint32_t kind, size
        cdef uint64_t[::1] times, found
        if start > end or end > <uint64_t> self.data.shape[0]:
            raise ValueError("records beyond the end of the file")
        most = (end - start) // 16 + 1         # a record that is taken is longer
        times, found = np.empty(most, np.uint64), np.empty(most, np.uint64)
        with nogil:
            while at + HEADER <= end:
                kind, size = self.half(at), self.size_at(at)
                if size < HEADER or at + size > end:
                    break
                if kind == RECORD_LOST and size >= 24:
                    self.lost += self.word(at + 16)
                elif kind in (RECORD_COMM, RECORD_EXIT, RECORD_FORK, RECORD_MMAP2) and size >= 24 + self.end_tid:
                    times[n], found[n] = self.word(at + size - self.end_time), at
                    n += 1
                at += size
        if at != end:
            raise ValueError(f"no record at byte {at:,}")
        return np.asarray(times)[:n], np.asarray(found)[:n]

    def convert(self, const uint64_t[::1] times, const uint64_t[::1] order, uint64_t position, uint8_t[::1] out):
        """Writes lines of the events and records from `position` on into `out`: (next position, bytes written).

        times, order: of `events` and `records`, sorted by time. ValueError if out has less than 8192 bytes.
        """
        cdef uint64_t n = 0
        if len(out) < LINE_MOST or len(times) != len(order):
            raise ValueError(f"out has less than {LINE_MOST} bytes, or times and order differ in length")
        with nogil:
            self.out = &out[0]
            while position < <uint64_t> order.shape[0] and self.out + LINE_MOST <= &out[0] + out.shape[0]:
                if order[position] < self.rings:
                    self.event(order[position], times[position])
                else:
                    self.record(order[position], times[position])
                position += 1
            n = self.out - &out[0]
        return position, n

    cdef void event(self, uint64_t at, uint64_t time) noexcept nogil:
        """Writes the line of an event, whose entry is at `at`, if its thread belongs to the program."""
        cdef uint32_t words = self.half(at) & ((1 << TYPE_BITS) - 1)
        cdef uint32_t length = 4 * words if words else self.half(at + 4) - 4
        cdef uint64_t raw = at + (4 if words else 8)
        cdef uint32_t tid = self.half(raw + COMMON_PID) if length >= COMMON else 0
        cdef uint32_t pid = self.pids[tid] if tid < PID_LIMIT else 0
        cdef uint8_t* begin = self.out
        if self.threads[pid] > 0:
            self.columns(pid, tid, time)
            if self.sample(raw, length):
                self.end_line(begin)
            else:
                self.out = begin

    cdef void record(self, uint64_t at, uint64_t time) noexcept nogil:
        """Writes the line of a record of perf's if it belongs to the program."""
        cdef uint32_t kind = self.half(at), size = self.size_at(at)
        cdef uint64_t thread = at + size - self.end_tid
        cdef uint32_t pid = self.half(thread), tid = self.half(thread + 4)
        cdef uint8_t* begin = self.out
        if kind == RECORD_COMM:
            self.rename(at, at + size - self.end_tid)
        if pid >= PID_LIMIT or tid >= PID_LIMIT:
            return
        if self.threads[pid] == 0:
            if pid == self.root and kind == RECORD_COMM and self.data[at + 5] & MISC_COMM_EXEC >> 8 and not self.started:
                self.started = True
                self.threads[pid] = 1
                self.pids[pid] = pid
                self.processes = 1
            else:
                if kind == RECORD_FORK:
                    self.inherit(self.half(at + 16), self.half(at + 20), 0)
                return
        self.columns(pid, tid, time)
        if kind == RECORD_MMAP2:
            self.mapping(at, at + size - self.end_tid)
        elif kind == RECORD_COMM:
            self.renamed(at)
        else:
            self.task(at, kind)
        self.end_line(begin)

    cdef void end_line(self, uint8_t* begin) noexcept nogil:
        begin = <uint8_t*> memchr(begin, c"\n", self.out - begin)
        while begin:                           # in the name of a task or file
            begin[0] = c"?"
            begin = <uint8_t*> memchr(begin, c"\n", self.out - begin)
        self.out[0] = c"\n"
        self.out += 1
        self.lines += 1

    # --- who ---------------------------------------------------------------------------------------------------------

    cdef void rename(self, uint64_t at, uint64_t end) noexcept nogil:
        """COMM: u32 pid, tid, then the name."""
        cdef uint32_t tid = self.half(at + 12)
        cdef size_t length
        if tid < PID_LIMIT and at + 16 < end:
            length = length_of(&self.data[at + 16], min(<size_t> (end - at - 16), <size_t> COMM - 1))
            memset(&self.names[tid, 0], 0, COMM)
            memcpy(&self.names[tid, 0], &self.data[at + 16], length)

    cdef void inherit(self, uint32_t tid, uint32_t parent, uint32_t pid) noexcept nogil:
        """A thread is born. pid: its process, 0: another program's."""
        if tid < PID_LIMIT and parent < PID_LIMIT:
            self.pids[tid] = pid
            memcpy(&self.names[tid, 0], &self.names[parent, 0], COMM)

    cdef void task(self, uint64_t at, uint32_t kind) noexcept nogil:
        """FORK and EXIT: u32 pid, parent's pid, tid, parent's tid."""
        cdef uint32_t pid = self.half(at + 8), parent = self.half(at + 12), tid = self.half(at + 16)
        self.put(b"PERF_RECORD_FORK(" if kind == RECORD_FORK else b"PERF_RECORD_EXIT(", 17)
        if kind == RECORD_FORK:
            self.inherit(tid, self.half(at + 20), pid)
        if kind == RECORD_FORK and pid < PID_LIMIT:
            self.processes += pid != parent
            self.threads[pid] = 1 if pid != parent else self.threads[pid] + 1
        elif pid < PID_LIMIT and self.threads[pid]:
            self.threads[pid] -= 1
        self.pair(pid, b":", tid)
        self.put(b"):(", 3)
        self.pair(parent, b":", self.half(at + 20))
        self.put(b")", 1)

    # --- text --------------------------------------------------------------------------------------------------------

    cdef void name(self, uint32_t tid) noexcept nogil:
        self.put(<const char*> &self.names[tid, 0], length_of(&self.names[tid, 0], COMM))

    cdef void columns(self, uint32_t pid, uint32_t tid, uint64_t time) noexcept nogil:
        """Name, pid/tid, and time in seconds."""
        cdef uint8_t* start
        self.fill(c" ", COMM - <int> length_of(&self.names[tid, 0], COMM))
        self.name(tid)
        self.fill(c" ", 1)
        self.decimal(pid, 5, c" ")
        self.put(b"/", 1)
        start = self.out
        self.decimal(tid, 0, c" ")
        self.fill(c" ", 5 - <int> (self.out - start))
        self.fill(c" ", 1)
        self.decimal(time // 1000000000, 5, c" ")
        self.put(b".", 1)
        self.decimal(time % 1000000000 // 1000, 6, c"0")
        self.put(b": ", 2)

    cdef void renamed(self, uint64_t at) noexcept nogil:
        cdef uint32_t tid = self.half(at + 12)
        self.put(b"PERF_RECORD_COMM exec", 21 if self.data[at + 5] & MISC_COMM_EXEC >> 8 else 16)
        self.put(b": ", 2)
        if tid < PID_LIMIT:
            self.name(tid)
        self.put(b":", 1)
        self.pair(self.half(at + 8), b"/", tid)

    cdef void mapping(self, uint64_t at, uint64_t end) noexcept nogil:
        """MMAP2: u32 pid, tid; u64 start, length, offset; u32 major, minor; u64 inode, generation; u32 prot, flags; path."""
        cdef uint32_t prot
        cdef size_t length
        if at + 72 > end:
            self.damaged = 1
            return
        self.put(b"PERF_RECORD_MMAP2 ", 18)
        self.pair(self.half(at + 8), b"/", self.half(at + 12))
        self.put(b": [", 3)
        self.prefixed(self.word(at + 16))
        self.put(b"(", 1)
        self.prefixed(self.word(at + 24))
        self.put(b") @ ", 4)
        self.prefixed(self.word(at + 32))
        self.put(b" ", 1)
        if self.data[at + 5] & MISC_BUILD_ID >> 8:
            self.put(b"<>", 2)
        else:
            self.hexadecimal(self.half(at + 40), 2)
            self.put(b":", 1)
            self.hexadecimal(self.half(at + 44), 2)
            self.put(b" ", 1)
            self.decimal(self.word(at + 48), 0, c" ")
            self.put(b" ", 1)
            self.decimal(self.word(at + 56), 0, c" ")
        self.put(b"]: ", 3)
        prot = self.half(at + 64)
        self.put(b"r" if prot & 1 else b"-", 1)
        self.put(b"w" if prot & 2 else b"-", 1)
        self.put(b"x" if prot & 4 else b"-", 1)
        self.put(b"s " if self.half(at + 68) & 1 else b"p ", 2)
        length = length_of(&self.data[at + 72], min(<size_t> (end - at - 72), <size_t> 4096))
        self.put(<const char*> &self.data[at + 72], length)

    # --- tracepoints -------------------------------------------------------------------------------------------------

    cdef bint sample(self, uint64_t at, uint32_t length) noexcept nogil:
        """Writes what a tracepoint says; False if that is no line."""
        cdef int kind = self.kinds[self.half(at) & 0xFFFF]
        cdef uint32_t last
        cdef int field
        if kind == 0:
            return False
        for field in range(FIELDS):            # what is read of each must be there
            last = self.fields[kind, field, 0] & ~PLACED
            if last < NO_PLACE and last + self.fields[kind, field, 1] > length:
                self.damaged = 1
                return False
        if kind == FAULT_USER or kind == FAULT_KERNEL:
            self.fault(kind, at)
        elif kind == SYS_ENTER or kind == SYS_EXIT:
            if not self.call(kind, at):
                return False
        elif kind <= TASK_EXIT:
            self.life(kind, at, length)
        else:
            self.more(kind, at, length)
        self.put(b"               0", 16)      # perf's addr column
        return True
