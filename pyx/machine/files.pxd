"""Files and their page cache: a dense array of entries per file (rules F6, H4, L3).

A file owns an extent of 1 << order entries in the cache arena. An entry is 0 (not cached), a frame number, or, with
CACHE_SWAP, the swap slot of a shmem page. Extents are powers of two; a freed one waits in its order's list. With
tracked contents a parallel array holds the stamps on disk. Another one says in folios of which order the pages lie: 1 << order
pages, aligned in the file (rule QF3), or that a page of a warm file is not there yet; it is looked at only in files that have
such pages (`folios`).
"""
from libc.stdint cimport uint32_t, uint64_t

from rmapcore.pyx.base.ids cimport PAGE_SIZE, file_id, pfn_t, swp_t
from rmapcore.pyx.base.records cimport NOT_CACHED, PG_CACHED, File, Frame
from rmapcore.pyx.base.state cimport State

cdef enum:
    FIRST_EXTENT = 16         # where the cache arena begins: extent 0 would look like "none"
    MIN_EXTENT_ORDER = 4
    MAX_EXTENT_ORDER = 36

cdef extern from *:
    """
    #define CACHE_SWAP 0x80000000u
    """
    uint32_t CACHE_SWAP       # the entry is a shmem page's swap slot


cdef inline uint64_t file_pages(State* s, file_id file) noexcept nogil:
    return (s.file[file].size + PAGE_SIZE - 1) // PAGE_SIZE


cdef inline uint32_t cache_entry(State* s, file_id file, uint64_t index) noexcept nogil:
    return s.cache[s.file[file].base + index]


cdef inline pfn_t cache_pfn(State* s, file_id file, uint64_t index) noexcept nogil:
    """The page-cache frame of a file page inside the file, or 0."""
    cdef uint32_t entry = s.cache[s.file[file].base + index]
    return 0 if entry & CACHE_SWAP else entry


cdef inline void cache_add(State* s, file_id file, uint64_t index, pfn_t pfn) noexcept nogil:
    cdef Frame* f = &s.frame[pfn]
    f.flags |= PG_CACHED
    f.owner = file
    f.index = index
    s.cache[s.file[file].base + index] = pfn
    s.file[file].n_cached += 1


cdef inline void cache_del(State* s, pfn_t pfn) noexcept nogil:
    """The frame leaves the page cache; its entry becomes 0."""
    cdef Frame* f = &s.frame[pfn]
    s.cache[s.file[f.owner].base + f.index] = 0
    s.file[f.owner].n_cached -= 1
    f.flags &= ~<uint32_t> PG_CACHED
    f.owner = 0


cdef inline unsigned char folio_order(State* s, file_id file, uint64_t index) noexcept nogil:
    cdef unsigned char order = s.folio[s.file[file].base + index] if s.file[file].folios else 0
    return order if order != NOT_CACHED else 0


cdef bint extent_room(State* s, uint64_t pages) noexcept nogil
cdef file_id file_new(State* s, uint64_t size, uint32_t kind, uint32_t handle) noexcept nogil
cdef void file_set_folios(State* s, file_id file, uint64_t first, uint64_t end, unsigned char order) noexcept nogil
cdef void file_drop_range(State* s, file_id file, uint64_t first, uint64_t end) noexcept nogil
cdef void file_free(State* s, file_id file) noexcept nogil
cdef void file_resize(State* s, file_id file, uint64_t size) noexcept nogil
cdef uint64_t file_stamp(State* s, file_id file, uint64_t index) noexcept nogil
