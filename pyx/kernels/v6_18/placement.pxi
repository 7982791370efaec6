"""6.18: where mmap finds room: the highest fit below the top, else the lowest (rule QD5) [6.18 mm/vma.c, mm/mmap.c].

hole_vpn: nothing of hole_pages or more is free between it and the top; so a search for at least as much starts there.
"""
from libc.stdint cimport uint32_t, uint64_t

from rmapcore.pyx.base.ids cimport PAGE_SHIFT, mm_id, vma_id, vpn_t
from rmapcore.pyx.base.records cimport FILE_SHMEM, VM_GROWSDOWN, Area, Mm
from rmapcore.pyx.base.state cimport X86_64, State
from rmapcore.pyx.base.uapi cimport MAP_32BIT, MAP_SHARED
from rmapcore.pyx.engine.calls cimport range_is_free
from rmapcore.pyx.machine.vmas cimport find_prev, find_vma
from rmapcore.pyx.seam.kernel cimport Kernel, Searched

cdef enum:
    TOP_GAP = 32768           # pages between the end of user space and the highest mapping: mmap_base, no randomness
    LOWEST_VPN = 16           # mmap_min_addr
    STACK_GAP = 256           # stack_guard_gap
    HUGE_PAGES = 512          # of 2 MiB, PMD_SIZE
    LOW_START = 0x40000       # where MAP_32BIT begins and ends
    LOW_END = 0x80000


cdef inline vpn_t gap_end(State* s, vma_id v) noexcept nogil:
    """Where what may lie below an area ends: a growing one keeps its distance."""
    cdef Area* a = &s.area[v]
    if not a.flags & VM_GROWSDOWN:
        return a.start
    return a.start - STACK_GAP if a.start > STACK_GAP else 0


cdef vpn_t free_range_down(State* s, mm_id mm, uint64_t pages) noexcept nogil:
    """Highest fit below the top of the mmap area, or 0.

    A hole is tried if it is large enough as it is; only then what grows above it is asked to keep its distance, and the search
    goes on below that [vm_unmapped_area].
    """
    cdef Mm* m = &s.mm[mm]
    cdef vpn_t end = s.task_vpn - TOP_GAP
    cdef bint first = True
    cdef vma_id v, above
    if pages >= m.hole_pages and m.hole_vpn:
        end = m.hole_vpn
    while True:
        v = find_vma(s, mm, end)
        if v and s.area[v].start < end:
            end = s.area[v].start
        v = find_prev(s, mm, end)
        while (s.area[v].end if v else LOWEST_VPN) + pages > end:
            if v == 0:
                return 0
            end = s.area[v].start
            v = s.area[v].prev
        if first:
            m.hole_vpn = end
            m.hole_pages = pages
            first = False
        above = s.area[v].next if v else m.first
        if above == 0 or gap_end(s, above) >= end:
            return end - pages
        end = gap_end(s, above)


cdef vpn_t free_range_up(State* s, mm_id mm, uint64_t pages, vpn_t at, vpn_t end) noexcept nogil:
    """Lowest fit from `at` to `end`, or 0."""
    cdef vma_id v = find_vma(s, mm, at)
    if v and s.area[v].start < at:
        at = s.area[v].end
        v = s.area[v].next
    while at + pages <= end:
        if not v or gap_end(s, v) >= at + pages:
            return at
        at = s.area[v].end
        v = s.area[v].next
    return 0


cdef vpn_t free_range(State* s, mm_id mm, uint64_t pages, bint low) noexcept nogil:
    """Room for a new area of that many pages, or 0; low: from 1 to 2 GiB, from below (rule QD5b)."""
    cdef vpn_t at
    if low:
        return free_range_up(s, mm, pages, LOW_START, LOW_END)
    at = free_range_down(s, mm, pages)
    return at if at else free_range_up(s, mm, pages, s.base_vpn, s.task_vpn)


cdef inline bint takes_hint(Kernel k, mm_id mm, vpn_t at, uint64_t pages, bint low) noexcept nogil:
    """Is there room at a hint? Of MAP_32BIT it may lie below the search, not above."""
    return at != 0 and (not low or at + pages <= LOW_END) and range_is_free(k, mm, at, pages)


cdef inline bint wants_huge(State* s, vpn_t hint, uint64_t pages, uint32_t file, bint shared, uint64_t off) noexcept nogil:
    """Is a mapping placed so that huge pages fit? Private anonymous memory in whole ones without a hint, and files on disk that
    hold one from `off` on [mmap.c __get_unmapped_area, huge_memory.c __thp_get_unmapped_area]."""
    cdef bint asked = not shared and hint == 0 and pages % HUGE_PAGES == 0
    if file:
        asked = s.file[file].kind != FILE_SHMEM
    if s.arch != X86_64 or not asked:
        return False
    return off + pages >= (off + HUGE_PAGES - 1) // HUGE_PAGES * HUGE_PAGES + HUGE_PAGES


cdef vpn_t choose_range(Kernel k, mm_id mm, uint64_t addr, uint64_t pages, uint32_t file, uint32_t flags,
                        uint64_t pgoff) noexcept nogil:
    """Where a mapping goes that may go anywhere: to its hint, rounded down, if there is room; 0: nowhere (rules QD5, QD5b)."""
    cdef State* s = k.s
    cdef bint low = s.arch == X86_64 and flags & MAP_32BIT
    cdef vpn_t at = addr >> PAGE_SHIFT
    cdef uint64_t off = pgoff if file else 0
    cdef vpn_t found
    if at and at < LOWEST_VPN:
        at = LOWEST_VPN
    if wants_huge(s, at, pages, file, flags & MAP_SHARED, off):
        if takes_hint(k, mm, at, pages + HUGE_PAGES, low):
            return at
        found = free_range(s, mm, pages + HUGE_PAGES, low)
        if found:
            return found + ((off - found) % HUGE_PAGES if (off - found) % HUGE_PAGES else HUGE_PAGES)
    if takes_hint(k, mm, at, pages, low):
        return at
    return free_range(s, mm, pages, low)


cdef inline void forget_hole(State* s, vma_id v) noexcept nogil:
    """An area is about to leave: the hole may reach above what was searched."""
    cdef Mm* m = &s.mm[s.area[v].mm]
    if (s.area[s.area[v].next].start if s.area[v].next else s.task_vpn) > m.hole_vpn:
        m.hole_vpn = 0


cdef Searched searched(State* s, mm_id mm) noexcept nogil:
    cdef Searched r
    r.top = s.task_vpn - TOP_GAP
    r.end = r.top
    r.start = s.mm[mm].hole_vpn if s.mm[mm].hole_vpn else r.top
    return r
