"""6.18: madvise and names (rules QE9, QE15) [6.18 mm/madvise.c]: what they do to areas, and to the entries of one area.

Areas are taken ascending; holes are passed over and make the call fail with ENOMEM in the end. What it does to pages by way of
reclaim (FREE, COLD, PAGEOUT) is in pageout.pxi.
"""
from libc.errno cimport EACCES, EAGAIN, EBADF, EFAULT, EINVAL, ENOMEM, EPERM
from libc.stdint cimport uint16_t, uint32_t, uint64_t

from rmapcore.pyx.base.ids cimport PAGE_SHIFT, PAGE_SIZE, mm_id, slot_t, vma_id, vpn_t
from rmapcore.pyx.base.records cimport (
    FILE_SHMEM, NAMES, VM_DONTCOPY, VM_DONTDUMP, VM_DROPPABLE, VM_HUGEPAGE, VM_LOCKED, VM_MAYSHARE, VM_MAYWRITE,
    VM_MERGEABLE, VM_NOHUGEPAGE, VM_RAND_READ, VM_READ, VM_SEALED, VM_SEQ_READ, VM_SHARED, VM_WIPEONFORK, VM_WRITE, Area,
)
from rmapcore.pyx.base.state cimport State
from rmapcore.pyx.base.uapi cimport (
    MADV_COLLAPSE, MADV_DODUMP, MADV_DOFORK, MADV_DONTDUMP, MADV_DONTFORK, MADV_DONTNEED, MADV_DONTNEED_LOCKED, MADV_FREE,
    MADV_GUARD_INSTALL, MADV_GUARD_REMOVE, MADV_HUGEPAGE, MADV_KEEPONFORK, MADV_MERGEABLE, MADV_NOHUGEPAGE, MADV_NORMAL,
    MADV_POPULATE_READ, MADV_POPULATE_WRITE, MADV_RANDOM, MADV_REMOVE, MADV_SEQUENTIAL, MADV_UNMERGEABLE, MADV_WILLNEED,
    MADV_WIPEONFORK,
)
from rmapcore.pyx.base.x86 cimport PTE_GUARD, pte_get, pte_is_guard, pte_set
from rmapcore.pyx.engine.areas cimport Range, range_of
from rmapcore.pyx.engine.arguments cimport round_pages, too_long, unaligned
from rmapcore.pyx.engine.mapping cimport prepare
from rmapcore.pyx.engine.room cimport tables_room
from rmapcore.pyx.machine.files cimport file_drop_range, file_pages
from rmapcore.pyx.machine.pagetable cimport leaf_run, pt_alloc, pt_next
from rmapcore.pyx.machine.vmas cimport find_vma, has_cache
from rmapcore.pyx.seam.kernel cimport E_BUS, E_OK, E_SEGV, KEEP_ANON, KEEP_MARKS, KEEP_NOTHING, KEEP_SWAP, Kernel, prepare_room


cdef inline bint is_known(uint32_t advice) noexcept nogil:
    return (advice <= MADV_DONTNEED or MADV_FREE <= advice <= MADV_COLLAPSE
            or advice == MADV_GUARD_INSTALL or advice == MADV_GUARD_REMOVE)


cdef inline bint discards(uint32_t advice) noexcept nogil:
    """What a seal forbids where nobody could have written the pages away."""
    return (advice == MADV_DONTNEED or advice == MADV_DONTNEED_LOCKED or advice == MADV_FREE or advice == MADV_REMOVE
            or advice == MADV_DONTFORK or advice == MADV_WIPEONFORK or advice == MADV_GUARD_INSTALL)


cdef int advise_flags(Kernel k, vma_id* v, vpn_t start, vpn_t end, uint32_t advice) noexcept nogil:
    """Advice that is nothing but flags of the area. -1: it is another kind."""
    cdef Area* a = &k.s.area[v[0]]
    cdef uint32_t flags = a.flags
    cdef int status
    if advice == MADV_NORMAL:
        flags &= ~<uint32_t> (VM_RAND_READ | VM_SEQ_READ)
    elif advice == MADV_RANDOM:
        flags = flags & ~<uint32_t> VM_SEQ_READ | VM_RAND_READ
    elif advice == MADV_SEQUENTIAL:
        flags = flags & ~<uint32_t> VM_RAND_READ | VM_SEQ_READ
    elif advice == MADV_DONTFORK:
        flags |= VM_DONTCOPY
    elif advice == MADV_DOFORK:
        flags &= ~<uint32_t> VM_DONTCOPY
    elif advice == MADV_WIPEONFORK:
        if a.file:
            return EINVAL
        flags |= VM_WIPEONFORK
    elif advice == MADV_KEEPONFORK:
        if flags & VM_DROPPABLE:
            return EINVAL
        flags &= ~<uint32_t> VM_WIPEONFORK
    elif advice == MADV_DONTDUMP:
        flags |= VM_DONTDUMP
    elif advice == MADV_DODUMP:
        if flags & VM_DROPPABLE:
            return EINVAL
        flags &= ~<uint32_t> VM_DONTDUMP
    elif advice == MADV_HUGEPAGE:
        flags = flags & ~<uint32_t> VM_NOHUGEPAGE | VM_HUGEPAGE
    elif advice == MADV_NOHUGEPAGE:
        flags = flags & ~<uint32_t> VM_HUGEPAGE | VM_NOHUGEPAGE
    elif advice == MADV_MERGEABLE:
        if not flags & (VM_MAYSHARE | VM_DROPPABLE):
            flags |= VM_MERGEABLE
    elif advice == MADV_UNMERGEABLE:
        flags &= ~<uint32_t> VM_MERGEABLE
    else:
        return -1
    if flags == a.flags:
        return E_OK
    status = change_flags(k, v, start, end, flags)
    return EAGAIN if status == ENOMEM else status


cdef inline bint shows(Area* a, uint64_t first, uint64_t last, vpn_t* low, vpn_t* high) noexcept nogil:
    """Does an area show some of the pages [first, last) of its file? Where."""
    if a.pgoff >= last or first >= a.pgoff + (a.end - a.start):
        return False
    low[0] = a.start + (first - a.pgoff if first > a.pgoff else 0)
    high[0] = a.start + (last - a.pgoff)
    if high[0] > a.end:
        high[0] = a.end
    return True


cdef void remove_pages(Kernel k, uint32_t file, uint64_t first, uint64_t last) noexcept nogil:
    """A hole in the file: every area loses the pages [first, last) of it, private copies stay."""
    cdef State* s = k.s
    cdef vma_id w = s.file[file].areas
    cdef vpn_t low, high
    if k.account is not None:
        k.account.file_unmaps(file, True)
    while w:
        if shows(&s.area[w], first, last, &low, &high):
            zap(k, w, low, high, KEEP_ANON | KEEP_SWAP | KEEP_MARKS)
        w = s.area[w].fnext
    if k.account is not None:
        k.account.file_unmaps(file, False)
    if last > file_pages(s, file):
        last = file_pages(s, file)
    if first < last:
        file_drop_range(s, file, first, last)


cdef int advise_remove(Kernel k, vma_id v, vpn_t start, vpn_t end) noexcept nogil:
    """MADV_REMOVE."""
    cdef Area* a = &k.s.area[v]
    cdef uint64_t first = a.pgoff + (start - a.start)
    if a.file == 0:
        return EINVAL
    if a.flags & (VM_SHARED | VM_MAYWRITE) != VM_SHARED | VM_MAYWRITE:
        return EACCES
    remove_pages(k, a.file, first, first + (end - start))
    return E_OK


cdef int punch_hole(Kernel k, uint32_t file, uint64_t start, uint64_t length) noexcept nogil:
    """fallocate(FALLOC_FL_PUNCH_HOLE): pages wholly in the range go, the two at its ends are only overwritten."""
    cdef uint64_t first = round_pages(start)
    cdef uint64_t last = (start + length) >> PAGE_SHIFT
    if length == 0 or start + length < start or (start + length) >> 62:
        return EINVAL
    if first < last:
        remove_pages(k, file, first, last)
    return E_OK


cdef int install_guards(Kernel k, vma_id v, vpn_t start, vpn_t end) noexcept nogil:
    """MADV_GUARD_INSTALL: the pages go, no access is allowed any more. fork copies markers, so it must know the area."""
    cdef State* s = k.s
    cdef vpn_t vpn
    cdef int status = tables_room(k, start, end - start, end - start)
    if status == E_OK and not has_cache(s, v):
        status = prepare_room(k, v)
    if status != E_OK:
        return status
    if not has_cache(s, v):
        prepare(k, v)
    s.area[v].guards = 1
    zap(k, v, start, end, KEEP_NOTHING)
    for vpn in range(start, end):
        pte_set(s, pt_alloc(s, s.area[v].mm, vpn), PTE_GUARD)
    return E_OK


cdef void remove_guards(Kernel k, vma_id v, vpn_t start, vpn_t end) noexcept nogil:
    cdef State* s = k.s
    cdef vpn_t vpn = start
    cdef uint32_t n, i
    cdef slot_t slot
    while True:
        slot = pt_next(s, s.area[v].mm, &vpn, end)
        if slot == 0:
            return
        n = leaf_run(s, vpn, end)
        for i in range(n):
            if pte_is_guard(s, pte_get(s, slot + i)):
                pte_set(s, slot + i, 0)
        vpn += n


cdef int advise_populate(Kernel k, vma_id v, vpn_t start, vpn_t end, bint write) noexcept nogil:
    """MADV_POPULATE_READ and _WRITE for one area."""
    cdef int status
    if not k.s.area[v].flags & (VM_WRITE if write else VM_READ):
        return EINVAL
    status = fill(k, v, start, end, write)
    return EFAULT if status == E_SEGV or status == E_BUS else status


cdef int advise(Kernel k, vma_id* v, vpn_t start, vpn_t end, uint32_t advice) noexcept nogil:
    """One area's part. *v: the area that holds it then."""
    cdef uint32_t flags = k.s.area[v[0]].flags
    cdef int status
    if flags & VM_SEALED and not flags & VM_WRITE and not has_cache(k.s, v[0]) and discards(advice):
        return EPERM
    status = advise_flags(k, v, start, end, advice)
    if status >= 0:
        return status
    if advice == MADV_COLLAPSE:
        return EINVAL                          # as for a process without huge pages
    if advice == MADV_WILLNEED:
        return E_OK
    if advice == MADV_POPULATE_READ or advice == MADV_POPULATE_WRITE:
        return advise_populate(k, v[0], start, end, advice == MADV_POPULATE_WRITE)
    if advice == MADV_GUARD_REMOVE:
        remove_guards(k, v[0], start, end)
        return E_OK
    if flags & VM_LOCKED and advice != MADV_DONTNEED_LOCKED:
        return EINVAL
    if advice == MADV_DONTNEED or advice == MADV_DONTNEED_LOCKED:
        zap(k, v[0], start, end, KEEP_MARKS)
        free_leaves(k, v[0], start, end)
        return E_OK
    if advice == MADV_REMOVE:
        return advise_remove(k, v[0], start, end)
    if advice == MADV_GUARD_INSTALL:
        return install_guards(k, v[0], start, end)
    if advice == MADV_FREE and has_cache(k.s, v[0]):
        return EINVAL
    advise_pages(k, v[0], start, end, advice)
    return E_OK


cdef int do_madvise(Kernel k, mm_id mm, uint64_t addr, uint64_t length, uint32_t advice) noexcept nogil:
    """madvise (rule QE9)."""
    cdef State* s = k.s
    cdef bint populates = advice == MADV_POPULATE_READ or advice == MADV_POPULATE_WRITE
    cdef vpn_t at, end, stop
    cdef vma_id v
    cdef int status
    cdef int missing = E_OK
    if not is_known(advice) or unaligned(addr):
        return EINVAL
    if length == 0:
        return E_OK
    if too_long(s, addr) or too_long(s, length):
        return EINVAL if addr + length + 4095 < addr else ENOMEM
    at = addr >> PAGE_SHIFT
    end = at + round_pages(length)
    while at < end:
        v = find_vma(s, mm, at)
        if v == 0:
            return ENOMEM
        if s.area[v].start > at:
            missing = ENOMEM
            at = s.area[v].start
            if populates or at >= end:
                return ENOMEM
        stop = s.area[v].end if s.area[v].end < end else end
        status = advise(k, &v, at, stop, advice)
        if status != E_OK:
            return status
        at = stop
    return missing


cdef int do_name_area(Kernel k, mm_id mm, uint64_t addr, uint64_t length, uint64_t name) noexcept nogil:
    """prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME) (rule QE15)."""
    cdef State* s = k.s
    cdef vpn_t at = addr >> PAGE_SHIFT
    cdef vpn_t end = at + (length >> PAGE_SHIFT) + (length & (PAGE_SIZE - 1) != 0)
    cdef vma_id v
    cdef Range r
    cdef int status
    cdef int missing = E_OK
    if unaligned(addr) or end >> (64 - PAGE_SHIFT) or name > NAMES:
        return EINVAL
    while at < end:
        v = find_vma(s, mm, at)
        if v == 0 or s.area[v].start >= end:
            return ENOMEM
        if s.area[v].start > at:
            missing = ENOMEM
            at = s.area[v].start
        r = range_of(k, v, at, s.area[v].end if s.area[v].end < end else end)
        if r.file and s.file[r.file].kind != FILE_SHMEM:
            return EBADF
        if r.name != name:
            r.name = <uint16_t> name
            status = change_area(k, &v, &r)
            if status != E_OK:
                return EAGAIN if status == ENOMEM else status
        at = r.end
    return missing
