"""2.6.7: where mmap finds room: the first fit from where the last search ended (rule D8) [2.6.7 mm/mmap.c, sys_x86_64.c].

   areas     AAA..BBB.CCCC......          a request that did not fit a hole makes the ones after it pass the hole,
   searched  |-----------> hole_vpn       until an area below is unmapped or the search reaches the end and begins anew

hole_vpn: free_area_cache; 0: the base. hole_pages is not used: machines saved when the lowest fit was taken have one.
"""
from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memset

from rmapcore.pyx.base.ids cimport PAGE_SHIFT, mm_id, vma_id, vpn_t
from rmapcore.pyx.base.records cimport Mm
from rmapcore.pyx.base.state cimport X86_64, State
from rmapcore.pyx.base.uapi cimport MAP_32BIT
from rmapcore.pyx.engine.arguments cimport larger, round_pages
from rmapcore.pyx.engine.calls cimport range_is_free
from rmapcore.pyx.machine.vmas cimport find_vma
from rmapcore.pyx.seam.kernel cimport Kernel, Searched

cdef enum:
    LOW_START = 0x40000       # where MAP_32BIT begins and ends
    LOW_END = 0x80000


cdef inline vpn_t gap_end(State* s, vma_id v) noexcept nogil:
    """Where what may lie below an area ends."""
    return s.area[v].start


cdef vpn_t first_fit(State* s, mm_id mm, uint64_t pages, vpn_t at, vpn_t end) noexcept nogil:
    """The lowest room in [at, end), or 0."""
    cdef vma_id v = find_vma(s, mm, at)
    while at + pages <= end:
        if not v or s.area[v].start >= at + pages:
            return at
        at = s.area[v].end
        v = s.area[v].next
    return 0


cdef vpn_t search(State* s, mm_id mm, uint64_t pages, vpn_t begin, vpn_t end) noexcept nogil:
    """Room for a new area of that many pages in [begin, end), or 0."""
    cdef Mm* m = &s.mm[mm]
    cdef vpn_t start = larger(m.hole_vpn, begin)
    cdef vpn_t at = first_fit(s, mm, pages, start, end)
    if at == 0 and start != begin:
        at = first_fit(s, mm, pages, begin, end)
    if at:
        m.hole_vpn = at + pages
    return at


cdef vpn_t free_range(State* s, mm_id mm, uint64_t pages) noexcept nogil:
    """Room anywhere from the base on."""
    return search(s, mm, pages, s.base_vpn, s.task_vpn)


cdef vpn_t choose_range(Kernel k, mm_id mm, uint64_t addr, uint64_t pages, uint32_t file, uint32_t flags,
                        uint64_t pgoff) noexcept nogil:
    """Where a mapping goes that may go anywhere: to its hint, rounded up, if there is room; 0: nowhere."""
    cdef State* s = k.s
    cdef bint low = s.arch == X86_64 and flags & MAP_32BIT
    cdef vpn_t at = round_pages(addr) if addr <= s.task_vpn << PAGE_SHIFT else 0
    if at and range_is_free(k, mm, at, pages) and (not low or at + pages <= LOW_END):
        return at
    return search(s, mm, pages, LOW_START, LOW_END) if low else free_range(s, mm, pages)


cdef inline void forget_hole(State* s, vma_id v) noexcept nogil:
    """unmap_vma: the search comes back to an area that is unmapped below."""
    cdef Mm* m = &s.mm[s.area[v].mm]
    if s.base_vpn <= s.area[v].start < m.hole_vpn:
        m.hole_vpn = s.area[v].start


cdef Searched searched(State* s, mm_id mm) noexcept nogil:
    """Nothing is remembered of holes: those that were passed may be of any size."""
    cdef Searched nothing
    memset(&nothing, 0, sizeof(Searched))
    return nothing
