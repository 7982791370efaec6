"""S1 to S5 and C1 to C4: swap slots, the swap cache, the page cache.

free_slots comes before the sweep over the page tables, the others after it. Costs: O(slots + pages of files).
"""
from libc.stdint cimport uint32_t, uint64_t

from rmapcore.pyx.base.ids cimport file_id, pfn_t, swp_t
from rmapcore.pyx.base.records cimport FILE_SHMEM, P_FILES, P_FRAMES, P_SLOTS, PG_CACHED, PG_SWAPCACHE, File
from rmapcore.pyx.base.state cimport X86_64, State
from rmapcore.pyx.look.check.caches cimport SCAN_PAGES, blank
from rmapcore.pyx.look.check.violation cimport FREE, LINKED, NOWHERE, Check, broken, broken_at
from rmapcore.pyx.machine.files cimport CACHE_SWAP, file_pages
from rmapcore.pyx.machine.swap cimport SWAP_MAP_MAX


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
    """S1 and S2: use counts and cached copies. A count that reached SWAP_MAP_MAX says nothing any more."""
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
        if s.swap_map[slot] != c.users[slot] and s.swap_map[slot] != SWAP_MAP_MAX:
            return broken(c, b"S1", b"slot {0} has {1} users, its use count says otherwise", slot, c.users[slot])
    return False
