"""T1 to T9, T11 and M4 to M6: one sweep over every page table, with the areas beside it. It counts who maps what.

Costs: O(page-table entries), a look at the frame of each.
"""
from libc.stdint cimport uint32_t, uint64_t

from rmapcore.pyx.base.ids cimport PAGE_SHIFT, mm_id, pfn_t, slot_t, swp_t, vma_id, vpn_t
from rmapcore.pyx.base.records cimport P_FRAMES, P_TABLES, PG_CACHED, VM_NONLINEAR, VM_SHARED, VM_WRITE, Area, Frame, Mm
from rmapcore.pyx.base.state cimport State
from rmapcore.pyx.base.x86 cimport (
    PTE_ACCESSED, PTE_DIRTY, PTE_FILE, PTE_PRESENT, PTE_PROTNONE, PTE_RW, PTE_TABLE, PTE_USER, file_entry, file_pgoff,
    pte_get, pte_is_guard, pte_is_swap, pte_pfn, pte_present, swap_entry, swap_slot,
)
from rmapcore.pyx.look.check.violation cimport FREE, LINKED, NOWHERE, Check, broken, broken_at, pool_reached
from rmapcore.pyx.machine.vmas cimport area_index, area_prot, peek_vma


cdef bint free_tables(Check* c) noexcept nogil:
    """T2: every entry of a free table is 0."""
    cdef State* s = c.s
    cdef uint32_t t
    cdef slot_t slot
    for t in range(1, <uint32_t> s.pool[P_TABLES].bump):
        if c.tables[t] != FREE:
            continue
        for slot in range(t << s.bits, (t + 1) << s.bits):
            if pte_get(s, slot):
                return broken(c, b"T2", b"entry {0} of free table {1} is not 0", slot & s.index_mask, t)
    return False


cdef bint present(Check* c, Area* a, vpn_t vpn, slot_t slot, uint64_t entry, uint64_t prot) noexcept nogil:
    """T4 to T7 for one present entry; counts it."""
    cdef State* s = c.s
    cdef pfn_t pfn = pte_pfn(s, entry)
    cdef Frame* f
    if pfn >= s.pool[P_FRAMES].bump or c.frames[pfn] == FREE:
        return broken_at(c, b"T4", b"entry {0:#x} names a frame that is not in use", entry, 0, pfn, c.mm, vpn)
    if (entry ^ prot) & (PTE_PRESENT | PTE_USER | PTE_PROTNONE | s.nx):
        return broken_at(c, b"T5", b"entry {0:#x}, its area asks for {1:#x}", entry, prot, pfn, c.mm, vpn)
    if entry & PTE_RW:
        if not a.flags & VM_WRITE or pfn == 0:
            return broken_at(c, b"T6", b"entry {0:#x} is writable", entry, 0, pfn, c.mm, vpn)
        if not a.flags & VM_SHARED:
            c.writable[pfn] = slot
    elif prot & PTE_RW:
        return broken_at(c, b"T6", b"entry {0:#x} is not writable, but its area shared and writable", entry, 0, pfn,
                         c.mm, vpn)
    if pfn == 0:
        if a.file:
            return broken_at(c, b"T7", b"the zero page in an area of file {0}", a.file, 0, 0, c.mm, vpn)
        return False
    f = &s.frame[pfn]
    if f.flags & PG_CACHED:
        if f.owner != a.file or (not a.flags & VM_NONLINEAR and f.index != a.pgoff + (vpn - a.start)):
            return broken_at(c, b"T7", b"the frame holds page {0} of file {1}", f.index, f.owner, pfn, c.mm, vpn)
    elif a.flags & VM_SHARED:
        return broken_at(c, b"T7", b"a frame that is not of file {0} in a shared area", a.file, 0, pfn, c.mm, vpn)
    c.mapped[pfn] += 1
    c.rss += 1
    return False


cdef bint leaf(Check* c, uint32_t table, vpn_t first) noexcept nogil:
    """T3 to T8 and T11 for one leaf table of the mm being swept; c.area follows."""
    cdef State* s = c.s
    cdef vma_id v = c.area
    cdef uint64_t known = PTE_PRESENT | PTE_RW | PTE_USER | PTE_ACCESSED | PTE_DIRTY | PTE_PROTNONE | s.nx
    cdef uint64_t prot = area_prot(s, v) if v else 0
    cdef uint64_t entry
    cdef uint32_t i
    cdef slot_t slot = table << s.bits
    cdef swp_t swap
    cdef vpn_t vpn
    for i in range(s.index_mask + 1):
        entry = pte_get(s, slot + i)
        if entry == 0:
            continue
        vpn = first + i
        while v and s.area[v].end <= vpn:
            v = s.area[v].next
            prot = area_prot(s, v) if v else 0
        if v == 0 or s.area[v].start > vpn:
            return broken_at(c, b"T3", b"entry {0:#x} lies in no area", entry, 0, 0, c.mm, vpn)
        if pte_present(entry):
            if entry & 0xFFF & ~known:
                return broken_at(c, b"T4", b"entry {0:#x} has unknown bits", entry, 0, 0, c.mm, vpn)
            if present(c, &s.area[v], vpn, slot + i, entry, prot):
                return True
            continue
        if pte_is_guard(s, entry):
            if not s.area[v].guards:
                return broken_at(c, b"T11", b"a guard in an area that fork leaves out", 0, 0, 0, c.mm, vpn)
            continue
        if entry & PTE_FILE and file_entry(s, file_pgoff(s, entry)) == entry:
            if not s.area[v].flags & VM_NONLINEAR or file_pgoff(s, entry) == area_index(s, v, vpn):
                return broken_at(c, b"T11", b"entry {0:#x} names page {1} of the file", entry, file_pgoff(s, entry), 0,
                                 c.mm, vpn)
            continue
        swap = swap_slot(s, entry)
        if not pte_is_swap(entry) or swap_entry(s, swap) != entry & ~s.swap_exclusive:
            return broken_at(c, b"T4", b"entry {0:#x} is neither present nor swapped", entry, 0, 0, c.mm, vpn)
        if swap == 0 or swap >= s.h.slot_bump or c.slots[swap] == FREE:
            return broken_at(c, b"T4", b"entry {0:#x} names slot {1}, which is not in use", entry, swap, 0, c.mm, vpn)
        if s.area[v].flags & VM_SHARED:
            return broken_at(c, b"T8", b"swap entry {0:#x} in a shared area", entry, 0, 0, c.mm, vpn)
        c.users[swap] += 1
        c.swapents += 1
    c.area = v
    return False


cdef bint descend(Check* c, uint32_t table, uint32_t level, vpn_t first) noexcept nogil:
    """T1 and T9 for what hangs below a table, which was looked at itself; ascending."""
    cdef State* s = c.s
    cdef int shift = s.bits * level
    cdef uint64_t entry
    cdef uint32_t i, below
    cdef vpn_t low
    cdef vma_id v
    if level == 0:
        return leaf(c, table, first)
    for i in range(s.index_mask + 1):
        entry = pte_get(s, (table << s.bits) | i)
        if entry == 0:
            continue
        low = first + (<vpn_t> i << shift)
        below = <uint32_t> (entry >> PAGE_SHIFT)
        if (entry & 0xFFF != PTE_TABLE or entry >> PAGE_SHIFT >= s.pool[P_TABLES].bump or c.tables[below]
                or s.table[below].mm != c.mm or s.table[below].level != level - 1 or s.table[below].first_vpn != low):
            return broken_at(c, b"T1", b"upper entry {0:#x} does not fit the record of a table", entry, 0, 0, c.mm, low)
        c.tables[below] = LINKED
        c.n_tables += 1
        if shift == s.granule:
            v = peek_vma(s, c.mm, low)
            if v == 0 or s.area[v].start >= low + (<vpn_t> 1 << shift):
                return broken_at(c, b"T9", b"table {0} is left where no area is", below, 0, 0, c.mm, low)
        if descend(c, below, level - 1, low):
            return True
    return False


cdef bint tables(Check* c) noexcept nogil:
    """T for every mm; M4, M5 and M6."""
    cdef State* s = c.s
    cdef mm_id mm = s.h.mm_first
    cdef Mm* m
    if free_tables(c):
        return True
    while mm:
        m = &s.mm[mm]
        c.mm = mm
        c.area = m.first
        c.rss = 0
        c.swapents = 0
        c.n_tables = 1
        if (m.pgd == 0 or m.pgd >= s.pool[P_TABLES].bump or c.tables[m.pgd] or s.table[m.pgd].mm != mm
                or s.table[m.pgd].level != <uint32_t> s.levels - 1 or s.table[m.pgd].first_vpn):
            return broken_at(c, b"T1", b"table {0} is not the top table of its mm", m.pgd, 0, 0, mm, NOWHERE)
        c.tables[m.pgd] = LINKED
        if descend(c, m.pgd, s.levels - 1, 0):
            return True
        if m.rss != c.rss:
            return broken_at(c, b"M4", b"rss is {0}, present entries {1}", m.rss, c.rss, 0, mm, NOWHERE)
        if m.swapents != c.swapents:
            return broken_at(c, b"M5", b"swapents is {0}, swap entries {1}", m.swapents, c.swapents, 0, mm, NOWHERE)
        if m.n_tables != c.n_tables:
            return broken_at(c, b"M6", b"n_tables is {0}, tables {1}", m.n_tables, c.n_tables, 0, mm, NOWHERE)
        mm = m.next
    return pool_reached(c, P_TABLES, c.tables)
