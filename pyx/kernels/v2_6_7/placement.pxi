"""2.6.7: where mmap finds room: the lowest fit from a third of user space on (rule D8) [2.6.7 mm/mmap.c].

hole_vpn: nothing of hole_pages or more is free below it; so a search for at least as much starts there.
"""
from libc.stdint cimport uint32_t, uint64_t

from rmapcore.pyx.base.ids cimport PAGE_SHIFT, mm_id, vma_id, vpn_t
from rmapcore.pyx.base.records cimport Mm
from rmapcore.pyx.base.state cimport State
from rmapcore.pyx.engine.arguments cimport round_pages
from rmapcore.pyx.engine.calls cimport range_is_free
from rmapcore.pyx.machine.vmas cimport find_vma
from rmapcore.pyx.seam.kernel cimport Kernel, Searched


cdef inline vpn_t gap_end(State* s, vma_id v) noexcept nogil:
    """Where what may lie below an area ends."""
    return s.area[v].start


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


cdef vpn_t choose_range(Kernel k, mm_id mm, uint64_t addr, uint64_t pages, uint32_t file, bint shared,
                        uint64_t pgoff) noexcept nogil:
    """Where a mapping goes that may go anywhere: to its hint, rounded up, if there is room; 0: nowhere."""
    cdef State* s = k.s
    if addr and addr <= s.task_vpn << PAGE_SHIFT and range_is_free(k, mm, round_pages(addr), pages):
        return round_pages(addr)
    return free_range(s, mm, pages)


cdef inline void forget_hole(State* s, vma_id v) noexcept nogil:
    """An area is about to leave: the hole may begin below what was searched."""
    cdef Mm* m = &s.mm[s.area[v].mm]
    if (s.area[s.area[v].prev].end if s.area[v].prev else 0) < m.hole_vpn:
        m.hole_vpn = s.base_vpn


cdef Searched searched(State* s, mm_id mm) noexcept nogil:
    cdef Searched r
    r.start = s.base_vpn
    r.end = s.mm[mm].hole_vpn
    r.top = s.task_vpn
    return r
