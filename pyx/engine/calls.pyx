"""mmap munmap brk truncate (rules E1, E2, E7, H4, QE1, QE2, QE6, QE14) [2.6.7 mm/mmap.c, mm/memory.c; 6.18 mm/mmap.c, vma.c].

A kernel says what may be mapped and unmapped, where and as what, and what truncation does to an area (seam/kernel.pxd).

Each call: check everything, then change. A status other than 0 means that nothing changed, except OutOfMemory and ArenaFull
of a call that populates: the areas then stay as asked for, and what was faulted in stays (as mlock(2) leaves it; rule A6).
"""
from libc.errno cimport EEXIST, EINVAL, ENOMEM, EOVERFLOW
from libc.stdint cimport uint32_t, uint64_t

from rmapcore.pyx.base.ids cimport PAGE_SHIFT, mm_id, vma_id, vpn_t
from rmapcore.pyx.base.pool cimport pool_room
from rmapcore.pyx.base.records cimport (
    FILE_SHMEM, FILE_ZERO, P_AREAS, P_EXTENTS, P_FILES, VM_ACCESS, VM_ACCOUNT, VM_GROWSDOWN, VM_LOCKED, VM_MAY, VM_MAYSHARE,
    VM_NORESERVE, VM_SHARED, VM_WRITE, Mm,
)
from rmapcore.pyx.base.state cimport State
from rmapcore.pyx.base.uapi cimport (
    MAP_FIXED, MAP_FIXED_NOREPLACE, MAP_GROWSDOWN, MAP_LOCKED, MAP_NORESERVE, MAP_SHARED, PROT_GROWSDOWN,
)
from rmapcore.pyx.engine.areas cimport Range, add_area, fresh_range, merge, split, unmap_areas
from rmapcore.pyx.engine.arguments cimport round_pages, too_long, unaligned
from rmapcore.pyx.engine.room cimport border_room
from rmapcore.pyx.machine.files cimport extent_room, file_new, file_pages, file_resize
from rmapcore.pyx.machine.vmas cimport find_prev, find_vma
from rmapcore.pyx.seam.kernel cimport E_OK, Kernel, full


cdef int room_for_areas(Kernel k, mm_id mm, int n) noexcept nogil:
    """0, ENOMEM at the limit of areas, or a full arena."""
    if k.s.mm[mm].n_areas + n > k.s.most_areas + k.spare_areas:
        return ENOMEM
    if not pool_room(k.s, P_AREAS, n):
        return full(k, P_AREAS)
    return E_OK


cdef int cut_at(Kernel k, vma_id v, vpn_t at, bint new_below) noexcept nogil:
    """split_vma, which the limit of areas may refuse (rules D7a, QD4)."""
    if k.s.mm[k.s.area[v].mm].n_areas >= k.s.most_areas:
        return ENOMEM
    split(k, v, at, new_below)
    return E_OK


cdef int cut(Kernel k, vma_id v, vpn_t start, vpn_t end) noexcept nogil:
    """Splits v so that it covers exactly its part of [start, end): start first (new below), then end (new above)."""
    cdef int cuts = (k.s.area[v].start < start) + (k.s.area[v].end > end)
    cdef int status = E_OK
    if cuts:
        if not pool_room(k.s, P_AREAS, cuts):
            return full(k, P_AREAS)
        status = border_room(k, k.s.area[v].mm, start, end, cuts)
    if status != E_OK:
        return status
    if k.s.area[v].start < start:
        status = cut_at(k, v, start, True)
    if status == E_OK and k.s.area[v].end > end:
        status = cut_at(k, v, end, False)
    return status


cdef int room_for_mapping(Kernel k, mm_id mm, uint64_t pages, bint makes_file, bint fixed) noexcept nogil:
    """The same for an mmap, which may need a file of its own, and cut at two borders."""
    cdef int status = room_for_areas(k, mm, 1)
    if status != E_OK:
        return status
    if fixed and not pool_room(k.s, P_AREAS, 3):
        return full(k, P_AREAS)
    if makes_file and not pool_room(k.s, P_FILES, 1):
        return full(k, P_FILES)
    return full(k, P_EXTENTS) if makes_file and not extent_room(k.s, pages) else E_OK


cdef bint range_is_free(Kernel k, mm_id mm, vpn_t at, uint64_t pages) noexcept nogil:
    """May a new area lie there? Within user space, and in nobody's way."""
    cdef vma_id v = find_vma(k.s, mm, at)
    return at + pages <= k.s.task_vpn and (v == 0 or k.gap_end(v) >= at + pages)


cdef int do_mmap(Kernel k, mm_id mm, uint64_t addr, uint64_t length, uint32_t prot, uint32_t flags, uint32_t file,
                 uint64_t offset) noexcept nogil:
    """mmap (rule E1); file 0: anonymous. The address is k.result."""
    cdef State* s = k.s
    cdef Mm* m = &s.mm[mm]
    cdef uint64_t pages = round_pages(length) if not too_long(s, length) else 0
    cdef uint64_t pgoff = offset >> PAGE_SHIFT
    cdef bint shared = flags & MAP_SHARED
    cdef bint fixed = flags & (MAP_FIXED | MAP_FIXED_NOREPLACE)
    cdef uint32_t vm_flags
    cdef bint fills
    cdef vpn_t at
    cdef vma_id v
    cdef int status
    cdef Range r
    if length == 0 or unaligned(offset):
        return EINVAL
    if pages == 0:
        return ENOMEM
    status = room_for_mapping(k, mm, pages, shared and (file == 0 or s.file[file].kind == FILE_ZERO), fixed)
    if status != E_OK:
        return status                          # before the search, which may leave a mark
    if fixed:
        at = addr >> PAGE_SHIFT
        if pages > s.task_vpn or addr > (s.task_vpn - pages) << PAGE_SHIFT:
            return ENOMEM
        if unaligned(addr):
            return EINVAL
        v = find_vma(s, mm, at)
        if flags & MAP_FIXED_NOREPLACE and v and s.area[v].start < at + pages:
            return EEXIST
    else:
        at = k.choose_range(mm, addr, pages, file, flags, pgoff)
        if at == 0:
            return ENOMEM
    if file and pgoff + pages >= <uint64_t> 1 << 51:      # files end at 2^63 - 1 bytes
        return EOVERFLOW
    if not k.mapping_kind(flags, file, &vm_flags, &fills):
        return EINVAL
    if shared and file and s.file[file].kind == FILE_ZERO:
        file = 0                               # shared anonymous memory by another name
    status = border_room(k, mm, at, at + pages, 3 if fixed else 1)     # two cuts, and what lies behind joins what lies before
    if status != E_OK:
        return status
    if fixed:
        status = k.may_unmap(mm, at, at + pages)
        if status != E_OK:
            return status
        unmap_areas(k, mm, at, at + pages)
    vm_flags |= (prot & VM_ACCESS) | VM_MAY | m.def_flags
    if flags & MAP_GROWSDOWN:
        vm_flags |= VM_GROWSDOWN
    if flags & MAP_LOCKED:
        vm_flags |= VM_LOCKED
    if shared:
        vm_flags |= VM_SHARED | VM_MAYSHARE
    elif prot & VM_WRITE and not flags & MAP_NORESERVE and not vm_flags & VM_NORESERVE:
        vm_flags |= VM_ACCOUNT
    if file == 0:
        pgoff = at if k.anon.linear else 0
        if shared:
            file = file_new(s, pages << PAGE_SHIFT, FILE_SHMEM, 0)
            pgoff = 0
    r = fresh_range(k, at, at + pages, vm_flags, file, pgoff)
    if not merge(k, mm, find_prev(s, mm, at), &r):
        add_area(k, mm, at, at + pages, vm_flags, file, pgoff)
    k.result = at << PAGE_SHIFT
    if vm_flags & VM_LOCKED or fills:
        return k.populate(mm, at, at + pages)
    return E_OK


cdef int do_munmap(Kernel k, mm_id mm, uint64_t addr, uint64_t length) noexcept nogil:
    """munmap (rule E2)."""
    cdef State* s = k.s
    cdef vpn_t start, end
    cdef int status
    if unaligned(addr) or length == 0 or too_long(s, addr) or too_long(s, length):
        return EINVAL
    start = addr >> PAGE_SHIFT
    end = start + round_pages(length)
    if end > s.task_vpn:
        return EINVAL
    status = k.may_unmap(mm, start, end)
    if status == E_OK:
        unmap_areas(k, mm, start, end)
    return status


cdef int do_brk(Kernel k, mm_id mm, uint64_t addr) noexcept nogil:
    """brk (rule E7); 0 asks. The break is k.result."""
    cdef State* s = k.s
    cdef Mm* m = &s.mm[mm]
    cdef vpn_t old, new
    cdef vma_id v
    cdef int status
    k.result = m.brk
    if addr == 0:
        return E_OK
    if addr < m.start_brk or too_long(s, addr):
        return ENOMEM
    old = round_pages(m.brk)
    new = round_pages(addr)
    if new < old:
        status = k.may_shrink_heap(mm, new, old)
        if status != E_OK:
            return status
        unmap_areas(k, mm, new, old)
    elif new > old:
        v = find_vma(s, mm, old)
        if new > s.task_vpn or (v and k.gap_end(v) < new + 1):
            return ENOMEM
        status = room_for_areas(k, mm, 1)
        if status == E_OK:
            status = border_room(k, mm, old, new, 1)
        if status != E_OK:
            return status
        k.grow_heap(mm, old, new)
    m.brk = addr
    k.result = addr
    if new > old and m.def_flags & VM_LOCKED:
        return k.populate(mm, old, new)
    return E_OK


cdef int do_setbrk(Kernel k, mm_id mm, uint64_t addr) noexcept nogil:
    """Places the heap of a replayed process: its start and, empty, its break."""
    if unaligned(addr) or too_long(k.s, addr):
        return EINVAL
    k.s.mm[mm].start_brk = addr
    k.s.mm[mm].brk = addr
    return E_OK


cdef int do_truncate(Kernel k, uint32_t file, uint64_t size) noexcept nogil:
    """ftruncate (rule H4): pages wholly beyond a smaller end leave every page table, then the page cache."""
    cdef State* s = k.s
    cdef uint64_t old = file_pages(s, file)
    cdef uint64_t new
    cdef vma_id v
    if s.file[file].kind == FILE_ZERO:
        return EINVAL
    if size > <uint64_t> 1 << 62:
        return full(k, P_EXTENTS)
    new = round_pages(size)
    if new > old and new > <uint64_t> 1 << s.file[file].order and not extent_room(s, new):
        return full(k, P_EXTENTS)
    if new < old:
        if k.account is not None:
            k.account.file_unmaps(file, True)
        v = s.file[file].areas
        while v:
            k.truncate_area(v, new)
            v = s.area[v].fnext
        if k.account is not None:
            k.account.file_unmaps(file, False)
    file_resize(s, file, size)
    return E_OK


cdef int growing_range(Kernel k, mm_id mm, uint32_t grows, vpn_t* start, vpn_t end) noexcept nogil:
    """PROT_GROWSDOWN moves the start of an mprotect down to that of the growing area it meets; nothing grows up (rule E3a)."""
    cdef vma_id v = find_vma(k.s, mm, start[0])
    if v == 0 or k.s.area[v].start >= end:
        return ENOMEM
    if grows & PROT_GROWSDOWN:
        if not k.s.area[v].flags & VM_GROWSDOWN:
            return EINVAL
        start[0] = k.s.area[v].start
        return E_OK
    return ENOMEM if k.s.area[v].start > start[0] else EINVAL
