"""Record arenas: a bump number and a free list, so ids are dense and reused last freed first.

The caller names where the free link lives (a uint32 field of the freed record). A pool never grows: callers ask
`pool_room` before they start, so an operation fails with ArenaFull before it changed anything.
Costs: alloc and release O(1).

Public: schemes outside may use it (docs/schemes-of-your-own.md).
"""
from libc.stdint cimport uint32_t, uint64_t

from rmapcore.pyx.base.fence cimport fence_given, fence_raised, fence_taken
from rmapcore.pyx.base.records cimport Head, Pool
from rmapcore.pyx.base.state cimport State


cdef inline bint pool_room(State* s, int name, uint64_t n) noexcept nogil:
    """Can n more records be taken from pool `name`?"""
    return s.pool[name].live + n < s.pool[name].capacity


cdef inline void pool_charge(State* s, Pool* p) noexcept nogil:
    """Counts one more live record and its kernel bytes."""
    cdef Head* h = s.h
    p.live += 1
    if p.live > p.peak:
        p.peak = p.live
    h.rmap_bytes += p.rmap_bytes
    if h.rmap_bytes > h.rmap_bytes_peak:
        h.rmap_bytes_peak = h.rmap_bytes
    h.low_bytes += p.low_bytes
    if h.low_bytes > h.low_bytes_peak:
        h.low_bytes_peak = h.low_bytes


cdef inline void pool_credit(State* s, Pool* p) noexcept nogil:
    p.live -= 1
    s.h.rmap_bytes -= p.rmap_bytes
    s.h.low_bytes -= p.low_bytes


cdef inline uint32_t pool_take(State* s, int name, void* base, size_t size, size_t link) noexcept nogil:
    """A free record's number. Its contents are those of its last life: the caller sets every field."""
    cdef Pool* p = &s.pool[name]
    cdef uint32_t i = p.free
    if i:
        fence_taken(s.pool, name, i)
        p.free = (<uint32_t*> (<char*> base + size * i + link))[0]
    else:
        i = <uint32_t> p.bump
        p.bump += 1
        fence_raised(s.pool, name)
    pool_charge(s, p)
    return i


cdef inline void pool_give(State* s, int name, void* base, size_t size, size_t link, uint32_t i) noexcept nogil:
    cdef Pool* p = &s.pool[name]
    (<uint32_t*> (<char*> base + size * i + link))[0] = p.free
    p.free = i
    fence_given(s.pool, name, i)
    pool_credit(s, p)
