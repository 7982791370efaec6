"""6.18: areas: what mmap, munmap, brk and truncate may and do (rules QD4, QD6, QE1, QE2, QE6, QE14) [6.18 mm/vma.c]."""
from libc.errno cimport ENOMEM, EPERM
from libc.stdint cimport uint32_t, uint64_t

from rmapcore.pyx.base.ids cimport PAGE_SHIFT, mm_id, vma_id, vpn_t
from rmapcore.pyx.base.pool cimport pool_room
from rmapcore.pyx.base.records cimport (
    P_AREAS, VM_ACCESS, VM_ACCOUNT, VM_DONTDUMP, VM_DROPPABLE, VM_EXEC, VM_GROWSDOWN, VM_MAY, VM_NOHUGEPAGE, VM_NORESERVE,
    VM_READ, VM_SEALED, VM_WIPEONFORK, VM_WRITE, Area,
)
from rmapcore.pyx.base.state cimport State
from rmapcore.pyx.base.uapi cimport (
    MAP_DROPPABLE, MAP_GROWSDOWN, MAP_LOCKED, MAP_NONBLOCK, MAP_NORESERVE, MAP_POPULATE, MAP_PRIVATE, MAP_SHARED, MAP_STACK,
    MAP_TYPE,
)
from rmapcore.pyx.engine.areas cimport Range, add_area, extend, fresh_range, has_flag, split
from rmapcore.pyx.engine.mapping cimport prepare
from rmapcore.pyx.engine.room cimport border_room
from rmapcore.pyx.machine.vmas cimport find_prev, find_vma
from rmapcore.pyx.seam.kernel cimport E_FULL, E_OK, KEEP_MARKS, Kernel, full

cdef enum:
    READABLE = VM_READ | VM_WRITE | VM_EXEC            # flags any of which lets an area be read (rule QF1)
    HEAP_FLAGS = VM_READ | VM_WRITE | VM_MAY | VM_ACCOUNT
    SPARE_AREAS = 1                        # an mmap may go one beyond the limit (rule QD4)


cdef bint may_grow(Kernel k, vma_id v, vpn_t vpn) noexcept nogil:
    """Whether a growing area may begin at vpn: distance from what lies below, limit, page offset (rules F2, QD6).

    If the distance is kept, it is prepared, whatever the others say.
    """
    cdef State* s = k.s
    cdef Area* a = &s.area[v]
    cdef Area* below = &s.area[a.prev]
    if a.prev and not below.flags & VM_GROWSDOWN and below.flags & VM_ACCESS and vpn - below.end < STACK_GAP:
        return False
    prepare(k, v)
    return a.end - vpn <= s.stack_pages and not ((a.file or k.anon.linear) and a.start - vpn > a.pgoff)


cdef inline bint populates(uint32_t flags) noexcept nogil:
    return flags & (MAP_POPULATE | MAP_NONBLOCK) == MAP_POPULATE


cdef bint mmap_type(uint32_t flags, uint32_t file) noexcept nogil:
    """Do the flags of an mmap name one kind of mapping? (rule QE1)"""
    cdef uint32_t kind = flags & MAP_TYPE
    if kind == MAP_DROPPABLE:
        return file == 0 and not flags & (MAP_LOCKED | MAP_GROWSDOWN)
    if kind == MAP_SHARED or (kind == MAP_SHARED | MAP_PRIVATE and file):      # the latter: MAP_SHARED_VALIDATE
        return not flags & MAP_GROWSDOWN
    return kind == MAP_PRIVATE and not (file and flags & MAP_GROWSDOWN)


cdef inline uint32_t mapping_flags(uint32_t flags) noexcept nogil:
    """VmFlags that mmap's flags ask for, beside those that all kernels know (rule QE1)."""
    cdef uint32_t vm_flags = VM_NORESERVE if flags & MAP_NORESERVE else 0
    if flags & MAP_STACK:
        vm_flags |= VM_NOHUGEPAGE
    if flags & MAP_TYPE == MAP_DROPPABLE:
        vm_flags |= VM_DROPPABLE | VM_NORESERVE | VM_WIPEONFORK | VM_DONTDUMP
    return vm_flags


cdef int may_unmap(Kernel k, mm_id mm, vpn_t start, vpn_t end) noexcept nogil:
    """What munmap asks first (rules QD4, QE2)."""
    cdef State* s = k.s
    cdef vma_id v = find_vma(s, mm, start)
    if v and s.area[v].start < start and end < s.area[v].end and s.mm[mm].n_areas >= s.most_areas:
        return ENOMEM
    if not pool_room(s, P_AREAS, 2):
        return full(k, P_AREAS)
    if border_room(k, mm, start, end, 2) != E_OK:
        return E_FULL
    if has_flag(k, mm, start, end, VM_SEALED):
        if v and s.area[v].start < start and not s.area[v].flags & VM_SEALED:
            split(k, v, start, False)          # the kernel meets the seal only after it has cut here
        return EPERM
    return E_OK


cdef int may_shrink_heap(Kernel k, mm_id mm, vpn_t start, vpn_t end) noexcept nogil:
    """A heap that is not there cannot shrink (rule QE6)."""
    cdef vma_id v = find_vma(k.s, mm, start)
    if v == 0 or k.s.area[v].start >= end:
        return ENOMEM
    return may_unmap(k, mm, start, end)


cdef void grow_heap(Kernel k, mm_id mm, vpn_t start, vpn_t end) noexcept nogil:
    """The heap joins the area below it, and no other, if that is of the heap (rule QE6)."""
    cdef Range r = fresh_range(k, start, end, HEAP_FLAGS | k.s.mm[mm].def_flags, 0, start if k.anon.linear else 0)
    cdef vma_id v = find_prev(k.s, mm, start)
    if v and k.s.area[v].end <= k.s.mm[mm].start_brk >> PAGE_SHIFT:
        v = 0
    if not extend(k, v, &r):
        add_area(k, mm, start, end, r.flags, 0, r.pgoff)


cdef void truncate_area(Kernel k, vma_id v, uint64_t first) noexcept nogil:
    """The pages from `first` on leave the area, private copies too; guard markers stay (rule QE14)."""
    cdef Area* a = &k.s.area[v]
    if a.pgoff + (a.end - a.start) > first:
        zap(k, v, a.start if a.pgoff >= first else a.start + (first - a.pgoff), a.end, KEEP_MARKS)
