"""The moving half of mremap (rule E10) [2.6.7 mm/mremap.c move_page_tables, mm/mmap.c copy_vma].

   move:  copy_vma makes (or merges) the area at the target with the source's linear offset, entries move, one by one or with
          their tables as the kernel says, then the old range is unmapped, which splits the source if only a part moved.

The page is touched only if the scheme asks, else entries go in runs: anonmm rewrites the index of an exclusive page, and has a
shared one copied at its old address first. That copy may run out of memory: then everything moves back.
"""
from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memcpy, memset

from rmapcore.pyx.base.ids cimport mm_id, pfn_t, slot_t, vma_id, vpn_t
from rmapcore.pyx.base.records cimport GONE_MOVE, PG_ANON, Area
from rmapcore.pyx.base.state cimport State
from rmapcore.pyx.base.x86 cimport pte_get, pte_pfn, pte_present, pte_set
from rmapcore.pyx.engine.areas cimport Range, merge, range_of, take_over, unmap_areas
from rmapcore.pyx.machine.gone cimport tell_changed
from rmapcore.pyx.machine.pagetable cimport leaf_run, pt_alloc, pt_next
from rmapcore.pyx.machine.vmas cimport area_insert, area_new, born_shift, file_area_add, find_prev, has_cache
from rmapcore.pyx.seam.kernel cimport E_OK, RETRY, Kernel


cdef vma_id copy_area(Kernel k, vma_id* source, vpn_t old, vpn_t to, uint64_t pages, uint64_t pgoff) noexcept nogil:
    """copy_vma: an area at the target that carries on the source's pages from `old` on; *source is followed if a merge
    swallows it."""
    cdef State* s = k.s
    cdef Area* a = &s.area[source[0]]
    cdef mm_id mm = a.mm
    cdef vpn_t inside = a.start
    cdef vma_id v
    cdef Area* n
    cdef Range r
    if not has_cache(s, source[0]) and k.unfaulted(source[0]):
        pgoff = to if a.file or k.anon.linear else 0     # never faulted: it may as well have been born there
    r = range_of(k, source[0], to, to + pages)
    r.pgoff = pgoff
    if a.file or k.anon.linear:
        r.anon_shift = born_shift(s, to, pgoff) if k.unfaulted(source[0]) else r.anon_shift + (to - old)     # rule QI3
    v = merge(k, mm, find_prev(s, mm, to), &r)
    if v:
        if s.area[v].start <= inside and inside < s.area[v].end:
            source[0] = v
        else:
            take_over(k, v, source[0])         # v may never have been faulted: it takes over pages all the same
        return v
    v = area_new(s)
    n = &s.area[v]
    n.mm = mm
    n.start = to
    n.end = to + pages
    n.pgoff = pgoff
    n.flags = a.flags
    n.file = a.file
    n.rmap = a.rmap
    n.anon = a.anon
    n.guards = a.guards
    n.policy = a.policy
    n.name = a.name
    s.anon_shift[v] = r.anon_shift
    area_insert(s, v)
    if n.file:
        file_area_add(s, v)
        k.side.area_clone(v, source[0])
    k.anon.area_clone(v, source[0])
    return v


cdef inline void carry(State* s, slot_t slot, slot_t to, uint32_t n) noexcept nogil:
    """n entries in a row go where none were, and leave none."""
    if s.wide:
        memcpy(&s.pte64[to], &s.pte64[slot], n * sizeof(uint64_t))
        memset(&s.pte64[slot], 0, n * sizeof(uint64_t))
    else:
        memcpy(&s.pte32[to], &s.pte32[slot], n * sizeof(uint32_t))
        memset(&s.pte32[slot], 0, n * sizeof(uint32_t))


cdef void move_run(State* s, mm_id mm, slot_t slot, vpn_t there, uint32_t n) noexcept nogil:
    """n entries of a leaf table, which nobody asks about, go to the addresses from `there` on, of which nothing is mapped.

    Tables are made there as for one after the other: where the first entry comes.
    """
    cdef uint32_t part, i
    while n:
        part = leaf_run(s, there, there + n)
        i = 0
        while i < part and pte_get(s, slot + i) == 0:
            i += 1
        if i < part:
            carry(s, slot + i, pt_alloc(s, mm, there + i), part - i)
        slot += part
        there += part
        n -= part


cdef int move_entries(Kernel k, mm_id mm, vma_id source, vma_id target, vpn_t old, vpn_t new, uint64_t pages,
                      uint64_t* moved) noexcept nogil:
    """Entries of [old, old + pages) go to new one by one, ascending. *moved: pages passed when it failed."""
    cdef State* s = k.s
    cdef bint asked = s.gone != NULL or k.anon.wants_moves or k.side.wants_moves
    cdef vpn_t vpn = old
    cdef vpn_t end = old + pages
    cdef vpn_t there
    cdef vpn_t leaf = ~<vpn_t> 0       # vpn >> bits of the target table met last, which begins at slot base
    cdef slot_t base = 0
    cdef slot_t slot, to
    cdef uint32_t n, i
    cdef uint64_t entry
    cdef pfn_t pfn
    cdef int status
    while True:
        slot = pt_next(s, mm, &vpn, end)
        if slot == 0:
            moved[0] = pages
            return E_OK
        n = leaf_run(s, vpn, end)
        i = 0
        if not asked:
            move_run(s, mm, slot, new + (vpn - old), n)
            i = n
        while i < n:
            entry = pte_get(s, slot + i)
            if entry == 0:
                i += 1
                continue
            pfn = pte_pfn(s, entry) if pte_present(entry) else 0
            if pfn and k.anon.wants_moves and s.frame[pfn].flags & PG_ANON:
                if not k.anon.may_move(pfn, new + (vpn + i - old)):
                    status = k.force_copy(mm, source, vpn + i, slot + i)
                    if status == E_OK or status == RETRY:
                        continue               # the same page again, now private or gone
                    moved[0] = vpn + i - old
                    return status
            there = new + (vpn + i - old)
            if there >> s.bits != leaf:
                leaf = there >> s.bits
                base = pt_alloc(s, mm, there) - (<uint32_t> there & s.index_mask)
            to = base + (<uint32_t> there & s.index_mask)
            pte_set(s, to, entry)
            pte_set(s, slot + i, 0)
            if s.gone:
                tell_changed(s, mm, vpn + i, entry, 0, GONE_MOVE)
            if pfn:
                if s.frame[pfn].flags & PG_ANON:
                    if k.anon.wants_moves:
                        k.anon.page_moved(pfn, target, there, slot + i, to)
                elif k.side.wants_moves:
                    k.side.page_moved(pfn, target, there, slot + i, to)
            i += 1
        vpn += n


cdef int carry_over(Kernel k, vma_id* v, vpn_t old, uint64_t old_pages, vpn_t new, uint64_t new_pages,
                    vma_id* target) noexcept nogil:
    """The moving half of move_vma (rule E10): area and entries. *v: the source, which a merge may have swallowed.

    The room was asked for (move_room). A failure, for want of a frame, has moved everything back.
    """
    cdef State* s = k.s
    cdef mm_id mm = s.area[v[0]].mm
    cdef uint64_t pgoff = s.area[v[0]].pgoff
    cdef uint64_t moved, back
    cdef int status
    if s.area[v[0]].file or k.anon.linear:
        pgoff += old - s.area[v[0]].start
    target[0] = copy_area(k, v, old, new, new_pages, pgoff)
    status = k.move_range(mm, v[0], target[0], old, new, old_pages, &moved)
    if status != E_OK:
        k.move_range(mm, target[0], v[0], new, old, moved, &back)
        unmap_areas(k, mm, new, new + new_pages)
    return status
