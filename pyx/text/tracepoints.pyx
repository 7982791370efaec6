"""What the event of a tracepoint says, as perf script writes it (tracepoints.pxd)."""
import numpy as np

from libc.stdint cimport int16_t, int32_t, int64_t, uint32_t, uint64_t
from libc.string cimport memcpy

LOCATED, MISSING = PLACED, NO_PLACE
COUNTS = (b"MM_FILEPAGES", b"MM_ANONPAGES", b"MM_SWAPENTS", b"MM_SHMEMPAGES")      # of rss_stat, by number


cdef class Tracepoints(Writer):
    """Over the bytes of a recording. data, fields, heads, calls: as `rmapcore.pyx.text.perfdata.Converter` has them.

    faults: page faults written.
    """

    def __init__(self, data, fields, heads, calls):
        self.data, self.fields = data, fields
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

    cdef void text(self, int number) noexcept nogil:
        cdef uint32_t start = self.text_starts[number]
        cdef uint32_t length = self.text_starts[number + 1] - start
        if length:
            self.put(<const char*> &self.texts[start], length)

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
        else:
            self.put(b" old_pid=", 9)
            self.signed(<int32_t> self.half(raw + self.place(kind, 2)))

    cdef void more(self, int kind, uint64_t raw, uint32_t length) noexcept nogil:
        """What beside calls and lives is told, in the words of the kernel's own print format."""
        cdef uint64_t at
        cdef uint32_t device
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
        elif kind == CACHE_MISS:
            device = self.half(raw + self.place(kind, 0))
            self.put(b"dev=", 4)
            self.decimal(device >> 20, 0, c" ")
            self.put(b":", 1)
            self.decimal(device & 0xFFFFF, 0, c" ")
            self.marked(b" ino=", 5, self.word(raw + self.place(kind, 1)))
            self.put(b" ofs=", 5)
            self.decimal(self.word(raw + self.place(kind, 2)) << 12, 0, c" ")
        elif kind >= CACHE_ADD:
            device = self.half(raw + self.place(kind, 0))
            self.put(b"dev ", 4)
            self.decimal(device >> 20, 0, c" ")
            self.put(b":", 1)
            self.decimal(device & 0xFFFFF, 0, c" ")
            self.marked(b" ino ", 5, self.word(raw + self.place(kind, 1)))
            self.marked(b" pfn=0x", 7, self.word(raw + self.place(kind, 2)))
            self.put(b" ofs=", 5)
            self.decimal(self.word(raw + self.place(kind, 3)) << 12, 0, c" ")
            if self.place(kind, 4) < NO_PLACE:
                self.put(b" order=", 7)
                self.decimal(self.data[raw + self.place(kind, 4)], 0, c" ")
        elif kind >= MEMCG_RECLAIM:
            self.put(b"nr_reclaimed=", 13)
            self.decimal(self.word(raw + self.place(kind, 0)), 0, c" ")
        elif kind == FUTEX:
            self.marked(b"uaddr: 0x", 9, self.word(raw + self.place(kind, 0)), 8)
            self.marked(b", op: 0x", 8, self.word(raw + self.place(kind, 1)), 8)
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
