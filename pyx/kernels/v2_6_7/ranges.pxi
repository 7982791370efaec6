"""2.6.7: mprotect mlock mlockall (rules D7a, E3-E5) [2.6.7 mm/mprotect.c, mlock.c].

   areas       AAAAAABBBBBB....CCCC       every area in the range is changed by itself, ascending; a hole or the limit of areas
   range          [==============]        ends the call where it is met, and what came before stays changed.
   changed        AAABBBBBB               Areas join their neighbours in mprotect only.
"""
from libc.errno cimport EAGAIN, EFAULT, EINVAL, ENOMEM, EPERM
from libc.stdint cimport uint32_t, uint64_t

from rmapcore.pyx.base.ids cimport PAGE_SHIFT, PAGE_SIZE, mm_id, vma_id, vpn_t
from rmapcore.pyx.base.records cimport VM_ACCESS, VM_ACCOUNT, VM_LOCKED, VM_NONLINEAR, VM_READ, VM_SHARED, VM_WRITE, Area
from rmapcore.pyx.base.state cimport State
from rmapcore.pyx.base.uapi cimport MCL_CURRENT, MCL_FUTURE, PROT_GROWS, PROT_SEM
from rmapcore.pyx.base.x86 cimport page_prot
from rmapcore.pyx.engine.areas cimport Range, merge, range_of
from rmapcore.pyx.engine.arguments cimport round_pages, smaller, too_long, unaligned
from rmapcore.pyx.engine.calls cimport cut, growing_range
from rmapcore.pyx.engine.room cimport border_room
from rmapcore.pyx.machine.files cimport file_pages
from rmapcore.pyx.machine.vmas cimport find_vma
from rmapcore.pyx.seam.kernel cimport E_OK, Kernel


cdef int cut_or_again(Kernel k, vma_id v, vpn_t start, vpn_t end) noexcept nogil:
    """cut for mlock and madvise, which say EAGAIN for ENOMEM."""
    cdef int status = cut(k, v, start, end)
    return EAGAIN if status == ENOMEM else status


cdef int protect_area(Kernel k, vma_id* v, vpn_t start, vpn_t end, uint32_t prot) noexcept nogil:
    """mprotect_fixup: the part [start, end) of an area. *v: the area that holds it then."""
    cdef State* s = k.s
    cdef Area* a = &s.area[v[0]]
    cdef uint32_t flags = (prot & VM_ACCESS) | a.flags & ~<uint32_t> VM_ACCESS
    cdef vma_id prev = v[0] if a.start < start else a.prev
    cdef vma_id merged
    cdef int status
    cdef Range r
    if flags & VM_WRITE and not a.flags & (VM_ACCOUNT | VM_WRITE | VM_SHARED):
        flags |= VM_ACCOUNT
    if flags == a.flags:
        return E_OK
    r = range_of(k, v[0], start, end)
    r.flags = flags
    status = border_room(k, a.mm, start, end, 1)
    if status != E_OK:
        return status
    merged = merge(k, a.mm, prev, &r)
    if merged:
        v[0] = merged
    else:
        status = cut(k, v[0], start, end)
        if status != E_OK:
            return status
    s.area[v[0]].flags = flags
    change_protection(k, v[0], start, end, page_prot(s, flags))
    return E_OK


cdef int do_mprotect(Kernel k, mm_id mm, uint64_t addr, uint64_t length, uint32_t prot, uint64_t key) noexcept nogil:
    """mprotect (rules E3, E3a). It knows no keys: pkey_mprotect of a newer kernel's recording is taken for mprotect."""
    cdef State* s = k.s
    cdef vpn_t at, end
    cdef vma_id v
    cdef uint32_t grows = prot & PROT_GROWS
    cdef int status
    if unaligned(addr) or grows == PROT_GROWS or prot & ~<uint32_t> (VM_ACCESS | PROT_SEM | PROT_GROWS):
        return EINVAL
    if length == 0:
        return E_OK
    if too_long(s, addr):
        return ENOMEM
    at = addr >> PAGE_SHIFT
    end = at + pages_of(s, length)
    if grows:
        status = growing_range(k, mm, grows, &at, end)
        if status != E_OK:
            return status
    v = find_vma(s, mm, at)
    while at < end:
        if v == 0 or s.area[v].start > at:
            return ENOMEM
        status = protect_area(k, &v, at, smaller(s.area[v].end, end), prot)
        if status != E_OK:
            return status
        at = s.area[v].end                     # a merge may have taken in what follows: it has these flags already
        v = s.area[v].next
    return E_OK


cdef inline uint64_t pages_of(State* s, uint64_t length) noexcept nogil:
    """Bytes to pages, rounded up, and of more than user space so many that there is a hole among them."""
    return s.task_vpn + 1 if too_long(s, length) else round_pages(length)


cdef int all_present(Kernel k, vma_id v) noexcept nogil:
    """What make_pages_present says of a whole area: EFAULT if it brought in none, EPERM if not all (rule E4)."""
    cdef State* s = k.s
    cdef Area* a = &s.area[v]
    cdef uint64_t pages
    if not a.flags & (VM_READ | VM_WRITE):
        return EFAULT
    if a.file == 0 or a.flags & VM_NONLINEAR:
        return E_OK
    pages = file_pages(s, a.file)
    if a.pgoff >= pages:
        return EFAULT
    return EPERM if a.end - a.start > pages - a.pgoff else E_OK


cdef int lock_area(Kernel k, vma_id v, vpn_t start, vpn_t end, bint lock) noexcept nogil:
    """mlock_fixup: locks or unlocks the part of v in [start, end), and populates what is newly locked."""
    cdef State* s = k.s
    cdef uint32_t flags = s.area[v].flags | VM_LOCKED if lock else s.area[v].flags & ~<uint32_t> VM_LOCKED
    cdef int status
    if s.area[v].flags == flags:
        return E_OK
    status = cut_or_again(k, v, start, end)
    if status != E_OK:
        return status
    s.area[v].flags = flags
    if not lock:
        return E_OK
    status = populate(k, s.area[v].mm, s.area[v].start, s.area[v].end)
    return all_present(k, v) if status == E_OK else status


cdef int lock_pages(Kernel k, mm_id mm, uint64_t addr, uint64_t length, bint lock) noexcept nogil:
    """mlock and munlock (rule E4)."""
    cdef State* s = k.s
    cdef vpn_t at, end
    cdef vma_id v
    cdef int status
    if too_long(s, addr):
        return ENOMEM
    at = addr >> PAGE_SHIFT
    end = at + pages_of(s, length + (addr & (PAGE_SIZE - 1)) if not too_long(s, length) else length)
    v = find_vma(s, mm, at)
    while at < end:
        if v == 0 or s.area[v].start > at:
            return ENOMEM
        status = lock_area(k, v, at, end, lock)
        if status != E_OK:
            return status
        at = s.area[v].end
        v = s.area[v].next
    return E_OK


cdef int lock_all(Kernel k, mm_id mm, bint lock) noexcept nogil:
    """do_mlockall: every area; what keeps one from being populated is passed over, unless memory ran out (rule E5)."""
    cdef State* s = k.s
    cdef vma_id v = s.mm[mm].first
    cdef int status
    while v:
        status = lock_area(k, v, s.area[v].start, s.area[v].end, lock)
        if status != E_OK and status != EFAULT and status != EPERM:
            return status
        v = s.area[v].next
    return E_OK


cdef int do_mlock(Kernel k, mm_id mm, uint64_t addr, uint64_t length, uint32_t flags) noexcept nogil:
    """mlock; there is no mlock2 yet."""
    return lock_pages(k, mm, addr, length, True) if flags == 0 else EINVAL


cdef int do_munlock(Kernel k, mm_id mm, uint64_t addr, uint64_t length) noexcept nogil:
    return lock_pages(k, mm, addr, length, False)


cdef int do_mlockall(Kernel k, mm_id mm, uint32_t flags) noexcept nogil:
    """mlockall (rule E5)."""
    if flags == 0 or flags & ~<uint32_t> (MCL_CURRENT | MCL_FUTURE):
        return EINVAL
    k.s.mm[mm].def_flags = VM_LOCKED if flags & MCL_FUTURE else 0
    return lock_all(k, mm, flags & MCL_CURRENT)


cdef int do_munlockall(Kernel k, mm_id mm) noexcept nogil:
    k.s.mm[mm].def_flags = 0
    return lock_all(k, mm, False)
