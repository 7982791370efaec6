"""check(): P pools, M1 to M3 address spaces, V areas, C5 and C6 files and extents, and the order of all rules (violation.pxd).

   P1 bumps -> P1 P2 free lists -> M1-M3 mms -> V areas -> C5 files -> C6 extents -> F1 F2 free frames -> S3-S5 free slots
   -> T M4-M6 page tables -> F L frames -> C page cache -> S slots -> T10 exclusive pages -> P3 totals

Schemes check their own structures after this, and whomaps is compared with the page tables (rmapcore.core.check). Costs: one
pass over every arena; scratch of 10 bytes a frame, 5 a slot, 9 a file.
"""
from libc.stdint cimport uint32_t, uint64_t, uint8_t
from libc.stdlib cimport qsort
from libc.string cimport memset

from rmapcore.pyx.base.ids cimport PAGE_SHIFT, POOLS, file_id, mm_id, vma_id, vpn_t
from rmapcore.pyx.base.records cimport (
    FILE_ZERO, P_AREAS, P_EXTENTS, P_FILES, P_FRAMES, P_MMS, P_PIDS, P_SLOTS, P_TABLES, VM_LOCKED, VM_LOCKONFAULT, VM_MAY,
    VM_MAYSHARE, VM_NONLINEAR, VM_SHARED, Area, File, Head, Mm, Pool, Table,
)
from rmapcore.pyx.base.state cimport State
from rmapcore.pyx.look.check.pages cimport cache, exclusive, frames, free_frames, free_slots, lru, swap, tables
from rmapcore.pyx.look.check.violation cimport (
    FREE, LINKED, NOWHERE, SCAN_PAGES, Check, Extent, blank, broken, broken_at, pool_reached,
)
from rmapcore.pyx.machine.files cimport FIRST_EXTENT, MAX_EXTENT_ORDER, MIN_EXTENT_ORDER, file_pages
from rmapcore.pyx.machine.pagetable cimport FREE_TABLE, table_low_bytes
from rmapcore.pyx.machine.vmas cimport anon_index
from rmapcore.pyx.seam.kernel cimport Kernel, Searched


# pools and address spaces


cdef bint pool_range(Check* c, int name) noexcept nogil:
    """P1: numbers stay inside the arena."""
    cdef Pool* p = &c.s.pool[name]
    if p.capacity == 0 and p.bump <= 1:        # not in use
        return False
    if not 1 <= p.bump <= p.capacity:
        return broken(c, b"P1", b"pool {0} has used records below {1}", name, p.bump)
    if not p.live <= p.peak < p.bump and p.peak:
        return broken(c, b"P1", b"pool {0} has had {1} records at once", name, p.peak)
    return False


cdef bint ranges(Check* c) noexcept nogil:
    """P1 for every pool, before scratch is made as large as they say."""
    cdef int name
    for name in range(POOLS):
        if pool_range(c, name):
            return True
    return False


cdef bint pool_free(Check* c, int name, uint8_t* notes, void* base, size_t size, size_t link) noexcept nogil:
    """P1: the free list stays below the bump and meets nothing twice."""
    cdef Pool* p = &c.s.pool[name]
    cdef uint64_t n = 0
    cdef uint32_t i = p.free
    while i:
        if i >= p.bump or notes[i]:
            return broken(c, b"P1", b"the free list of pool {0} leads to record {1}", name, i)
        notes[i] = FREE
        n += 1
        i = (<uint32_t*> (<char*> base + size * i + link))[0]
    if n + p.live != p.bump - 1:
        return broken(c, b"P2", b"{0} records of a pool are not free, {1} live", p.bump - 1 - n, p.live)
    return False


cdef bint free_lists(Check* c) noexcept nogil:
    cdef State* s = c.s
    return (
        pool_free(c, P_AREAS, c.areas, s.area, sizeof(Area), <char*> &s.area.next - <char*> s.area)
        or pool_free(c, P_MMS, c.mms, s.mm, sizeof(Mm), <char*> &s.mm.next - <char*> s.mm)
        or pool_free(c, P_FILES, c.files, s.file, sizeof(File), <char*> &s.file.areas - <char*> s.file)
        or pool_free(c, P_TABLES, c.tables, s.table, sizeof(Table), <char*> &s.table.mm - <char*> s.table)
    )


cdef bint totals(Check* c) noexcept nogil:
    """P3. Page tables cost what their level says (pagetable.pxd)."""
    cdef State* s = c.s
    cdef Head* h = s.h
    cdef uint64_t rmap = 0
    cdef uint64_t low = 0
    cdef uint64_t leaves = 0
    cdef uint64_t t
    cdef int i
    for t in range(1, s.pool[P_TABLES].bump):
        if s.table[t].level != FREE_TABLE:
            low += table_low_bytes(s, s.table[t].level)
            leaves += s.table[t].level == 0
    if h.n_leaves != leaves or leaves > h.n_leaves_peak:
        return broken(c, b"P3", b"{0} leaf tables are counted, there are {1}", h.n_leaves, leaves)
    for i in range(POOLS):
        rmap += s.pool[i].live * s.pool[i].rmap_bytes
        low += s.pool[i].live * s.pool[i].low_bytes
    if h.rmap_bytes != rmap:
        return broken(c, b"P3", b"reverse mapping costs {0} bytes, its objects {1}", h.rmap_bytes, rmap)
    if h.low_bytes != low:
        return broken(c, b"P3", b"low memory holds {0} bytes, its objects {1}", h.low_bytes, low)
    if h.rmap_bytes > h.rmap_bytes_peak or h.low_bytes > h.low_bytes_peak:
        return broken(c, b"P3", b"more bytes than the most so far, {0} and {1}", h.rmap_bytes_peak, h.low_bytes_peak)
    return False


cdef bint living(Check* c) noexcept nogil:
    """M1, M2 and M3 for every mm of the list; pids lead nowhere else."""
    cdef State* s = c.s
    cdef uint64_t n = 0
    cdef mm_id before = 0
    cdef mm_id mm = s.h.mm_first
    cdef Mm* m
    cdef uint32_t pid
    while mm:
        if mm >= s.pool[P_MMS].bump or c.mms[mm]:
            return broken(c, b"M1", b"the list of mms leads from {0} to {1}", before, mm)
        m = &s.mm[mm]
        if not m.alive or m.prev != before:
            return broken_at(c, b"M1", b"mm {0} has prev {1}, or is dead", mm, m.prev, 0, mm, NOWHERE)
        c.mms[mm] = LINKED
        if m.pid == 0 or m.pid >= s.pool[P_PIDS].bump or s.pid_mm[m.pid] != mm:
            return broken_at(c, b"M2", b"pid {0} does not lead to its mm {1}", m.pid, mm, 0, mm, NOWHERE)
        if (m.brk < m.start_brk or m.brk > s.task_vpn << PAGE_SHIFT
                or m.def_flags & ~<uint32_t> (VM_LOCKED | VM_LOCKONFAULT)):
            return broken_at(c, b"M3", b"break {0}, flags of new areas {1}", m.brk, m.def_flags, 0, mm, NOWHERE)
        n += 1
        before = mm
        mm = m.next
    if s.h.mm_last != before:
        return broken(c, b"M1", b"the list of mms ends with {0}, not {1}", before, s.h.mm_last)
    if s.h.next_pid != s.pool[P_PIDS].bump:
        return broken(c, b"M2", b"the next pid is {0}, pids are used below {1}", s.h.next_pid, s.pool[P_PIDS].bump)
    for pid in range(<uint32_t> s.pool[P_PIDS].bump):
        mm = s.pid_mm[pid]                     # of pid 0 too: nobody has it
        if mm and (mm >= s.pool[P_MMS].bump or c.mms[mm] != LINKED or s.mm[mm].pid != pid):
            return broken(c, b"M2", b"pid {0} leads to mm {1}", pid, mm)
    return pool_reached(c, P_MMS, c.mms)


# areas, files, extents


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
        if anon_index(s, v, a.end) < anon_index(s, v, a.start):
            return broken_at(c, b"V10", b"area {0} has anonymous pages from index {1} on, which wraps", v,
                             anon_index(s, v, a.start), 0, a.mm, a.start)
    elif shared:
        return broken_at(c, b"V3", b"area {0} is shared without a file, flags {1:#x}", v, a.flags, 0, a.mm, a.start)
    elif a.pgoff and not c.linear:
        return broken_at(c, b"V9", b"area {0} has page offset {1}, should have none", v, a.pgoff, 0, a.mm, a.start)
    elif c.linear and anon_index(s, v, a.start) != a.pgoff:
        return broken_at(c, b"V10", b"area {0} has page offset {1}, and another for its anonymous pages", v, a.pgoff, 0, a.mm,
                         a.start)
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
        if not f.alive or (f.handle == 0 and f.n_areas == 0) or f.kind > FILE_ZERO:
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


# the order


cdef bint holes(Check* c, Kernel k) noexcept nogil:
    """V7: what mmap remembers of its last search lies in user space, and is true of holes."""
    cdef State* s = c.s
    cdef mm_id mm = s.h.mm_first
    cdef vma_id v
    cdef vpn_t high
    cdef Searched r
    while mm:
        if s.mm[mm].hole_vpn > s.task_vpn:
            return broken_at(c, b"V7", b"mmap's search stands at page {0}, user space ends at {1}", s.mm[mm].hole_vpn,
                             s.task_vpn, 0, mm, NOWHERE)
        r = k.searched(mm)
        v = s.mm[mm].first
        while r.start < r.end:
            high = s.area[v].start if v and s.area[v].start < r.top else r.top
            if high > r.start and high - r.start >= s.mm[mm].hole_pages:
                return broken_at(c, b"V7", b"a hole of {0} pages, none of {1} is remembered", high - r.start,
                                 s.mm[mm].hole_pages, 0, mm, r.start)
            if v == 0:
                break
            if s.area[v].end > r.start:
                r.start = s.area[v].end
            v = s.area[v].next
        mm = s.mm[mm].next
    return False


cdef bint before(Check* c, Kernel k) noexcept nogil:
    """All that counts extents."""
    return free_lists(c) or living(c) or areas(c) or holes(c, k) or files(c)


cdef bint after(Check* c) noexcept nogil:
    return (
        extents(c) or free_frames(c) or free_slots(c) or tables(c) or frames(c) or lru(c) or cache(c) or swap(c)
        or exclusive(c) or totals(c)
    )


def violation(Kernel k):
    """The first rule that the state of a machine breaks: (rule, frame, mm, vpn, text), or None.

    frame and mm are 0, vpn is None where the violation has no such place. The schemes' rules are not among these.
    """
    with k.step:
        return first_violation(k)


cdef tuple first_violation(Kernel k):
    """violation, held."""
    cdef State* s = k.s
    cdef Check c
    cdef bytearray words, notes, room
    cdef bint found
    memset(&c, 0, sizeof(Check))
    c.s = s
    c.linear = k.anon.linear
    c.known_flags = k.known_flags
    c.most_areas = s.most_areas + k.spare_areas
    found = ranges(&c)
    if not found:
        words = bytearray(4 * (2 * s.pool[P_FRAMES].bump + s.pool[P_SLOTS].bump + 2 * s.pool[P_FILES].bump))
        notes = bytearray(s.pool[P_MMS].bump + s.pool[P_AREAS].bump + s.pool[P_FILES].bump + s.pool[P_TABLES].bump
                          + 2 * s.pool[P_FRAMES].bump + s.pool[P_SLOTS].bump)
        c.mapped = <uint32_t*> <char*> words
        c.writable = c.mapped + s.pool[P_FRAMES].bump
        c.users = c.writable + s.pool[P_FRAMES].bump
        c.cached = c.users + s.pool[P_SLOTS].bump
        c.file_areas = c.cached + s.pool[P_FILES].bump
        c.mms = <uint8_t*> <char*> notes
        c.areas = c.mms + s.pool[P_MMS].bump
        c.files = c.areas + s.pool[P_AREAS].bump
        c.tables = c.files + s.pool[P_FILES].bump
        c.frames = c.tables + s.pool[P_TABLES].bump
        c.listed = c.frames + s.pool[P_FRAMES].bump
        c.slots = c.listed + s.pool[P_FRAMES].bump
        with nogil:
            found = before(&c, k)
    if not found:
        room = bytearray(sizeof(Extent) * (c.n_extents + 1))
        c.extents = <Extent*> <char*> room
        with nogil:
            found = after(&c)
    if not found:
        return None
    text = c.text.decode().format(c.a, c.b)
    return c.rule.decode(), c.pfn, c.where, None if c.vpn == NOWHERE else c.vpn, text
