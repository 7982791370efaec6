"""Making, moving and freeing of whole tables (rules C2, QC). The hot paths are inline in pagetable.pxd."""
from libc.stdint cimport uint32_t, uint64_t

from rmapcore.pyx.base.ids cimport PAGE_SHIFT, mm_id, slot_t, vpn_t
from rmapcore.pyx.base.pool cimport pool_give
from rmapcore.pyx.base.records cimport P_TABLES, Table
from rmapcore.pyx.base.state cimport State
from rmapcore.pyx.base.x86 cimport PTE_TABLE, pte_get, pte_set
from rmapcore.pyx.machine.pagetable cimport FREE_TABLE, pt_new, table_low_bytes


cdef void free_table(State* s, uint32_t table) noexcept nogil:
    """Frees one table whose entries are all zero."""
    cdef uint32_t level = s.table[table].level
    s.mm[s.table[table].mm].n_tables -= 1
    s.tables_gone += 1
    s.table[table].level = FREE_TABLE
    pool_give(s, P_TABLES, s.table, sizeof(Table), 8, table)
    s.h.low_bytes -= table_low_bytes(s, level)
    if level == 0:
        s.h.n_leaves -= 1


cdef uint32_t pt_table(State* s, mm_id mm, vpn_t vpn, uint32_t level) noexcept nogil:
    """The table of a level (0: leaves) that the vpn's entry hangs below, 0 if it does not exist."""
    cdef uint32_t table = s.mm[mm].pgd
    cdef uint32_t at = s.levels - 1
    while at > level and table:
        table = <uint32_t> (pte_get(s, (table << s.bits) | (<uint32_t> (vpn >> (s.bits * at)) & s.index_mask)) >> PAGE_SHIFT)
        at -= 1
    return table


cdef uint32_t pt_make(State* s, mm_id mm, vpn_t vpn, uint32_t level) noexcept nogil:
    """The same; what is missing is made (room for levels - 1 tables is the caller's duty)."""
    cdef uint32_t table = s.mm[mm].pgd
    cdef uint32_t at = s.levels - 1
    cdef uint32_t below
    cdef slot_t slot
    while at > level:
        slot = (table << s.bits) | (<uint32_t> (vpn >> (s.bits * at)) & s.index_mask)
        below = <uint32_t> (pte_get(s, slot) >> PAGE_SHIFT)
        if below == 0:
            below = pt_new(s, mm, (vpn >> (s.bits * at)) << (s.bits * at), at - 1)
            pte_set(s, slot, (<uint64_t> below << PAGE_SHIFT) | PTE_TABLE)
        table = below
        at -= 1
    return table


cdef void pt_make_uppers(State* s, mm_id mm, mm_id like, vpn_t start, vpn_t end) noexcept nogil:
    """Makes upper tables for [start, end) where mm `like` has them; the caller has seen to the room."""
    cdef uint32_t level = s.levels - 2
    cdef vpn_t vpn, span
    while level > 0:                           # a table of a level spans that many pages:
        span = <vpn_t> 1 << (s.bits * (level + 1))
        vpn = start
        while vpn < end:
            if pt_table(s, like, vpn, level):
                pt_make(s, mm, vpn, level)
            vpn = (vpn & ~(span - 1)) + span
        level -= 1


cdef bint leaf_is_empty(State* s, uint32_t leaf) noexcept nogil:
    cdef slot_t base = leaf << s.bits
    cdef uint32_t i
    for i in range(s.index_mask + 1):
        if pte_get(s, base + i):
            return False
    return True


cdef void pt_drop_leaf(State* s, mm_id mm, vpn_t vpn) noexcept nogil:
    """Frees a leaf table that exists and is empty; the tables above it stay."""
    cdef slot_t slot = (pt_table(s, mm, vpn, 1) << s.bits) | (<uint32_t> (vpn >> s.bits) & s.index_mask)
    free_table(s, <uint32_t> (pte_get(s, slot) >> PAGE_SHIFT))
    pte_set(s, slot, 0)


cdef void pt_move(State* s, mm_id mm, vpn_t old, vpn_t new, uint32_t level) noexcept nogil:
    """Hangs a table that exists, with all below it, where none is; the tables above the new place must exist."""
    cdef int shift = s.bits * (level + 1)
    cdef slot_t source = (pt_table(s, mm, old, level + 1) << s.bits) | (<uint32_t> (old >> shift) & s.index_mask)
    cdef slot_t target = (pt_table(s, mm, new, level + 1) << s.bits) | (<uint32_t> (new >> shift) & s.index_mask)
    cdef uint64_t entry = pte_get(s, source)
    pte_set(s, target, entry)
    pte_set(s, source, 0)
    s.tables_gone += 1
    place_table(s, <uint32_t> (entry >> PAGE_SHIFT), level, new)


cdef void place_table(State* s, uint32_t table, uint32_t level, vpn_t first) noexcept nogil:
    """Tells the records of a table and of all below it where they lie now."""
    cdef uint32_t i, below
    s.table[table].first_vpn = first
    if level == 0:
        return
    for i in range(s.index_mask + 1):
        below = <uint32_t> (pte_get(s, (table << s.bits) | i) >> PAGE_SHIFT)
        if below:
            place_table(s, below, level - 1, first + (<vpn_t> i << (s.bits * level)))


cdef void free_below(State* s, uint32_t table, int shift, vpn_t start, vpn_t end, vpn_t floor, vpn_t ceiling,
                     int widest) noexcept nogil:
    """Frees every table below `table` that has a page of [start, end), none outside [floor, ceiling), and spans at most
    1 << widest pages.

    shift: vpn bits below the table's index.
    """
    cdef vpn_t first = s.table[table].first_vpn
    cdef vpn_t span = <vpn_t> 1 << shift
    cdef uint32_t i
    cdef uint32_t begin = 0
    cdef uint32_t stop = s.index_mask + 1
    cdef slot_t slot
    cdef uint32_t below
    cdef uint64_t entry
    cdef vpn_t low
    if start > first:
        begin = <uint32_t> ((start - first) >> shift)
    if ((end - first + span - 1) >> shift) < stop:
        stop = <uint32_t> ((end - first + span - 1) >> shift)
    for i in range(begin, stop):
        slot = (table << s.bits) | i
        entry = pte_get(s, slot)
        if entry == 0:
            continue
        below = <uint32_t> (entry >> PAGE_SHIFT)
        if shift > s.bits:
            free_below(s, below, shift - s.bits, start, end, floor, ceiling, widest)
        low = first + i * span
        if shift <= widest and low >= floor and low + span <= ceiling:
            pte_set(s, slot, 0)
            free_table(s, below)


cdef void pt_free_range(State* s, mm_id mm, vpn_t start, vpn_t end, vpn_t floor, vpn_t ceiling) noexcept nogil:
    """Frees the tables of granules that overlap the unmapped [start, end) and nothing that is mapped (rules C2, QC2).

    Nothing is mapped in [floor, ceiling), and all entries there are zero.
    """
    cdef vpn_t inside = (<vpn_t> 1 << s.granule) - 1
    floor = (floor + inside) & ~inside
    ceiling &= ~inside
    start &= ~inside
    end = (end + inside) & ~inside
    if start < floor:
        start = floor
    if end > ceiling:
        end = ceiling
    if start < end:
        free_below(s, s.mm[mm].pgd, s.top_shift, start, end, floor, ceiling, s.widest_freed)


cdef void pt_free_all(State* s, mm_id mm) noexcept nogil:
    """Frees all tables of the mm, the top one included."""
    cdef vpn_t all_pages = <vpn_t> 1 << (s.top_shift + s.bits)
    free_below(s, s.mm[mm].pgd, s.top_shift, 0, all_pages, 0, all_pages, s.top_shift)
    free_table(s, s.mm[mm].pgd)
    s.mm[mm].pgd = 0
