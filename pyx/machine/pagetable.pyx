"""Freeing of page tables (rule C2). The hot paths are inline in pagetable.pxd."""
from libc.stdint cimport uint32_t, uint64_t

from rmapcore.pyx.base.ids cimport PAGE_SHIFT, mm_id, slot_t, vpn_t
from rmapcore.pyx.base.pool cimport pool_give
from rmapcore.pyx.base.records cimport P_TABLES, Table
from rmapcore.pyx.base.state cimport State
from rmapcore.pyx.base.x86 cimport pte_get, pte_set
from rmapcore.pyx.machine.pagetable cimport FREE_TABLE, table_low_bytes


cdef void free_table(State* s, uint32_t table) noexcept nogil:
    """Frees one table whose entries are all zero."""
    cdef uint32_t level = s.table[table].level
    s.mm[s.table[table].mm].n_tables -= 1
    pool_give(s, P_TABLES, s.table, sizeof(Table), 8, table)
    s.table[table].level = FREE_TABLE
    s.h.low_bytes -= table_low_bytes(s, level)
    if level == 0:
        s.h.n_leaves -= 1


cdef void free_below(State* s, uint32_t table, int shift, vpn_t start, vpn_t end, int most) noexcept nogil:
    """Frees every table below `table` that lies wholly in [start, end) and spans at most 1 << most pages.

    shift: vpn bits below the table's index.
    """
    cdef vpn_t first = s.table[table].first_vpn
    cdef uint32_t i
    cdef uint32_t begin = 0
    cdef uint32_t stop = s.index_mask + 1
    cdef slot_t slot
    cdef uint32_t below
    cdef uint64_t entry
    cdef vpn_t low
    if start > first:
        begin = <uint32_t> ((start - first) >> shift)
    if ((end - first + (<uint64_t> 1 << shift) - 1) >> shift) < stop:
        stop = <uint32_t> ((end - first + (<uint64_t> 1 << shift) - 1) >> shift)
    for i in range(begin, stop):
        slot = (table << s.bits) | i
        entry = pte_get(s, slot)
        if entry == 0:
            continue
        below = <uint32_t> (entry >> PAGE_SHIFT)
        if shift > s.bits:
            free_below(s, below, shift - s.bits, start, end, most)
        low = first + (<uint64_t> i << shift)
        if shift <= most and low >= start and low + (<uint64_t> 1 << shift) <= end:
            pte_set(s, slot, 0)
            free_table(s, below)


cdef void pt_free_range(State* s, mm_id mm, vpn_t start, vpn_t end) noexcept nogil:
    """Frees the tables of a granule and below that lie wholly in [start, end); their entries must be zero."""
    if start < end:
        free_below(s, s.mm[mm].pgd, s.top_shift, start, end, s.granule)


cdef void pt_free_all(State* s, mm_id mm) noexcept nogil:
    """Frees all tables of the mm, the top one included."""
    free_below(s, s.mm[mm].pgd, s.top_shift, 0, <vpn_t> 1 << (s.top_shift + s.bits), s.top_shift)
    free_table(s, s.mm[mm].pgd)
    s.mm[mm].pgd = 0
