"""Page tables: one arena of tables of 512 (or 1024) entries, leaves and upper levels alike (rules A, C).

A table's entries lie at [number << bits, (number + 1) << bits) of the entry arena; a *slot* is such an index. Beside each
table stands a record: its mm, the first vpn it covers, its level. Upper entries hold the lower table's number as pfn.

   x86_64  mm.pgd -> [27..35] -> [18..26] -> [9..17] -> leaf [0..8]       (bits of the vpn)
   PAE                mm.pgd [18..19] -> [9..17] -> leaf [0..8]
   i386                           mm.pgd [10..19] -> leaf [0..9]

Every entry of a free table is zero. Costs: lookup O(levels); next_leaf skips missing subtrees.
"""
from libc.stdint cimport uint32_t, uint64_t

from rmapcore.pyx.base.ids cimport PAGE_SHIFT, mm_id, slot_t, vpn_t
from rmapcore.pyx.base.pool cimport pool_take
from rmapcore.pyx.base.records cimport P_TABLES, Table
from rmapcore.pyx.base.state cimport I386_PAE, State
from rmapcore.pyx.base.x86 cimport PTE_TABLE, pte_fetch, pte_get, pte_set

cdef enum:
    TOUCHED = 64              # most pages of one batch: 32-64 fetched together hide the misses of random addresses
    FREE_TABLE = 255          # level of a table on the free list
    PAE_TOP_BYTES = 32        # the 4 entries of a PAE top table; every other table costs 4096


cdef inline slot_t pt_lookup(State* s, mm_id mm, vpn_t vpn) noexcept nogil:
    """Slot of the vpn's leaf entry, 0 if its leaf table does not exist."""
    cdef uint32_t table = s.mm[mm].pgd
    cdef int shift = s.top_shift
    cdef uint64_t entry
    if shift == 27:                            # x86_64, the usual case, without a loop: half of the instructions
        entry = s.pte64[(table << 9) | (<uint32_t> (vpn >> 27) & 511)]
        if entry == 0:
            return 0
        entry = s.pte64[(<uint32_t> (entry >> PAGE_SHIFT) << 9) | (<uint32_t> (vpn >> 18) & 511)]
        if entry == 0:
            return 0
        entry = s.pte64[(<uint32_t> (entry >> PAGE_SHIFT) << 9) | (<uint32_t> (vpn >> 9) & 511)]
        if entry == 0:
            return 0
        return (<uint32_t> (entry >> PAGE_SHIFT) << 9) | (<uint32_t> vpn & 511)
    while shift > 0:
        entry = pte_get(s, (table << s.bits) | (<uint32_t> (vpn >> shift) & s.index_mask))
        if entry == 0:
            return 0
        table = <uint32_t> (entry >> PAGE_SHIFT)
        shift -= s.bits
    return (table << s.bits) | (<uint32_t> vpn & s.index_mask)


cdef struct Cursor:           # the leaf table met last; good as long as no table is freed
    uint64_t leaf             # vpn >> bits of its entries, plus 1; 0: none
    slot_t base               # slot of its first entry


cdef inline slot_t pt_place(State* s, mm_id mm, vpn_t vpn, Cursor* c) noexcept nogil:
    """pt_lookup of an mm's pages one after another; 0 beyond user space. The entry is fetched if the table is another one."""
    cdef slot_t slot
    if c.leaf == (vpn >> s.bits) + 1:
        return c.base + (<uint32_t> vpn & s.index_mask)
    slot = pt_lookup(s, mm, vpn) if vpn < s.task_vpn else 0
    if slot:
        pte_fetch(s, slot)
        c.leaf = (vpn >> s.bits) + 1
        c.base = slot - (<uint32_t> vpn & s.index_mask)
    return slot


cdef inline uint32_t table_low_bytes(State* s, uint32_t level) noexcept nogil:
    """What a table costs in low memory."""
    if level == 0 and s.high_tables:
        return 0
    return PAE_TOP_BYTES if s.arch == I386_PAE and level == 2 else 4096


cdef inline uint32_t pt_new(State* s, mm_id mm, vpn_t first_vpn, uint32_t level) noexcept nogil:
    """A table, all entries zero. The caller has seen to the room (pool_room of P_TABLES)."""
    cdef uint32_t t
    t = pool_take(s, P_TABLES, s.table, sizeof(Table), 8)
    s.table[t].first_vpn = first_vpn
    s.table[t].mm = mm
    s.table[t].level = level
    s.mm[mm].n_tables += 1
    s.h.low_bytes += table_low_bytes(s, level)
    if s.h.low_bytes > s.h.low_bytes_peak:
        s.h.low_bytes_peak = s.h.low_bytes
    if level == 0:
        s.h.n_leaves += 1
        if s.h.n_leaves > s.h.n_leaves_peak:
            s.h.n_leaves_peak = s.h.n_leaves
    return t


cdef inline slot_t pt_alloc(State* s, mm_id mm, vpn_t vpn) noexcept nogil:
    """Slot of the vpn's leaf entry; missing tables are made (room for levels - 1 of them is the caller's duty)."""
    cdef uint32_t table = s.mm[mm].pgd
    cdef uint32_t below
    cdef int shift = s.top_shift
    cdef uint32_t level = s.levels - 1
    cdef uint64_t entry
    cdef slot_t slot
    while shift > 0:
        slot = (table << s.bits) | (<uint32_t> (vpn >> shift) & s.index_mask)
        entry = pte_get(s, slot)
        level -= 1
        if entry == 0:
            below = pt_new(s, mm, (vpn >> shift) << shift, level)
            pte_set(s, slot, (<uint64_t> below << PAGE_SHIFT) | PTE_TABLE)
            table = below
        else:
            table = <uint32_t> (entry >> PAGE_SHIFT)
        shift -= s.bits
    return (table << s.bits) | (<uint32_t> vpn & s.index_mask)


cdef inline slot_t pt_next(State* s, mm_id mm, vpn_t* vpn, vpn_t end) noexcept nogil:
    """Slot of the first entry at or after *vpn (below end) whose leaf table exists; *vpn moves there. 0: none."""
    cdef uint32_t table
    cdef int shift
    cdef uint64_t entry
    cdef bint missing
    while vpn[0] < end:
        table = s.mm[mm].pgd
        shift = s.top_shift
        missing = False
        while shift > 0:
            entry = pte_get(s, (table << s.bits) | (<uint32_t> (vpn[0] >> shift) & s.index_mask))
            if entry == 0:
                vpn[0] = ((vpn[0] >> shift) + 1) << shift
                missing = True
                break
            table = <uint32_t> (entry >> PAGE_SHIFT)
            shift -= s.bits
        if not missing:
            return (table << s.bits) | (<uint32_t> vpn[0] & s.index_mask)
    return 0


cdef inline uint32_t leaf_run(State* s, vpn_t vpn, vpn_t end) noexcept nogil:
    """How many entries from vpn on lie in vpn's leaf table and below end."""
    cdef uint64_t left = s.index_mask + 1 - (vpn & s.index_mask)
    return <uint32_t> (left if left < end - vpn else end - vpn)


cdef inline mm_id slot_mm(State* s, slot_t slot) noexcept nogil:
    return s.table[slot >> s.bits].mm


cdef inline vpn_t slot_vpn(State* s, slot_t slot) noexcept nogil:
    return s.table[slot >> s.bits].first_vpn + (slot & s.index_mask)


cdef uint32_t pt_table(State* s, mm_id mm, vpn_t vpn, uint32_t level) noexcept nogil
cdef uint32_t pt_make(State* s, mm_id mm, vpn_t vpn, uint32_t level) noexcept nogil
cdef void pt_make_uppers(State* s, mm_id mm, mm_id like, vpn_t start, vpn_t end) noexcept nogil
cdef bint leaf_is_empty(State* s, uint32_t leaf) noexcept nogil
cdef void pt_drop_leaf(State* s, mm_id mm, vpn_t vpn) noexcept nogil
cdef void pt_move(State* s, mm_id mm, vpn_t old, vpn_t new, uint32_t level) noexcept nogil
cdef void pt_free_range(State* s, mm_id mm, vpn_t start, vpn_t end, vpn_t floor, vpn_t ceiling) noexcept nogil
cdef void pt_free_all(State* s, mm_id mm) noexcept nogil
