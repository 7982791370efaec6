"""Linking areas and address spaces. What may merge and how areas change is the engine's business (areas.pyx)."""
from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memset

from rmapcore.pyx.base.ids cimport mm_id, vma_id, vpn_t
from rmapcore.pyx.base.pool cimport pool_give, pool_take
from rmapcore.pyx.base.records cimport P_AREAS, P_MMS, Area, File, Mm
from rmapcore.pyx.base.state cimport I386, I386_PAE, State
from rmapcore.pyx.base.x86 cimport file_entry
from rmapcore.pyx.machine.vmas cimport area_index, find_prev

cdef enum:
    AREA_LINK = 40            # offsets of the free links, asserted in core.pyx
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
    """Unlinks an area from its address space."""
    cdef Area* a = &s.area[v]
    cdef Mm* m = &s.mm[a.mm]
    treap_remove(s, &m.root, v)
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


cdef vma_id area_new(State* s) noexcept nogil:
    """An area record, all zero."""
    cdef vma_id v = pool_take(s, P_AREAS, s.area, sizeof(Area), AREA_LINK)
    memset(&s.area[v], 0, sizeof(Area))
    s.anon_shift[v] = 0
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
