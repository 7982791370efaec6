"""What the two schemes with COW contexts share (remaps.pyx): the records of a context's map, and the steps on it."""
from libc.stdint cimport uint32_t, uint64_t

from rmapcore.pyx.parts.intervaltree cimport IntervalNode
from rmapcore.pyx.seam.scheme cimport Scheme

cdef struct ContextRecord:    # 48 bytes: a cow_context
    uint32_t mm               # 0 when its address space has gone, and in a free record
    uint32_t parent           # 0: of an exec
    uint32_t child            # newest
    uint32_t next             # older child of the same parent; in a free record the next free one
    uint32_t prev             # newer
    uint32_t root             # interval tree of its spans
    uint32_t spans            # in the tree
    uint32_t gaps             # of which have a free index right in front
    uint32_t nodes            # of the kernel's maple tree, charged
    uint32_t reserved
    uint64_t refs             # living mm, children, pages; 0 in a free record

cdef struct SpanRecord:       # 12 bytes: a range of indices, an entry of the kernel's remap_mt; its ends are in its tree node
    uint32_t first            # the first of its offsets; in a free record the next free one
    uint32_t n                # how many
    uint32_t capacity         # of the kernel's array; 0: one offset, in the entry itself

cdef struct OffsetRecord:     # 16 bytes: an area's start less its index there, in pages
    uint64_t off
    uint32_t next             # in the order of the array; in a free record the next free one
    uint32_t reserved

cdef extern from *:
    """
    #define LAST_INDEX (~(uint64_t) 0)
    """
    uint64_t LAST_INDEX

cdef enum:
    CONTEXT_LINK = 12         # offsets of the free links, asserted in remaps.pyx
    SPAN_LINK = 0
    OFFSET_LINK = 8
    ARRAYS = 10               # kinds of arrays that are told apart: 2, 4 .. 1024 offsets

cdef class Remaps(Scheme):
    cdef ContextRecord* context
    cdef SpanRecord* span
    cdef IntervalNode* node   # by span
    cdef OffsetRecord* offset
    cdef int contexts         # pools
    cdef int spans
    cdef int offsets
    cdef int nodes            # of these and of arrays only the bytes are counted: there are no records
    cdef int[ARRAYS] arrays
    cdef int word             # bytes of a kernel pointer
    cdef bint faithful        # as the prototype stood in May 2026

    cdef int context_bytes(self)
    cdef int array_bytes(self, int kind)
    cdef void count(self, int pool, bint gone) noexcept nogil
    cdef void charge(self, uint32_t capacity, bint gone) noexcept nogil
    cdef uint32_t nodes_of(self, uint32_t o) noexcept nogil
    cdef void recount(self, uint32_t o) noexcept nogil
    cdef uint32_t at(self, uint32_t o, uint64_t index) noexcept nogil
    cdef uint32_t met(self, uint32_t o, uint64_t first, uint64_t last) noexcept nogil
    cdef uint32_t following(self, uint32_t e, uint64_t first, uint64_t last) noexcept nogil
    cdef void enter(self, uint32_t o, uint32_t e) noexcept nogil
    cdef void leave(self, uint32_t o, uint32_t e) noexcept nogil
    cdef uint32_t new_span(self, uint64_t first, uint64_t last) noexcept nogil
    cdef void end_span(self, uint32_t e, bint leaks) noexcept nogil
    cdef void cut(self, uint32_t o, uint64_t index) noexcept nogil
    cdef uint32_t new_offset(self, uint32_t e, uint32_t before) noexcept nogil
    cdef uint32_t find(self, uint32_t e, uint64_t off, uint32_t* before) noexcept nogil
    cdef void join(self, uint32_t e, uint64_t off) noexcept nogil
    cdef void add(self, uint32_t o, uint64_t first, uint64_t last, uint64_t off) noexcept nogil
    cdef bint stands(self, uint32_t o, uint64_t first, uint64_t last, uint64_t off) noexcept nogil
    cdef bint cut_for(self, uint32_t o, uint64_t index, uint64_t off) noexcept nogil
    cdef void remove(self, uint32_t o, uint64_t first, uint64_t last, uint64_t off) noexcept nogil
    cdef bint overwrite(self, uint32_t o, uint64_t first, uint64_t last, uint64_t old, uint64_t off) noexcept nogil
    cdef void drop_all(self, uint32_t o) noexcept nogil
    cdef dict check_maps(self, set live, list faults)
    cdef uint64_t check_spans(self, uint32_t o, list order, set offsets, dict charged, list faults) except? 0
