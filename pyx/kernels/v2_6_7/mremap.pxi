"""2.6.7: mremap: shrink, grow in place, move (rules D7a, E9, E10) [2.6.7 mm/mremap.c]. Entries move by engine/move.pyx."""
from libc.errno cimport EFAULT, EINVAL, ENOMEM
from libc.stdint cimport uint32_t, uint64_t

from rmapcore.pyx.base.ids cimport PAGE_SHIFT, mm_id, vma_id, vpn_t
from rmapcore.pyx.base.pool cimport pool_room
from rmapcore.pyx.base.records cimport P_AREAS, VM_ACCOUNT, VM_LOCKED
from rmapcore.pyx.base.state cimport State
from rmapcore.pyx.base.uapi cimport MREMAP_FIXED, MREMAP_MAYMOVE
from rmapcore.pyx.engine.areas cimport adjust, unmap_areas
from rmapcore.pyx.engine.arguments cimport round_pages, smaller, unaligned
from rmapcore.pyx.engine.move cimport carry_over
from rmapcore.pyx.engine.room cimport move_room
from rmapcore.pyx.machine.vmas cimport find_vma
from rmapcore.pyx.seam.kernel cimport E_OK, Kernel, full


cdef enum:
    MOVE_ROOM = 3             # areas that a move wants free below the limit


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
    else:
        k.s.area[v].flags &= ~<uint32_t> VM_ACCOUNT      # taken away to unmap, and nothing was unmapped
    k.result = new << PAGE_SHIFT
    if locked and new_pages > old_pages:
        return populate(k, mm, new + old_pages, new + new_pages)
    return E_OK


cdef int cut_and_unmap(Kernel k, mm_id mm, vpn_t start, vpn_t end) noexcept nogil:
    """do_munmap."""
    cdef int status = may_unmap(k, mm, start, end)
    if status == E_OK:
        unmap_areas(k, mm, start, end)
    return status


cdef int do_mremap(Kernel k, mm_id mm, uint64_t old_address, uint64_t old_size, uint64_t new_size, uint32_t flags,
                   uint64_t new_address) noexcept nogil:
    """mremap (rule E9). The address is k.result."""
    cdef State* s = k.s
    cdef vpn_t old = old_address >> PAGE_SHIFT
    cdef vpn_t new = 0
    cdef vpn_t room
    cdef uint64_t old_pages = round_pages(old_size)      # 0 if that wraps
    cdef uint64_t new_pages = round_pages(new_size)
    cdef bint fixed = flags & MREMAP_FIXED
    cdef vma_id v
    cdef int status
    if flags & ~<uint32_t> (MREMAP_MAYMOVE | MREMAP_FIXED) or unaligned(old_address) or new_pages == 0:
        return EINVAL
    k.result = old_address
    if fixed:
        new = new_address >> PAGE_SHIFT
        if not flags & MREMAP_MAYMOVE or unaligned(new_address) or new + new_pages > s.task_vpn:
            return EINVAL
        if new <= old and old < new + new_pages:
            return EINVAL
        if old <= new and new_address < old_address + (old_pages << PAGE_SHIFT):       # an end that wraps overlaps nothing
            return EINVAL
        status = cut_and_unmap(k, mm, new, new + new_pages)
        if status != E_OK:
            return status
    if old_pages > new_pages:
        if old + old_pages > s.task_vpn:
            return EINVAL
        status = cut_and_unmap(k, mm, old + new_pages, old + old_pages)
        if status != E_OK:
            return status
    if old_pages >= new_pages and not fixed:
        return E_OK
    old_pages = smaller(old_pages, new_pages)
    v = find_vma(s, mm, old)
    if v == 0 or s.area[v].start > old or old + old_pages > s.area[v].end:
        return EFAULT
    if not fixed and old + old_pages == s.area[v].end:
        room = s.area[s.area[v].next].start if s.area[v].next else s.task_vpn
        if old + new_pages <= room:
            adjust(k, v, s.area[v].start, old + new_pages, s.area[v].pgoff, 0)
            if s.area[v].flags & VM_LOCKED:
                return populate(k, mm, old + old_pages, old + new_pages)
            return E_OK
    if not flags & MREMAP_MAYMOVE:
        return ENOMEM
    if not fixed:
        new = free_range(s, mm, new_pages)
        if new == 0:
            return ENOMEM
    if s.mm[mm].n_areas + MOVE_ROOM >= s.most_areas:
        return ENOMEM
    if not pool_room(s, P_AREAS, MOVE_ROOM):
        return full(k, P_AREAS)
    status = move_room(k, mm, old, old_pages, new, new_pages)
    if status != E_OK:
        return status
    return move_area(k, v, old, old_pages, new, new_pages)
