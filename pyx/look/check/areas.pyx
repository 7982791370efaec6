"""V1 to V9, C5 and C6: areas in their address spaces and files, files in their extents.

Costs: O(areas x height of their tree), O(files), and what the unused ends of extents hold.
"""
from libc.stdint cimport uint32_t, uint64_t
from libc.stdlib cimport qsort

from rmapcore.pyx.base.ids cimport file_id, mm_id, vma_id, vpn_t
from rmapcore.pyx.base.records cimport (
    FILE_DISK, FILE_SHMEM, P_AREAS, P_EXTENTS, P_FILES, VM_MAY, VM_MAYSHARE, VM_NONLINEAR, VM_SHARED, Area, File,
)
from rmapcore.pyx.base.state cimport State
from rmapcore.pyx.look.check.caches cimport SCAN_PAGES, blank
from rmapcore.pyx.look.check.violation cimport FREE, LINKED, NOWHERE, Check, Extent, broken, broken_at, pool_reached
from rmapcore.pyx.machine.files cimport FIRST_EXTENT, MAX_EXTENT_ORDER, MIN_EXTENT_ORDER, file_pages


cdef bint area_sane(Check* c, vma_id v) noexcept nogil:
    """V3, V8 and V9 for one area whose bounds are right."""
    cdef State* s = c.s
    cdef Area* a = &s.area[v]
    cdef uint32_t shared = a.flags & (VM_SHARED | VM_MAYSHARE)
    if (a.flags & ~c.known_flags or a.flags & VM_MAY != VM_MAY
            or (shared != 0 and shared != VM_SHARED | VM_MAYSHARE) or (a.flags & VM_NONLINEAR and not shared)):
        return broken_at(c, b"V3", b"area {0} has flags {1:#x}", v, a.flags, 0, a.mm, a.start)
    if a.file:
        if a.file >= s.pool[P_FILES].bump or c.files[a.file] == FREE or not s.file[a.file].alive:
            return broken_at(c, b"V8", b"area {0} maps file {1}, which is not there", v, a.file, 0, a.mm, a.start)
        c.file_areas[a.file] += 1
        if a.pgoff + (a.end - a.start) < a.pgoff:
            return broken_at(c, b"V9", b"area {0} maps beyond any file, from page {1}", v, a.pgoff, 0, a.mm, a.start)
    elif shared:
        return broken_at(c, b"V3", b"area {0} is shared without a file, flags {1:#x}", v, a.flags, 0, a.mm, a.start)
    elif a.pgoff and not c.linear:
        return broken_at(c, b"V9", b"area {0} has page offset {1}, should have none", v, a.pgoff, 0, a.mm, a.start)
    return False


cdef bint area_list(Check* c, mm_id mm) noexcept nogil:
    """V1 to V4, and area_sane, along the list of one mm."""
    cdef State* s = c.s
    cdef uint64_t n = 0
    cdef vpn_t low = 0
    cdef vma_id before = 0
    cdef vma_id v = s.mm[mm].first
    cdef Area* a
    while v:
        if v >= s.pool[P_AREAS].bump or c.areas[v]:
            return broken_at(c, b"V1", b"the list of areas leads from {0} to {1}", before, v, 0, mm, NOWHERE)
        a = &s.area[v]
        if not a.alive or a.mm != mm or a.prev != before:
            return broken_at(c, b"V1", b"area {0} has prev {1}, or is another's or dead", v, a.prev, 0, mm, a.start)
        c.areas[v] = LINKED
        if a.start < low or a.end <= a.start or a.end > s.task_vpn:
            return broken_at(c, b"V2", b"area {0} ends at page {1}, or begins too low", v, a.end, 0, mm, a.start)
        if area_sane(c, v):
            return True
        n += 1
        low = a.end
        before = v
        v = a.next
    if n != s.mm[mm].n_areas or n > c.most_areas:
        return broken_at(c, b"V4", b"the mm counts {0} areas, its list has {1}", s.mm[mm].n_areas, n, 0, mm, NOWHERE)
    return False


cdef bint area_tree(Check* c, mm_id mm) noexcept nogil:
    """V5: descending by address finds each area, and the tree has as many links as areas."""
    cdef State* s = c.s
    cdef uint64_t links = s.mm[mm].root != 0
    cdef uint64_t steps
    cdef vma_id v = s.mm[mm].first
    cdef vma_id at
    while v:
        at = s.mm[mm].root
        steps = 0
        while at != v:
            if at == 0 or at >= s.pool[P_AREAS].bump or steps > s.mm[mm].n_areas:
                return broken_at(c, b"V5", b"the tree does not lead to area {0}", v, 0, 0, mm, s.area[v].start)
            at = s.area[at].left if s.area[v].start < s.area[at].start else s.area[at].right
            steps += 1
        links += (s.area[v].left != 0) + (s.area[v].right != 0)
        v = s.area[v].next
    if links != s.mm[mm].n_areas:
        return broken_at(c, b"V5", b"the tree has {0} links for {1} areas", links, s.mm[mm].n_areas, 0, mm, NOWHERE)
    return False


cdef bint area_hint(Check* c, mm_id mm) noexcept nogil:
    """V6: what find_vma remembers is true."""
    cdef vma_id v = c.s.mm[mm].cache
    if v and (v >= c.s.pool[P_AREAS].bump or c.areas[v] != LINKED or c.s.area[v].mm != mm):
        return broken_at(c, b"V6", b"the area found last is {0}, not one of this mm", v, 0, 0, mm, NOWHERE)
    return False


cdef bint areas(Check* c) noexcept nogil:
    cdef mm_id mm = c.s.h.mm_first
    while mm:
        if area_list(c, mm) or area_tree(c, mm) or area_hint(c, mm):
            return True
        mm = c.s.mm[mm].next
    return pool_reached(c, P_AREAS, c.areas)


cdef bint file_list(Check* c, file_id file) noexcept nogil:
    """V8: the file's list has its areas, each once."""
    cdef State* s = c.s
    cdef uint64_t n = 0
    cdef vma_id before = 0
    cdef vma_id v = s.file[file].areas
    while v:
        if v >= s.pool[P_AREAS].bump or c.areas[v] != LINKED or s.area[v].file != file or s.area[v].fprev != before:
            return broken(c, b"V8", b"the list of file {0} leads to area {1}", file, v)
        n += 1
        before = v
        v = s.area[v].fnext
    if n != c.file_areas[file] or n != s.file[file].n_areas:
        return broken(c, b"V8", b"file {0} lists {1} areas, not those that map it", file, n)
    return False


cdef bint files(Check* c) noexcept nogil:
    """V8 and C5; how many extents there are, with the free ones."""
    cdef State* s = c.s
    cdef uint64_t pages = 0
    cdef uint64_t bump = s.pool[P_EXTENTS].bump
    cdef uint64_t base
    cdef file_id file
    cdef uint32_t order
    cdef File* f
    for file in range(1, <uint32_t> s.pool[P_FILES].bump):
        f = &s.file[file]
        if c.files[file] == FREE:
            if f.alive:
                return broken(c, b"C5", b"file {0} is free, but alive", file, 0)
            continue
        c.files[file] = LINKED
        if not f.alive or (f.handle == 0 and f.n_areas == 0) or (f.kind != FILE_DISK and f.kind != FILE_SHMEM):
            return broken(c, b"C5", b"file {0} of kind {1} has no areas, no handle, or is dead", file, f.kind)
        if file_list(c, file):
            return True
        if (not MIN_EXTENT_ORDER <= f.order <= MAX_EXTENT_ORDER or f.base < FIRST_EXTENT
                or f.base + (<uint64_t> 1 << f.order) > bump or file_pages(s, file) > <uint64_t> 1 << f.order):
            return broken(c, b"C6", b"file {0} does not fit its extent at {1}", file, f.base)
        c.n_extents += 1
    for order in range(MIN_EXTENT_ORDER, MAX_EXTENT_ORDER + 1):
        base = <uint64_t> s.h.extent_free[order] << MIN_EXTENT_ORDER
        while base:
            pages += <uint64_t> 1 << order
            if base + (<uint64_t> 1 << order) > bump or pages > bump:
                return broken(c, b"C6", b"the free extents of order {0} lead to {1}", order, base)
            c.n_extents += 1
            base = <uint64_t> s.cache[base] << MIN_EXTENT_ORDER
    return False


cdef int by_base(const void* a, const void* b) noexcept nogil:
    cdef uint64_t left = (<Extent*> a).base
    cdef uint64_t right = (<Extent*> b).base
    return (left > right) - (left < right)


cdef bint extents(Check* c) noexcept nogil:
    """C6: the extents of files and the free ones fill the arena without overlap; free ones are clean."""
    cdef State* s = c.s
    cdef uint64_t i = 0
    cdef uint64_t at = 0
    cdef uint64_t base
    cdef file_id file
    cdef uint32_t order
    for file in range(1, <uint32_t> s.pool[P_FILES].bump):
        if c.files[file] == LINKED:
            c.extents[i].base = s.file[file].base
            c.extents[i].pages = <uint64_t> 1 << s.file[file].order
            i += 1
    for order in range(MIN_EXTENT_ORDER, MAX_EXTENT_ORDER + 1):
        base = <uint64_t> s.h.extent_free[order] << MIN_EXTENT_ORDER
        while base:
            c.extents[i].base = base
            c.extents[i].pages = <uint64_t> 1 << order
            i += 1
            if not blank(s, base + 1, base + min(<uint64_t> 1 << order, <uint64_t> SCAN_PAGES), &at):
                return broken(c, b"C6", b"a free extent at {0} is not clean at {1}", base, at)
            base = <uint64_t> s.cache[base] << MIN_EXTENT_ORDER
    qsort(c.extents, c.n_extents, sizeof(Extent), by_base)
    at = FIRST_EXTENT
    for i in range(c.n_extents):
        if c.extents[i].base != at:
            return broken(c, b"C6", b"an extent begins at {0}, not {1}", c.extents[i].base, at)
        at += c.extents[i].pages
    if at != s.pool[P_EXTENTS].bump:
        return broken(c, b"C6", b"the extents end at {0}, not {1}", at, s.pool[P_EXTENTS].bump)
    return False
