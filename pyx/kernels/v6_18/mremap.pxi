"""6.18: mremap (rule QE8) [6.18 mm/mremap.c, vma.c]: several areas at once, DONTUNMAP, growing into what lies behind.

   FIXED, equal sizes   AA.BB....   ->   ......AA.BB      each area of the range by itself, gaps kept
   DONTUNMAP            AAAA....    ->   aaaa..AAAA       the source stays, empty
   growing in place     AA..BB      ->   AAAAAA           if what lies behind fits

Entries move as move.pyx moves them.
"""
from libc.errno cimport EFAULT, EINVAL, ENOMEM, EPERM
from libc.stdint cimport uint32_t, uint64_t

from rmapcore.pyx.base.counters cimport C_VMA_MERGES, tally
from rmapcore.pyx.base.ids cimport PAGE_SHIFT, mm_id, vma_id, vpn_t
from rmapcore.pyx.base.pool cimport pool_room
from rmapcore.pyx.base.records cimport P_AREAS, VM_LOCKED, VM_LOCKONFAULT, VM_MAYSHARE, VM_SEALED, VM_SHARED, Area
from rmapcore.pyx.base.state cimport State
from rmapcore.pyx.base.uapi cimport MAP_SHARED, MREMAP_DONTUNMAP, MREMAP_FIXED, MREMAP_MAYMOVE
from rmapcore.pyx.engine.areas cimport Range, adjust, empty_area, fits_before, range_of, unmap_areas
from rmapcore.pyx.engine.arguments cimport round_pages, unaligned
from rmapcore.pyx.engine.move cimport carry_over
from rmapcore.pyx.engine.room cimport border_room, move_room
from rmapcore.pyx.machine.vmas cimport find_vma
from rmapcore.pyx.seam.kernel cimport E_OK, Kernel, full

cdef enum:
    MOVE_ROOM = 3             # areas that a move wants free below the limit
    ROOM_AREAS = 6            # records that a call may take


cdef struct Move:             # one mremap call, or its part for one area; pages
    mm_id mm
    uint32_t flags
    vpn_t old
    vpn_t new
    uint64_t old_pages
    uint64_t new_pages


cdef inline bint to_new_place(Move* r) noexcept nogil:
    return r.flags & (MREMAP_FIXED | MREMAP_DONTUNMAP) != 0


cdef int lookup(Kernel k, Move* r, vma_id* v) noexcept nogil:
    """check_prep_vma: the area at the old address, if it may be remapped like that."""
    cdef State* s = k.s
    cdef uint64_t inside = r.old_pages if r.old_pages < r.new_pages else r.new_pages
    v[0] = find_vma(s, r.mm, r.old)
    if v[0] == 0 or s.area[v[0]].start > r.old:
        return EFAULT
    if s.area[v[0]].flags & VM_SEALED:
        return EPERM
    if not to_new_place(r) and r.new_pages <= r.old_pages:
        return E_OK
    if r.old_pages == 0 and not s.area[v[0]].flags & (VM_SHARED | VM_MAYSHARE):
        return EINVAL
    return EFAULT if inside > s.area[v[0]].end - r.old else E_OK


cdef void leave_behind(Kernel k, Move* r, vma_id v, vma_id target) noexcept nogil:
    """dontunmap_complete: what is left of the source."""
    cdef State* s = k.s
    s.area[v].flags &= ~<uint32_t> (VM_LOCKED | VM_LOCKONFAULT)
    if target != v and s.area[v].start == r.old and s.area[v].end == r.old + r.old_pages:
        empty_area(k, v)


cdef int move_away(Kernel k, Move* r, vma_id v) noexcept nogil:
    """move_vma: to r.new, where nothing is mapped."""
    cdef State* s = k.s
    cdef bint locked = s.area[v].flags & VM_LOCKED
    cdef vma_id target
    cdef int status
    if s.mm[r.mm].n_areas + MOVE_ROOM >= s.most_areas:
        return ENOMEM
    if not pool_room(s, P_AREAS, ROOM_AREAS):
        return full(k, P_AREAS)
    status = move_room(k, r.mm, r.old, r.old_pages, r.new, r.new_pages)
    if status != E_OK:
        return status
    status = carry_over(k, &v, r.old, r.old_pages, r.new, r.new_pages, &target)
    if status != E_OK:
        return status
    if r.flags & MREMAP_DONTUNMAP:
        leave_behind(k, r, v, target)
    elif r.old_pages:
        unmap_areas(k, r.mm, r.old, r.old + r.old_pages)
    if locked and r.new_pages > r.old_pages:
        return populate(k, r.mm, r.new + r.old_pages, r.new + r.new_pages)
    return E_OK


cdef vpn_t target_of(Kernel k, Move* r, vma_id v, uint64_t addr) noexcept nogil:
    """Where the old pages, in area v, find room: as a mapping of its file and offset would (rule QD5a); 0: nowhere."""
    cdef Area* a = &k.s.area[v]
    return choose_range(k, r.mm, addr, r.new_pages, a.file, MAP_SHARED if a.flags & VM_MAYSHARE else 0,
                        a.pgoff + (r.old - a.start))


cdef int shrink(Kernel k, Move* r) noexcept nogil:
    """shrink_vma: munmap of the tail, with its errors."""
    cdef vpn_t start = r.old + r.new_pages
    cdef vpn_t end = r.old + r.old_pages
    cdef int status
    if end > k.s.task_vpn:
        return EINVAL
    status = may_unmap(k, r.mm, start, end)
    if status == E_OK:
        unmap_areas(k, r.mm, start, end)
    return status


cdef int move_to(Kernel k, Move* r, vma_id v) noexcept nogil:
    """mremap_to: FIXED or DONTUNMAP."""
    cdef State* s = k.s
    cdef int status
    if r.flags & MREMAP_FIXED:
        status = may_unmap(k, r.mm, r.new, r.new + r.new_pages)
        if status != E_OK:
            return status
        unmap_areas(k, r.mm, r.new, r.new + r.new_pages)
        v = find_vma(s, r.mm, r.old)
        if v == 0 or s.area[v].start > r.old:
            return EFAULT
        if r.old_pages > r.new_pages:
            status = shrink(k, r)
            if status != E_OK:
                return status
            r.old_pages = r.new_pages
            v = find_vma(s, r.mm, r.old)
    else:
        r.new = target_of(k, r, v, r.new << PAGE_SHIFT)
        if r.new == 0:
            return ENOMEM
    return move_away(k, r, v)


cdef int move_each(Kernel k, Move* r) noexcept nogil:
    """remap_move: every area of the range, the gaps between them kept."""
    cdef State* s = k.s
    cdef vpn_t end = r.old + r.old_pages
    cdef vpn_t at = r.old
    cdef vpn_t stop
    cdef Move one = r[0]
    cdef vma_id v = find_vma(s, r.mm, at)
    cdef int status
    if v == 0 or s.area[v].start > at:
        return EFAULT
    while True:
        stop = s.area[v].end if s.area[v].end < end else end
        one.old = at
        one.new = r.new + (at - r.old)
        one.old_pages = stop - at
        one.new_pages = one.old_pages
        status = lookup(k, &one, &v)
        if status == E_OK:
            status = move_to(k, &one, v)
        if status != E_OK:
            return status
        v = find_vma(s, r.mm, stop)
        if v == 0:
            return E_OK
        at = s.area[v].start if s.area[v].start > stop else stop
        if at >= end:
            return E_OK


cdef void grow(Kernel k, vma_id v, vpn_t end) noexcept nogil:
    """vma_merge_extend: v reaches up to `end`, where nothing is mapped, and takes in what lies behind if it fits."""
    cdef State* s = k.s
    cdef vma_id next = s.area[v].next
    cdef Range r = range_of(k, v, s.area[v].end, end)
    if not (next and s.area[next].anon and s.area[v].anon):
        r.source = 0                           # an area without pages may join even an inherited one that grows
    if next and s.area[next].start == end and fits_before(k, next, &r) and k.anon.may_bridge(v, next):
        end = s.area[next].end
        tally(s, C_VMA_MERGES, 1)
    adjust(k, v, s.area[v].start, end, s.area[v].pgoff, 0)


cdef int resize(Kernel k, Move* r, vma_id v) noexcept nogil:
    """mremap_at: neither FIXED nor DONTUNMAP."""
    cdef State* s = k.s
    cdef int status
    if r.new_pages == r.old_pages:
        return E_OK
    if r.new_pages < r.old_pages:
        return shrink(k, r)
    if (r.old_pages and r.old + r.old_pages == s.area[v].end and r.old + r.new_pages <= s.task_vpn
            and (s.area[v].next == 0 or s.area[s.area[v].next].start >= r.old + r.new_pages)):
        status = border_room(k, r.mm, r.old, r.old + r.new_pages, 1)
        if status != E_OK:
            return status
        grow(k, v, r.old + r.new_pages)
        if s.area[v].flags & VM_LOCKED:
            return populate(k, r.mm, r.old + r.old_pages, r.old + r.new_pages)
        return E_OK
    if not r.flags & MREMAP_MAYMOVE:
        return ENOMEM
    r.new = target_of(k, r, v, 0)
    return move_away(k, r, v) if r.new else ENOMEM


cdef int do_mremap(Kernel k, mm_id mm, uint64_t old_address, uint64_t old_size, uint64_t new_size, uint32_t flags,
                   uint64_t new_address) noexcept nogil:
    """mremap (rule QE8). The address is k.result."""
    cdef State* s = k.s
    cdef uint64_t limit = s.task_vpn << PAGE_SHIFT
    cdef vma_id v
    cdef int status
    cdef Move r
    if flags & ~<uint32_t> (MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP) or unaligned(old_address):
        return EINVAL
    if new_size - 1 >= limit:
        return EINVAL
    r.mm = mm
    r.flags = flags
    r.old = old_address >> PAGE_SHIFT
    r.old_pages = round_pages(old_size)                  # 0 if that wraps
    r.new_pages = round_pages(new_size)
    r.new = r.old
    if to_new_place(&r):
        if new_address > limit or new_address + (r.new_pages << PAGE_SHIFT) > limit or unaligned(new_address):
            return EINVAL
        r.new = new_address >> PAGE_SHIFT
        if not flags & MREMAP_MAYMOVE or (flags & MREMAP_DONTUNMAP and r.old_pages != r.new_pages):
            return EINVAL
        # where the old range ends wraps: then nothing overlaps, and the target is gone before shrinking is refused
        if new_address < old_address + (r.old_pages << PAGE_SHIFT) and r.old < r.new + r.new_pages:
            return EINVAL
        if s.mm[mm].n_areas + 2 + MOVE_ROOM >= s.most_areas:
            return ENOMEM
    if flags & MREMAP_FIXED and r.old_pages == r.new_pages:
        status = move_each(k, &r)
    else:
        status = lookup(k, &r, &v)
        if status == E_OK:
            status = move_to(k, &r, v) if to_new_place(&r) else resize(k, &r, v)
    k.result = r.new << PAGE_SHIFT
    return status
