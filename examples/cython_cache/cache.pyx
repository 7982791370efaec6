# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""A TLB and a cache with physical tags over a machine of rmapcore, in Cython.

    virtual address ──> TLB ──miss──> page table, fault ──> physical address ──> cache ──> hit or miss
                         ^                                                        ^
                         └──────── what is gone is dropped in both ───────────────┘
"""
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from rmapcore.capi cimport (
    RMAPCORE_FAULT_SWAPIN, RMAPCORE_GONE_LOST, RMAPCORE_GONE_PROTECT, RMAPCORE_KIND, rmapcore_adopt,
    rmapcore_close, rmapcore_fact, rmapcore_gone, rmapcore_gone_take, rmapcore_hold, rmapcore_import, rmapcore_machine,
    rmapcore_message, rmapcore_release, rmapcore_touch,
)

import numpy as np

rmapcore_import()

cdef enum:
    PAGE_SHIFT = 12
    LINE_SHIFT = 6
    RECORDS = 64


cdef class Hierarchy:
    """A TLB of so many entries and a cache of so many 64-byte lines, both direct-mapped, sizes powers of 2.

    machine: an rmapcore.Machine with watch.  Counts: accesses, tlb_misses, cache_misses, faults, major_faults, shootdowns,
    lines_dropped.
    """
    cdef rmapcore_machine m
    cdef uint64_t[::1] page            # TLB: process << 36 | page, plus 1; 0: empty
    cdef uint64_t[::1] place           # where that page lies, bytes
    cdef uint8_t[::1] written          # whether it was written through this entry, so that the page is dirty
    cdef uint64_t[::1] line            # cache: physical line, plus 1; 0: empty
    cdef uint64_t lost
    cdef readonly dict counts

    def __cinit__(self, machine, tlb=64, lines=512):
        self.page = np.zeros(tlb, np.uint64)
        self.place = np.zeros(tlb, np.uint64)
        self.written = np.zeros(tlb, np.uint8)
        self.line = np.zeros(lines, np.uint64)
        self.counts = {}
        if rmapcore_adopt(machine, &self.m) < 0:
            raise RuntimeError(rmapcore_message().decode())

    def __dealloc__(self):
        if self.m:
            rmapcore_close(self.m)

    def run(self, uint32_t process, const uint64_t[::1] addresses, const uint8_t[::1] writes):
        """Accesses in order; what they came to: a dict of counts, which `counts` sums up."""
        cdef uint64_t[7] n = [0, 0, 0, 0, 0, 0, 0]
        cdef int code = rmapcore_hold(self.m)
        if code == 0:
            with nogil:
                code = self.access(process, addresses, writes, n)
            rmapcore_release(self.m)
        names = ("accesses", "tlb_misses", "cache_misses", "faults", "major_faults", "shootdowns", "lines_dropped")
        found = dict(zip(names, n))
        for name in names:
            self.counts[name] = self.counts.get(name, 0) + found[name]
        if code < 0:
            raise RuntimeError(f"access {found['accesses']}: {rmapcore_message().decode()}")
        return found

    cdef int access(self, uint32_t process, const uint64_t[::1] addresses, const uint8_t[::1] writes,
                    uint64_t* n) noexcept nogil:
        cdef uint64_t key, at, physical, tag
        cdef Py_ssize_t i
        cdef int kind
        for i in range(addresses.shape[0]):
            key = (<uint64_t> process << 36 | addresses[i] >> PAGE_SHIFT) + 1
            at = key & (self.page.shape[0] - 1)
            if self.page[at] != key or (writes[i] and not self.written[at]):
                n[1] += 1
                kind = rmapcore_touch(self.m, process, addresses[i], writes[i], &physical)
                if kind < 0:
                    return kind
                if kind:
                    n[3] += 1
                    n[4] += (kind & RMAPCORE_KIND) == RMAPCORE_FAULT_SWAPIN
                    self.shoot_down(n)         # a fault may have evicted anything
                self.page[at] = key
                self.place[at] = physical >> PAGE_SHIFT << PAGE_SHIFT
                self.written[at] = writes[i]
            tag = (self.place[at] | (addresses[i] & ((1 << PAGE_SHIFT) - 1))) >> LINE_SHIFT
            if self.line[tag & (self.line.shape[0] - 1)] != tag + 1:
                self.line[tag & (self.line.shape[0] - 1)] = tag + 1
                n[2] += 1
            n[0] += 1
        return 0

    cdef void shoot_down(self, uint64_t* n) noexcept nogil:
        """Drops what is gone from the TLB, and the lines of frames that hold something else now from the cache."""
        cdef rmapcore_gone[RECORDS] gone
        cdef int64_t i
        cdef int64_t found = rmapcore_gone_take(self.m, RECORDS, gone)
        cdef uint64_t key, tag
        cdef uint64_t lost = <uint64_t> rmapcore_fact(self.m, RMAPCORE_GONE_LOST)
        while found > 0:
            for i in range(found):
                n[5] += 1
                key = (<uint64_t> gone[i].process << 36 | gone[i].address >> PAGE_SHIFT) + 1
                if self.page[key & (self.page.shape[0] - 1)] == key:
                    self.page[key & (self.page.shape[0] - 1)] = 0
                if gone[i].why == RMAPCORE_GONE_PROTECT:
                    continue
                for tag in range(<uint64_t> gone[i].frame << (PAGE_SHIFT - LINE_SHIFT),
                                 <uint64_t> (gone[i].frame + 1) << (PAGE_SHIFT - LINE_SHIFT)):
                    if self.line[tag & (self.line.shape[0] - 1)] == tag + 1:
                        self.line[tag & (self.line.shape[0] - 1)] = 0
                        n[6] += 1
            found = rmapcore_gone_take(self.m, RECORDS, gone)
        if lost != self.lost:
            self.lost = lost
            self.page[:] = 0
            self.line[:] = 0
