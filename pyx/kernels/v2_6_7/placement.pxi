"""2.6.7: where mmap finds room: the lowest fit from a third of user space on (rule D8) [2.6.7 mm/mmap.c].

hole_vpn: nothing of hole_pages or more is free below it; so a search for at least as much starts there.
"""
from libc.stdint cimport uint32_t, uint64_t

from rmapcore.pyx.base.ids cimport PAGE_SHIFT, mm_id, vma_id, vpn_t
from rmapcore.pyx.base.records cimport Mm
from rmapcore.pyx.base.state cimport State
from rmapcore.pyx.engine.arguments cimport round_pages
from rmapcore.pyx.machine.vmas cimport find_vma
from rmapcore.pyx.seam.kernel cimport Hole


cdef inline vpn_t gap_end(State* s, vma_id v) noexcept nogil:
    """Where what may lie below an area ends."""
    return s.area[v].start


cdef inline bint range_is_free(State* s, mm_id mm, vpn_t at, uint64_t pages) noexcept nogil:
    """May a new area lie there? Within user space, and in nobody's way."""
    cdef vma_id v = find_vma(s, mm, at)
    return at + pages <= s.task_vpn and (v == 0 or s.area[v].start >= at + pages)


cdef vpn_t free_range(State* s, mm_id mm, uint64_t pages) noexcept nogil:
    """Room for a new area of that many pages, or 0."""
    cdef Mm* m = &s.mm[mm]
    cdef vpn_t at = s.base_vpn
    cdef vma_id v
    if pages >= m.hole_pages and m.hole_vpn > at:
        at = m.hole_vpn
    v = find_vma(s, mm, at)
    if v and s.area[v].start < at:
        at = s.area[v].end
        v = s.area[v].next
    while at + pages <= s.task_vpn:
        if not v or s.area[v].start >= at + pages:
            m.hole_vpn = at
            m.hole_pages = pages
            return at
        at = s.area[v].end
        v = s.area[v].next
    return 0


cdef vpn_t choose_range(State* s, mm_id mm, uint64_t addr, uint64_t pages, uint32_t file, bint shared,
                        uint64_t pgoff) noexcept nogil:
    """Where a mapping goes that may go anywhere: to its hint, rounded up, if there is room; 0: nowhere."""
    if addr and addr <= s.task_vpn << PAGE_SHIFT and range_is_free(s, mm, round_pages(addr), pages):
        return round_pages(addr)
    return free_range(s, mm, pages)


cdef inline void forget_hole(State* s, vma_id v) noexcept nogil:
    """An area is about to leave: the hole may begin below what was searched."""
    cdef Mm* m = &s.mm[s.area[v].mm]
    if (s.area[s.area[v].prev].end if s.area[v].prev else 0) < m.hole_vpn:
        m.hole_vpn = s.base_vpn


cdef Hole find_missed_hole(State* s, mm_id mm) noexcept nogil:
    """A hole that a search would pass over (rule V7 of check)."""
    cdef Mm* m = &s.mm[mm]
    cdef vma_id v = m.first
    cdef vpn_t high
    cdef Hole hole
    hole.start = s.base_vpn
    hole.pages = 0
    while hole.start < m.hole_vpn:
        high = s.area[v].start if v and s.area[v].start < s.task_vpn else s.task_vpn
        if high > hole.start and high - hole.start >= m.hole_pages:
            hole.pages = high - hole.start
            break
        if v == 0:
            break
        if s.area[v].end > hole.start:
            hole.start = s.area[v].end
        v = s.area[v].next
    return hole
