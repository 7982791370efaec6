"""What a context knows of areas whose pages do not lie where their index says: disjoint ranges of indices (the kernel's
remap_mt, a maple tree), each with the offsets at which pages of these indices may lie in this address space.

   page at index i       may lie at i, or at i + off for every offset of the span that holds i
   add(range, off)       cuts spans that stick out, fills what is free with spans of this offset, joins it to those it meets
   one offset            is in the entry itself; more are a sorted array, whose capacity doubles

Two ways to keep them. As the prototype stood (`faithful`): an offset put before others in an array destroys the one that stood
there (H4), a moved area's offset is written over its old one in whole spans (H6), an entry becomes an array, and an array
doubles, before a duplicate is noticed, and arrays of high indices are never freed (H11). Repaired: none of it, and an area's
offset goes with the area. Of a span that has to be cut for that, while the arenas are full, the offset stays: a record too
many costs look-ups, never a page.

Here: an interval tree of spans for each context, its offsets a list. Costs: look-up O(log n) for n spans; add and forget
O(log n + m d) for m spans met and d offsets in each. In the kernel: an array 8 bytes and a word for each offset it has room
for; a maple node 256 bytes, counted as the least nodes that hold so many ranges and the gaps between them, leaves of 16 (32 on
32 bits) and inner nodes of 10 (21).
Arenas hold 8 spans and 32 offsets for each area there can be; who adds has asked for room (moved.pyx).
"""
import numpy as np

from libc.stdint cimport uint32_t, uint64_t

from rmapcore.pyx.base.pool cimport pool_charge, pool_credit, pool_give, pool_room, pool_take
from rmapcore.pyx.base.records cimport P_AREAS, Pool
from rmapcore.pyx.base.state cimport X86_64, State
from rmapcore.pyx.machine.core cimport Core
from rmapcore.pyx.parts.checks cimport fault, in_use
from rmapcore.pyx.parts.intervaltree cimport (
    IntervalNode, interval_first, interval_insert, interval_next, interval_remove, interval_survey,
)
from rmapcore.pyx.schemes.cow_context.remaps cimport (
    ARRAYS, CONTEXT_LINK, LAST_INDEX, OFFSET_LINK, SPAN_LINK, ContextRecord, OffsetRecord, SpanRecord,
)
from rmapcore.pyx.seam.scheme cimport Scheme

from rmapcore.pyx.parts.intervaltree import INTERVAL_NODE

cdef extern from *:
    """
    #define LEAKED_FROM ((uint64_t) 1 << 32)
    #define UNWRITTEN ((uint64_t) 1 << 63)
    """
    uint64_t LEAKED_FROM      # indices whose arrays the prototype does not free
    uint64_t UNWRITTEN        # what a slot of an array that nobody wrote leads to: nothing

cdef enum:
    SPANS_PER_AREA = 8
    OFFSETS_PER_AREA = 32
    MAPLE_NODE = 256
    COUNTED_ONLY = 0x7FFFFFFF  # capacity of pools without records

cdef ContextRecord _context
cdef SpanRecord _span
cdef OffsetRecord _offset

CONTEXT = np.asarray(<ContextRecord[:1]> &_context).dtype
SPAN = np.asarray(<SpanRecord[:1]> &_span).dtype
OFFSET = np.asarray(<OffsetRecord[:1]> &_offset).dtype
assert CONTEXT.itemsize == 48 and SPAN.itemsize == 12 and OFFSET.itemsize == 16
assert CONTEXT.fields["next"][1] == CONTEXT_LINK and SPAN.fields["first"][1] == SPAN_LINK
assert OFFSET.fields["next"][1] == OFFSET_LINK


cdef class Remaps(Scheme):
    """Base of the schemes: the maps of all contexts. A subclass names itself before it calls __init__."""

    def attach(self, Core core):
        Scheme.attach(self, core)
        self.word = 8 if self.s.arch == X86_64 else 4
        areas = self.s.pool[P_AREAS].capacity
        most = min(areas + self.s.n_frames, (1 << 32) - 1)
        self.contexts = core.new_pool("cow_context", most, self.context_bytes(), self.context_bytes())
        self.context = <ContextRecord*> <size_t> core.new_arena("cow_contexts", CONTEXT, most, self.contexts)
        most = min(SPANS_PER_AREA * areas, (1 << 32) - 1)
        self.spans = core.new_pool("remap spans", most, 0, 0)
        self.span = <SpanRecord*> <size_t> core.new_arena("remap_spans", SPAN, most, self.spans)
        self.node = <IntervalNode*> <size_t> core.new_arena("remap_nodes", INTERVAL_NODE, most, self.spans)
        most = min(OFFSETS_PER_AREA * areas, (1 << 32) - 1)
        self.offsets = core.new_pool("remap offsets", most, 0, 0)
        self.offset = <OffsetRecord*> <size_t> core.new_arena("remap_offsets", OFFSET, most, self.offsets)
        self.nodes = core.new_pool("maple_node", COUNTED_ONLY, MAPLE_NODE, MAPLE_NODE)
        for kind in range(ARRAYS):
            size = self.array_bytes(kind)
            self.arrays[kind] = core.new_pool(f"remap_array_{2 << kind}", COUNTED_ONLY, size, size)

    cdef int context_bytes(self):
        """refcnt, mm, remap_mt, parent, children, siblings, rcu, two locks."""
        return 96 if self.word == 8 else 56

    cdef int array_bytes(self, int kind):
        return 8 + (2 << kind) * self.word

    def census(self):
        """Arrays of a size that there never were are left out."""
        found = {"cow_context": (self.contexts, self.context_bytes()), "maple_node": (self.nodes, MAPLE_NODE)}
        for kind in range(ARRAYS):
            if self.core.pool(self.arrays[kind])[1]:
                found[f"remap_array_{2 << kind}"] = self.arrays[kind], self.array_bytes(kind)
        return found

    # bytes of the kernel's structures

    cdef void count(self, int pool, bint gone) noexcept nogil:
        """One of what has no record comes or goes."""
        cdef Pool* p = &self.s.pool[pool]
        if gone:
            pool_credit(self.s, p)
            return
        pool_charge(self.s, p)
        if p.bump <= p.peak:
            p.bump = p.peak + 1

    cdef void charge(self, uint32_t capacity, bint gone) noexcept nogil:
        """An array of that capacity comes or goes; a larger one than is told apart counts as several of the largest."""
        cdef int kind = 0
        cdef uint32_t _
        while capacity > 2 and kind < ARRAYS - 1:
            capacity >>= 1
            kind += 1
        for _ in range(capacity >> 1):
            self.count(self.arrays[kind], gone)

    cdef uint32_t nodes_of(self, uint32_t o) noexcept nogil:
        """Nodes of a maple tree that holds the context's spans, the gaps in front of some, and what is behind the last."""
        cdef uint32_t inner = 10 if self.word == 8 else 21
        cdef uint32_t leaf = 16 if self.word == 8 else 32
        cdef uint32_t level, n
        if self.context[o].spans == 0:
            return 0
        level = (self.context[o].spans + self.context[o].gaps + 1 + leaf - 1) // leaf
        n = level
        while level > 1:
            level = (level + inner - 1) // inner
            n += level
        return n

    cdef void recount(self, uint32_t o) noexcept nogil:
        """Charges the nodes that the context's tree has now."""
        cdef uint32_t n = self.nodes_of(o)
        while self.context[o].nodes < n:
            self.count(self.nodes, False)
            self.context[o].nodes += 1
        while self.context[o].nodes > n:
            self.count(self.nodes, True)
            self.context[o].nodes -= 1

    # spans

    cdef uint32_t at(self, uint32_t o, uint64_t index) noexcept nogil:
        """The span that holds the index, or 0."""
        return self.met(o, index, index)

    cdef uint32_t met(self, uint32_t o, uint64_t first, uint64_t last) noexcept nogil:
        """The lowest span that overlaps a range, or 0."""
        cdef uint64_t entered = 0
        return interval_first(self.node, self.context[o].root, first, last, &entered, NULL)

    cdef uint32_t following(self, uint32_t e, uint64_t first, uint64_t last) noexcept nogil:
        """The next one that does."""
        cdef uint64_t entered = 0
        return interval_next(self.node, e, first, last, &entered, NULL)

    cdef void enter(self, uint32_t o, uint32_t e) noexcept nogil:
        """A span whose ends are set comes into the tree, where its range is free."""
        cdef uint64_t first = self.node[e].start
        cdef uint64_t last = self.node[e].last
        cdef ContextRecord* r = &self.context[o]
        r.spans += 1
        r.gaps += first != 0 and self.at(o, first - 1) == 0
        r.gaps -= last != LAST_INDEX and self.at(o, last + 1) != 0
        interval_insert(self.node, &r.root, e)

    cdef void leave(self, uint32_t o, uint32_t e) noexcept nogil:
        cdef uint64_t first = self.node[e].start
        cdef uint64_t last = self.node[e].last
        cdef ContextRecord* r = &self.context[o]
        interval_remove(self.node, &r.root, e)
        r.spans -= 1
        r.gaps -= first != 0 and self.at(o, first - 1) == 0
        r.gaps += last != LAST_INDEX and self.at(o, last + 1) != 0

    cdef uint32_t new_span(self, uint64_t first, uint64_t last) noexcept nogil:
        """Without offsets, in no tree."""
        cdef uint32_t e = pool_take(self.s, self.spans, self.span, sizeof(SpanRecord), SPAN_LINK)
        self.node[e].start = first
        self.node[e].last = last
        self.span[e].first = 0
        self.span[e].n = 0
        self.span[e].capacity = 0
        return e

    cdef void end_span(self, uint32_t e, bint leaks) noexcept nogil:
        """Frees a span that is in no tree. leaks: its array stays charged."""
        cdef uint32_t c = self.span[e].first
        cdef uint32_t next
        while c:
            next = self.offset[c].next
            pool_give(self.s, self.offsets, self.offset, sizeof(OffsetRecord), OFFSET_LINK, c)
            c = next
        if not leaks:
            self.charge(self.span[e].capacity, True)
        self.span[e].n = 0
        pool_give(self.s, self.spans, self.span, sizeof(SpanRecord), SPAN_LINK, e)

    cdef void cut(self, uint32_t o, uint64_t index) noexcept nogil:
        """A border in front of this index: a span that lies across it becomes two of the same offsets."""
        cdef uint32_t e = self.at(o, index)
        cdef uint32_t upper, c, new
        cdef uint32_t before = 0
        if e == 0 or self.node[e].start == index:
            return
        self.leave(o, e)
        upper = self.new_span(index, self.node[e].last)
        self.node[e].last = index - 1
        self.enter(o, e)
        c = self.span[e].first
        while c:
            new = self.new_offset(upper, before)
            self.offset[new].off = self.offset[c].off
            before = new
            c = self.offset[c].next
        self.span[upper].capacity = self.span[e].capacity
        self.charge(self.span[upper].capacity, False)
        self.enter(o, upper)

    # offsets

    cdef uint32_t new_offset(self, uint32_t e, uint32_t before) noexcept nogil:
        """A record behind `before` in the list of a span, or (0) at its head; its offset is to be set."""
        cdef uint32_t c = pool_take(self.s, self.offsets, self.offset, sizeof(OffsetRecord), OFFSET_LINK)
        cdef uint32_t* link = &self.offset[before].next if before else &self.span[e].first
        self.offset[c].next = link[0]
        link[0] = c
        self.span[e].n += 1
        return c

    cdef uint32_t find(self, uint32_t e, uint64_t off, uint32_t* before) noexcept nogil:
        """The record of an offset in a span, or 0. *before: the one in front of it, 0 if it is the first."""
        cdef uint32_t c = self.span[e].first
        before[0] = 0
        while c and self.offset[c].off != off:
            before[0] = c
            c = self.offset[c].next
        return c

    cdef void join(self, uint32_t e, uint64_t off) noexcept nogil:
        """A span gets an offset, unless it has it."""
        cdef SpanRecord* r = &self.span[e]
        cdef uint32_t before = 0
        cdef uint32_t c, next
        if not self.faithful and self.find(e, off, &before):
            return
        if r.n >= (r.capacity if r.capacity else 1):
            self.charge(r.capacity, True)
            r.capacity = 2 * r.capacity if r.capacity else 2
            self.charge(r.capacity, False)
        before = 0
        c = r.first
        while c and self.offset[c].off < off:
            before = c
            c = self.offset[c].next
        if c and self.offset[c].off == off:
            return
        self.offset[self.new_offset(e, before)].off = off
        if c and self.faithful:                # H4: whoever stood there is lost, and who stood behind it stands there twice
            next = self.offset[c].next
            self.offset[c].off = self.offset[next].off if next else UNWRITTEN

    cdef void add(self, uint32_t o, uint64_t first, uint64_t last, uint64_t off) noexcept nogil:
        """The offset is recorded for a range of indices."""
        cdef uint64_t at = first
        cdef uint64_t end
        cdef uint32_t e, new
        if not self.faithful and self.stands(o, first, last, off):
            return
        self.cut(o, first)
        if last != LAST_INDEX:
            self.cut(o, last + 1)
        e = self.met(o, first, last)
        while True:
            if e == 0 or self.node[e].start > at:
                end = self.node[e].start - 1 if e else last
                new = self.new_span(at, end)
                self.join(new, off)
                self.enter(o, new)
                if e == 0:
                    break
            self.join(e, off)
            if self.node[e].last == last:
                break
            at = self.node[e].last + 1
            e = self.following(e, first, last)
        self.recount(o)

    cdef bint stands(self, uint32_t o, uint64_t first, uint64_t last, uint64_t off) noexcept nogil:
        """Is the offset recorded for all indices of a range?"""
        cdef uint64_t at = first
        cdef uint32_t e = self.met(o, first, last)
        cdef uint32_t before = 0
        while e and self.node[e].start <= at and self.find(e, off, &before):
            if self.node[e].last >= last:
                return True
            at = self.node[e].last + 1
            e = self.following(e, first, last)
        return False

    cdef bint cut_for(self, uint32_t o, uint64_t index, uint64_t off) noexcept nogil:
        """cut where the span has this offset; False: there is no room to."""
        cdef uint32_t e = self.at(o, index)
        cdef uint32_t before = 0
        if e == 0 or self.node[e].start == index or self.find(e, off, &before) == 0:
            return True
        if not pool_room(self.s, self.spans, 1) or not pool_room(self.s, self.offsets, self.span[e].n):
            return False
        self.cut(o, index)
        return True

    cdef void remove(self, uint32_t o, uint64_t first, uint64_t last, uint64_t off) noexcept nogil:
        """The offset is recorded no more for a range of indices."""
        cdef uint32_t before = 0
        cdef uint32_t e, next, c
        if not self.cut_for(o, first, off) or (last != LAST_INDEX and not self.cut_for(o, last + 1, off)):
            return
        e = self.met(o, first, last)
        while e:
            next = self.following(e, first, last)
            c = self.find(e, off, &before)
            if c:
                if before:
                    self.offset[before].next = self.offset[c].next
                else:
                    self.span[e].first = self.offset[c].next
                self.span[e].n -= 1
                pool_give(self.s, self.offsets, self.offset, sizeof(OffsetRecord), OFFSET_LINK, c)
                if self.span[e].n == 0:
                    self.leave(o, e)
                    self.end_span(e, False)
            e = next
        self.recount(o)

    cdef bint overwrite(self, uint32_t o, uint64_t first, uint64_t last, uint64_t old, uint64_t off) noexcept nogil:
        """H6: in whole spans, also where they stick out, one offset becomes another, where it stands. False: none has it."""
        cdef uint32_t e = self.met(o, first, last)
        cdef uint32_t before = 0
        cdef uint32_t c
        cdef bint found = False
        while e:
            c = self.find(e, old, &before)
            if c:
                self.offset[c].off = off
                found = True
            e = self.following(e, first, last)
        return found

    cdef void drop_all(self, uint32_t o) noexcept nogil:
        """A context goes, and its map with it."""
        cdef uint32_t e = self.context[o].root
        while e:
            interval_remove(self.node, &self.context[o].root, e)
            self.end_span(e, self.faithful and self.node[e].start >= LEAKED_FROM)
            e = self.context[o].root
        self.context[o].spans = 0
        self.context[o].gaps = 0
        self.recount(o)

    # invariants

    cdef dict check_maps(self, set live, list faults):
        """CC4 and CC5 for the contexts in use: {context: spans of its map}."""
        cdef State* s = self.s
        cdef dict maps = {}
        cdef dict charged = {}
        cdef set known = in_use(s, self.spans, self.span, sizeof(SpanRecord), SPAN_LINK, "CC4", "span", faults)
        cdef set offsets = in_use(s, self.offsets, self.offset, sizeof(OffsetRecord), OFFSET_LINK, "CC4", "offset", faults)
        cdef uint64_t nodes = 0
        cdef uint64_t joined = 0
        cdef uint32_t o, e
        cdef int kind
        for o in live:
            order, wrong = interval_survey(self.node, self.context[o].root, s.pool[self.spans].bump)
            for kinds, e, text in wrong:
                fault(faults, "CC4", 0, self.context[o].mm, 0, f"context {o}: {kinds} of span {e}: {text}")
            maps[o] = [e for e in order if e in known]
            known.difference_update(maps[o])
            if len(maps[o]) != len(order):
                fault(faults, "CC4", 0, self.context[o].mm, 0, "context {0}: a span of its map is free, or of another", o)
            joined += self.check_spans(o, maps[o], offsets, charged, faults)
            nodes += self.context[o].nodes
        if known:
            fault(faults, "CC4", 0, 0, 0, "{0} spans are in no map", len(known))
        if joined != len(offsets):
            fault(faults, "CC4", 0, 0, 0, "{0} offsets in use, {1} in spans", len(offsets), joined)
        if s.pool[self.nodes].live != nodes:
            fault(faults, "CC5", 0, 0, 0, "{0} maple nodes charged, {1} counted", s.pool[self.nodes].live, nodes)
        for kind in range(ARRAYS):
            n = charged.get(kind, 0)
            if s.pool[self.arrays[kind]].live != n and not (self.faithful and s.pool[self.arrays[kind]].live > n):
                text = f"arrays of {2 << kind}: {s.pool[self.arrays[kind]].live} charged, {n} in use"
                fault(faults, "CC5", 0, 0, 0, text)
        return maps

    cdef uint64_t check_spans(self, uint32_t o, list order, set offsets, dict charged, list faults) except? 0:
        """CC4 and CC5 for one map: how many offsets it has. Its arrays are added to charged."""
        cdef ContextRecord* r = &self.context[o]
        cdef uint64_t joined = 0
        cdef uint64_t free = 0                 # the lowest index that no span has so far
        cdef uint32_t gaps = 0
        cdef uint32_t e, c, n, size
        cdef int kind
        cdef bint begun = False
        for e in order:
            if self.node[e].last < self.node[e].start or (begun and self.node[e].start < free):
                fault(faults, "CC4", 0, r.mm, 0, "context {0}: span {1} overlaps", o, e)
            gaps += self.node[e].start != free
            free = self.node[e].last + 1
            begun = True
            c = self.span[e].first
            n = 0
            while c and c in offsets and n <= self.span[e].n:
                n += 1
                c = self.offset[c].next
            joined += n
            size = self.span[e].capacity
            if c or n != self.span[e].n or n == 0 or n > (size if size else 1):
                fault(faults, "CC4", 0, r.mm, 0, f"span {e}: {self.span[e].n} offsets counted, {n} found, room for {size}")
            if size & (size - 1) or size == 1:
                fault(faults, "CC5", 0, r.mm, 0, "span {0}: an array for {1}, which is no power of two from 2 on", e, size)
            if size:
                kind = min((<object> size).bit_length() - 2, ARRAYS - 1)
                charged[kind] = charged.get(kind, 0) + (size >> (kind + 1))
        if r.spans != len(order) or r.gaps != gaps or r.nodes != self.nodes_of(o):
            text = f"{r.spans} spans, {r.gaps} gaps, {r.nodes} nodes counted; {len(order)} and {gaps} found"
            fault(faults, "CC5", 0, r.mm, 0, f"context {o}: {text}")
        return joined
