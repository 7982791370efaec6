"""mmap munmap brk truncate, and mprotect mlock madvise of 2.6.7 (rules E1-E8, H4, QE1, QE2, QE6, QE14) [2.6.7 mm/mmap.c,
mprotect.c, mlock.c, madvise.c; 6.18 mm/mmap.c, vma.c]. How 6.18 goes through areas is in ranges.pyx.


Each call: check everything, then change. A status other than 0 means that nothing changed, except OutOfMemory of a
call that populates: the areas then stay as asked for, and what was faulted in stays (as mlock(2) leaves it).
"""
from libc.errno cimport EBADF, EEXIST, EINVAL, ENOMEM, EOVERFLOW, EPERM
from libc.stdint cimport uint32_t, uint64_t

from rmapcore.pyx.base.ids cimport PAGE_SHIFT, PAGE_SIZE, mm_id, slot_t, vma_id, vpn_t
from rmapcore.pyx.base.pool cimport pool_room
from rmapcore.pyx.base.records cimport (
    FILE_SHMEM, P_AREAS, P_EXTENTS, P_FILES, VM_ACCESS, VM_ACCOUNT, VM_DONTDUMP, VM_DROPPABLE, VM_EXEC, VM_GROWSDOWN,
    VM_LOCKED, VM_MAY, VM_MAYSHARE, VM_NONLINEAR, VM_NORESERVE, VM_RAND_READ, VM_READ, VM_SEALED, VM_SEQ_READ, VM_SHARED,
    VM_WIPEONFORK, VM_WRITE, Area, Mm,
)
from rmapcore.pyx.base.state cimport X86_64, State
from rmapcore.pyx.base.x86 cimport PTE_ACCESSED, PTE_DIRTY, page_prot, pte_get, pte_pfn, pte_present, pte_set
from rmapcore.pyx.engine.areas cimport (
    Range, add_area, covered, extend, fresh_range, has_flag, merge, range_of, split, splits_of, unmap,
)
from rmapcore.pyx.engine.populate cimport populate
from rmapcore.pyx.engine.zap cimport KEEP_GUARDS, KEEP_NOTHING, KEEP_SWAP, zap, zap_nonlinear
from rmapcore.pyx.kernels.v2_6_7.calls cimport (
    MADV_DONTNEED, MADV_RANDOM, MADV_SEQUENTIAL, MADV_WILLNEED, MAP_DROPPABLE, MAP_FIXED, MAP_FIXED_NOREPLACE,
    MAP_GROWSDOWN, MAP_LOCKED, MAP_NONBLOCK, MAP_NORESERVE, MAP_POPULATE, MAP_PRIVATE, MAP_SHARED, MAP_TYPE, MCL_CURRENT,
    MCL_FUTURE, PROT_SEM, round_pages, too_long, unaligned,
)
from rmapcore.pyx.machine.files cimport extent_room, file_new, file_pages, file_resize
from rmapcore.pyx.machine.pagetable cimport leaf_run, pt_next
from rmapcore.pyx.machine.vmas cimport find_prev, find_vma, free_range, gap_end, range_is_free
from rmapcore.pyx.seam.kernel cimport E_OK, Engine, full

cdef int room_for_areas(Engine e, mm_id mm, int n) noexcept nogil:
    """0, ENOMEM at the limit of areas, or a full arena. 6.18 lets an mmap go one beyond it (rule QD4)."""
    if e.s.mm[mm].n_areas + n > e.s.rules.most_areas + e.s.rules.calls:
        return ENOMEM
    if not pool_room(e.s, P_AREAS, n):
        return full(e, P_AREAS)
    return E_OK


cdef bint mmap_type(State* s, uint32_t flags, uint32_t file) noexcept nogil:
    """Do the flags of an mmap name one kind of mapping? (rules E1, QE1)"""
    cdef uint32_t kind = flags & MAP_TYPE
    if not s.rules.calls:
        return (flags & MAP_SHARED != 0) != (flags & MAP_PRIVATE != 0)
    if kind == MAP_DROPPABLE:
        return file == 0 and not flags & (MAP_LOCKED | MAP_GROWSDOWN)
    if kind == MAP_SHARED or (kind == MAP_SHARED | MAP_PRIVATE and file):      # the latter: MAP_SHARED_VALIDATE
        return not flags & MAP_GROWSDOWN
    return kind == MAP_PRIVATE and not (file and flags & MAP_GROWSDOWN)


cdef int may_unmap(Engine e, mm_id mm, vpn_t start, vpn_t end) noexcept nogil:
    """What munmap of 6.18 asks first (rules QD4, QE2)."""
    cdef State* s = e.s
    cdef vma_id v = find_vma(s, mm, start)
    if v and s.area[v].start < start and end < s.area[v].end and s.mm[mm].n_areas >= s.rules.most_areas:
        return ENOMEM
    if not pool_room(s, P_AREAS, 2):
        return full(e, P_AREAS)
    if has_flag(e, mm, start, end, VM_SEALED):
        if v and s.area[v].start < start and not s.area[v].flags & VM_SEALED:
            split(e, v, start, False)          # the kernel meets the seal only after it has cut here
        return EPERM
    return E_OK


cdef int do_mmap(Engine e, mm_id mm, uint64_t addr, uint64_t length, uint32_t prot, uint32_t flags, uint32_t file,
                 uint64_t offset) noexcept nogil:
    """mmap (rule E1); file 0: anonymous. The address is e.result."""
    cdef State* s = e.s
    cdef Mm* m = &s.mm[mm]
    cdef uint64_t pages = round_pages(length) if not too_long(s, length) else 0
    cdef uint64_t pgoff = offset >> PAGE_SHIFT
    cdef bint shared = flags & MAP_SHARED
    cdef bint fixed = flags & (MAP_FIXED | MAP_FIXED_NOREPLACE)
    cdef uint32_t vm_flags
    cdef vpn_t at
    cdef vma_id v
    cdef int status
    cdef Range r
    if length == 0 or not mmap_type(s, flags, file) or unaligned(offset):
        return EINVAL
    if fixed and unaligned(addr):
        return EINVAL
    if pages == 0:
        return ENOMEM
    if file and pgoff + pages > <uint64_t> 1 << 51:      # files end at 2^63 bytes
        return EOVERFLOW
    if fixed:
        at = addr >> PAGE_SHIFT
        if at + pages > s.task_vpn:
            return ENOMEM
        v = find_vma(s, mm, at)
        if flags & MAP_FIXED_NOREPLACE and v and s.area[v].start < at + pages:
            return EEXIST
        status = room_for_areas(e, mm, 1 + (0 if s.rules.calls else splits_of(e, mm, at, at + pages)))
        if status == E_OK and s.rules.calls:
            status = may_unmap(e, mm, at, at + pages)
    else:
        status = room_for_areas(e, mm, 1)
        at = 0
        if addr and addr <= s.task_vpn << PAGE_SHIFT:
            at = addr >> PAGE_SHIFT if s.rules.calls else round_pages(addr)
            if not range_is_free(s, mm, at, pages):
                at = 0
        if at == 0:
            at = free_range(s, mm, pages)
            if at == 0:
                return ENOMEM
    if status != E_OK:
        return status
    if shared and file == 0:
        if not pool_room(s, P_FILES, 1):
            return full(e, P_FILES)
        if not extent_room(s, pages):
            return full(e, P_EXTENTS)
    if fixed:
        unmap(e, mm, at, at + pages)
    vm_flags = (prot & VM_ACCESS) | VM_MAY | m.def_flags
    if flags & MAP_GROWSDOWN:
        vm_flags |= VM_GROWSDOWN
    if flags & MAP_LOCKED:
        vm_flags |= VM_LOCKED
    if flags & MAP_NORESERVE and s.rules.calls:
        vm_flags |= VM_NORESERVE
    if flags & MAP_TYPE == MAP_DROPPABLE:
        vm_flags |= VM_DROPPABLE | VM_NORESERVE | VM_WIPEONFORK | VM_DONTDUMP
    if shared:
        vm_flags |= VM_SHARED | VM_MAYSHARE
    elif prot & VM_WRITE and not flags & MAP_NORESERVE and not vm_flags & VM_NORESERVE:
        vm_flags |= VM_ACCOUNT
    if file == 0:
        pgoff = at if e.anon.linear else 0
        if shared:
            file = file_new(s, pages << PAGE_SHIFT, FILE_SHMEM, 0)
            pgoff = 0
    r = fresh_range(at, at + pages, vm_flags, file, pgoff)
    if not merge(e, mm, find_prev(s, mm, at), &r):
        add_area(e, mm, at, at + pages, vm_flags, file, pgoff)
    e.result = at << PAGE_SHIFT
    if vm_flags & VM_LOCKED or (flags & MAP_POPULATE and not (flags & MAP_NONBLOCK and s.rules.calls)):
        return populate(e, mm, at, at + pages)
    return E_OK


cdef int do_munmap(Engine e, mm_id mm, uint64_t addr, uint64_t length) noexcept nogil:
    """munmap (rule E2)."""
    cdef State* s = e.s
    cdef vpn_t start, end
    cdef int status
    if unaligned(addr) or length == 0 or too_long(s, addr) or too_long(s, length):
        return EINVAL
    start = addr >> PAGE_SHIFT
    end = start + round_pages(length)
    if end > s.task_vpn:
        return EINVAL
    if s.rules.calls:
        status = may_unmap(e, mm, start, end)
    else:
        status = room_for_areas(e, mm, splits_of(e, mm, start, end))
    if status == E_OK:
        unmap(e, mm, start, end)
    return status


cdef void change_protection(Engine e, mm_id mm, vpn_t start, vpn_t end, uint64_t prot) noexcept nogil:
    """Gives present entries new protection bits; frame, young and dirty stay (rule E3)."""
    cdef State* s = e.s
    cdef vpn_t vpn = start
    cdef uint64_t entry
    cdef uint32_t n, i
    cdef slot_t slot
    prot &= ~<uint64_t> PTE_ACCESSED
    while True:
        slot = pt_next(s, mm, &vpn, end)
        if slot == 0:
            return
        n = leaf_run(s, vpn, end)
        for i in range(n):
            entry = pte_get(s, slot + i)
            if pte_present(entry):
                pte_set(s, slot + i, (<uint64_t> pte_pfn(s, entry) << PAGE_SHIFT)
                        | entry & (PTE_ACCESSED | PTE_DIRTY) | prot)
        vpn += n


cdef void cut(Engine e, vma_id v, vpn_t start, vpn_t end) noexcept nogil:
    """Splits v so that it covers exactly its part of [start, end): start first (new below), then end (new above)."""
    if e.s.area[v].start < start:
        split(e, v, start, True)
    if e.s.area[v].end > end:
        split(e, v, end, False)


cdef int do_mprotect(Engine e, mm_id mm, uint64_t addr, uint64_t length, uint32_t prot) noexcept nogil:
    """mprotect (rule E3)."""
    cdef State* s = e.s
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
    if end > s.task_vpn or not covered(e, mm, start, end):
        return ENOMEM
    status = room_for_areas(e, mm, splits_of(e, mm, start, end))
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
            r = range_of(e, v, low, high)
            r.flags = flags
            merged = merge(e, mm, prev, &r)
            if merged:
                v = merged
            else:
                cut(e, v, low, high)
            s.area[v].flags = flags
            change_protection(e, mm, low, high, page_prot(s, flags))
        low = s.area[v].end                    # a merge may have taken in what follows: it has these flags already
        prev = v
        v = s.area[v].next
    return E_OK


cdef int lock_area(Engine e, vma_id v, vpn_t start, vpn_t end, uint32_t flags) noexcept nogil:
    """Gives the part of v in [start, end) other flags; newly locked parts are populated (rule E4)."""
    cdef vpn_t low, high
    if e.s.area[v].flags == flags:
        return E_OK
    cut(e, v, start, end)
    e.s.area[v].flags = flags
    if not flags & VM_LOCKED:
        return E_OK
    low = e.s.area[v].start
    high = e.s.area[v].end
    return populate(e, e.s.area[v].mm, low, high)


cdef int lock_range(Engine e, mm_id mm, vpn_t start, vpn_t end, bint lock) noexcept nogil:
    cdef State* s = e.s
    cdef vma_id v = find_vma(s, mm, start)
    cdef uint32_t flags
    cdef int status
    while v and s.area[v].start < end:
        flags = s.area[v].flags & ~<uint32_t> VM_LOCKED
        if lock:
            flags |= VM_LOCKED
        status = lock_area(e, v, start, end, flags)
        if status != E_OK:
            return status
        v = s.area[v].next
    return E_OK


cdef int do_mlock(Engine e, mm_id mm, uint64_t addr, uint64_t length, bint lock) noexcept nogil:
    """mlock and munlock (rule E4)."""
    cdef State* s = e.s
    cdef vpn_t start, end
    cdef int status
    if too_long(s, addr) or too_long(s, length):
        return ENOMEM
    start = addr >> PAGE_SHIFT
    end = round_pages(addr + length)
    if start == end:
        return E_OK
    if end > s.task_vpn or not covered(e, mm, start, end):
        return ENOMEM
    status = room_for_areas(e, mm, splits_of(e, mm, start, end))
    if status != E_OK:
        return status
    return lock_range(e, mm, start, end, lock)


cdef int do_mlockall(Engine e, mm_id mm, uint32_t flags) noexcept nogil:
    """mlockall (rule E5)."""
    if flags == 0 or flags & ~<uint32_t> (MCL_CURRENT | MCL_FUTURE):
        return EINVAL
    e.s.mm[mm].def_flags = VM_LOCKED if flags & MCL_FUTURE else 0
    if flags & MCL_CURRENT:
        return lock_range(e, mm, 0, e.s.task_vpn, True)
    return E_OK


cdef int do_munlockall(Engine e, mm_id mm) noexcept nogil:
    e.s.mm[mm].def_flags = 0
    return lock_range(e, mm, 0, e.s.task_vpn, False)


cdef int do_madvise(Engine e, mm_id mm, uint64_t addr, uint64_t length, uint32_t advice) noexcept nogil:
    """madvise (rule E6)."""
    cdef State* s = e.s
    cdef vpn_t start, end, low, high
    cdef uint32_t flags
    cdef vma_id v
    cdef int status
    if unaligned(addr) or advice > MADV_DONTNEED or addr + length + PAGE_SIZE < addr + PAGE_SIZE:
        return EINVAL
    if length == 0:
        return E_OK
    start = addr >> PAGE_SHIFT
    end = start + round_pages(length)
    v = find_vma(s, mm, start)
    while v and s.area[v].start < end:
        if advice == MADV_DONTNEED and s.area[v].flags & VM_LOCKED:
            return EINVAL
        if advice == MADV_WILLNEED and s.area[v].file == 0:
            return EBADF
        v = s.area[v].next
    if end > s.task_vpn or not covered(e, mm, start, end):
        return ENOMEM
    if advice == MADV_WILLNEED:
        return E_OK
    v = find_vma(s, mm, start)
    if advice == MADV_DONTNEED:
        while v and s.area[v].start < end:
            low = s.area[v].start if s.area[v].start > start else start
            high = s.area[v].end if s.area[v].end < end else end
            if s.area[v].flags & VM_NONLINEAR:
                zap_nonlinear(e, v, low, high, 0)
            else:
                zap(e, v, low, high, KEEP_NOTHING)
            v = s.area[v].next
        return E_OK
    status = room_for_areas(e, mm, splits_of(e, mm, start, end))
    if status != E_OK:
        return status
    while v and s.area[v].start < end:
        flags = s.area[v].flags & ~<uint32_t> (VM_RAND_READ | VM_SEQ_READ)
        if advice == MADV_RANDOM:
            flags |= VM_RAND_READ
        elif advice == MADV_SEQUENTIAL:
            flags |= VM_SEQ_READ
        cut(e, v, start, end)                  # 2.6.7 splits even if the advice is nothing new
        s.area[v].flags = flags
        v = s.area[v].next
    return E_OK


cdef int do_brk(Engine e, mm_id mm, uint64_t addr) noexcept nogil:
    """brk (rule E7); 0 asks. The break is e.result."""
    cdef State* s = e.s
    cdef Mm* m = &s.mm[mm]
    cdef vpn_t old, new
    cdef uint32_t flags
    cdef vma_id v
    cdef int status
    cdef Range r
    e.result = m.brk
    if addr == 0:
        return E_OK
    if addr < m.start_brk or too_long(s, addr):
        return ENOMEM
    old = round_pages(m.brk)
    new = round_pages(addr)
    if new < old:
        v = find_vma(s, mm, new)
        if s.rules.calls and (v == 0 or s.area[v].start >= old):
            return ENOMEM
        if s.rules.calls:
            status = may_unmap(e, mm, new, old)
        else:
            status = room_for_areas(e, mm, splits_of(e, mm, new, old))
        if status != E_OK:
            return status
        unmap(e, mm, new, old)
    elif new > old:
        v = find_vma(s, mm, old)
        if new > s.task_vpn or (v and gap_end(s, v) < new + 1):
            return ENOMEM
        status = room_for_areas(e, mm, 1)
        if status != E_OK:
            return status
        flags = VM_READ | VM_WRITE | VM_MAY | VM_ACCOUNT | m.def_flags
        if s.arch != X86_64 and not s.rules.calls:
            flags |= VM_EXEC
        r = fresh_range(old, new, flags, 0, old if e.anon.linear else 0)
        v = extend(e, find_prev(s, mm, old), &r) if s.rules.calls else merge(e, mm, find_prev(s, mm, old), &r)
        if v == 0:
            add_area(e, mm, old, new, flags, 0, old if e.anon.linear else 0)
    m.brk = addr
    e.result = addr
    if new > old and m.def_flags & VM_LOCKED:
        return populate(e, mm, old, new)
    return E_OK


cdef int do_setbrk(Engine e, mm_id mm, uint64_t addr) noexcept nogil:
    """Places the heap of a replayed process: its start and, empty, its break."""
    if unaligned(addr) or too_long(e.s, addr):
        return EINVAL
    e.s.mm[mm].start_brk = addr
    e.s.mm[mm].brk = addr
    return E_OK


cdef int do_truncate(Engine e, uint32_t file, uint64_t size) noexcept nogil:
    """ftruncate (rule H4): pages wholly beyond a smaller end leave every page table, then the page cache."""
    cdef State* s = e.s
    cdef uint64_t old = file_pages(s, file)
    cdef uint64_t new
    cdef uint64_t first
    cdef vma_id v
    cdef Area* a
    if size > <uint64_t> 1 << 62:
        return full(e, P_EXTENTS)
    new = round_pages(size)
    if new > old and new > <uint64_t> 1 << s.file[file].order and not extent_room(s, new):
        return full(e, P_EXTENTS)
    if new < old:
        v = s.file[file].areas
        while v:
            a = &s.area[v]
            if a.flags & VM_NONLINEAR:
                zap_nonlinear(e, v, a.start, a.end, new)
            elif a.pgoff + (a.end - a.start) > new:
                first = a.start if a.pgoff >= new else a.start + (new - a.pgoff)
                zap(e, v, first, a.end, KEEP_GUARDS if s.rules.calls else KEEP_SWAP)
            v = a.fnext
    file_resize(s, file, size)
    return E_OK
