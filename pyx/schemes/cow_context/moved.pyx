"""Records of areas: what is tracked, what a call adds at the most.

   offset of an area       its start less the index that a page there has; 0 for anonymous areas that were never moved
   tracked                 private, with anonymous pages, and that is not 0

Not bounded by areas: r areas moved from one origin have r offsets in each of up to 2r + 1 spans. So the room questions count
what is in the maps, where a quick bound does not do.
"""
from libc.stdint cimport uint32_t, uint64_t

from rmapcore.pyx.base.ids cimport mm_id, vma_id
from rmapcore.pyx.base.pool cimport pool_room
from rmapcore.pyx.base.records cimport VM_DONTCOPY, VM_WIPEONFORK
from rmapcore.pyx.base.state cimport State
from rmapcore.pyx.schemes.cow_context.moved cimport anon_pgoff, offset_of, tracked
from rmapcore.pyx.schemes.cow_context.remaps cimport LAST_INDEX, Remaps


cdef class Moved(Remaps):
    """Base of the schemes, on the maps of contexts."""

    # areas: an area whose indices wrap around (a stack that grew below index 0) is two ranges

    cdef void record(self, vma_id v) noexcept nogil:
        """A tracked area's offset, for all its indices."""
        cdef State* s = self.s
        cdef uint32_t o = s.mm[s.area[v].mm].rmap
        cdef uint64_t first = anon_pgoff(s, v)
        cdef uint64_t last = first + (s.area[v].end - s.area[v].start - 1)
        if o == 0:                             # of an address space that this scheme was not told of
            return
        if first <= last:
            self.add(o, first, last, offset_of(s, v))
        else:
            self.add(o, first, LAST_INDEX, offset_of(s, v))
            self.add(o, 0, last, offset_of(s, v))

    cdef void forget(self, vma_id v) noexcept nogil:
        """A tracked area goes. No other area of the address space has this offset at these indices: it would lie here too."""
        cdef State* s = self.s
        cdef uint32_t o = s.mm[s.area[v].mm].rmap
        cdef uint64_t first = anon_pgoff(s, v)
        cdef uint64_t last = first + (s.area[v].end - s.area[v].start - 1)
        if first <= last:
            self.remove(o, first, last, offset_of(s, v))
        else:
            self.remove(o, first, LAST_INDEX, offset_of(s, v))
            self.remove(o, 0, last, offset_of(s, v))

    cdef void replace(self, vma_id v, uint64_t old) noexcept nogil:
        """A moved area's offset is written over its old one, or added where that is not found."""
        cdef State* s = self.s
        cdef uint32_t o = s.mm[s.area[v].mm].rmap
        cdef uint64_t first = anon_pgoff(s, v)
        cdef uint64_t last = first + (s.area[v].end - s.area[v].start - 1)
        if o == 0:
            return
        if first <= last:
            if not self.overwrite(o, first, last, old, offset_of(s, v)):
                self.add(o, first, last, offset_of(s, v))
            return
        if not self.overwrite(o, first, LAST_INDEX, old, offset_of(s, v)):
            self.add(o, first, LAST_INDEX, offset_of(s, v))
        if not self.overwrite(o, 0, last, old, offset_of(s, v)):
            self.add(o, 0, last, offset_of(s, v))

    # room: n adds to a map of so many spans and offsets make at most 2n borders more, so spans + 2n spans more; a border copies
    # the offsets of one span, an add joins one to each

    cdef int adds_room(self, uint64_t spans, uint64_t offsets, uint64_t n) noexcept nogil:
        if not pool_room(self.s, self.spans, spans + 2 * n):
            return self.spans
        return 0 if pool_room(self.s, self.offsets, 2 * n * (offsets + n) + 2 * n * (spans + n)) else self.offsets

    cdef int area_room(self, vma_id v, uint32_t n) noexcept nogil:
        """Of any area first: no map has more than all have."""
        cdef State* s = self.s
        cdef int pool = self.adds_room(s.pool[self.spans].live, s.pool[self.offsets].live, n)
        cdef uint64_t offsets = 0
        cdef uint32_t o, e
        if pool == 0 or v == 0:
            return pool
        o = s.mm[s.area[v].mm].rmap
        e = self.met(o, 0, LAST_INDEX)
        while e:
            if self.span[e].n > offsets:       # a border copies those of one span
                offsets = self.span[e].n
            e = self.following(e, 0, LAST_INDEX)
        return self.adds_room(self.context[o].spans, offsets, n)

    cdef int prepare_room(self, vma_id v) noexcept nogil:
        return self.area_room(v, 1)

    cdef int mm_room(self, mm_id parent) noexcept nogil:
        """A context; for a fork the records of all tracked areas, in the child's map and, as the prototype has it, those of
        files again in the parent's."""
        cdef State* s = self.s
        cdef uint64_t n = 0
        cdef uint32_t again = 0
        cdef vma_id v
        cdef int pool
        if not pool_room(s, self.contexts, 1):
            return self.contexts
        if parent == 0:
            return 0
        v = s.mm[parent].first
        while v:
            if not s.area[v].flags & (VM_DONTCOPY | VM_WIPEONFORK) and tracked(s, v):
                n += 1
                again += s.area[v].file != 0
            v = s.area[v].next
        if n == 0:
            return 0
        pool = self.adds_room(0, 0, n)
        if pool:
            pool = self.copies_room(parent, n)
        if pool == 0 and self.faithful and again:
            pool = self.area_room(s.mm[parent].first, again)
        return pool

    cdef int copies_room(self, mm_id parent, uint64_t n) noexcept nogil:
        """The same for a child's map, its offsets counted: an area has one in each of the spans that borders of others make."""
        cdef State* s = self.s
        cdef uint64_t offsets = 0
        cdef uint64_t first, last
        cdef vma_id v = s.mm[parent].first
        cdef vma_id w
        while v:
            if tracked(s, v):
                first = anon_pgoff(s, v)
                last = first + (s.area[v].end - s.area[v].start - 1)
                offsets += 2
                w = s.mm[parent].first
                while w:
                    if tracked(s, w):
                        offsets += (anon_pgoff(s, w) - first <= last - first)
                        offsets += (anon_pgoff(s, w) + (s.area[w].end - s.area[w].start) - first <= last - first)
                    w = s.area[w].next
            v = s.area[v].next
        if not pool_room(s, self.spans, 2 * n + 2):
            return self.spans
        return 0 if pool_room(s, self.offsets, offsets) else self.offsets
