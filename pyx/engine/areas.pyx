"""Merging, adjusting and splitting of areas by the eight cases [2.6.7 mm/mmap.c vma_merge, vma_adjust, split_vma].

   P = area before, N = after, X = the one after N, A = range [addr, end) that is being mapped or changed

   1  PPPP[AAAA]NNNN -> PPPPPPPPPPPP     hole filled, both fit          6  PPPP(NNNN)XXXX -> PPPPPPPPPPPP
   2  PPPP[AAAA] ..  -> PPPPPPPP         extends P                      7  PPPP(NNNN)XXXX -> PPPPPPPPXXXX
   3  .... [AAAA]NNNN -> NNNNNNNN        extends N downwards            8  PPPP(NNNN)XXXX -> PPPPNNNNNNNN
   4  PPP(AAA)NNNN  -> PPPNNNNNNN        A is the tail of P             5  PPPP(AA)NNN    -> PPPPPPNNN  A is the head of N

What may merge: equal flags, file, policy and name, contiguous offset where there is a file or the scheme says so, and the
scheme finds the areas compatible. The number of areas was checked by the caller; nothing here fails.
"""
from libc.stdint cimport int64_t, uint32_t, uint64_t

from rmapcore.pyx.base.counters cimport C_VMA_MERGES, C_VMA_SPLITS, tally
from rmapcore.pyx.base.ids cimport mm_id, vma_id, vpn_t
from rmapcore.pyx.base.records cimport VM_MAYWRITE, VM_SHARED, Area
from rmapcore.pyx.base.state cimport State
from rmapcore.pyx.engine.areas cimport Range
from rmapcore.pyx.machine.files cimport file_free
from rmapcore.pyx.machine.pagetable cimport pt_free_range
from rmapcore.pyx.machine.vmas cimport (
    area_free, area_insert, area_new, area_pages, area_remove, born_shift, file_area_add, file_area_del, find_vma,
)
from rmapcore.pyx.seam.kernel cimport KEEP_NOTHING, Kernel


cdef Range fresh_range(Kernel k, vpn_t start, vpn_t end, uint32_t flags, uint32_t file,
                       uint64_t pgoff) noexcept nogil:
    """What a new mapping would be."""
    cdef Range r
    r.start = start
    r.end = end
    r.flags = flags
    r.file = file
    r.pgoff = pgoff
    r.anon_shift = born_shift(k.s, start, pgoff)
    r.source = 0
    r.policy = 0
    r.name = 0
    return r


cdef Range range_of(Kernel k, vma_id v, vpn_t start, vpn_t end) noexcept nogil:
    """The part [start, end) of an area, as it is."""
    cdef Area* a = &k.s.area[v]
    cdef Range r = fresh_range(k, start, end, a.flags, a.file,
                               a.pgoff + (start - a.start) if a.file or k.anon.linear else 0)
    r.source = v
    r.anon_shift = k.s.anon_shift[v]
    r.policy = a.policy
    r.name = a.name
    return r


cdef inline bint may_be_copied(uint32_t flags) noexcept nogil:
    """Do writes make copies in such an area? (is_cow_mapping)"""
    return flags & (VM_SHARED | VM_MAYWRITE) == VM_MAYWRITE


cdef inline bint fits(Kernel k, vma_id v, Range* r, uint64_t pgoff, uint64_t own) noexcept nogil:
    """May the range join area v? pgoff: its own at the seam; own: v's at the seam (rules D4, QD2, QI2)."""
    cdef Area* a = &k.s.area[v]
    if a.flags != r.flags or a.file != r.file or a.policy != r.policy or a.name != r.name:
        return False
    if (r.file or k.anon.linear) and pgoff != own:
        return False
    if r.file and k.anon.linear and may_be_copied(r.flags) and k.s.anon_shift[v] != r.anon_shift:
        return False
    return k.anon.compatible(v, r.source)


cdef bint fits_after(Kernel k, vma_id v, Range* r) noexcept nogil:
    return fits(k, v, r, r.pgoff, k.s.area[v].pgoff + area_pages(k.s, v))


cdef bint fits_before(Kernel k, vma_id v, Range* r) noexcept nogil:
    return fits(k, v, r, r.pgoff + (r.end - r.start), k.s.area[v].pgoff)


cdef vma_id merge(Kernel k, mm_id mm, vma_id prev, Range* r) noexcept nogil:
    """vma_merge: lets the range join its neighbours (rule D5). The area that now holds it, or 0."""
    cdef State* s = k.s
    cdef vpn_t start = r.start
    cdef vpn_t end = r.end
    cdef vma_id next = s.area[prev].next if prev else s.mm[mm].first
    cdef vma_id area = next
    if next and s.area[next].end == end:
        next = s.area[next].next
    if prev and s.area[prev].end == start and fits_after(k, prev, r):
        if (next and s.area[next].start == end and fits_before(k, next, r)
                and k.anon.may_bridge(prev, next)):
            adjust(k, prev, s.area[prev].start, s.area[next].end, s.area[prev].pgoff, 0)
        else:
            adjust(k, prev, s.area[prev].start, end, s.area[prev].pgoff, 0)
        tally(s, C_VMA_MERGES, 1)
        return prev
    if next and s.area[next].start == end and fits_before(k, next, r):
        if prev and start < s.area[prev].end:
            adjust(k, prev, s.area[prev].start, start, s.area[prev].pgoff, 0)
            area = next
        else:
            adjust(k, area, start, s.area[next].end,
                   s.area[next].pgoff - (end - start) if r.file or k.anon.linear else 0, 0)
        tally(s, C_VMA_MERGES, 1)
        return area
    return 0


cdef vma_id extend(Kernel k, vma_id v, Range* r) noexcept nogil:
    """Lets the range join the area before it, if it fits, and no other (brk, rule QE6). The area, or 0."""
    if v == 0 or k.s.area[v].end != r.start or not fits_after(k, v, r):
        return 0
    adjust(k, v, k.s.area[v].start, r.end, k.s.area[v].pgoff, 0)
    tally(k.s, C_VMA_MERGES, 1)
    return v


cdef void take_over(Kernel k, vma_id v, vma_id giver) noexcept nogil:
    """v is about to hold pages of giver."""
    k.anon.area_import(v, giver)
    k.s.area[v].anon |= k.s.area[giver].anon
    k.s.area[v].guards |= k.s.area[giver].guards


cdef void adjust(Kernel k, vma_id v, vpn_t start, vpn_t end, uint64_t pgoff, vma_id insert) noexcept nogil:
    """vma_adjust: gives v new bounds; what it reaches of the area after goes to it, what it leaves goes there (rule D6).

    insert: the piece split off v, its own bounds set already; it enters the mm here.
    """
    cdef State* s = k.s
    cdef Area* a = &s.area[v]
    cdef vma_id next
    cdef vma_id moved           # the area after, if its start moves
    cdef vma_id gone            # the area after, if it is swallowed
    cdef vpn_t target = end
    cdef int64_t shift
    while True:
        next = a.next
        moved = 0
        gone = 0
        shift = 0
        end = target
        if next and not insert:
            if end >= s.area[next].end:
                gone = next
                end = s.area[next].end
                take_over(k, v, next)
            elif end > s.area[next].start:
                moved = next
                shift = <int64_t> (end - s.area[next].start)
                take_over(k, v, next)
            elif end < a.end and s.area[next].start == a.end:
                moved = next
                shift = -<int64_t> (a.end - end)
                take_over(k, next, v)
        if a.file:
            k.side.area_before(v)
            if moved:
                k.side.area_before(moved)
        k.anon.area_before(v)
        if moved:
            k.anon.area_before(moved)
        if gone:
            area_remove(s, gone)
        a.start = start
        a.end = end
        a.pgoff = pgoff
        if moved:
            s.area[moved].start = <vpn_t> (<int64_t> s.area[moved].start + shift)
            if s.area[moved].file or k.anon.linear:
                s.area[moved].pgoff = s.area[moved].pgoff + <uint64_t> shift
            if s.area[moved].file:
                k.side.area_after(moved)
            k.anon.area_after(moved)
        if a.file:
            k.side.area_after(v)
        k.anon.area_after(v)
        if gone:
            if s.area[gone].file:
                k.side.area_unlink(gone)
                file_area_del(s, gone)
            k.anon.area_merge(v, gone)
            area_free(s, gone)
        elif insert:
            area_insert(s, insert)
            if s.area[insert].file:
                file_area_add(s, insert)
                k.side.area_split(insert, v)
            k.anon.area_split(insert, v)
        if not gone or end == target:
            return


cdef vma_id split(Kernel k, vma_id v, vpn_t at, bint new_below) noexcept nogil:
    """split_vma: cuts v at a page inside it; the new piece is the lower or the upper part (rule D7)."""
    cdef State* s = k.s
    cdef vma_id new = area_new(s)
    cdef Area* a = &s.area[v]
    cdef Area* n = &s.area[new]
    cdef bint offsets = a.file != 0 or k.anon.linear
    n.mm = a.mm
    n.flags = a.flags
    n.file = a.file
    n.rmap = a.rmap
    n.anon = a.anon
    n.guards = a.guards
    n.policy = a.policy
    n.name = a.name
    s.anon_shift[new] = s.anon_shift[v]
    tally(s, C_VMA_SPLITS, 1)
    if new_below:
        n.start = a.start
        n.end = at
        n.pgoff = a.pgoff
        adjust(k, v, at, a.end, a.pgoff + (at - a.start) if offsets else 0, new)
    else:
        n.start = at
        n.end = a.end
        n.pgoff = a.pgoff + (at - a.start) if offsets else 0
        adjust(k, v, a.start, at, a.pgoff, new)
    return new


cdef vma_id add_area(Kernel k, mm_id mm, vpn_t start, vpn_t end, uint32_t flags, uint32_t file,
                     uint64_t pgoff) noexcept nogil:
    """A fresh area in a free range; both sides hear of it."""
    cdef State* s = k.s
    cdef vma_id v = area_new(s)
    cdef Area* a = &s.area[v]
    a.mm = mm
    a.start = start
    a.end = end
    a.flags = flags
    a.file = file
    a.pgoff = pgoff
    if file or k.anon.linear:
        s.anon_shift[v] = born_shift(s, start, pgoff)
    area_insert(s, v)
    if file:
        file_area_add(s, v)
        k.side.area_link(v)
    k.anon.area_link(v)
    return v


cdef void drop_area(Kernel k, vma_id v) noexcept nogil:
    """remove_vm_struct: an area whose entries have gone leaves its file, its scheme and its mm. Its file may end."""
    cdef State* s = k.s
    cdef uint32_t file = s.area[v].file
    k.hole_opens(v)
    area_remove(s, v)
    if file:
        k.side.area_unlink(v)
        file_area_del(s, v)
    k.anon.area_unlink(v)
    area_free(s, v)
    if file and s.file[file].n_areas == 0 and not s.file[file].handle:
        file_free(s, file)


cdef void empty_area(Kernel k, vma_id v) noexcept nogil:
    """All pages of an area have moved away: it begins anew where it lies, as far as its offset is not tied (rule QI3)."""
    cdef State* s = k.s
    cdef Area* a = &s.area[v]
    k.anon.area_emptied(v)
    a.anon = 0
    k.anon.area_before(v)
    s.anon_shift[v] &= s.tied
    if a.file == 0 and k.anon.linear:
        a.pgoff = a.start - s.anon_shift[v]
    k.anon.area_after(v)


cdef int splits_of(Kernel k, mm_id mm, vpn_t start, vpn_t end) noexcept nogil:
    """How many areas are cut by the two borders of a range."""
    cdef State* s = k.s
    cdef vma_id v = find_vma(s, mm, start)
    cdef int n = 1 if v and s.area[v].start < start else 0
    v = find_vma(s, mm, end)
    if v and s.area[v].start < end:
        n += 1
    return n


cdef bint has_flag(Kernel k, mm_id mm, vpn_t start, vpn_t end, uint32_t flag) noexcept nogil:
    """Has any area that reaches into the range this flag?"""
    cdef State* s = k.s
    cdef vma_id v = find_vma(s, mm, start)
    while v and s.area[v].start < end:
        if s.area[v].flags & flag:
            return True
        v = s.area[v].next
    return False


cdef bint covered(Kernel k, mm_id mm, vpn_t start, vpn_t end) noexcept nogil:
    """Is every page of the range mapped by some area?"""
    cdef State* s = k.s
    cdef vma_id v = find_vma(s, mm, start)
    while start < end:
        if v == 0 or s.area[v].start > start:
            return False
        start = s.area[v].end
        v = s.area[v].next
    return True


cdef void unmap_areas(Kernel k, mm_id mm, vpn_t start, vpn_t end) noexcept nogil:
    """do_munmap after its checks (rule E2): splits, zaps, frees tables, drops the areas, ascending."""
    cdef State* s = k.s
    cdef vma_id v = find_vma(s, mm, start)
    cdef vma_id first, next, last
    if v == 0 or s.area[v].start >= end:
        return
    if s.area[v].start < start:
        v = split(k, v, start, False)
    last = find_vma(s, mm, end)
    if last and s.area[last].start < end:
        next = split(k, last, end, True)       # the lower piece is new
        if last == v:
            v = next
    first = v
    while v and s.area[v].start < end:
        k.zap(v, s.area[v].start, s.area[v].end, KEEP_NOTHING)
        v = s.area[v].next
    pt_free_range(s, mm, start, end, s.area[s.area[first].prev].end if s.area[first].prev else 0,
                  s.area[v].start if v else <vpn_t> 1 << (s.top_shift + s.bits))
    v = first
    while v and s.area[v].start < end:
        next = s.area[v].next
        drop_area(k, v)
        v = next
