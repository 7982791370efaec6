"""Text written number by number into memory that the caller has."""
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t


cdef class Writer:
    cdef uint8_t* out
    cdef void put(self, const char* text, size_t length) noexcept nogil
    cdef void fill(self, char with_, int count) noexcept nogil
    cdef void decimal(self, uint64_t value, int width, char with_) noexcept nogil
    cdef void signed(self, int64_t value) noexcept nogil
    cdef void pair(self, uint32_t pid, const char* between, uint32_t tid) noexcept nogil
    cdef void hexadecimal(self, uint64_t value, int width) noexcept nogil
    cdef void marked(self, const char* mark, size_t length, uint64_t value, int width=*) noexcept nogil
    cdef void prefixed(self, uint64_t value) noexcept nogil
