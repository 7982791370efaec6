"""Noting where a walk goes (trail.pxd says what for)."""
from libc.stdint cimport uint32_t, uint64_t

from rmapcore.pyx.parts.intervaltree cimport IntervalNode, Span, interval_first, interval_next
from rmapcore.pyx.parts.trail cimport Trail


cdef void begin_trail(Trail* t, uint32_t tree) noexcept nogil:
    """Nothing is noted yet."""
    t.number += 1
    t.tree = tree
    t.alike.first = 0
    t.alike.last = ~<uint64_t> 0
    t.n = 0
    t.whole = False


cdef uint32_t note_next(Trail* t, IntervalNode* n, uint32_t root, uint64_t at) noexcept nogil:
    """The node behind those noted, now noted too; 0: there is none. The trail is no longer than it may be, and not whole."""
    cdef uint64_t entered = t.noted[t.n - 1].entered if t.n else 0
    cdef Span alike = t.alike
    cdef uint32_t v
    if t.n:
        v = interval_next(n, t.noted[t.n - 1].node, at, at, &entered, &alike)
    else:
        v = interval_first(n, root, at, at, &entered, &alike)
    if alike.first != t.alike.first or alike.last != t.alike.last:
        t.alike = alike
        t.number += 1
    if v == 0:
        t.whole = True
        t.entered = <uint32_t> entered
        return 0
    t.noted[t.n].node = v
    t.noted[t.n].entered = <uint32_t> entered
    t.n += 1
    return v
