"""T page tables, F frames, L LRU, S swap slots, C page cache: T1 to T11, M4 to M6, F1 to F10, L1 to L4, S1 to S5, C1 to C4, C7.

One sweep over every page table, with the areas beside it, counts who maps what (tables). free_frames and free_slots note before
it what is free; frames, lru, cache, swap and exclusive compare what it counted. Costs: O(entries + frames + slots).
"""
from libc.stdint cimport uint32_t, uint64_t

from rmapcore.pyx.base.ids cimport PAGE_SHIFT, file_id, mm_id, pfn_t, slot_t, swp_t, vma_id, vpn_t
from rmapcore.pyx.base.records cimport (
    FILE_SHMEM, FILE_ZERO, MOST_FOLIO_ORDER, NOT_CACHED, PG_ACTIVE, PG_ANON, PG_CACHED, PG_DIRECT, PG_DIRTY, PG_EXCLUSIVE,
    PG_LAZYFREE, PG_LRU, PG_PIN, PG_PINS, PG_REFERENCED, PG_SWAPCACHE, P_FILES, P_FRAMES, P_SLOTS, P_TABLES, VM_NONLINEAR,
    VM_SHARED, VM_WRITE, Area, File, Frame, Head, Mm,
)
from rmapcore.pyx.base.state cimport X86_64, State
from rmapcore.pyx.base.x86 cimport (
    PTE_ACCESSED, PTE_DIRTY, PTE_FILE, PTE_PRESENT, PTE_PROTNONE, PTE_RW, PTE_TABLE, PTE_USER, file_entry, file_pgoff,
    pte_get, pte_is_guard, pte_is_swap, pte_pfn, pte_present, swap_entry, swap_slot,
)
from rmapcore.pyx.look.check.violation cimport FREE, LINKED, NOWHERE, SCAN_PAGES, Check, blank, broken, broken_at, pool_reached
from rmapcore.pyx.machine.files cimport CACHE_SWAP, file_pages
from rmapcore.pyx.machine.frames cimport ZONE_HIGH_PFN, ZONE_NORMAL_PFN, page_count, zone_of
from rmapcore.pyx.machine.pagetable cimport slot_mm, slot_vpn
from rmapcore.pyx.machine.vmas cimport area_index, area_prot, peek_vma

cdef enum:
    PG_KNOWN = (PG_REFERENCED | PG_DIRTY | PG_LRU | PG_ACTIVE | PG_DIRECT | PG_SWAPCACHE | PG_CACHED | PG_ANON | PG_PINS
                | PG_EXCLUSIVE | PG_LAZYFREE)


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
        if a.file and s.file[a.file].kind != FILE_ZERO:
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
        if s.granule <= shift <= s.widest_freed:
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


# frames and the LRU


cdef uint32_t zone_start(State* s, int zone) noexcept nogil:
    """Where frames of a zone begin to be handed out."""
    if zone == 0:
        return 1
    if s.arch == X86_64:
        return s.n_frames
    return ZONE_NORMAL_PFN if zone == 1 else ZONE_HIGH_PFN


cdef bint free_frames(Check* c) noexcept nogil:
    """F1 and F2, and the notes of which frames are free."""
    cdef State* s = c.s
    cdef uint32_t bump = <uint32_t> s.pool[P_FRAMES].bump
    cdef uint64_t used = 0
    cdef uint32_t most = 1
    cdef uint32_t high
    cdef int zone
    cdef pfn_t pfn
    for zone in range(3):
        high = s.h.zone_bump[zone]
        if high < zone_start(s, zone):
            return broken(c, b"F1", b"zone {0} has handed out frames below {1}", zone, high)
        if high != zone_start(s, zone) and high > most:
            most = high
    if most != bump:
        return broken(c, b"F1", b"the zones have handed out frames below {0}, the pool says {1}", most, bump)
    for pfn in range(1, bump):
        if pfn >= s.h.zone_bump[zone_of(s, pfn)]:
            c.frames[pfn] = FREE
    for zone in range(3):
        pfn = s.h.zone_free[zone]
        while pfn:
            if pfn >= bump or c.frames[pfn] or zone_of(s, pfn) != zone:
                return broken(c, b"F1", b"the free list of zone {0} leads to frame {1}", zone, pfn)
            c.frames[pfn] = FREE
            pfn = s.frame[pfn].next
    for pfn in range(1, bump):
        used += c.frames[pfn] != FREE
    if s.h.frames_free != s.n_frames - 1 - used:
        return broken(c, b"F2", b"{0} frames are counted free, {1} are in use", s.h.frames_free, used)
    if used > s.h.frames_used_peak:
        return broken(c, b"F2", b"{0} frames are in use, at most {1} so far", used, s.h.frames_used_peak)
    return False


cdef bint clean(Check* c, pfn_t pfn) noexcept nogil:
    """F7 and F8 for a frame that nobody uses, and the zero page. A free frame's next is its list's."""
    cdef State* s = c.s
    cdef Frame* f = &s.frame[pfn]
    if f.flags or f.mapcount or f.rmap or f.owner or f.index or f.prev or (pfn == 0 and f.next):
        return broken_at(c, b"F8", b"free frame {0} is not clean: flags {1:#x}", pfn, f.flags, pfn, 0, NOWHERE)
    if s.stamp and s.stamp[pfn]:
        return broken_at(c, b"F7", b"free frame {0} holds contents {1}", pfn, s.stamp[pfn], pfn, 0, NOWHERE)
    return False


cdef bint frames(Check* c) noexcept nogil:
    """F3 to F8; S2 and C1 where a frame says that it is in a cache. Counts page-cache frames by file."""
    cdef State* s = c.s
    cdef uint64_t mapped = 0
    cdef uint64_t pins = 0
    cdef uint32_t kind
    cdef pfn_t pfn
    cdef Frame* f
    if clean(c, 0):
        return True
    for pfn in range(1, <uint32_t> s.pool[P_FRAMES].bump):
        f = &s.frame[pfn]
        if c.frames[pfn] == FREE:
            if clean(c, pfn):
                return True
            continue
        if f.mapcount != c.mapped[pfn]:
            return broken_at(c, b"F3", b"mapcount is {0}, entries {1}", f.mapcount, c.mapped[pfn], pfn, 0, NOWHERE)
        mapped += f.mapcount != 0
        kind = f.flags & (PG_CACHED | PG_SWAPCACHE)
        if kind == PG_CACHED | PG_SWAPCACHE or (f.flags & PG_ANON != 0) != (f.mapcount != 0 and kind != PG_CACHED):
            return broken_at(c, b"F5", b"flags {0:#x} do not go with mapcount {1}", f.flags, f.mapcount, pfn, 0,
                             NOWHERE)
        pins += (f.flags & PG_PINS) // PG_PIN
        if page_count(s, pfn) == 0:
            return broken_at(c, b"F6", b"page_count is {0}, flags {1:#x}", page_count(s, pfn), f.flags, pfn, 0, NOWHERE)
        if f.flags & (PG_EXCLUSIVE | PG_LAZYFREE) and (not f.flags & PG_ANON or (f.flags & PG_EXCLUSIVE and f.mapcount > 1)):
            return broken_at(c, b"F10", b"flags {0:#x} with mapcount {1}", f.flags, f.mapcount, pfn, 0, NOWHERE)
        if f.flags & ~<uint32_t> PG_KNOWN or (kind == 0 and f.owner):
            return broken_at(c, b"F9", b"unknown flags in {0:#x}, or an owner without a cache", f.flags, 0, pfn, 0,
                             NOWHERE)
        if kind == PG_SWAPCACHE:
            if f.owner == 0 or f.owner >= s.h.slot_bump or c.slots[f.owner] == FREE or s.swap_cache[f.owner] != pfn:
                return broken_at(c, b"S2", b"the frame is not the cached copy of slot {0}", f.owner, 0, pfn, 0, NOWHERE)
        elif kind == PG_CACHED:
            if (f.owner == 0 or f.owner >= s.pool[P_FILES].bump or c.files[f.owner] != LINKED
                    or f.index >= <uint64_t> 1 << s.file[f.owner].order
                    or s.cache[s.file[f.owner].base + f.index] != pfn):
                return broken_at(c, b"C1", b"the frame is not page {0} of file {1}", f.index, f.owner, pfn, 0, NOWHERE)
            if f.index >= file_pages(s, f.owner):
                return broken_at(c, b"C4", b"page {0} lies beyond the end of file {1}", f.index, f.owner, pfn, 0,
                                 NOWHERE)
            c.cached[f.owner] += 1
    if s.h.n_pins != pins:
        return broken(c, b"F6", b"{0} pins are held, {1} are on frames", s.h.n_pins, pins)
    if s.h.n_mapped != mapped:
        return broken(c, b"F4", b"{0} frames are counted mapped, {1} are", s.h.n_mapped, mapped)
    return False


cdef bint exclusive(Check* c) noexcept nogil:
    """T10: where a private area's entry may be written, nobody else has the page."""
    cdef State* s = c.s
    cdef pfn_t pfn
    cdef slot_t slot
    cdef Frame* f
    for pfn in range(1, <uint32_t> s.pool[P_FRAMES].bump):
        slot = c.writable[pfn]
        if slot == 0:
            continue
        f = &s.frame[pfn]
        if not f.flags & PG_ANON or f.mapcount != 1 or (f.flags & PG_SWAPCACHE and s.swap_map[f.owner] != 1):
            return broken_at(c, b"T10", b"a writable entry, but the frame has mapcount {0}, flags {1:#x}", f.mapcount,
                             f.flags, pfn, slot_mm(s, slot), slot_vpn(s, slot))
    return False


# LRU

cdef bint lru_list(Check* c, pfn_t head, pfn_t tail, uint64_t count, uint32_t flags) noexcept nogil:
    """L1 to L3 for one list, whose members carry just these of LRU and ACTIVE."""
    cdef State* s = c.s
    cdef uint64_t n = 0
    cdef pfn_t before = 0
    cdef pfn_t pfn = head
    cdef Frame* f
    while pfn:
        if pfn >= s.pool[P_FRAMES].bump or c.frames[pfn] == FREE or c.listed[pfn]:
            return broken(c, b"L1", b"an LRU list leads from {0} to {1}", before, pfn)
        f = &s.frame[pfn]
        if f.prev != before:
            return broken_at(c, b"L1", b"the frame before is {0}, prev {1}", before, f.prev, pfn, 0, NOWHERE)
        if f.flags & (PG_LRU | PG_ACTIVE) != flags:
            return broken_at(c, b"L2", b"flags {0:#x} on the list of those with {1:#x}", f.flags, flags, pfn, 0,
                             NOWHERE)
        c.listed[pfn] = True
        n += 1
        before = pfn
        pfn = f.next
    if tail != before:
        return broken(c, b"L1", b"an LRU list ends with {0}, not {1}", before, tail)
    if n != count:
        return broken(c, b"L3", b"an LRU list has {0} frames, {1} are counted", n, count)
    return False


cdef bint lru(Check* c) noexcept nogil:
    """L1 to L4. L4: every frame in use is on a list."""
    cdef Head* h = c.s.h
    cdef pfn_t pfn
    if (lru_list(c, h.active, h.active_tail, h.n_active, PG_LRU | PG_ACTIVE)
            or lru_list(c, h.inactive, h.inactive_tail, h.n_inactive, PG_LRU)):
        return True
    for pfn in range(1, <uint32_t> c.s.pool[P_FRAMES].bump):
        if c.frames[pfn] != FREE and not c.listed[pfn]:
            return broken_at(c, b"L4", b"frame {0} is on no LRU list", pfn, 0, pfn, 0, NOWHERE)
    return False


# swap slots and page cache


cdef bint free_slots(Check* c) noexcept nogil:
    """S3 and S4, and the notes of which slots are free."""
    cdef State* s = c.s
    cdef uint64_t used = 0
    cdef uint64_t total = s.n_slots - s.n_headers
    cdef swp_t slot = s.h.slot_free
    if s.h.slot_bump != s.pool[P_SLOTS].bump:
        return broken(c, b"S3", b"slots are used below {0}, their pool says {1}", s.h.slot_bump, s.pool[P_SLOTS].bump)
    while slot:
        if slot >= s.h.slot_bump or c.slots[slot] or s.swap_map[slot]:
            return broken(c, b"S3", b"the free list leads to slot {0}", slot, 0)
        c.slots[slot] = FREE
        slot = s.swap_cache[slot]
    for slot in range(1, s.h.slot_bump):
        if s.arch != X86_64 and slot & 0xFFFFFF == 0:
            c.slots[slot] = FREE               # a header
        elif c.slots[slot] != FREE:
            used += 1
            if s.swap_map[slot] == 0:
                return broken(c, b"S3", b"slot {0} is lost: nobody uses it and it is not free", slot, 0)
        elif s.swap_stamp and s.swap_stamp[slot]:
            return broken(c, b"S5", b"free slot {0} holds contents {1}", slot, s.swap_stamp[slot])
    if s.h.slots_free != total - used:
        return broken(c, b"S4", b"{0} slots are counted free, {1} are in use", s.h.slots_free, used)
    return False


cdef bint cache_page(Check* c, file_id file, uint64_t index, uint32_t entry) noexcept nogil:
    """C1 and C3 for one entry that is not 0; notes shmem's use of a slot."""
    cdef State* s = c.s
    cdef swp_t slot
    if entry & CACHE_SWAP:
        slot = entry & ~CACHE_SWAP
        if s.file[file].kind != FILE_SHMEM or slot == 0 or slot >= s.h.slot_bump or c.slots[slot] == FREE:
            return broken(c, b"C3", b"page {0} of its file is in slot {1}, which is not in use", index, slot)
        c.users[slot] += 1
    elif (entry >= s.pool[P_FRAMES].bump or not s.frame[entry].flags & PG_CACHED or s.frame[entry].owner != file
            or s.frame[entry].index != index):
        return broken_at(c, b"C1", b"page {0} of file {1} leads to a frame that is not its", index, file, entry, 0,
                         NOWHERE)
    return False


cdef bint cache(Check* c) noexcept nogil:
    """C1 to C4 for the entries of every file. Of a long one: SCAN_PAGES, then until its pages in swap are found."""
    cdef State* s = c.s
    cdef file_id file
    cdef uint64_t index, pages, swapped, at
    cdef uint32_t entry
    cdef File* f
    for file in range(1, <uint32_t> s.pool[P_FILES].bump):
        if c.files[file] != LINKED:
            continue
        f = &s.file[file]
        if f.n_cached != c.cached[file]:
            return broken(c, b"C2", b"file {1} has {0} pages in the page cache, counts others", c.cached[file], file)
        swapped = 0
        pages = file_pages(s, file)
        for index in range(pages):
            if index >= SCAN_PAGES and swapped >= f.n_swapped:
                break
            if s.folio[f.base + index] > (MOST_FOLIO_ORDER if f.folios else 0) and not (
                    f.warm and f.folios and s.cache[f.base + index] == 0 and s.folio[f.base + index] == NOT_CACHED):
                return broken(c, b"C7", b"page {0} of file {1} lies in a folio that cannot be", index, file)
            entry = s.cache[f.base + index]
            if entry == 0:
                continue
            if cache_page(c, file, index, entry):
                return True
            if entry & CACHE_SWAP:
                swapped += 1
        if f.n_swapped != swapped:
            return broken(c, b"C3", b"file {1} has {0} pages in swap, counts others", swapped, file)
        if not blank(s, f.base + pages, f.base + min(<uint64_t> 1 << f.order, pages + SCAN_PAGES), &at):
            return broken(c, b"C4", b"page {0} of file {1} is beyond its end, but not empty", at - f.base, file)
    return False


cdef bint swap(Check* c) noexcept nogil:
    """S1 and S2: use counts and cached copies. A count that reached its most says nothing any more."""
    cdef State* s = c.s
    cdef swp_t slot
    cdef pfn_t pfn
    for slot in range(1, s.h.slot_bump):
        if c.slots[slot] == FREE:
            continue
        pfn = s.swap_cache[slot]
        if pfn:
            if pfn >= s.pool[P_FRAMES].bump or not s.frame[pfn].flags & PG_SWAPCACHE or s.frame[pfn].owner != slot:
                return broken_at(c, b"S2", b"slot {0} has cached copy {1}, which is not its", slot, pfn, pfn, 0,
                                 NOWHERE)
            c.users[slot] += 1
        if s.swap_map[slot] != c.users[slot] and s.swap_map[slot] != s.most_users:
            return broken(c, b"S1", b"slot {0} has {1} users, its use count says otherwise", slot, c.users[slot])
    return False
