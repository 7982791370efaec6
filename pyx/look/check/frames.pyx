"""F1 to F10, T10 and L1 to L4: the frame table, the zones' free lists, the LRU lists; S2, C1 and C4 as the frames see them.

free_frames comes before the sweep over the page tables, the others after it. Costs: O(frames).
"""
from libc.stdint cimport uint32_t, uint64_t

from rmapcore.pyx.base.ids cimport pfn_t, slot_t
from rmapcore.pyx.base.records cimport (
    P_FILES, P_FRAMES, PG_ACTIVE, PG_ANON, PG_CACHED, PG_DIRECT, PG_DIRTY, PG_EXCLUSIVE, PG_LAZYFREE, PG_LRU, PG_PIN, PG_PINS,
    PG_REFERENCED, PG_SWAPCACHE,
    Frame, Head,
)
from rmapcore.pyx.base.state cimport X86_64, State
from rmapcore.pyx.look.check.violation cimport FREE, LINKED, NOWHERE, Check, broken, broken_at
from rmapcore.pyx.machine.files cimport file_pages
from rmapcore.pyx.machine.frames cimport ZONE_HIGH_PFN, ZONE_NORMAL_PFN, page_count, zone_of
from rmapcore.pyx.machine.pagetable cimport slot_mm, slot_vpn

cdef enum:
    PG_KNOWN = (PG_REFERENCED | PG_DIRTY | PG_LRU | PG_ACTIVE | PG_DIRECT | PG_SWAPCACHE | PG_CACHED | PG_ANON
                | PG_PINS | PG_EXCLUSIVE | PG_LAZYFREE)


cdef uint32_t zone_start(State* s, int zone) noexcept nogil:
    """Where frames of a zone begin to be handed out."""
    if zone == 0:
        return 1
    if s.arch == X86_64:
        return s.n_frames
    return ZONE_NORMAL_PFN if zone == 1 else ZONE_HIGH_PFN


cdef bint free_frames(Check* c) noexcept nogil:
    """F1 and F2, and the notes of which frames are free."""
    cdef State* s = c.s
    cdef uint32_t bump = <uint32_t> s.pool[P_FRAMES].bump
    cdef uint64_t used = 0
    cdef uint32_t most = 1
    cdef uint32_t high
    cdef int zone
    cdef pfn_t pfn
    for zone in range(3):
        high = s.h.zone_bump[zone]
        if high < zone_start(s, zone):
            return broken(c, b"F1", b"zone {0} has handed out frames below {1}", zone, high)
        if high != zone_start(s, zone) and high > most:
            most = high
    if most != bump:
        return broken(c, b"F1", b"the zones have handed out frames below {0}, the pool says {1}", most, bump)
    for pfn in range(1, bump):
        if pfn >= s.h.zone_bump[zone_of(s, pfn)]:
            c.frames[pfn] = FREE
    for zone in range(3):
        pfn = s.h.zone_free[zone]
        while pfn:
            if pfn >= bump or c.frames[pfn] or zone_of(s, pfn) != zone:
                return broken(c, b"F1", b"the free list of zone {0} leads to frame {1}", zone, pfn)
            c.frames[pfn] = FREE
            pfn = s.frame[pfn].next
    for pfn in range(1, bump):
        used += c.frames[pfn] != FREE
    if s.h.frames_free != s.n_frames - 1 - used:
        return broken(c, b"F2", b"{0} frames are counted free, {1} are in use", s.h.frames_free, used)
    if used > s.h.frames_used_peak:
        return broken(c, b"F2", b"{0} frames are in use, at most {1} so far", used, s.h.frames_used_peak)
    return False


cdef bint clean(Check* c, pfn_t pfn) noexcept nogil:
    """F7 and F8 for a frame that nobody uses, and the zero page. A free frame's next is its list's."""
    cdef State* s = c.s
    cdef Frame* f = &s.frame[pfn]
    if f.flags or f.mapcount or f.rmap or f.owner or f.index or f.prev or (pfn == 0 and f.next):
        return broken_at(c, b"F8", b"free frame {0} is not clean: flags {1:#x}", pfn, f.flags, pfn, 0, NOWHERE)
    if s.stamp and s.stamp[pfn]:
        return broken_at(c, b"F7", b"free frame {0} holds contents {1}", pfn, s.stamp[pfn], pfn, 0, NOWHERE)
    return False


cdef bint frames(Check* c) noexcept nogil:
    """F3 to F8; S2 and C1 where a frame says that it is in a cache. Counts page-cache frames by file."""
    cdef State* s = c.s
    cdef uint64_t mapped = 0
    cdef uint64_t pins = 0
    cdef uint32_t kind
    cdef pfn_t pfn
    cdef Frame* f
    if clean(c, 0):
        return True
    for pfn in range(1, <uint32_t> s.pool[P_FRAMES].bump):
        f = &s.frame[pfn]
        if c.frames[pfn] == FREE:
            if clean(c, pfn):
                return True
            continue
        if f.mapcount != c.mapped[pfn]:
            return broken_at(c, b"F3", b"mapcount is {0}, entries {1}", f.mapcount, c.mapped[pfn], pfn, 0, NOWHERE)
        mapped += f.mapcount != 0
        kind = f.flags & (PG_CACHED | PG_SWAPCACHE)
        if kind == PG_CACHED | PG_SWAPCACHE or (f.flags & PG_ANON != 0) != (f.mapcount != 0 and kind != PG_CACHED):
            return broken_at(c, b"F5", b"flags {0:#x} do not go with mapcount {1}", f.flags, f.mapcount, pfn, 0,
                             NOWHERE)
        pins += (f.flags & PG_PINS) // PG_PIN
        if page_count(s, pfn) == 0:
            return broken_at(c, b"F6", b"page_count is {0}, flags {1:#x}", page_count(s, pfn), f.flags, pfn, 0, NOWHERE)
        if f.flags & (PG_EXCLUSIVE | PG_LAZYFREE) and (not f.flags & PG_ANON or (f.flags & PG_EXCLUSIVE and f.mapcount > 1)):
            return broken_at(c, b"F10", b"flags {0:#x} with mapcount {1}", f.flags, f.mapcount, pfn, 0, NOWHERE)
        if f.flags & ~<uint32_t> PG_KNOWN or (kind == 0 and f.owner):
            return broken_at(c, b"F9", b"unknown flags in {0:#x}, or an owner without a cache", f.flags, 0, pfn, 0,
                             NOWHERE)
        if kind == PG_SWAPCACHE:
            if f.owner == 0 or f.owner >= s.h.slot_bump or c.slots[f.owner] == FREE or s.swap_cache[f.owner] != pfn:
                return broken_at(c, b"S2", b"the frame is not the cached copy of slot {0}", f.owner, 0, pfn, 0, NOWHERE)
        elif kind == PG_CACHED:
            if (f.owner == 0 or f.owner >= s.pool[P_FILES].bump or c.files[f.owner] != LINKED
                    or f.index >= <uint64_t> 1 << s.file[f.owner].order
                    or s.cache[s.file[f.owner].base + f.index] != pfn):
                return broken_at(c, b"C1", b"the frame is not page {0} of file {1}", f.index, f.owner, pfn, 0, NOWHERE)
            if f.index >= file_pages(s, f.owner):
                return broken_at(c, b"C4", b"page {0} lies beyond the end of file {1}", f.index, f.owner, pfn, 0,
                                 NOWHERE)
            c.cached[f.owner] += 1
    if s.h.n_pins != pins:
        return broken(c, b"F6", b"{0} pins are held, {1} are on frames", s.h.n_pins, pins)
    if s.h.n_mapped != mapped:
        return broken(c, b"F4", b"{0} frames are counted mapped, {1} are", s.h.n_mapped, mapped)
    return False


cdef bint exclusive(Check* c) noexcept nogil:
    """T10: where a private area's entry may be written, nobody else has the page."""
    cdef State* s = c.s
    cdef pfn_t pfn
    cdef slot_t slot
    cdef Frame* f
    for pfn in range(1, <uint32_t> s.pool[P_FRAMES].bump):
        slot = c.writable[pfn]
        if slot == 0:
            continue
        f = &s.frame[pfn]
        if not f.flags & PG_ANON or f.mapcount != 1 or (f.flags & PG_SWAPCACHE and s.swap_map[f.owner] != 1):
            return broken_at(c, b"T10", b"a writable entry, but the frame has mapcount {0}, flags {1:#x}", f.mapcount,
                             f.flags, pfn, slot_mm(s, slot), slot_vpn(s, slot))
    return False


# LRU

cdef bint lru_list(Check* c, pfn_t head, pfn_t tail, uint64_t count, uint32_t flags) noexcept nogil:
    """L1 to L3 for one list, whose members carry just these of LRU and ACTIVE."""
    cdef State* s = c.s
    cdef uint64_t n = 0
    cdef pfn_t before = 0
    cdef pfn_t pfn = head
    cdef Frame* f
    while pfn:
        if pfn >= s.pool[P_FRAMES].bump or c.frames[pfn] == FREE or c.listed[pfn]:
            return broken(c, b"L1", b"an LRU list leads from {0} to {1}", before, pfn)
        f = &s.frame[pfn]
        if f.prev != before:
            return broken_at(c, b"L1", b"the frame before is {0}, prev {1}", before, f.prev, pfn, 0, NOWHERE)
        if f.flags & (PG_LRU | PG_ACTIVE) != flags:
            return broken_at(c, b"L2", b"flags {0:#x} on the list of those with {1:#x}", f.flags, flags, pfn, 0,
                             NOWHERE)
        c.listed[pfn] = True
        n += 1
        before = pfn
        pfn = f.next
    if tail != before:
        return broken(c, b"L1", b"an LRU list ends with {0}, not {1}", before, tail)
    if n != count:
        return broken(c, b"L3", b"an LRU list has {0} frames, {1} are counted", n, count)
    return False


cdef bint lru(Check* c) noexcept nogil:
    """L1 to L4. L4: every frame in use is on a list."""
    cdef Head* h = c.s.h
    cdef pfn_t pfn
    if (lru_list(c, h.active, h.active_tail, h.n_active, PG_LRU | PG_ACTIVE)
            or lru_list(c, h.inactive, h.inactive_tail, h.n_inactive, PG_LRU)):
        return True
    for pfn in range(1, <uint32_t> c.s.pool[P_FRAMES].bump):
        if c.frames[pfn] != FREE and not c.listed[pfn]:
            return broken_at(c, b"L4", b"frame {0} is on no LRU list", pfn, 0, pfn, 0, NOWHERE)
    return False
