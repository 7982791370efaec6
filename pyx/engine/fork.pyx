"""Birth, fork, exec and exit of processes (rules H2, H3) [2.6.7 and 6.18 kernel/fork.c, mm/mmap.c exit_mmap].

fork links the child's areas before it copies entries, so a walk never misses an entry that exists. No frame is allocated,
so fork never reclaims; the room in the arenas is asked for before anything changes.
"""
from libc.stdint cimport uint32_t

from rmapcore.pyx.base.fence cimport fence_raised
from rmapcore.pyx.base.ids cimport mm_id, vma_id
from rmapcore.pyx.base.pool cimport pool_room
from rmapcore.pyx.base.records cimport (
    P_AREAS, P_MMS, P_PIDS, P_TABLES, VM_DONTCOPY, VM_LOCKED, VM_LOCKONFAULT, VM_WIPEONFORK, Area,
)
from rmapcore.pyx.base.state cimport State
from rmapcore.pyx.engine.areas cimport drop_area
from rmapcore.pyx.machine.pagetable cimport pt_free_all, pt_new
from rmapcore.pyx.machine.vmas cimport area_insert, area_new, file_area_add, mm_free, mm_new
from rmapcore.pyx.seam.kernel cimport AT_EXIT, E_FULL, E_OK, Kernel, entry_room, full, mm_room


cdef int take_pid(Kernel k, uint32_t* pid) noexcept nogil:
    """*pid 0: the next number; else that one, and numbers go on above it."""
    cdef State* s = k.s
    if pid[0] == 0:
        pid[0] = s.h.next_pid
    if pid[0] >= s.pool[P_PIDS].capacity:
        return full(k, P_PIDS)
    if pid[0] >= s.h.next_pid:
        s.h.next_pid = pid[0] + 1
        s.pool[P_PIDS].bump = s.h.next_pid
        fence_raised(s.pool, P_PIDS)
    return E_OK


cdef int spawn(Kernel k, uint32_t pid, mm_id* out) noexcept nogil:
    """A process with an empty address space; pid 0: the next number."""
    cdef State* s = k.s
    cdef int status
    if not pool_room(s, P_MMS, 1):
        return full(k, P_MMS)
    if not pool_room(s, P_TABLES, 1):
        return full(k, P_TABLES)
    if mm_room(k, 0) != E_OK:
        return E_FULL
    status = take_pid(k, &pid)
    if status != E_OK:
        return status
    out[0] = mm_new(s, pid)
    s.mm[out[0]].pgd = pt_new(s, out[0], 0, s.levels - 1)
    k.anon.mm_exec(out[0])
    return E_OK


cdef int fork(Kernel k, mm_id parent, uint32_t pid, mm_id* out) noexcept nogil:
    """A copy of the address space under a new pid (0: the next number)."""
    cdef State* s = k.s
    cdef mm_id child
    cdef vma_id v, c
    cdef Area* a
    cdef bint wiped
    cdef int status
    if not pool_room(s, P_MMS, 1):
        return full(k, P_MMS)
    if not pool_room(s, P_TABLES, s.mm[parent].n_tables):
        return full(k, P_TABLES)
    if not pool_room(s, P_AREAS, s.mm[parent].n_areas):
        return full(k, P_AREAS)
    if entry_room(k, s.mm[parent].rss) != E_OK or mm_room(k, parent) != E_OK:
        return E_FULL
    status = take_pid(k, &pid)
    if status != E_OK:
        return status
    child = mm_new(s, pid)
    s.mm[child].start_brk = s.mm[parent].start_brk
    s.mm[child].brk = s.mm[parent].brk
    s.mm[child].pgd = pt_new(s, child, 0, s.levels - 1)
    k.anon.mm_fork(child, parent)
    v = s.mm[parent].first
    while v:
        if s.area[v].flags & VM_DONTCOPY:
            v = s.area[v].next
            continue
        c = area_new(s)
        a = &s.area[c]
        a.mm = child
        a.start = s.area[v].start
        a.end = s.area[v].end
        a.pgoff = s.area[v].pgoff
        a.flags = s.area[v].flags & ~<uint32_t> (VM_LOCKED | VM_LOCKONFAULT)
        a.file = s.area[v].file
        a.policy = s.area[v].policy
        a.name = s.area[v].name
        a.guards = s.area[v].guards
        s.anon_shift[c] = s.anon_shift[v]
        wiped = a.flags & VM_WIPEONFORK
        if not wiped:
            a.rmap = s.area[v].rmap
            a.anon = s.area[v].anon
            k.anon.area_fork(c, v)
        if a.file:
            file_area_add(s, c)
            k.side.area_fork(c, v)
        area_insert(s, c)
        if not wiped:
            k.copy_entries(c, v)
        v = s.area[v].next
    out[0] = child
    return E_OK


cdef void tear_down(Kernel k, mm_id mm) noexcept nogil:
    """exit_mmap: zaps all, frees all tables, drops the areas ascending; then the scheme's part (rule H2)."""
    cdef State* s = k.s
    cdef vma_id v = s.mm[mm].first
    cdef vma_id next
    while v:
        k.zap(v, s.area[v].start, s.area[v].end, AT_EXIT)
        v = s.area[v].next
    pt_free_all(s, mm)
    v = s.mm[mm].first
    while v:
        next = s.area[v].next
        drop_area(k, v)
        v = next
    k.anon.mm_exit(mm)
    mm_free(s, mm)


cdef int execve(Kernel k, mm_id mm, mm_id* out) noexcept nogil:
    """A fresh, empty address space under the same pid; its own records are asked for while the old one is still there."""
    cdef uint32_t pid = k.s.mm[mm].pid
    if mm_room(k, 0) != E_OK:
        return E_FULL
    tear_down(k, mm)
    return spawn(k, pid, out)
