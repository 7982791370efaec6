"""2.6.7: mremap: shrink, grow in place, move (rules E9, E10) [2.6.7 mm/mremap.c]. Entries move by engine/move.pyx."""
from libc.errno cimport EFAULT, EINVAL, ENOMEM
from libc.stdint cimport uint32_t, uint64_t

from rmapcore.pyx.base.ids cimport PAGE_SHIFT, PAGE_SIZE, mm_id, vma_id, vpn_t
from rmapcore.pyx.base.pool cimport pool_room
from rmapcore.pyx.base.records cimport P_AREAS, VM_LOCKED, VM_SHARED
from rmapcore.pyx.base.state cimport State
from rmapcore.pyx.base.uapi cimport MREMAP_FIXED, MREMAP_MAYMOVE
from rmapcore.pyx.engine.areas cimport adjust, splits_of, unmap_areas
from rmapcore.pyx.engine.move cimport carry_over
from rmapcore.pyx.machine.vmas cimport find_vma
from rmapcore.pyx.seam.kernel cimport E_OK, Kernel, full


cdef int move_area(Kernel k, vma_id v, vpn_t old, uint64_t old_pages, vpn_t new, uint64_t new_pages) noexcept nogil:
    """move_vma (rule E10). The limit of areas was checked."""
    cdef mm_id mm = k.s.area[v].mm
    cdef bint locked = k.s.area[v].flags & VM_LOCKED
    cdef vma_id target
    cdef int status = carry_over(k, &v, old, old_pages, new, new_pages, &target)
    if status != E_OK:
        return status
    if old_pages:
        unmap_areas(k, mm, old, old + old_pages)
    k.result = new << PAGE_SHIFT
    if locked and new_pages > old_pages:
        return populate(k, mm, new + old_pages, new + new_pages)
    return E_OK


cdef int do_mremap(Kernel k, mm_id mm, uint64_t old_address, uint64_t old_size, uint64_t new_size, uint32_t flags,
                   uint64_t new_address) noexcept nogil:
    """mremap (rule E9). The address is k.result."""
    cdef State* s = k.s
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
        cuts = splits_of(k, mm, old + new_pages, old + old_pages) if old_pages > new_pages else 0
        if fixed and s.mm[mm].n_areas + cuts >= s.most_areas - 3:
            return ENOMEM
        if s.mm[mm].n_areas + cuts > s.most_areas:
            return ENOMEM
        if not pool_room(s, P_AREAS, 5):
            return full(k, P_AREAS)
        if old_pages > new_pages:
            unmap_areas(k, mm, old + new_pages, old + old_pages)
            v = find_vma(s, mm, old)
        if not fixed:
            k.result = old_address
            return E_OK
        old_pages = new_pages
    if old + old_pages > s.area[v].end:
        return EFAULT
    if new_pages > s.task_vpn:
        return EINVAL
    if not fixed and old + old_pages == s.area[v].end and old_pages:
        room = s.area[s.area[v].next].start if s.area[v].next else s.task_vpn
        if old + new_pages <= room:
            adjust(k, v, s.area[v].start, old + new_pages, s.area[v].pgoff, 0)
            k.result = old_address
            if s.area[v].flags & VM_LOCKED:
                return populate(k, mm, old + old_pages, old + new_pages)
            return E_OK
    if not flags & MREMAP_MAYMOVE:
        return ENOMEM
    if s.mm[mm].n_areas >= s.most_areas - 3:
        return ENOMEM
    if not pool_room(s, P_AREAS, 5):
        return full(k, P_AREAS)
    if fixed:
        unmap_areas(k, mm, new, new + new_pages)
        v = find_vma(s, mm, old)
    else:
        new = free_range(s, mm, new_pages)
        if new == 0:
            return ENOMEM
    return move_area(k, v, old, old_pages, new, new_pages)
