"""check(): P pools, M1 to M3 address spaces, and the order of all groups of rules (violation.pxd).

   P1 bumps -> P1 P2 free lists -> M1-M3 mms -> V areas -> C5 files -> C6 extents -> F1 F2 free frames -> S3-S5 free slots
   -> T M4-M6 page tables -> F L frames -> C page cache -> S slots -> T10 exclusive pages -> P3 totals

Schemes check their own structures after this, and whomaps is compared with the page tables (rmapcore.core.check). Costs: one
pass over every arena; scratch of 10 bytes a frame, 5 a slot, 9 a file.
"""
from libc.stdint cimport uint32_t, uint64_t, uint8_t
from libc.string cimport memset

from rmapcore.pyx.base.ids cimport PAGE_SHIFT, POOLS, mm_id
from rmapcore.pyx.base.records cimport (
    P_AREAS, P_FILES, P_FRAMES, P_MMS, P_PIDS, P_SLOTS, P_TABLES, VM_LOCKED, VM_LOCKONFAULT, Area, File, Head, Mm, Pool, Table,
)
from rmapcore.pyx.base.state cimport State
from rmapcore.pyx.look.check.areas cimport areas, extents, files
from rmapcore.pyx.look.check.caches cimport cache, free_slots, swap
from rmapcore.pyx.look.check.frames cimport exclusive, frames, free_frames, lru
from rmapcore.pyx.look.check.tables cimport tables
from rmapcore.pyx.look.check.violation cimport FREE, LINKED, NOWHERE, Check, Extent, broken, broken_at, pool_reached
from rmapcore.pyx.machine.pagetable cimport FREE_TABLE, table_low_bytes
from rmapcore.pyx.seam.kernel cimport Hole, Kernel


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
    for pid in range(1, <uint32_t> s.pool[P_PIDS].bump):
        mm = s.pid_mm[pid]
        if mm and (mm >= s.pool[P_MMS].bump or c.mms[mm] != LINKED or s.mm[mm].pid != pid):
            return broken(c, b"M2", b"pid {0} leads to mm {1}", pid, mm)
    return pool_reached(c, P_MMS, c.mms)


cdef bint holes(Check* c, Kernel k) noexcept nogil:
    """V7: what mmap remembers of holes is true."""
    cdef mm_id mm = c.s.h.mm_first
    cdef Hole hole
    while mm:
        hole = k.missed_hole(mm)
        if hole.pages:
            return broken_at(c, b"V7", b"a hole of {0} pages, none of {1} is remembered", hole.pages, c.s.mm[mm].hole_pages, 0,
                             mm, hole.start)
        mm = c.s.mm[mm].next
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
