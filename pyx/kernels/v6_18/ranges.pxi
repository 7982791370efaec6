"""6.18: mprotect mlock mlockall mbind mseal (rules QE3-QE5, QE10, QE11) [6.18 mm/mprotect.c, mlock.c, mempolicy.c, mseal.c,
vma.c].

   areas       AAAAAABBBBBB....CCCC       every area in the range is given its new properties by itself, ascending:
   range          [==============]        it joins its neighbours if it can, or is cut to the range.
   changed        AAABBBBBB               A hole, a limit, a seal ends the call where it is met; what came before stays changed.
"""
from libc.errno cimport EFAULT, EINVAL, ENOMEM, EPERM
from libc.stdint cimport uint16_t, uint32_t, uint64_t

from rmapcore.pyx.base.ids cimport PAGE_SHIFT, PAGE_SIZE, mm_id, vma_id, vpn_t
from rmapcore.pyx.base.records cimport (
    PKEYS, PKEY_SHIFT, VM_ACCESS, VM_ACCOUNT, VM_DROPPABLE, VM_LOCKED, VM_LOCKONFAULT, VM_NORESERVE, VM_PKEY, VM_SEALED,
    VM_SHARED, VM_WRITE, Area,
)
from rmapcore.pyx.base.state cimport State
from rmapcore.pyx.base.uapi cimport MCL_CURRENT, MCL_FUTURE, MCL_ONFAULT, MLOCK_ONFAULT, POLICIES, PROT_GROWS, PROT_SEM
from rmapcore.pyx.engine.areas cimport Range, covered, merge, range_of
from rmapcore.pyx.engine.arguments cimport round_pages, too_long, unaligned
from rmapcore.pyx.engine.calls cimport cut, growing_range
from rmapcore.pyx.engine.room cimport border_room
from rmapcore.pyx.machine.vmas cimport area_prot, find_vma, has_cache
from rmapcore.pyx.seam.kernel cimport E_BUS, E_OK, E_SEGV, Kernel


cdef int change_area(Kernel k, vma_id* v, Range* r) noexcept nogil:
    """vma_modify: gives a part of an area other properties, those of r. *v: the area that holds it then."""
    cdef State* s = k.s
    cdef vma_id prev = v[0] if s.area[v[0]].start < r.start else s.area[v[0]].prev
    cdef vma_id merged
    cdef int status = border_room(k, s.area[v[0]].mm, r.start, r.end, 1)
    if status != E_OK:
        return status
    merged = merge(k, s.area[v[0]].mm, prev, r)
    if merged:
        v[0] = merged
    else:
        status = cut(k, v[0], r.start, r.end)
    if status == E_OK:
        s.area[v[0]].flags = r.flags
        s.area[v[0]].policy = r.policy
        s.area[v[0]].name = r.name
    return status


cdef int change_flags(Kernel k, vma_id* v, vpn_t start, vpn_t end, uint32_t flags) noexcept nogil:
    """The same where only flags change."""
    cdef Range r = range_of(k, v[0], start, end)
    r.flags = flags
    return change_area(k, v, &r)


cdef int span(Kernel k, uint64_t addr, uint64_t length, vpn_t* start, vpn_t* end) noexcept nogil:
    """The pages of a range that begins at a page; ENOMEM: beyond user space, where nothing is mapped."""
    if unaligned(addr):
        return EINVAL
    if too_long(k.s, addr) or too_long(k.s, length):
        return ENOMEM
    start[0] = addr >> PAGE_SHIFT
    end[0] = start[0] + round_pages(length)
    return E_OK


# mprotect


cdef int protect_area(Kernel k, vma_id* v, vpn_t start, vpn_t end, uint32_t mask, uint32_t flags) noexcept nogil:
    """mprotect_fixup. mask, flags: which flags of the area are replaced, and by which."""
    cdef State* s = k.s
    cdef Area* a = &s.area[v[0]]
    cdef uint32_t old = a.flags
    cdef int status
    flags |= old & ~mask
    if old & VM_SEALED:
        return EPERM
    if flags == old:
        return E_OK
    if flags & VM_WRITE:
        if not old & (VM_ACCOUNT | VM_WRITE | VM_SHARED | VM_NORESERVE):
            flags |= VM_ACCOUNT
    elif not has_cache(s, v[0]) and not a.anon:
        flags &= ~<uint32_t> VM_ACCOUNT
    status = change_flags(k, v, start, end, flags)
    if status != E_OK:
        return status
    change_protection(k, v[0], start, end, area_prot(s, v[0]))
    if flags & VM_WRITE:
        if old & (VM_WRITE | VM_SHARED | VM_LOCKED) == VM_LOCKED:
            status = fill_area(k, v[0], start, end)
            if status != E_SEGV and status != E_BUS:
                return status
    return E_OK


cdef int do_mprotect(Kernel k, mm_id mm, uint64_t addr, uint64_t length, uint32_t prot, uint64_t key) noexcept nogil:
    """mprotect and pkey_mprotect (rules QE3, E3a). key: 0, areas keep theirs; else one more than the key."""
    cdef State* s = k.s
    cdef vpn_t at, end, stop
    cdef uint32_t grows = prot & PROT_GROWS
    cdef uint32_t mask = VM_ACCESS
    cdef uint32_t flags = prot & VM_ACCESS
    cdef vma_id v
    cdef int status
    if grows == PROT_GROWS or unaligned(addr):
        return EINVAL
    if length == 0:
        return E_OK
    if addr + (length + PAGE_SIZE - 1 & ~<uint64_t> (PAGE_SIZE - 1)) <= addr:
        return ENOMEM
    if prot & ~<uint32_t> (VM_ACCESS | PROT_SEM | PROT_GROWS) or key > PKEYS:
        return EINVAL
    if key:
        mask |= VM_PKEY
        flags |= <uint32_t> (key - 1) << PKEY_SHIFT
    status = span(k, addr, length, &at, &end)
    if status == E_OK and grows:
        status = growing_range(k, mm, grows, &at, end)
    if status != E_OK:
        return status
    v = find_vma(s, mm, at)
    while at < end:
        if v == 0 or s.area[v].start > at:
            return ENOMEM
        stop = s.area[v].end if s.area[v].end < end else end
        status = protect_area(k, &v, at, stop, mask, flags)
        if status != E_OK:
            return status
        at = s.area[v].end                     # a merge may have taken in what follows: it has these flags already
        v = s.area[v].next
    return E_OK


# mlock


cdef int lock_range(Kernel k, mm_id mm, vpn_t at, vpn_t end, uint32_t locks) noexcept nogil:
    """apply_vma_lock_flags: these of LOCKED and LOCKONFAULT for every area in a range, up to a hole: ENOMEM."""
    cdef State* s = k.s
    cdef vpn_t stop
    cdef vma_id v = find_vma(s, mm, at)
    cdef uint32_t flags
    cdef int status
    while at < end:
        if v == 0 or s.area[v].start > at:
            return ENOMEM
        stop = s.area[v].end if s.area[v].end < end else end
        flags = s.area[v].flags & ~<uint32_t> (VM_LOCKED | VM_LOCKONFAULT) | locks
        if flags != s.area[v].flags and not s.area[v].flags & VM_DROPPABLE:
            status = change_flags(k, &v, at, stop, flags)
            if status != E_OK:
                return status
        at = s.area[v].end
        v = s.area[v].next
    return E_OK


cdef int lock_span(Kernel k, uint64_t addr, uint64_t length, vpn_t* start, vpn_t* end) noexcept nogil:
    """mlock rounds its start down; ENOMEM: nothing can be mapped there. A length that wraps to nothing is nothing."""
    if round_pages(length + (addr & (PAGE_SIZE - 1))) == 0:
        start[0] = end[0] = 0
        return E_OK
    if too_long(k.s, addr) or too_long(k.s, length):
        return ENOMEM
    start[0] = addr >> PAGE_SHIFT
    end[0] = round_pages(addr + length)
    return E_OK


cdef int do_mlock(Kernel k, mm_id mm, uint64_t addr, uint64_t length, uint32_t flags) noexcept nogil:
    """mlock2 (rule QE4)."""
    cdef vpn_t start, end
    cdef int status
    if flags & ~<uint32_t> MLOCK_ONFAULT:
        return EINVAL
    status = lock_span(k, addr, length, &start, &end)
    if status == E_OK:
        status = lock_range(k, mm, start, end, VM_LOCKED | (VM_LOCKONFAULT if flags & MLOCK_ONFAULT else 0))
    if status == E_OK:
        status = fill_range(k, mm, start, end, False)
    return ENOMEM if status == E_SEGV or status == E_BUS else status


cdef int do_munlock(Kernel k, mm_id mm, uint64_t addr, uint64_t length) noexcept nogil:
    """munlock (rule QE4)."""
    cdef vpn_t start, end
    cdef int status = lock_span(k, addr, length, &start, &end)
    return lock_range(k, mm, start, end, 0) if status == E_OK else status


cdef int lock_areas(Kernel k, mm_id mm, uint32_t locks) noexcept nogil:
    """What mlockall does to every area; the limit of areas cannot be in its way, as it cuts none, but a full arena can."""
    cdef State* s = k.s
    cdef vma_id v = s.mm[mm].first
    cdef uint32_t flags
    cdef int status
    while v:
        flags = s.area[v].flags & ~<uint32_t> (VM_LOCKED | VM_LOCKONFAULT) | locks
        if flags != s.area[v].flags and not s.area[v].flags & VM_DROPPABLE:
            status = change_flags(k, &v, s.area[v].start, s.area[v].end, flags)
            if status != E_OK:
                return status
        v = s.area[v].next
    return E_OK


cdef int do_mlockall(Kernel k, mm_id mm, uint32_t flags) noexcept nogil:
    """mlockall (rule QE5)."""
    cdef uint32_t locks = VM_LOCKED | (VM_LOCKONFAULT if flags & MCL_ONFAULT else 0)
    cdef int status
    if flags == 0 or flags & ~<uint32_t> (MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) or flags == MCL_ONFAULT:
        return EINVAL
    k.s.mm[mm].def_flags = locks if flags & MCL_FUTURE else 0
    if not flags & MCL_CURRENT:
        return E_OK
    status = lock_areas(k, mm, locks)
    if status != E_OK:
        return status
    return fill_range(k, mm, 0, k.s.task_vpn, True)


cdef int do_munlockall(Kernel k, mm_id mm) noexcept nogil:
    """munlockall (rule QE5)."""
    k.s.mm[mm].def_flags = 0
    return lock_areas(k, mm, 0)


# mbind, mseal


cdef int do_mbind(Kernel k, mm_id mm, uint64_t addr, uint64_t length, uint32_t policy) noexcept nogil:
    """mbind (rule QE10)."""
    cdef State* s = k.s
    cdef vpn_t start, end, low, high
    cdef vma_id v
    cdef int status
    cdef Range r
    if policy >= POLICIES:
        return EINVAL
    status = span(k, addr, length, &start, &end)
    if status != E_OK:
        return EINVAL if status == EINVAL else EFAULT if length else E_OK
    if start == end:
        return E_OK
    v = find_vma(s, mm, start)
    if v == 0 or s.area[v].start >= end or (policy and not covered(k, mm, start, end)):
        return EFAULT
    while v and s.area[v].start < end:
        low = s.area[v].start if s.area[v].start > start else start
        high = s.area[v].end if s.area[v].end < end else end
        if s.area[v].policy != policy:
            r = range_of(k, v, low, high)
            r.policy = <uint16_t> policy
            status = change_area(k, &v, &r)
            if status != E_OK:
                return status
        v = s.area[v].next
    return E_OK


cdef int do_mseal(Kernel k, mm_id mm, uint64_t addr, uint64_t length) noexcept nogil:
    """mseal (rule QE11)."""
    cdef State* s = k.s
    cdef vpn_t at, end, stop
    cdef vma_id v
    cdef int status = span(k, addr, length, &at, &end)
    if status != E_OK:
        return EINVAL if status == EINVAL else ENOMEM if length else E_OK
    if at < end and not covered(k, mm, at, end):
        return ENOMEM
    v = find_vma(s, mm, at)
    while at < end:
        stop = s.area[v].end if s.area[v].end < end else end
        if not s.area[v].flags & VM_SEALED:
            status = change_flags(k, &v, at, stop, s.area[v].flags | VM_SEALED)
            if status != E_OK:
                return status
        at = s.area[v].end
        v = s.area[v].next
    return E_OK
