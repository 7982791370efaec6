"""Linking areas and address spaces. What may merge and how areas change is the engine's business (areas.pyx)."""
from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memset

from rmapcore.pyx.base.ids cimport STACK_GAP, mm_id, vma_id, vpn_t
from rmapcore.pyx.base.pool cimport pool_give, pool_take
from rmapcore.pyx.base.records cimport P_AREAS, P_MMS, VM_GROWSDOWN, Area, File, Mm
from rmapcore.pyx.base.state cimport I386, I386_PAE, State
from rmapcore.pyx.base.x86 cimport file_entry
from rmapcore.pyx.machine.vmas cimport area_index, find_prev, find_vma

cdef enum:
    LOWEST_VPN = 16           # mmap_min_addr
    AREA_LINK = 40            # offsets of the free links, asserted in machine.pyx
    MM_LINK = 80


cdef uint32_t priority(vma_id v) noexcept nogil:
    return v * <uint32_t> 2654435769u


cdef void treap_insert(State* s, uint32_t* root, vma_id v) noexcept nogil:
    """Inserts v below the link *root: goes down while priorities are higher, then splits what is left by address."""
    cdef vpn_t key = s.area[v].start
    cdef vma_id t
    cdef uint32_t* low
    cdef uint32_t* high
    while root[0] and priority(root[0]) > priority(v):
        if key < s.area[root[0]].start:
            root = &s.area[root[0]].left
        else:
            root = &s.area[root[0]].right
    t = root[0]
    root[0] = v
    low = &s.area[v].left
    high = &s.area[v].right
    while t:
        if s.area[t].start < key:
            low[0] = t
            low = &s.area[t].right
            t = low[0]
        else:
            high[0] = t
            high = &s.area[t].left
            t = high[0]
    low[0] = 0
    high[0] = 0


cdef void treap_remove(State* s, uint32_t* root, vma_id v) noexcept nogil:
    """Takes v out: the two subtrees are merged into its place."""
    cdef vpn_t key = s.area[v].start
    cdef vma_id a, b
    while root[0] != v:
        if key < s.area[root[0]].start:
            root = &s.area[root[0]].left
        else:
            root = &s.area[root[0]].right
    a = s.area[v].left
    b = s.area[v].right
    while a and b:
        if priority(a) > priority(b):
            root[0] = a
            root = &s.area[a].right
            a = root[0]
        else:
            root[0] = b
            root = &s.area[b].left
            b = root[0]
    root[0] = a if a else b


cdef void area_insert(State* s, vma_id v) noexcept nogil:
    """Links an area (mm, start, end set) into its address space."""
    cdef Area* a = &s.area[v]
    cdef Mm* m = &s.mm[a.mm]
    cdef vma_id prev = find_prev(s, a.mm, a.start)
    a.prev = prev
    if prev:
        a.next = s.area[prev].next
        s.area[prev].next = v
    else:
        a.next = m.first
        m.first = v
    if a.next:
        s.area[a.next].prev = v
    treap_insert(s, &m.root, v)
    a.alive = 1
    m.n_areas += 1


cdef void area_remove(State* s, vma_id v) noexcept nogil:
    """Unlinks an area from its address space; the hole it leaves is remembered."""
    cdef Area* a = &s.area[v]
    cdef Mm* m = &s.mm[a.mm]
    treap_remove(s, &m.root, v)
    if s.rules.top_down:
        if (s.area[a.next].start if a.next else s.task_vpn) > m.hole_vpn:
            m.hole_vpn = 0                     # the hole now reaches above what was searched
    elif (s.area[a.prev].end if a.prev else 0) < m.hole_vpn:
        m.hole_vpn = s.base_vpn                # the hole now begins below what was searched
    if a.prev:
        s.area[a.prev].next = a.next
    else:
        m.first = a.next
    if a.next:
        s.area[a.next].prev = a.prev
    if m.cache == v:
        m.cache = 0
    a.alive = 0
    m.n_areas -= 1


cdef vpn_t gap_end(State* s, vma_id v) noexcept nogil:
    """Where what may lie below an area ends: a growing one keeps its distance (rule QD5)."""
    cdef Area* a = &s.area[v]
    if not s.rules.calls or not a.flags & VM_GROWSDOWN:
        return a.start
    return a.start - STACK_GAP if a.start > STACK_GAP else 0


cdef bint range_is_free(State* s, mm_id mm, vpn_t at, uint64_t pages) noexcept nogil:
    """May a new area lie there? Within user space, and in nobody's way."""
    cdef vma_id v = find_vma(s, mm, at)
    return at + pages <= s.task_vpn and (v == 0 or gap_end(s, v) >= at + pages)


cdef vpn_t free_range_down(State* s, mm_id mm, uint64_t pages) noexcept nogil:
    """Highest fit below the top of the mmap area, or 0 (rule QD5).

    hole_vpn: nothing of hole_pages or more is free between it and the top; so a search for at least as much starts there.
    """
    cdef Mm* m = &s.mm[mm]
    cdef vpn_t end = s.task_vpn - TOP_GAP
    cdef vpn_t low
    cdef vma_id v
    if pages >= m.hole_pages and m.hole_vpn:
        end = m.hole_vpn
    v = find_vma(s, mm, end)
    if v and gap_end(s, v) < end:
        end = gap_end(s, v)
    v = find_prev(s, mm, end)
    while True:
        while v and s.area[v].start >= end:
            v = s.area[v].prev
        low = s.area[v].end if v else LOWEST_VPN
        if low + pages <= end:
            m.hole_vpn = end
            m.hole_pages = pages
            return end - pages
        if v == 0:
            return 0
        end = gap_end(s, v)
        v = s.area[v].prev


cdef vpn_t free_range(State* s, mm_id mm, uint64_t pages) noexcept nogil:
    """Room for a new area of that many pages, or 0: from the top, if that is the kernel's way, then from below."""
    cdef vpn_t at = free_range_down(s, mm, pages) if s.rules.top_down else 0
    return at if at else free_range_up(s, mm, pages)


cdef vpn_t free_range_up(State* s, mm_id mm, uint64_t pages) noexcept nogil:
    """Lowest fit of that many pages from the mmap base, or 0 (rule D8).

    hole_vpn: nothing of hole_pages or more is free below it; so a search for at least as much starts there.
    """
    cdef Mm* m = &s.mm[mm]
    cdef vpn_t at = s.base_vpn
    cdef vma_id v
    if pages >= m.hole_pages and m.hole_vpn > at and not s.rules.top_down:
        at = m.hole_vpn
    v = find_vma(s, mm, at)
    if v and s.area[v].start < at:
        at = s.area[v].end
        v = s.area[v].next
    while True:
        if at + pages > s.task_vpn:
            return 0
        if not v or gap_end(s, v) >= at + pages:
            break
        at = s.area[v].end
        v = s.area[v].next
    if not s.rules.top_down:
        m.hole_vpn = at
        m.hole_pages = pages
    return at


cdef vma_id area_new(State* s) noexcept nogil:
    """An area record, all zero."""
    cdef vma_id v = pool_take(s, P_AREAS, s.area, sizeof(Area), AREA_LINK)
    memset(&s.area[v], 0, sizeof(Area))
    return v


cdef void area_free(State* s, vma_id v) noexcept nogil:
    pool_give(s, P_AREAS, s.area, sizeof(Area), AREA_LINK, v)


cdef mm_id mm_new(State* s, uint32_t pid) noexcept nogil:
    """An empty address space without page tables, newest of the living; the heap starts at rule E7's place."""
    cdef mm_id i = pool_take(s, P_MMS, s.mm, sizeof(Mm), MM_LINK)
    cdef Mm* m = &s.mm[i]
    memset(m, 0, sizeof(Mm))
    m.pid = pid
    m.start_brk = 0x08800000 if s.arch == I386 or s.arch == I386_PAE else 0x01000000
    m.brk = m.start_brk
    m.alive = 1
    m.prev = s.h.mm_last
    if m.prev:
        s.mm[m.prev].next = i
    else:
        s.h.mm_first = i
    s.h.mm_last = i
    s.pid_mm[pid] = i
    return i


cdef void mm_free(State* s, mm_id mm) noexcept nogil:
    cdef Mm* m = &s.mm[mm]
    if m.prev:
        s.mm[m.prev].next = m.next
    else:
        s.h.mm_first = m.next
    if m.next:
        s.mm[m.next].prev = m.prev
    else:
        s.h.mm_last = m.prev
    m.alive = 0
    s.pid_mm[m.pid] = 0
    pool_give(s, P_MMS, s.mm, sizeof(Mm), MM_LINK, mm)


cdef void file_area_add(State* s, vma_id v) noexcept nogil:
    """Puts an area on its file's plain list, newest first: truncate and the list form of objrmap read it."""
    cdef Area* a = &s.area[v]
    cdef File* f = &s.file[a.file]
    a.fprev = 0
    a.fnext = f.areas
    if f.areas:
        s.area[f.areas].fprev = v
    f.areas = v
    f.n_areas += 1


cdef void file_area_del(State* s, vma_id v) noexcept nogil:
    cdef Area* a = &s.area[v]
    cdef File* f = &s.file[a.file]
    if a.fprev:
        s.area[a.fprev].fnext = a.fnext
    else:
        f.areas = a.fnext
    if a.fnext:
        s.area[a.fnext].fprev = a.fprev
    f.n_areas -= 1


cdef uint64_t nonlinear_entry(State* s, vma_id v, vpn_t vpn, uint64_t index) noexcept nogil:
    """absent_entry in a nonlinear area, out of the way of the others."""
    return 0 if index == area_index(s, v, vpn) else file_entry(s, index)
