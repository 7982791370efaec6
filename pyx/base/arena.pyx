"""Arenas: packed records in address space that is reserved at full capacity and costs memory only where written.

All arenas of a machine are cut from one private mapping, so that thousands of machines fit a process. The mapping is
MAP_NORESERVE (a plain allocation of that size would be refused). Arenas never move and never grow, so pointers and views
into them stay good as long as the arena lives.

    | small ones | areas | mms | ... | entries | what the scheme asks for | spare, given back when all is cut |
"""
from libc.stdint cimport uint64_t
from posix.mman cimport (
    MADV_HUGEPAGE, MADV_NOHUGEPAGE, MAP_ANONYMOUS, MAP_FAILED, MAP_NORESERVE, MAP_PRIVATE, PROT_READ, PROT_WRITE, madvise, mmap,
    munmap,
)

from rmapcore.pyx.base.fence cimport FENCE_GAP

import numpy as np

cdef enum:
    LINE = 64
    PAGE = 4096
    HUGE = 2 << 20
    SMALL = 2 << 20           # the first bytes of an arena keep small pages, so that machines that use little stay small
    LARGE = 32 << 20          # arenas beyond have huge pages: for others they are not worth a mapping of the host


class NoAddressSpace(Exception):
    """The host does not give what has to be reserved.  arenas: those of the machine, all that are known by now."""

    def __init__(self, arenas=()):
        super().__init__("too little address space")
        self.arenas = arenas


cdef inline uint64_t aligned(uint64_t at, uint64_t size) noexcept nogil:
    """Where an arena of that size may begin: small ones share pages and cache lines with no other."""
    cdef uint64_t step = HUGE if size >= HUGE else PAGE if size >= PAGE or FENCE_GAP else LINE
    return (at + step - 1) & ~(step - 1)


def end_of(sizes):
    """Bytes that a reservation takes for arenas of these sizes, cut in this order."""
    cdef uint64_t end = 0
    for size in sizes:
        end = aligned(end, size) + <uint64_t> size + FENCE_GAP
    return end


cdef class Reservation:
    """Address space, from whose beginning arenas are cut; a buffer of bytes.

    size: bytes that there must be, of arenas as `end_of` counts them; NoAddressSpace if the host does not give them.
    spare: bytes beyond, as many of them as it gives.  huge: whether large arenas get huge pages from their first SMALL on.
    """
    cdef char* mapped         # as the host gave it
    cdef uint64_t length
    cdef char* base           # the first huge page begins here
    cdef readonly uint64_t size        # bytes from there on
    cdef readonly uint64_t used        # of which are cut off
    cdef bint huge

    def __init__(self, uint64_t size, uint64_t spare=0, bint huge=False):
        cdef void* mapped = MAP_FAILED
        while True:
            self.length = size + spare + HUGE
            mapped = mmap(NULL, self.length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
            if mapped != MAP_FAILED:
                break
            if spare == 0:
                raise NoAddressSpace
            spare = spare // 8 if spare > HUGE else 0
        self.mapped = <char*> mapped
        self.base = <char*> ((<size_t> mapped + HUGE - 1) & ~<size_t> (HUGE - 1))
        self.size = self.length - <size_t> (self.base - self.mapped)
        self.huge = huge
        if not huge:                           # where the host takes huge pages for whatever is large enough
            madvise(self.mapped, self.length, MADV_NOHUGEPAGE)

    def __dealloc__(self):
        if self.mapped != NULL:
            munmap(self.mapped, self.length)

    cdef char* cut(self, uint64_t size) noexcept:
        """The next `size` bytes, or NULL if so many are not left."""
        cdef uint64_t start = aligned(self.used, size)
        if start + size + FENCE_GAP > self.size:
            return NULL
        self.used = start + size + FENCE_GAP
        if self.huge and size > LARGE:         # what it answers does not matter: a kernel without huge pages
            madvise(self.base + start + SMALL, size - SMALL, MADV_HUGEPAGE)
        return self.base + start

    def trim(self):
        """Gives back what is not cut off; nothing more can be cut then."""
        cdef uint64_t kept = (self.used + PAGE - 1) & ~<uint64_t> (PAGE - 1)
        cdef uint64_t length = <uint64_t> (self.base - self.mapped) + kept
        if length < self.length:
            munmap(self.mapped + length, self.length - length)
            self.length = length
            self.size = kept

    def __getbuffer__(self, Py_buffer* view, int flags):
        view.buf = self.base
        view.obj = self
        view.len = self.size
        view.itemsize = 1
        view.readonly = 0
        view.format = NULL
        view.ndim = 1
        view.shape = view.strides = view.suboffsets = NULL
        view.internal = NULL


cdef class Arena:
    """`capacity` records of `dtype`, `stride` of them per number of the pool that says how many are in use.

    name: for save() and for errors.  pool: number of the pool whose `bump` bounds what was ever written; -1: none.
    anchor: record 0 may be written, too; else it is nobody's and stays zeros, which walks over links may rely on.
    """
    cdef readonly str name
    cdef readonly object dtype
    cdef readonly uint64_t capacity
    cdef readonly int pool
    cdef readonly int stride
    cdef readonly bint anchor
    cdef Reservation block
    cdef char* start
    cdef object records

    def __init__(self, str name, dtype, uint64_t capacity, int pool, int stride=1, bint anchor=False):
        self.name = name
        self.dtype = np.dtype(dtype)
        self.capacity = capacity
        self.pool = pool
        self.stride = stride
        self.anchor = anchor

    @property
    def size(self):
        """Bytes."""
        return max(1, self.capacity * self.stride) * <uint64_t> self.dtype.itemsize

    def lie_in(self, Reservation block):
        """Takes its place there. False: there is not so much left."""
        self.start = block.cut(self.size)
        self.block = block if self.start != NULL else None
        return self.start != NULL

    @property
    def address(self):
        return <size_t> self.start

    @property
    def array(self):
        """All records: a writable view."""
        if self.records is None:
            self.records = np.frombuffer(self.block, self.dtype, max(1, self.capacity * self.stride),
                                         self.start - self.block.base)
        return self.records

    def used(self, uint64_t bump):
        """The records ever written, given the pool's bump."""
        return self.array[:min(bump, self.capacity) * self.stride]
