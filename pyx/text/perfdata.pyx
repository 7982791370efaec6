"""The events of perf's own file (perf.data) as lines of perf script, of one program only.

perf has recorded the whole machine: samples of some tracepoints, and what it says by itself of mappings, names, births
and ends. `index` gives time and place of each of these records; they stand in the file as they were read from the
processors, so the caller sorts them by time; `convert` then takes them in this order, keeps those of one process and its
descendants, and writes the lines:

    sample of raw_syscalls:sys_enter, id 9, args …   ──>   syscalls:sys_enter_mmap: addr: 0x00000000, len: 0x00002000, …

perf script does the same for the whole machine at some 5 us a record, this takes 0.2. Layout of the records:
include/uapi/linux/perf_event.h; where a tracepoint has its fields comes from the kernel's own description (tracefs, format),
which the caller has read.

A process belongs to the program from its FORK record until its last thread has ended; the first one from its execve on.
"""
import numpy as np

from libc.stdint cimport int16_t, int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memchr, memcpy, memset

from rmapcore.pyx.text.writer cimport Writer

cdef enum:                    # enum perf_event_type
    RECORD_LOST = 2
    RECORD_COMM = 3
    RECORD_EXIT = 4
    RECORD_FORK = 7
    RECORD_SAMPLE = 9
    RECORD_MMAP2 = 10
    RECORD_LOST_SAMPLES = 13

cdef enum:
    HEADER = 8                # struct perf_event_header: u32 type, u16 misc, u16 size
    MISC_COMM_EXEC = 1 << 13
    MISC_BUILD_ID = 1 << 14
    PID_LIMIT = 1 << 22       # the kernel's PID_MAX_LIMIT
    COMM = 16                 # bytes of a name, the last one 0
    LINE_MOST = 8192          # bytes of the longest line: a path has at most 4096
    CALLS = 512               # numbers of system calls that may be listed
    FIELDS = 7                # of a tracepoint that are used
    PLACED = 1 << 30          # added to the place of a field that holds length and place of a string (__data_loc)
    NO_PLACE = 1 << 29        # of a field that this kernel does not have

cdef enum:                    # tracepoints, in the order of the caller's list; 0: none of them
    NO_KIND, FAULT_USER, FAULT_KERNEL, SYS_ENTER, SYS_EXIT, TASK_FORK, TASK_EXEC, TASK_EXIT, TASK_NEW, SIGNAL, RSS, READ, PREAD
    MEMCG_RECLAIM, DIRECT_RECLAIM, KINDS

LOCATED, MISSING = PLACED, NO_PLACE
COUNTS = (b"MM_FILEPAGES", b"MM_ANONPAGES", b"MM_SWAPENTS", b"MM_SHMEMPAGES")      # of rss_stat, by number


cdef inline size_t length_of(const uint8_t* text, size_t most) noexcept nogil:
    """Of a text that ends with a 0 or after `most` bytes."""
    cdef const uint8_t* end = <const uint8_t*> memchr(text, 0, most)
    return end - text if end else most


cdef class Converter(Writer):
    """Over the bytes of a perf.data file.

    data: uint8 array, all of the file.
    ids, kinds: u64 ascending ids of samples, and the tracepoint of each (1 to 14, 0: none) as u8.
    places: bytes from the start of a sample record: of pid and tid, of the time, of the raw data's size. Of the other records'
    trailer: pid and tid, time; bytes from its end.
    fields: int32 of shape (15, 7, 2): for each tracepoint the fields that its line has: bytes from the start of the raw data,
    and how many they are.
    heads: the event column of each tracepoint, bytes.  calls: {number: (column at enter, column at exit, labels of arguments)}.
    root: pid of the program.
    lines, faults, processes: what has been written; processes born.  lost: events, known after index.
    damaged: 1 if a record was shorter than what it must hold; nothing was taken from it.
    """
    cdef const uint8_t[::1] data
    cdef const uint64_t[::1] ids
    cdef const uint8_t[::1] kinds
    cdef const int32_t[:, :, ::1] fields
    cdef uint32_t at_tid, at_time, at_raw, end_tid, end_time, sample_least
    cdef uint32_t root
    cdef bint started
    cdef int32_t[::1] threads          # by pid: how many live, of the processes that belong to the program
    cdef uint8_t[:, ::1] names         # by tid
    cdef const uint8_t[::1] texts      # heads and labels, one after the other
    cdef uint32_t[::1] text_starts     # of each, and the end of the last
    cdef int32_t[::1] call_texts       # by number of a call: its first text, -1: not listed
    cdef int32_t[::1] call_arguments
    cdef readonly uint64_t lines, faults, processes, lost, damaged

    def __init__(self, data, ids, kinds, places, fields, heads, calls, root):
        self.data, self.ids, self.kinds, self.fields = data, ids, kinds, fields
        if len(ids) != len(kinds) or not len(ids) or fields.shape != (KINDS, FIELDS, 2) or len(heads) != KINDS:
            raise ValueError("ids, kinds, fields or heads of another length")
        self.at_tid, self.at_time, self.at_raw, self.end_tid, self.end_time = places
        self.sample_least = max(places[:2]) + 8
        self.root = root
        self.threads = np.zeros(PID_LIMIT, np.int32)
        self.names = np.zeros((PID_LIMIT, COMM), np.uint8)
        texts = [*heads, *COUNTS, b"?"]
        self.call_texts = np.full(CALLS, -1, np.int32)
        self.call_arguments = np.zeros(CALLS, np.int32)
        for number, (enter, leave, labels) in calls.items():
            self.call_texts[number] = len(texts)
            self.call_arguments[number] = len(labels)
            texts += [enter, leave, *labels]
        self.texts = b"".join(texts)
        self.text_starts = np.cumsum([0, *map(len, texts)], dtype=np.uint32)

    cdef uint64_t word(self, uint64_t at) noexcept nogil:
        cdef uint64_t value
        memcpy(&value, &self.data[at], 8)
        return value

    cdef uint32_t half(self, uint64_t at) noexcept nogil:
        cdef uint32_t value
        memcpy(&value, &self.data[at], 4)
        return value

    cdef uint32_t size_at(self, uint64_t at) noexcept nogil:
        return self.half(at + 4) >> 16

    def index(self, uint64_t start, uint64_t end):
        """(times in ns, places in the file) of the records from start to end that may become lines; counts lost events.

        ValueError if the file is damaged there.
        """
        cdef uint64_t n = 0, at = start, time
        cdef uint32_t kind, size
        cdef uint64_t[::1] times, found
        if start > end or end > <uint64_t> self.data.shape[0]:
            raise ValueError("records beyond the end of the file")
        most = (end - start) // 16 + 1         # a record that is taken is longer: untouched memory costs nothing
        times, found = np.empty(most, np.uint64), np.empty(most, np.uint64)
        with nogil:
            while at + HEADER <= end:
                kind, size = self.half(at), self.size_at(at)
                if size < HEADER or at + size > end or (kind == RECORD_SAMPLE and size < self.sample_least):
                    break
                if kind == RECORD_LOST and size >= 24:
                    self.lost += self.word(at + 16)
                elif kind == RECORD_LOST_SAMPLES and size >= 16:
                    self.lost += self.word(at + 8)
                elif kind == RECORD_SAMPLE or (kind in (RECORD_COMM, RECORD_EXIT, RECORD_FORK, RECORD_MMAP2)
                                               and size >= 24 + self.end_tid):
                    time = at + self.at_time if kind == RECORD_SAMPLE else at + size - self.end_time
                    times[n], found[n] = self.word(time), at
                    n += 1
                at += size
        if at != end:
            raise ValueError(f"no record at byte {at:,}")
        return np.asarray(times)[:n], np.asarray(found)[:n]

    def convert(self, const uint64_t[::1] times, const uint64_t[::1] order, uint64_t position, uint8_t[::1] out):
        """Writes lines of the records from `position` on into `out`: (next position, bytes written).

        times, order: of `index`, sorted by time. ValueError if out has less than 8192 bytes.
        """
        cdef uint64_t n = 0
        if len(out) < LINE_MOST or len(times) != len(order):
            raise ValueError(f"out has less than {LINE_MOST} bytes, or times and order differ in length")
        with nogil:
            self.out = &out[0]
            while position < <uint64_t> order.shape[0] and self.out + LINE_MOST <= &out[0] + out.shape[0]:
                self.record(order[position], times[position])
                position += 1
            n = self.out - &out[0]
        return position, n

    cdef void record(self, uint64_t at, uint64_t time) noexcept nogil:
        """Writes the line of a record if it belongs to the program."""
        cdef uint32_t kind = self.half(at), size = self.size_at(at)
        cdef uint64_t thread = at + self.at_tid if kind == RECORD_SAMPLE else at + size - self.end_tid
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
                self.processes = 1
            else:
                if kind == RECORD_FORK:
                    self.inherit(self.half(at + 16), self.half(at + 20))
                return
        self.columns(pid, tid, time)
        if kind == RECORD_SAMPLE:
            if not self.sample(at, size):
                self.out = begin
                return
        elif kind == RECORD_MMAP2:
            self.mapping(at, at + size - self.end_tid)
        elif kind == RECORD_COMM:
            self.renamed(at)
        else:
            self.task(at, kind)
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

    cdef void inherit(self, uint32_t tid, uint32_t parent) noexcept nogil:
        if tid < PID_LIMIT and parent < PID_LIMIT:
            memcpy(&self.names[tid, 0], &self.names[parent, 0], COMM)

    cdef void task(self, uint64_t at, uint32_t kind) noexcept nogil:
        """FORK and EXIT: u32 pid, parent's pid, tid, parent's tid."""
        cdef uint32_t pid = self.half(at + 8), parent = self.half(at + 12), tid = self.half(at + 16)
        self.put(b"PERF_RECORD_FORK(" if kind == RECORD_FORK else b"PERF_RECORD_EXIT(", 17)
        if kind == RECORD_FORK:
            self.inherit(tid, self.half(at + 20))
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

    cdef void text(self, int number) noexcept nogil:
        cdef uint32_t start = self.text_starts[number]
        cdef uint32_t length = self.text_starts[number + 1] - start
        if length:
            self.put(<const char*> &self.texts[start], length)

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

    cdef int kind_of(self, uint64_t id) noexcept nogil:
        """The tracepoint of an id, 0 if it is none of ours."""
        cdef int64_t low = 0, high = self.ids.shape[0], middle
        while low < high:
            middle = (low + high) // 2
            if self.ids[middle] < id:
                low = middle + 1
            else:
                high = middle
        return self.kinds[low] if low < self.ids.shape[0] and self.ids[low] == id else 0

    cdef bint sample(self, uint64_t at, uint32_t size) noexcept nogil:
        """Writes what a tracepoint says; False if that is no line."""
        cdef int kind = self.kind_of(self.word(at + 8))
        cdef uint64_t raw = at + self.at_raw + 4
        cdef uint32_t length, last
        cdef int field
        if kind == 0 or raw > at + size:
            return False
        length = self.half(raw - 4)
        for field in range(FIELDS):            # what is read of each must be there
            last = self.fields[kind, field, 0] & ~PLACED
            if last < NO_PLACE and last + self.fields[kind, field, 1] > length:
                self.damaged = 1
                return False
        if raw + length > at + size:
            self.damaged = 1
            return False
        if kind == FAULT_USER or kind == FAULT_KERNEL:
            self.fault(kind, raw)
        elif kind == SYS_ENTER or kind == SYS_EXIT:
            if not self.call(kind, raw):
                return False
        elif kind <= TASK_EXIT:
            self.life(kind, raw, length)
        else:
            self.more(kind, raw, length)
        self.put(b"               0", 16)      # perf's addr column
        return True

    cdef void fault(self, int kind, uint64_t raw) noexcept nogil:
        self.text(kind)
        self.marked(b"address=0x", 10, self.word(raw + self.place(kind, 0)))
        self.marked(b" ip=0x", 6, self.word(raw + self.place(kind, 1)))
        self.marked(b" error_code=0x", 14, self.word(raw + self.place(kind, 2)))
        self.faults += 1

    cdef bint call(self, int kind, uint64_t raw) noexcept nogil:
        cdef uint64_t number = self.word(raw + self.place(kind, 0)), values = raw + self.place(kind, 1)
        cdef int first, argument
        if number >= CALLS or self.call_texts[number] < 0:
            return False
        first = self.call_texts[number]
        if kind == SYS_EXIT:
            self.text(first + 1)
            self.marked(b"0x", 2, self.word(values))
            return True
        self.text(first)
        for argument in range(self.call_arguments[number]):
            self.text(first + 2 + argument)
            self.hexadecimal(self.word(values + 8 * argument), 8)
        return True

    cdef void life(self, int kind, uint64_t raw, uint32_t length) noexcept nogil:
        self.text(kind)
        self.put(b"filename=" if kind == TASK_EXEC else b"comm=", 9 if kind == TASK_EXEC else 5)
        self.string(raw, self.place(kind, 0), length)
        self.put(b" pid=", 5)
        self.signed(<int32_t> self.half(raw + self.place(kind, 1)))
        if kind == TASK_EXIT:
            self.put(b" prio=", 6)
            self.signed(<int32_t> self.half(raw + self.place(kind, 2)))
            if self.place(kind, 3) < NO_PLACE and self.data[raw + self.place(kind, 3)]:
                self.put(b" group_dead=true", 16)
            elif self.place(kind, 3) < NO_PLACE:
                self.put(b" group_dead=false", 17)
        elif kind == TASK_EXEC:
            self.put(b" old_pid=", 9)
            self.signed(<int32_t> self.half(raw + self.place(kind, 2)))
        else:
            self.put(b" child_comm=", 12)
            self.string(raw, self.place(kind, 2), length)
            self.put(b" child_pid=", 11)
            self.signed(<int32_t> self.half(raw + self.place(kind, 3)))

    cdef void more(self, int kind, uint64_t raw, uint32_t length) noexcept nogil:
        """What beside calls and lives is told, in the words of the kernel's own print format."""
        cdef uint64_t at
        self.text(kind)
        if kind == TASK_NEW:
            self.number(b"pid=", 4, raw, kind, 0)
            self.put(b" comm=", 6)
            self.string(raw, self.place(kind, 1), length)
            self.marked(b" clone_flags=", 13, self.word(raw + self.place(kind, 2)))
            self.put(b" oom_score_adj=", 15)
            at = raw + self.place(kind, 3)
            self.signed(<int16_t> (self.data[at] | self.data[at + 1] << 8))
        elif kind == SIGNAL:
            self.number(b"sig=", 4, raw, kind, 0)
            self.number(b" errno=", 7, raw, kind, 1)
            self.number(b" code=", 6, raw, kind, 2)
            self.put(b" comm=", 6)
            self.string(raw, self.place(kind, 3), length)
            self.number(b" pid=", 5, raw, kind, 4)
            self.number(b" grp=", 5, raw, kind, 5)
            self.number(b" res=", 5, raw, kind, 6)
        elif kind == RSS:
            self.put(b"mm_id=", 6)
            self.decimal(self.half(raw + self.place(kind, 0)), 0, c" ")
            self.number(b" curr=", 6, raw, kind, 1)
            self.put(b" type=", 6)
            self.text(KINDS + min(self.half(raw + self.place(kind, 2)), 4))
            self.put(b" size=", 6)
            self.signed(<int64_t> self.word(raw + self.place(kind, 3)))
            self.put(b"B", 1)
        elif kind >= MEMCG_RECLAIM:
            self.put(b"nr_reclaimed=", 13)
            self.decimal(self.word(raw + self.place(kind, 0)), 0, c" ")
        else:
            self.marked(b"fd: 0x", 6, self.word(raw + self.place(kind, 0)), 8)
            self.marked(b", buf: 0x", 9, self.word(raw + self.place(kind, 1)), 8)
            self.marked(b", count: 0x", 11, self.word(raw + self.place(kind, 2)), 8)
            if kind == PREAD:
                self.marked(b", pos: 0x", 9, self.word(raw + self.place(kind, 3)), 8)

    cdef int32_t place(self, int kind, int field) noexcept nogil:
        return self.fields[kind, field, 0]

    cdef void number(self, const char* mark, size_t length, uint64_t raw, int kind, int field) noexcept nogil:
        self.put(mark, length)
        self.signed(<int32_t> self.half(raw + self.place(kind, field)))

    cdef void string(self, uint64_t raw, int32_t place, uint32_t length) noexcept nogil:
        """A field of text: in place, 16 bytes, or located by a word: place in the low 16 bits, length above."""
        cdef uint32_t start = place, most = COMM
        if place & PLACED:
            start = self.half(raw + (place & ~PLACED)) & 0xFFFF
            most = 4096
        if start < length:
            self.put(<const char*> &self.data[raw + start], length_of(&self.data[raw + start], min(most, length - start)))
