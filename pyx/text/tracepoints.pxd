"""What the sample of a tracepoint says, as perf script writes it: the fields that the kernel's own description places."""
from libc.stdint cimport int32_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memchr

from rmapcore.pyx.text.writer cimport Writer

cdef enum:
    COMM = 16                 # bytes of a name, the last one 0
    CALLS = 512               # numbers of system calls that may be listed
    FIELDS = 7                # of a tracepoint that are used
    PLACED = 1 << 30          # added to the place of a field that holds length and place of a string (__data_loc)
    NO_PLACE = 1 << 29        # of a field that this kernel does not have

cdef enum:                    # tracepoints, in the order of the caller's list; 0: none of them
    NO_KIND, FAULT_USER, FAULT_KERNEL, SYS_ENTER, SYS_EXIT, TASK_EXEC, TASK_EXIT, TASK_NEW, SIGNAL, RSS, READ, PREAD, FUTEX
    MEMCG_RECLAIM, DIRECT_RECLAIM, CACHE_ADD, CACHE_DELETE, CACHE_MISS, KINDS


cdef inline size_t length_of(const uint8_t* text, size_t most) noexcept nogil:
    """Of a text that ends with a 0 or after `most` bytes."""
    cdef const uint8_t* end = <const uint8_t*> memchr(text, 0, most)
    return end - text if end else most


cdef class Tracepoints(Writer):
    cdef const uint8_t[::1] data
    cdef const int32_t[:, :, ::1] fields
    cdef const uint8_t[::1] texts      # heads and labels, one after the other
    cdef uint32_t[::1] text_starts     # of each, and the end of the last
    cdef int32_t[::1] call_texts       # by number of a call: its first text, -1: not listed
    cdef int32_t[::1] call_arguments
    cdef readonly uint64_t faults
    cdef uint64_t word(self, uint64_t at) noexcept nogil
    cdef uint32_t half(self, uint64_t at) noexcept nogil
    cdef void text(self, int number) noexcept nogil
    cdef void fault(self, int kind, uint64_t raw) noexcept nogil
    cdef bint call(self, int kind, uint64_t raw) noexcept nogil
    cdef void life(self, int kind, uint64_t raw, uint32_t length) noexcept nogil
    cdef void more(self, int kind, uint64_t raw, uint32_t length) noexcept nogil
    cdef int32_t place(self, int kind, int field) noexcept nogil
    cdef void number(self, const char* mark, size_t length, uint64_t raw, int kind, int field) noexcept nogil
    cdef void string(self, uint64_t raw, int32_t place, uint32_t length) noexcept nogil
