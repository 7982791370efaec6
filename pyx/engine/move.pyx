"""mremap of 2.6.7: shrink, grow in place, move (rules E9, E10) [2.6.7 mm/mremap.c, mm/mmap.c copy_vma].

   move:  copy_vma makes (or merges) the area at the target with the source's linear offset, entries move one by one,
          then the old range is unmapped, which splits the source if only a part moved.

The page is touched only if the scheme asks: anonmm rewrites the index of an exclusive page, and has a shared one copied
at its old address first. That copy may run out of memory: then everything moves back.
"""
from libc.errno cimport EFAULT, EINVAL, ENOMEM
from libc.stdint cimport uint32_t, uint64_t

from rmapcore.pyx.base.ids cimport PAGE_SHIFT, PAGE_SIZE, mm_id, pfn_t, slot_t, vma_id, vpn_t
from rmapcore.pyx.base.pool cimport pool_room
from rmapcore.pyx.base.records cimport P_AREAS, P_TABLES, PG_ANON, VM_LOCKED, VM_SHARED, Area
from rmapcore.pyx.base.state cimport State
from rmapcore.pyx.base.x86 cimport pte_get, pte_pfn, pte_present, pte_set
from rmapcore.pyx.engine.areas cimport Range, adjust, merge, range_of, splits_of, take_over, unmap
from rmapcore.pyx.engine.fault cimport RETRY, force_copy
from rmapcore.pyx.engine.populate cimport populate
from rmapcore.pyx.kernels.v2_6_7.calls cimport MREMAP_FIXED, MREMAP_MAYMOVE
from rmapcore.pyx.machine.pagetable cimport leaf_run, pt_alloc, pt_next
from rmapcore.pyx.machine.vmas cimport area_insert, area_new, file_area_add, find_prev, find_vma, free_range
from rmapcore.pyx.seam.kernel cimport E_FULL, E_OK, Engine, entry_room, full

cdef vma_id copy_area(Engine e, vma_id* source, vpn_t to, uint64_t pages, uint64_t pgoff) noexcept nogil:
    """copy_vma: an area at the target that carries on the source's pages; *source is followed if a merge swallows it."""
    cdef State* s = e.s
    cdef Area* a = &s.area[source[0]]
    cdef mm_id mm = a.mm
    cdef vpn_t inside = a.start
    cdef vma_id v
    cdef Area* n
    cdef Range r
    if a.file == 0 and not (a.anon if s.rules.calls else a.rmap):
        pgoff = to if e.anon.linear else 0     # never faulted: it may as well have been born there
    r = range_of(e, source[0], to, to + pages)
    r.pgoff = pgoff
    v = merge(e, mm, find_prev(s, mm, to), &r)
    if v:
        if s.area[v].start <= inside and inside < s.area[v].end:
            source[0] = v
        else:
            take_over(e, v, source[0])         # v may never have been faulted: it takes over pages all the same
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
    area_insert(s, v)
    if n.file:
        file_area_add(s, v)
        e.side.area_clone(v, source[0])
    e.anon.area_clone(v, source[0])
    return v


cdef int move_entries(Engine e, mm_id mm, vma_id source, vma_id target, vpn_t old, vpn_t new, uint64_t pages,
                      uint64_t* moved) noexcept nogil:
    """move_page_tables: entries of [old, old + pages) go to new, ascending. *moved: pages passed when it failed."""
    cdef State* s = e.s
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
        while i < n:
            entry = pte_get(s, slot + i)
            if entry == 0:
                i += 1
                continue
            pfn = pte_pfn(s, entry) if pte_present(entry) else 0
            if pfn and e.anon.wants_moves and s.frame[pfn].flags & PG_ANON:
                if not e.anon.may_move(pfn, new + (vpn + i - old)):
                    status = force_copy(e, mm, source, vpn + i, slot + i)
                    if status == E_OK or status == RETRY:
                        continue               # the same page again, now private or gone
                    moved[0] = vpn + i - old
                    return status
            if not pool_room(s, P_TABLES, s.levels - 1):
                moved[0] = vpn + i - old
                return full(e, P_TABLES)
            if entry_room(e, 1) != E_OK:
                moved[0] = vpn + i - old
                return E_FULL
            there = new + (vpn + i - old)
            if there >> s.bits != leaf:
                leaf = there >> s.bits
                base = pt_alloc(s, mm, there) - (<uint32_t> there & s.index_mask)
            to = base + (<uint32_t> there & s.index_mask)
            pte_set(s, to, entry)
            pte_set(s, slot + i, 0)
            if pfn:
                if s.frame[pfn].flags & PG_ANON:
                    if e.anon.wants_moves:
                        e.anon.page_moved(pfn, target, there, slot + i, to)
                elif e.side.wants_moves:
                    e.side.page_moved(pfn, target, there, slot + i, to)
            i += 1
        vpn += n


cdef int carry_over(Engine e, vma_id* v, vpn_t old, uint64_t old_pages, vpn_t new, uint64_t new_pages,
                    vma_id* target) noexcept nogil:
    """The moving half of move_vma (rule E10): area and entries. *v: the source, which a merge may have swallowed.

    A failure has moved everything back.
    """
    cdef State* s = e.s
    cdef mm_id mm = s.area[v[0]].mm
    cdef uint64_t pgoff = s.area[v[0]].pgoff
    cdef uint64_t moved, back
    cdef int status
    if s.area[v[0]].file or e.anon.linear:
        pgoff += old - s.area[v[0]].start
    target[0] = copy_area(e, v, new, new_pages, pgoff)
    status = move_entries(e, mm, v[0], target[0], old, new, old_pages, &moved)
    if status != E_OK:
        move_entries(e, mm, target[0], v[0], new, old, moved, &back)
        unmap(e, mm, new, new + new_pages)
    return status


cdef int move_area(Engine e, vma_id v, vpn_t old, uint64_t old_pages, vpn_t new, uint64_t new_pages) noexcept nogil:
    """move_vma (rule E10). The limit of areas was checked."""
    cdef mm_id mm = e.s.area[v].mm
    cdef bint locked = e.s.area[v].flags & VM_LOCKED
    cdef vma_id target
    cdef int status = carry_over(e, &v, old, old_pages, new, new_pages, &target)
    if status != E_OK:
        return status
    if old_pages:
        unmap(e, mm, old, old + old_pages)
    e.result = new << PAGE_SHIFT
    if locked and new_pages > old_pages:
        return populate(e, mm, new + old_pages, new + new_pages)
    return E_OK


cdef int do_mremap(Engine e, mm_id mm, uint64_t old_address, uint64_t old_size, uint64_t new_size, uint32_t flags,
                   uint64_t new_address) noexcept nogil:
    """mremap (rule E9). The address is e.result."""
    cdef State* s = e.s
    cdef uint64_t limit = s.task_vpn << PAGE_SHIFT
    cdef vpn_t old, new, room
    cdef uint64_t old_pages, new_pages
    cdef bint fixed = flags & MREMAP_FIXED
    cdef bint mapped
    cdef vma_id v
    cdef int cuts
    if flags & ~<uint32_t> (MREMAP_MAYMOVE | MREMAP_FIXED) or old_address & (PAGE_SIZE - 1):
        return EINVAL
    if old_address > limit or old_size > limit or new_size - 1 >= <uint64_t> -PAGE_SIZE:      # 0, or rounds up to 0
        return EINVAL
    old = old_address >> PAGE_SHIFT
    old_pages = (old_size + PAGE_SIZE - 1) >> PAGE_SHIFT
    new_pages = (new_size + PAGE_SIZE - 1) >> PAGE_SHIFT
    new = 0
    if fixed:
        if not flags & MREMAP_MAYMOVE or new_address & (PAGE_SIZE - 1) or new_address > limit:
            return EINVAL
        new = new_address >> PAGE_SHIFT
        if new + new_pages > s.task_vpn:
            return EINVAL
        if new < old + old_pages and old < new + new_pages:
            return EINVAL
    v = find_vma(s, mm, old)
    mapped = v != 0 and s.area[v].start <= old
    if old_pages == 0 and not (mapped and s.area[v].flags & VM_SHARED):
        return EINVAL
    if not mapped:
        return EFAULT
    if old_pages >= new_pages:
        if fixed and old + new_pages > s.area[v].end:
            return EFAULT
        if old + old_pages > s.task_vpn:
            return EINVAL
        cuts = splits_of(e, mm, old + new_pages, old + old_pages) if old_pages > new_pages else 0
        if fixed and s.mm[mm].n_areas + cuts >= s.rules.most_areas - 3:
            return ENOMEM
        if s.mm[mm].n_areas + cuts > s.rules.most_areas:
            return ENOMEM
        if not pool_room(s, P_AREAS, 5):
            return full(e, P_AREAS)
        if old_pages > new_pages:
            unmap(e, mm, old + new_pages, old + old_pages)
            v = find_vma(s, mm, old)
        if not fixed:
            e.result = old_address
            return E_OK
        old_pages = new_pages
    if old + old_pages > s.area[v].end:
        return EFAULT
    if new_pages > s.task_vpn:
        return EINVAL
    if not fixed and old + old_pages == s.area[v].end and old_pages:
        room = s.area[s.area[v].next].start if s.area[v].next else s.task_vpn
        if old + new_pages <= room:
            adjust(e, v, s.area[v].start, old + new_pages, s.area[v].pgoff, 0)
            e.result = old_address
            if s.area[v].flags & VM_LOCKED:
                return populate(e, mm, old + old_pages, old + new_pages)
            return E_OK
    if not flags & MREMAP_MAYMOVE:
        return ENOMEM
    if s.mm[mm].n_areas >= s.rules.most_areas - 3:
        return ENOMEM
    if not pool_room(s, P_AREAS, 5):
        return full(e, P_AREAS)
    if fixed:
        unmap(e, mm, new, new + new_pages)
        v = find_vma(s, mm, old)
    else:
        new = free_range(s, mm, new_pages)
        if new == 0:
            return ENOMEM
    return move_area(e, v, old, old_pages, new, new_pages)
