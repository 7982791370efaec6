"""Birth, growth and end of files; what a file page holds."""
from libc.stdint cimport uint32_t, uint64_t

from rmapcore.pyx.base.fence cimport fence_raised
from rmapcore.pyx.base.ids cimport PAGE_SIZE, file_id, pfn_t
from rmapcore.pyx.base.pool cimport pool_give, pool_take
from rmapcore.pyx.base.records cimport FILE_SHMEM, NOT_CACHED, P_EXTENTS, P_FILES, PG_DIRTY, File
from rmapcore.pyx.base.state cimport State
from rmapcore.pyx.machine.files cimport (
    CACHE_SWAP, MAX_EXTENT_ORDER, MIN_EXTENT_ORDER, cache_del, file_pages, folio_order,
)
from rmapcore.pyx.machine.frames cimport frame_give, page_count
from rmapcore.pyx.machine.swap cimport slot_put

IN_SWAP = CACHE_SWAP          # in an entry of the cache


cdef uint32_t order_of(uint64_t pages) noexcept nogil:
    cdef uint32_t order = MIN_EXTENT_ORDER
    while (<uint64_t> 1 << order) < pages:
        order += 1
    return order


cdef bint extent_room(State* s, uint64_t pages) noexcept nogil:
    """Is there an extent for that many pages?"""
    cdef uint32_t order
    if pages > <uint64_t> 1 << MAX_EXTENT_ORDER:
        return False
    order = order_of(pages)
    return s.h.extent_free[order] != 0 or s.pool[P_EXTENTS].bump + (<uint64_t> 1 << order) <= s.pool[P_EXTENTS].capacity


cdef uint64_t extent_take(State* s, uint32_t order) noexcept nogil:
    cdef uint64_t base
    if s.h.extent_free[order]:
        base = <uint64_t> s.h.extent_free[order] << MIN_EXTENT_ORDER
        s.h.extent_free[order] = s.cache[base]
        s.cache[base] = 0
        return base
    base = s.pool[P_EXTENTS].bump
    s.pool[P_EXTENTS].bump += <uint64_t> 1 << order
    fence_raised(s.pool, P_EXTENTS)
    return base


cdef void extent_give(State* s, uint64_t base, uint32_t order) noexcept nogil:
    """Takes back an extent whose entries are all zero."""
    s.cache[base] = s.h.extent_free[order]
    s.h.extent_free[order] = <uint32_t> (base >> MIN_EXTENT_ORDER)


cdef file_id file_new(State* s, uint64_t size, uint32_t kind, uint32_t handle) noexcept nogil:
    """A file of `size` bytes. The caller has asked pool_room(P_FILES) and extent_room."""
    cdef file_id i = pool_take(s, P_FILES, s.file, sizeof(File), 32)
    cdef File* f = &s.file[i]
    f.size = size
    f.kind = kind
    f.order = order_of((size + PAGE_SIZE - 1) // PAGE_SIZE)
    f.base = extent_take(s, f.order)
    f.n_areas = 0
    f.handle = handle
    f.areas = 0
    f.rmap = 0
    f.n_cached = 0
    f.n_swapped = 0
    f.warm = 0
    f.folios = 0
    f.alive = 1
    return i


cdef void split_folio(State* s, file_id file, uint64_t near, uint64_t first, uint64_t end) noexcept nogil:
    """Page `near` lies in a folio that loses the pages [first, end): the others lie in the largest pieces that are left."""
    cdef unsigned char* orders = s.folio + s.file[file].base
    cdef unsigned char order = folio_order(s, file, near)
    cdef uint64_t start = near >> order << order
    cdef uint64_t past = start + (<uint64_t> 1 << order)
    cdef uint64_t index
    if order == 0:
        return
    if past > file_pages(s, file):
        past = file_pages(s, file)
    for index in range(start, past):
        if index < first or index >= end:
            orders[index] = order
            while index >> orders[index] << orders[index] < end and (
                    (index >> orders[index]) + 1) << orders[index] > first:
                orders[index] -= 1


cdef void file_set_folios(State* s, file_id file, uint64_t first, uint64_t end, unsigned char order) noexcept nogil:
    """Pages [first, end) of the file, at least one, lie in folios of that order from now on, or are NOT_CACHED, which no page
    that has a frame becomes; what they leave is split."""
    cdef uint64_t index
    if s.file[file].folios:
        if first:
            split_folio(s, file, first - 1, first, end)
        if end < file_pages(s, file):
            split_folio(s, file, end, first, end)
    if order:
        s.file[file].folios = 1
    if s.file[file].folios:
        for index in range(first, end):
            s.folio[s.file[file].base + index] = order
            if order == NOT_CACHED and s.cache[s.file[file].base + index]:
                s.folio[s.file[file].base + index] = 0


cdef void file_drop_range(State* s, file_id file, uint64_t first, uint64_t end) noexcept nogil:
    """Forgets the pages [first, end): unmapped already; contents, slots and stamps go (rule H4)."""
    cdef File* f = &s.file[file]
    cdef uint64_t index
    cdef uint32_t entry
    cdef pfn_t pfn
    if first < end:
        file_set_folios(s, file, first, end, 0)
    if s.disk:
        for index in range(first, end):
            if s.disk[f.base + index]:         # never write what was never written: it would cost memory
                s.disk[f.base + index] = 0
    for index in range(first, end):
        if f.n_cached == 0 and f.n_swapped == 0:
            return
        entry = s.cache[f.base + index]
        if entry & CACHE_SWAP:
            s.cache[f.base + index] = 0
            f.n_swapped -= 1
            slot_put(s, entry & ~CACHE_SWAP)
        elif entry:
            pfn = entry
            cache_del(s, pfn)
            s.frame[pfn].flags &= ~<uint32_t> PG_DIRTY
            if page_count(s, pfn) == 0:
                frame_give(s, pfn)


cdef void file_free(State* s, file_id file) noexcept nogil:
    """Ends a file that no area maps and nobody holds."""
    cdef File* f = &s.file[file]
    file_drop_range(s, file, 0, file_pages(s, file))
    extent_give(s, f.base, f.order)
    f.alive = 0
    pool_give(s, P_FILES, s.file, sizeof(File), 32, file)


cdef void file_resize(State* s, file_id file, uint64_t size) noexcept nogil:
    """Sets the size; pages beyond a smaller end are dropped. Growing may move the extent (extent_room was asked)."""
    cdef File* f = &s.file[file]
    cdef uint64_t old_pages = file_pages(s, file)
    cdef uint64_t new_pages = (size + PAGE_SIZE - 1) // PAGE_SIZE
    cdef uint64_t base, i
    cdef uint32_t order
    if new_pages < old_pages:
        file_drop_range(s, file, new_pages, old_pages)
    elif new_pages > <uint64_t> 1 << f.order:
        order = order_of(new_pages)
        base = extent_take(s, order)
        for i in range(old_pages):
            if s.cache[f.base + i]:
                s.cache[base + i] = s.cache[f.base + i]
                s.cache[f.base + i] = 0
            if s.disk and s.disk[f.base + i]:
                s.disk[base + i] = s.disk[f.base + i]
                s.disk[f.base + i] = 0
            if f.folios and s.folio[f.base + i]:
                s.folio[base + i] = s.folio[f.base + i]
                s.folio[f.base + i] = 0
        extent_give(s, f.base, f.order)
        f.base = base
        f.order = order
    f.size = size


cdef uint64_t file_stamp(State* s, file_id file, uint64_t index) noexcept nogil:
    """What a file page holds (rule L3); 0 beyond the end."""
    cdef File* f = &s.file[file]
    cdef uint32_t entry
    if index >= file_pages(s, file):
        return 0
    entry = s.cache[f.base + index]
    if entry & CACHE_SWAP:
        return s.swap_stamp[entry & ~CACHE_SWAP]
    if entry:
        return s.stamp[entry]
    return s.disk[f.base + index] if f.kind != FILE_SHMEM else 0
