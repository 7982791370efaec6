"""Text written number by number into memory that the caller has: the parts that lines of a recording are made of."""
from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset


cdef class Writer:
    """Each writes at `out` and moves it behind; that there is room is the caller's affair."""

    cdef void put(self, const char* text, size_t length) noexcept nogil:
        memcpy(self.out, text, length)
        self.out += length

    cdef void fill(self, char with_, int count) noexcept nogil:
        if count > 0:
            memset(self.out, with_, count)
            self.out += count

    cdef void decimal(self, uint64_t value, int width, char with_) noexcept nogil:
        """Aligned to the right."""
        cdef char[20] digits
        cdef int n = 0
        while value or not n:
            n += 1
            digits[20 - n] = <char> (c"0" + value % 10)
            value //= 10
        self.fill(with_, width - n)
        self.put(&digits[20 - n], n)

    cdef void signed(self, int64_t value) noexcept nogil:
        if value < 0:
            self.put(b"-", 1)
            value = -value
        self.decimal(value, 0, c" ")

    cdef void pair(self, uint32_t pid, const char* between, uint32_t tid) noexcept nogil:
        self.signed(<int32_t> pid)
        self.put(between, 1)
        self.signed(<int32_t> tid)

    cdef void hexadecimal(self, uint64_t value, int width) noexcept nogil:
        """Zeros in front."""
        cdef int n = 1
        cdef int digit
        while n < 16 and value >> (4 * n):
            n += 1
        n = max(n, width)
        while n:
            n -= 1
            digit = value >> (4 * n) & 15
            self.out[0] = c"0" + digit if digit < 10 else c"a" + digit - 10
            self.out += 1

    cdef void marked(self, const char* mark, size_t length, uint64_t value, int width=1) noexcept nogil:
        """With a text in front."""
        self.put(mark, length)
        self.hexadecimal(value, width)

    cdef void prefixed(self, uint64_t value) noexcept nogil:
        """As %#lx: 0 has no 0x."""
        self.marked(b"0x", 2 if value else 0, value)
