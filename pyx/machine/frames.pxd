"""The frame table: zones, free lists, reference counts, pins (rules B1-B6).

Zones on i386 and i386-pae by pfn: DMA | 4096 | NORMAL | 229376 | HIGHMEM; x86_64 has one. A frame freed last is taken
first, a frame never used is taken in ascending order; the free list shares the LRU's `next`.
"""
from libc.stdint cimport uint32_t, uint64_t

from rmapcore.pyx.base.fence cimport fence_raised
from rmapcore.pyx.base.ids cimport pfn_t
from rmapcore.pyx.base.records cimport PG_CACHED, PG_LRU, PG_PIN, PG_PINS, PG_SWAPCACHE, P_FRAMES, Frame, Head
from rmapcore.pyx.base.state cimport X86_64, State
from rmapcore.pyx.machine.lru cimport lru_del

cdef enum:
    ZONE_NORMAL_PFN = 4096    # 16 MiB
    ZONE_HIGH_PFN = 229376    # 896 MiB


cdef inline int zone_of(State* s, pfn_t pfn) noexcept nogil:
    if s.arch == X86_64 or pfn < ZONE_NORMAL_PFN:
        return 0
    return 1 if pfn < ZONE_HIGH_PFN else 2


cdef inline uint32_t zone_end(State* s, int zone) noexcept nogil:
    """First frame beyond the zone."""
    cdef uint32_t end = s.n_frames
    if s.arch != X86_64:
        if zone == 0 and end > ZONE_NORMAL_PFN:
            end = ZONE_NORMAL_PFN
        elif zone == 1 and end > ZONE_HIGH_PFN:
            end = ZONE_HIGH_PFN
    return end


cdef inline pfn_t frame_take(State* s) noexcept nogil:
    """A free frame, all fields zero, or 0 if there is none. No reclaim here: see alloc_frame in scan.pxd."""
    cdef Head* h = s.h
    cdef int zone
    cdef pfn_t pfn = 0
    cdef uint64_t used
    for zone in range(0 if s.arch == X86_64 else 2, -1, -1):
        pfn = h.zone_free[zone]
        if pfn:
            h.zone_free[zone] = s.frame[pfn].next
            s.frame[pfn].next = 0
            break
        if h.zone_bump[zone] < zone_end(s, zone):
            pfn = h.zone_bump[zone]
            h.zone_bump[zone] += 1
            if pfn >= s.pool[P_FRAMES].bump:   # what save() and copy() must carry
                s.pool[P_FRAMES].bump = pfn + 1
                fence_raised(s.pool, P_FRAMES)
            break
    if pfn:
        h.frames_free -= 1
        used = s.n_frames - 1 - h.frames_free
        if used > h.frames_used_peak:
            h.frames_used_peak = used
    return pfn


cdef inline void frame_clear(State* s, pfn_t pfn) noexcept nogil:
    """Frees a frame that is on no list any more: cleared, on its zone's free list."""
    cdef Frame* f = &s.frame[pfn]
    cdef int zone = zone_of(s, pfn)
    f.flags = 0
    f.rmap = 0
    f.owner = 0
    f.index = 0
    f.prev = 0
    f.next = s.h.zone_free[zone]
    s.h.zone_free[zone] = pfn
    s.h.frames_free += 1
    if s.stamp:
        s.stamp[pfn] = 0


cdef inline void frames_clear(State* s, const pfn_t* pfn, uint32_t n) noexcept nogil:
    """frame_clear of n > 0 frames, in order."""
    cdef Frame* frame = s.frame
    cdef Frame* f
    cdef uint32_t free
    cdef uint32_t i
    if s.arch != X86_64 or s.stamp:
        for i in range(n):
            frame_clear(s, pfn[i])
        return
    free = s.h.zone_free[0]
    for i in range(n):
        f = &frame[pfn[i]]
        f.flags = 0
        f.rmap = 0
        f.owner = 0
        f.index = 0
        f.prev = 0
        f.next = free
        free = pfn[i]
    s.h.zone_free[0] = free
    s.h.frames_free += n


cdef inline void frame_give(State* s, pfn_t pfn) noexcept nogil:
    """Frees a frame: off its list, cleared, on its zone's free list. Nothing may refer to it any more."""
    if s.frame[pfn].flags & PG_LRU:
        lru_del(s, pfn)
    frame_clear(s, pfn)


cdef inline uint32_t page_count(State* s, pfn_t pfn) noexcept nogil:
    """Rule B3."""
    cdef Frame* f = &s.frame[pfn]
    return f.mapcount + ((f.flags & (PG_CACHED | PG_SWAPCACHE)) != 0) + ((f.flags & PG_PINS) // PG_PIN)


cdef inline void frame_pin(State* s, pfn_t pfn) noexcept nogil:
    s.frame[pfn].flags += PG_PIN
