"""2.6.7: areas: what mmap, munmap, brk and truncate may and do (rules D7a, E1, E2, E7, F2, H4) [2.6.7 mm/mmap.c]."""
from libc.errno cimport ENOMEM
from libc.stdint cimport uint32_t, uint64_t

from rmapcore.pyx.base.ids cimport mm_id, vma_id, vpn_t
from rmapcore.pyx.base.pool cimport pool_room
from rmapcore.pyx.base.records cimport P_AREAS, VM_ACCOUNT, VM_EXEC, VM_MAY, VM_NONLINEAR, VM_READ, VM_WRITE, Area
from rmapcore.pyx.base.state cimport X86_64, State
from rmapcore.pyx.base.uapi cimport MAP_GROWSDOWN, MAP_POPULATE, MAP_PRIVATE, MAP_SHARED
from rmapcore.pyx.engine.areas cimport Range, add_area, fresh_range, merge, split, splits_of
from rmapcore.pyx.engine.mapping cimport prepare
from rmapcore.pyx.engine.room cimport border_room
from rmapcore.pyx.machine.vmas cimport find_prev, find_vma
from rmapcore.pyx.seam.kernel cimport E_FULL, E_OK, KEEP_MARKS, KEEP_SWAP, Kernel, full

cdef enum:
    READABLE = VM_READ | VM_EXEC           # flags any of which lets an area be read
    SPARE_AREAS = 1                        # an mmap may go one beyond the limit (rule D7a)


cdef bint may_grow(Kernel k, vma_id v, vpn_t vpn) noexcept nogil:
    """Whether a growing area may begin at vpn (rule F2). It is prepared before the limit is looked at."""
    cdef Area* a = &k.s.area[v]
    prepare(k, v)
    return a.end - vpn <= k.s.stack_pages and not (a.file and a.start - vpn > a.pgoff)


cdef inline bint populates(uint32_t flags) noexcept nogil:
    return flags & MAP_POPULATE != 0


cdef inline bint mmap_type(uint32_t flags, uint32_t file) noexcept nogil:
    """Do the flags of an mmap name one kind of mapping? (rule E1)"""
    return (flags & MAP_SHARED != 0) != (flags & MAP_PRIVATE != 0) and not (file and flags & MAP_GROWSDOWN)


cdef inline uint32_t mapping_flags(uint32_t flags) noexcept nogil:
    return 0


cdef int may_unmap(Kernel k, mm_id mm, vpn_t start, vpn_t end) noexcept nogil:
    """Whether do_munmap may cut at its borders; one below the limit of areas the first cut of two stays (rule D7a)."""
    cdef State* s = k.s
    cdef int cuts = splits_of(k, mm, start, end)
    if not pool_room(s, P_AREAS, cuts):
        return full(k, P_AREAS)
    if cuts and border_room(k, mm, start, end, cuts) != E_OK:
        return E_FULL
    if cuts == 0 or s.mm[mm].n_areas + cuts <= s.most_areas:
        return E_OK
    if s.mm[mm].n_areas < s.most_areas:
        split(k, find_vma(s, mm, start), start, False)
    return ENOMEM


cdef inline int may_shrink_heap(Kernel k, mm_id mm, vpn_t start, vpn_t end) noexcept nogil:
    return may_unmap(k, mm, start, end)


cdef void grow_heap(Kernel k, mm_id mm, vpn_t start, vpn_t end) noexcept nogil:
    """EXEC: i386's VM_DATA_DEFAULT_FLAGS [2.6.7 asm-i386/page.h]."""
    cdef uint32_t flags = VM_READ | VM_WRITE | VM_MAY | VM_ACCOUNT | (0 if k.s.arch == X86_64 else VM_EXEC)
    cdef Range r = fresh_range(k, start, end, flags | k.s.mm[mm].def_flags, 0, start if k.anon.linear else 0)
    if not merge(k, mm, find_prev(k.s, mm, start), &r):
        add_area(k, mm, start, end, r.flags, 0, r.pgoff)


cdef void truncate_area(Kernel k, vma_id v, uint64_t first) noexcept nogil:
    """The pages from `first` on leave the area; swapped copies and names of file pages stay (rule H4)."""
    cdef Area* a = &k.s.area[v]
    if a.flags & VM_NONLINEAR:
        zap_nonlinear(k, v, a.start, a.end, first)
    elif a.pgoff + (a.end - a.start) > first:
        zap(k, v, a.start if a.pgoff >= first else a.start + (first - a.pgoff), a.end, KEEP_SWAP | KEEP_MARKS)
