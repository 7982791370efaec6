"""The hardware's side of an access, and the faults of whole runs.

An entry that allows the access gets its young and dirty bits here; anything else is a fault (fault.pyx). First touches of
consecutive pages are by far the most frequent faults, and all of a run find the same: an empty entry, the same area, the
same table. They are done as one fault with many pages, in the same order and with the same outcome (rule N5):

   entry   0    0    0    0   X         frames come one by one from the free list, entries are written ascending,
   run     |---- n = 4 ----|            the scheme hears of all of them at once
"""
from libc.stdint cimport uint32_t, uint64_t

from rmapcore.pyx.counters cimport C_FAULTS_ZERO, C_RMAP_ADDS, tally
from rmapcore.pyx.engine cimport E_OK, Engine, entry_room
from rmapcore.pyx.fault cimport fault, writable
from rmapcore.pyx.frames cimport frame_take
from rmapcore.pyx.ids cimport PAGE_SHIFT, mm_id, pfn_t, slot_t, vma_id, vpn_t
from rmapcore.pyx.lru cimport lru_add
from rmapcore.pyx.pagetable cimport leaf_run, pt_lookup
from rmapcore.pyx.pool cimport pool_room
from rmapcore.pyx.records cimport P_TABLES, PG_ANON, PG_REFERENCED, VM_EXEC, VM_READ, VM_WRITE, Area
from rmapcore.pyx.state cimport State
from rmapcore.pyx.touch cimport Cursor
from rmapcore.pyx.vmas cimport find_vma
from rmapcore.pyx.x86 cimport (
    PTE_ACCESSED, PTE_DIRTY, PTE_PRESENT, PTE_RW, page_prot, pte_fetch, pte_get, pte_pfn, pte_set,
)


cdef uint64_t first_touches(Engine e, mm_id mm, vpn_t vpn, slot_t slot, uint64_t most, bint write) noexcept nogil:
    """Up to `most` first touches from vpn on, whose entry is empty and in `slot`; how many. 0: this is none, fault."""
    cdef State* s = e.s
    cdef vma_id v = find_vma(s, mm, vpn)
    cdef Area* a = &s.area[v]
    cdef uint64_t n, i, prot
    cdef pfn_t pfn
    if v == 0 or a.start > vpn or a.file or not a.flags & (VM_WRITE if write else VM_READ | VM_EXEC):
        return 0
    if not pool_room(s, P_TABLES, s.levels - 1) or entry_room(e, 1) != E_OK:
        return 0
    n = leaf_run(s, vpn, a.end)
    if n > most:
        n = most
    if write and n > s.h.frames_free:
        n = s.h.frames_free
    i = 0
    while i < n and pte_get(s, slot + i) == 0:
        i += 1
    n = i
    if n == 0:
        return 0
    prot = page_prot(s, a.flags)
    if write:
        e.anon.anon_prepare(v)
        prot |= writable(a.flags) | PTE_DIRTY
        for i in range(n):
            pfn = frame_take(s)
            pte_set(s, slot + i, (<uint64_t> pfn << PAGE_SHIFT) | prot)
            s.frame[pfn].mapcount = 1
            lru_add(s, pfn, True)
            s.frame[pfn].flags |= PG_ANON | PG_REFERENCED          # what mark_accessed does to an active frame
            if s.stamp:
                s.stamp[pfn] = s.h.op_index + i + 1
        s.h.n_mapped += n
        s.mm[mm].rss += n
        e.anon.pages_first(v, vpn, slot, <uint32_t> n)
        if e.anon.wants_entries:
            e.anon.pages_mapped(v, vpn, slot, <uint32_t> n)
        tally(s, C_RMAP_ADDS, n)
    else:
        for i in range(n):
            pte_set(s, slot + i, prot)
    tally(s, C_FAULTS_ZERO, n)
    s.h.op_index += n
    return n


cdef int touch(Engine e, mm_id mm, vpn_t vpn, uint64_t most, bint write, Cursor* c, uint64_t* done) noexcept nogil:
    """Accesses at vpn and, if they are a run of first touches, at up to `most` pages from there; *done counts them.

    Each is one operation, and a write stamps its page. A status other than E_OK is that of the page at vpn.
    """
    cdef State* s = e.s
    cdef uint64_t entry, n
    cdef slot_t slot
    cdef int status
    if c.leaf == (vpn >> s.bits) + 1:
        slot = c.base + (<uint32_t> vpn & s.index_mask)
    else:
        slot = pt_lookup(s, mm, vpn) if vpn < s.task_vpn else 0
        if slot:
            c.leaf = (vpn >> s.bits) + 1
            c.base = slot - (<uint32_t> vpn & s.index_mask)
    entry = pte_get(s, slot) if slot else 0
    if slot and entry == 0 and not e.one_by_one:
        n = first_touches(e, mm, vpn, slot, most, write)
        if n:
            done[0] += n
            return E_OK
    s.h.op_index += 1
    if entry & PTE_PRESENT and (entry & PTE_RW or not write):
        pte_set(s, slot, entry | PTE_ACCESSED | (PTE_DIRTY if write else 0))
    else:
        status = fault(e, mm, vpn, write)
        if status != E_OK:
            return status
        if s.stamp and write:
            entry = pte_get(s, pt_lookup(s, mm, vpn))
    if s.stamp and write:
        s.stamp[pte_pfn(s, entry)] = s.h.op_index
    done[0] += 1
    return E_OK


cdef void fetch_entry(Engine e, mm_id mm, vpn_t vpn) noexcept nogil:
    """Brings the entry of a page that will be touched into the cache."""
    cdef slot_t slot = pt_lookup(e.s, mm, vpn) if vpn < e.s.task_vpn else 0
    if slot:
        pte_fetch(e.s, slot)
