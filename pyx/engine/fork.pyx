"""Birth, fork, exec and exit of processes (rules H2, H3, QH1) [2.6.7 and 6.18 kernel/fork.c, mm/memory.c copy_page_range].

fork links the child's areas before it copies entries, so a walk never misses an entry that exists. Each leaf table of
the parent is one sweep; the schemes hear of the child's entries a run at a time. No frame is allocated, so fork never
reclaims; the room in the arenas is asked for before anything changes.
"""
from libc.stdint cimport uint32_t, uint64_t

from rmapcore.pyx.base.counters cimport C_RMAP_DUPS, C_SCANNED_PTES, tally
from rmapcore.pyx.base.ids cimport mm_id, pfn_t, slot_t, vma_id, vpn_t
from rmapcore.pyx.base.pool cimport pool_room
from rmapcore.pyx.base.records cimport (
    P_AREAS, P_MMS, P_PIDS, P_TABLES, PG_EXCLUSIVE, VM_DONTCOPY, VM_LOCKED, VM_LOCKONFAULT, VM_MAYWRITE, VM_SHARED,
    VM_WIPEONFORK, Area,
)
from rmapcore.pyx.base.state cimport State
from rmapcore.pyx.base.x86 cimport (
    PTE_ACCESSED, PTE_DIRTY, PTE_RW, pte_get, pte_is_swap, pte_pfn, pte_present, pte_set, swap_slot,
)
from rmapcore.pyx.engine.areas cimport drop_area
from rmapcore.pyx.engine.zap cimport KEEP_NOTHING, zap
from rmapcore.pyx.machine.pagetable cimport leaf_run, pt_alloc, pt_free_all, pt_new, pt_next
from rmapcore.pyx.machine.swap cimport slot_dup
from rmapcore.pyx.machine.vmas cimport area_insert, area_new, file_area_add, mm_free, mm_new
from rmapcore.pyx.seam.kernel cimport E_FULL, E_OK, Engine, entry_room, full


cdef int take_pid(Engine e, uint32_t* pid) noexcept nogil:
    """*pid 0: the next number; else that one, and numbers go on above it."""
    cdef State* s = e.s
    if pid[0] == 0:
        pid[0] = s.h.next_pid
    if pid[0] >= s.pool[P_PIDS].capacity:
        return full(e, P_PIDS)
    if pid[0] >= s.h.next_pid:
        s.h.next_pid = pid[0] + 1
        s.pool[P_PIDS].bump = s.h.next_pid
    return E_OK


cdef int spawn(Engine e, uint32_t pid, mm_id* out) noexcept nogil:
    """A process with an empty address space; pid 0: the next number."""
    cdef State* s = e.s
    cdef int status
    if not pool_room(s, P_MMS, 1):
        return full(e, P_MMS)
    if not pool_room(s, P_TABLES, 1):
        return full(e, P_TABLES)
    status = take_pid(e, &pid)
    if status != E_OK:
        return status
    out[0] = mm_new(s, pid)
    s.mm[out[0]].pgd = pt_new(s, out[0], 0, s.levels - 1)
    e.anon.mm_exec(out[0])
    return E_OK


cdef inline uint64_t copy_leaf(State* s, mm_id to, slot_t old, slot_t new, uint32_t n, bint cow, bint shared,
                               bint exclusive) noexcept nogil:
    """Copies n entries of one leaf table to address space `to`; how many map a frame. exclusive: frames know that they are."""
    cdef uint64_t dups = 0
    cdef uint64_t entry
    cdef uint32_t i
    cdef pfn_t pfn
    for i in range(n):
        entry = pte_get(s, old + i)
        if entry == 0:
            continue
        if pte_present(entry):
            pfn = pte_pfn(s, entry)
            if pfn:
                if cow and entry & PTE_RW:
                    entry &= ~<uint64_t> PTE_RW
                    pte_set(s, old + i, entry)
                if shared:
                    entry &= ~<uint64_t> PTE_DIRTY
                entry &= ~<uint64_t> PTE_ACCESSED
                if exclusive:
                    s.frame[pfn].flags &= ~<uint32_t> PG_EXCLUSIVE
                s.frame[pfn].mapcount += 1
                dups += 1
        elif pte_is_swap(entry):
            if exclusive and entry & s.swap_exclusive:
                entry &= ~s.swap_exclusive
                pte_set(s, old + i, entry)
            slot_dup(s, swap_slot(s, entry))
            s.mm[to].swapents += 1
        pte_set(s, new + i, entry)
    return dups


cdef void copy_entries(Engine e, vma_id child, vma_id parent) noexcept nogil:
    """copy_page_range for one area (rule H3)."""
    cdef State* s = e.s
    cdef mm_id to = s.area[child].mm
    cdef mm_id source = s.area[parent].mm
    cdef uint32_t flags = s.area[parent].flags
    cdef bint cow = flags & (VM_SHARED | VM_MAYWRITE) == VM_MAYWRITE
    cdef bint shared = flags & VM_SHARED
    cdef bint files = s.area[child].file and e.side.wants_entries
    cdef vpn_t vpn = s.area[parent].start
    cdef vpn_t end = s.area[parent].end
    cdef uint64_t rss = 0
    cdef uint64_t dups
    cdef slot_t old, new
    cdef uint32_t n
    while True:
        old = pt_next(s, source, &vpn, end)
        if old == 0:
            break
        n = leaf_run(s, vpn, end)
        new = pt_alloc(s, to, vpn)
        tally(s, C_SCANNED_PTES, n)
        if s.rules.exclusive:
            dups = copy_leaf(s, to, old, new, n, cow, shared, True)
        else:
            dups = copy_leaf(s, to, old, new, n, cow, shared, False)
        tally(s, C_RMAP_DUPS, dups)
        rss += dups
        if e.anon.wants_entries:
            e.anon.pages_forked(child, vpn, new, n)
        if files:
            e.side.pages_forked(child, vpn, new, n)
        vpn += n
    s.mm[to].rss += rss


cdef int fork(Engine e, mm_id parent, uint32_t pid, mm_id* out) noexcept nogil:
    """A copy of the address space under a new pid (0: the next number)."""
    cdef State* s = e.s
    cdef mm_id child
    cdef vma_id v, c
    cdef Area* a
    cdef bint wiped
    cdef int status
    if not pool_room(s, P_MMS, 1):
        return full(e, P_MMS)
    if not pool_room(s, P_TABLES, s.mm[parent].n_tables):
        return full(e, P_TABLES)
    if not pool_room(s, P_AREAS, s.mm[parent].n_areas):
        return full(e, P_AREAS)
    if entry_room(e, s.mm[parent].rss) != E_OK:
        return E_FULL
    status = take_pid(e, &pid)
    if status != E_OK:
        return status
    child = mm_new(s, pid)
    s.mm[child].start_brk = s.mm[parent].start_brk
    s.mm[child].brk = s.mm[parent].brk
    s.mm[child].pgd = pt_new(s, child, 0, s.levels - 1)
    e.anon.mm_fork(child, parent)
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
        a.guards = s.area[v].guards
        wiped = a.flags & VM_WIPEONFORK
        if not wiped:
            a.rmap = s.area[v].rmap
            a.anon = s.area[v].anon
            e.anon.area_fork(c, v)
        if a.file:
            file_area_add(s, c)
            e.side.area_fork(c, v)
        area_insert(s, c)
        if not wiped and (s.area[v].anon or s.area[v].guards or not s.rules.lazy_fork):
            copy_entries(e, c, v)
        v = s.area[v].next
    out[0] = child
    return E_OK


cdef void tear_down(Engine e, mm_id mm) noexcept nogil:
    """exit_mmap: zaps all, frees all tables, drops the areas ascending; then the scheme's part (rule H2)."""
    cdef State* s = e.s
    cdef vma_id v = s.mm[mm].first
    cdef vma_id next
    while v:
        zap(e, v, s.area[v].start, s.area[v].end, KEEP_NOTHING)
        v = s.area[v].next
    pt_free_all(s, mm)
    v = s.mm[mm].first
    while v:
        next = s.area[v].next
        drop_area(e, v)
        v = next
    e.anon.mm_exit(mm)
    mm_free(s, mm)


cdef int execve(Engine e, mm_id mm, mm_id* out) noexcept nogil:
    """A fresh, empty address space under the same pid."""
    cdef uint32_t pid = e.s.mm[mm].pid
    tear_down(e, mm)
    return spawn(e, pid, out)
