"""2.6.7: mprotect mlock mlockall (rules E3-E5) [2.6.7 mm/mprotect.c, mlock.c].

Everything is checked before anything changes: holes, the limit of areas. Areas join their neighbours in mprotect only.
"""
from libc.errno cimport EINVAL, ENOMEM
from libc.stdint cimport uint32_t, uint64_t

from rmapcore.pyx.base.ids cimport PAGE_SHIFT, mm_id, vma_id, vpn_t
from rmapcore.pyx.base.records cimport VM_ACCESS, VM_ACCOUNT, VM_LOCKED, VM_SHARED, VM_WRITE
from rmapcore.pyx.base.state cimport State
from rmapcore.pyx.base.uapi cimport MCL_CURRENT, MCL_FUTURE, PROT_SEM
from rmapcore.pyx.base.x86 cimport page_prot
from rmapcore.pyx.engine.areas cimport Range, covered, merge, range_of, split, splits_of
from rmapcore.pyx.engine.arguments cimport round_pages, too_long, unaligned
from rmapcore.pyx.engine.calls cimport change_protection, room_for_areas
from rmapcore.pyx.machine.vmas cimport find_vma
from rmapcore.pyx.seam.kernel cimport E_OK, Kernel


cdef void cut(Kernel k, vma_id v, vpn_t start, vpn_t end) noexcept nogil:
    """Splits v so that it covers exactly its part of [start, end): start first (new below), then end (new above)."""
    if k.s.area[v].start < start:
        split(k, v, start, True)
    if k.s.area[v].end > end:
        split(k, v, end, False)


cdef int do_mprotect(Kernel k, mm_id mm, uint64_t addr, uint64_t length, uint32_t prot) noexcept nogil:
    """mprotect (rule E3)."""
    cdef State* s = k.s
    cdef vpn_t start, end, low, high
    cdef uint32_t flags
    cdef vma_id v, prev, merged
    cdef int status
    cdef Range r
    if unaligned(addr) or prot & ~<uint32_t> (VM_ACCESS | PROT_SEM):
        return EINVAL
    if length == 0:
        return E_OK
    if too_long(s, addr) or too_long(s, length):
        return ENOMEM
    start = addr >> PAGE_SHIFT
    end = start + round_pages(length)
    if end > s.task_vpn or not covered(k, mm, start, end):
        return ENOMEM
    status = room_for_areas(k, mm, splits_of(k, mm, start, end))
    if status != E_OK:
        return status
    v = find_vma(s, mm, start)
    prev = v if s.area[v].start < start else s.area[v].prev
    low = start
    while low < end:
        high = s.area[v].end if s.area[v].end < end else end
        flags = (prot & VM_ACCESS) | s.area[v].flags & ~<uint32_t> VM_ACCESS
        if flags & VM_WRITE and not s.area[v].flags & (VM_ACCOUNT | VM_WRITE | VM_SHARED):
            flags |= VM_ACCOUNT
        if flags != s.area[v].flags:
            r = range_of(k, v, low, high)
            r.flags = flags
            merged = merge(k, mm, prev, &r)
            if merged:
                v = merged
            else:
                cut(k, v, low, high)
            s.area[v].flags = flags
            change_protection(k, mm, low, high, page_prot(s, flags))
        low = s.area[v].end                    # a merge may have taken in what follows: it has these flags already
        prev = v
        v = s.area[v].next
    return E_OK


cdef int lock_area(Kernel k, vma_id v, vpn_t start, vpn_t end, uint32_t flags) noexcept nogil:
    """Gives the part of v in [start, end) other flags; newly locked parts are populated (rule E4)."""
    cdef vpn_t low, high
    if k.s.area[v].flags == flags:
        return E_OK
    cut(k, v, start, end)
    k.s.area[v].flags = flags
    if not flags & VM_LOCKED:
        return E_OK
    low = k.s.area[v].start
    high = k.s.area[v].end
    return populate(k, k.s.area[v].mm, low, high)


cdef int lock_range(Kernel k, mm_id mm, vpn_t start, vpn_t end, bint lock) noexcept nogil:
    cdef State* s = k.s
    cdef vma_id v = find_vma(s, mm, start)
    cdef uint32_t flags
    cdef int status
    while v and s.area[v].start < end:
        flags = s.area[v].flags & ~<uint32_t> VM_LOCKED
        if lock:
            flags |= VM_LOCKED
        status = lock_area(k, v, start, end, flags)
        if status != E_OK:
            return status
        v = s.area[v].next
    return E_OK


cdef int lock_pages(Kernel k, mm_id mm, uint64_t addr, uint64_t length, bint lock) noexcept nogil:
    """mlock and munlock (rule E4)."""
    cdef State* s = k.s
    cdef vpn_t start, end
    cdef int status
    if too_long(s, addr) or too_long(s, length):
        return ENOMEM
    start = addr >> PAGE_SHIFT
    end = round_pages(addr + length)
    if start == end:
        return E_OK
    if end > s.task_vpn or not covered(k, mm, start, end):
        return ENOMEM
    status = room_for_areas(k, mm, splits_of(k, mm, start, end))
    if status != E_OK:
        return status
    return lock_range(k, mm, start, end, lock)


cdef int do_mlock(Kernel k, mm_id mm, uint64_t addr, uint64_t length, uint32_t flags) noexcept nogil:
    """mlock; there is no mlock2 yet."""
    return lock_pages(k, mm, addr, length, True)


cdef int do_munlock(Kernel k, mm_id mm, uint64_t addr, uint64_t length) noexcept nogil:
    return lock_pages(k, mm, addr, length, False)


cdef int do_mlockall(Kernel k, mm_id mm, uint32_t flags) noexcept nogil:
    """mlockall (rule E5)."""
    if flags == 0 or flags & ~<uint32_t> (MCL_CURRENT | MCL_FUTURE):
        return EINVAL
    k.s.mm[mm].def_flags = VM_LOCKED if flags & MCL_FUTURE else 0
    if flags & MCL_CURRENT:
        return lock_range(k, mm, 0, k.s.task_vpn, True)
    return E_OK


cdef int do_munlockall(Kernel k, mm_id mm) noexcept nogil:
    k.s.mm[mm].def_flags = 0
    return lock_range(k, mm, 0, k.s.task_vpn, False)
