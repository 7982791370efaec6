"""The hardware's side of an access, and the faults of whole runs (rules F1, L1, L2, N5). Text of every kernel.

An entry that allows the access gets its young and dirty bits here; anything else is a fault (fault.pxi). First touches of
anonymous pages are by far the most frequent faults, and those of one area find the same: an empty entry, the same flags.
As long as they follow one another they are done as one fault with many pages, in the same order and with the same outcome
(rule N5):

   pages of one area    p   q   r   s   t          frames come one by one from the free list, entries are written in order,
   entries              0   0   0   0   X          the scheme hears of all of them at once
   run                  |----- 4 -----|
"""
from libc.stdint cimport uint32_t, uint64_t

from rmapcore.pyx.base.counters cimport C_FAULTS_ZERO, C_RMAP_ADDS, tally
from rmapcore.pyx.base.ids cimport PAGE_SHIFT, mm_id, pfn_t, slot_t, vma_id, vpn_t
from rmapcore.pyx.base.pool cimport pool_room
from rmapcore.pyx.base.records cimport PG_ANON, PG_REFERENCED, P_TABLES, VM_WRITE, Area
from rmapcore.pyx.base.state cimport State
from rmapcore.pyx.base.x86 cimport PTE_ACCESSED, PTE_DIRTY, PTE_PRESENT, PTE_RW, pte_get, pte_pfn, pte_set
from rmapcore.pyx.engine.mapping cimport prepare, writable
from rmapcore.pyx.machine.frames cimport frame_take
from rmapcore.pyx.machine.lru cimport lru_add
from rmapcore.pyx.machine.pagetable cimport TOUCHED, Cursor, pt_lookup, pt_place
from rmapcore.pyx.machine.vmas cimport area_prot, find_vma
from rmapcore.pyx.seam.kernel cimport E_OK, Kernel, entry_room, prepare_room


cdef uint32_t first_touches(Kernel k, mm_id mm, const vpn_t* vpn, const slot_t* slot, uint32_t n, bint write) noexcept nogil:
    """As many of n accesses as are first touches in the area of the first, whose entry is empty. 0: that is none, fault."""
    cdef State* s = k.s
    cdef vma_id v = find_vma(s, mm, vpn[0])
    cdef Area* a = &s.area[v]
    cdef vpn_t start = a.start
    cdef vpn_t end = a.end
    cdef uint64_t prot
    cdef uint32_t i = 0
    cdef uint32_t flags
    cdef pfn_t pfn
    if v == 0 or start > vpn[0] or a.file or not a.flags & (VM_WRITE if write else READABLE):
        return 0
    if not pool_room(s, P_TABLES, s.levels - 1) or entry_room(k, 1) != E_OK:
        return 0
    if write and prepare_room(k, v) != E_OK:
        return 0
    if write and n > s.h.frames_free:
        n = <uint32_t> s.h.frames_free
    if n == 0:
        return 0
    prot = area_prot(s, v)
    if not write:
        while i < n and slot[i] and start <= vpn[i] < end and pte_get(s, slot[i]) == 0:
            pte_set(s, slot[i], prot)
            i += 1
    else:
        prepare(k, v)
        flags = PG_ANON | fresh_flags(s, v) | (PG_REFERENCED if STARTS_ACTIVE else 0)      # as first_use leaves it
        prot |= writable(a.flags) | PTE_DIRTY
        while i < n and slot[i] and start <= vpn[i] < end and pte_get(s, slot[i]) == 0:
            pfn = frame_take(s)
            pte_set(s, slot[i], (<uint64_t> pfn << PAGE_SHIFT) | prot)
            s.frame[pfn].mapcount = 1
            lru_add(s, pfn, STARTS_ACTIVE)
            s.frame[pfn].flags |= flags
            i += 1
            if s.stamp:
                s.stamp[pfn] = s.h.op_index + i
        s.h.n_mapped += i
        s.mm[mm].rss += i
        k.anon.pages_first(v, vpn, slot, i)
        tally(s, C_RMAP_ADDS, i)
    tally(s, C_FAULTS_ZERO, i)
    s.h.op_index += i
    return i


cdef int access(Kernel k, mm_id mm, vpn_t vpn, slot_t slot, bint write) noexcept nogil:
    """One access to a page with its entry in `slot` (0: no table). It is one operation, and a write stamps the page."""
    cdef State* s = k.s
    cdef uint64_t entry = pte_get(s, slot) if slot else 0
    cdef int status
    s.h.op_index += 1
    if entry & PTE_PRESENT and (entry & PTE_RW or not write):
        pte_set(s, slot, entry | PTE_ACCESSED | (PTE_DIRTY if write else 0))
    else:
        status = fault(k, mm, vpn, write)
        if status != E_OK:
            return status
        if s.stamp and write:
            entry = pte_get(s, pt_lookup(s, mm, vpn))
    if s.stamp and write:
        s.stamp[pte_pfn(s, entry)] = s.h.op_index
    return E_OK


cdef int touch(Kernel k, mm_id mm, const vpn_t* vpn, uint32_t n, bint write, Cursor* c, uint64_t* done) noexcept nogil:
    """Accesses to n pages, TOUCHED at most, in order; *done counts those that succeeded, and a failure ends them."""
    cdef State* s = k.s
    cdef slot_t[TOUCHED] slot
    cdef uint32_t i, run
    cdef int status
    for i in range(n):
        slot[i] = pt_place(s, mm, vpn[i], c)
    i = 0
    while i < n:
        if slot[i] == 0:                       # a fault may have made the table meanwhile
            slot[i] = pt_place(s, mm, vpn[i], c)
        if slot[i] and pte_get(s, slot[i]) == 0 and not k.one_by_one:
            run = first_touches(k, mm, vpn + i, slot + i, n - i, write)
            if run:
                i += run
                done[0] += run
                continue
        status = access(k, mm, vpn[i], slot[i], write)
        if status != E_OK:
            return status
        i += 1
        done[0] += 1
    return E_OK
