"""Whether there is room for what a call is about to do: E_OK or E_FULL, with full_pool set (rule A6).

Asked before anything changes, so that a full arena leaves all as it was. The answers are bounds: what the step takes at the
most. So a call may be refused that would just have fitted, but none begins that does not. Records by area and by entry are
cheap to bound; where chains are long, the scheme counts them only when they could be too many (area_room).
"""
from libc.stdint cimport uint32_t, uint64_t

from rmapcore.pyx.base.ids cimport mm_id, pfn_t, vma_id, vpn_t
from rmapcore.pyx.base.pool cimport pool_room
from rmapcore.pyx.base.records cimport P_TABLES
from rmapcore.pyx.base.state cimport State
from rmapcore.pyx.engine.arguments cimport smaller
from rmapcore.pyx.machine.files cimport cache_pfn, file_pages
from rmapcore.pyx.machine.vmas cimport peek_vma
from rmapcore.pyx.seam.kernel cimport E_FULL, E_OK, Kernel, entry_room, full, prepare_room

cdef enum:
    MOVE_COPIES = 4           # of a move: the copy, two splits of the source, the area behind the target that joins


cdef int border_room(Kernel k, mm_id mm, vpn_t start, vpn_t end, uint32_t n) noexcept nogil:
    """May n areas be split, copied or taken over where a range meets its neighbours, whichever of them it is?"""
    cdef State* s = k.s
    cdef vma_id v
    cdef int pool
    if not k.asks_room or k.keeper.area_room(0, n) == 0:
        return E_OK
    v = peek_vma(s, mm, start - 1 if start else 0)
    while v and s.area[v].start <= end:
        pool = k.keeper.area_room(v, n)
        if pool:
            return full(k, pool)
        v = s.area[v].next
    return E_OK


cdef int tables_room(Kernel k, vpn_t start, uint64_t pages, uint64_t most) noexcept nogil:
    """May all page tables of a range be made, `most` of each level?"""
    cdef State* s = k.s
    cdef uint64_t n = 0
    cdef int shift = s.bits
    while pages and shift <= s.top_shift:
        n += smaller(((start + pages - 1) >> shift) - (start >> shift) + 1, most)
        shift += s.bits
    return E_OK if pool_room(s, P_TABLES, n) else full(k, P_TABLES)


cdef int move_room(Kernel k, mm_id mm, vpn_t old, uint64_t old_pages, vpn_t new, uint64_t new_pages) noexcept nogil:
    """May a move begin? After that only frames can be missing, and moving back needs nothing more.

    What lies in one table at the old place lies in two at the new one, at the most.
    """
    cdef int status = border_room(k, mm, old, old + old_pages, MOVE_COPIES)
    if status == E_OK:
        status = border_room(k, mm, new, new + new_pages, MOVE_COPIES)
    if status == E_OK:
        status = tables_room(k, new, old_pages, 2 * <uint64_t> k.s.mm[mm].n_tables)
    if status == E_OK:
        status = entry_room(k, smaller(old_pages, k.s.mm[mm].rss))
    return status


cdef int late_room(Kernel k, uint32_t file, uint64_t index) noexcept nogil:
    """May this page of a file be mapped off its linear place? Its other entries may be written down only now (list.pyx)."""
    cdef State* s = k.s
    cdef pfn_t pfn = cache_pfn(s, file, index) if k.side.entry_pool and index < file_pages(s, file) else 0
    return entry_room(k, 1 + (s.frame[pfn].mapcount if pfn else 0))


cdef int growth_room(Kernel k, vma_id v) noexcept nogil:
    """May a stack grow for a page, and the page come?"""
    cdef int pool
    if not pool_room(k.s, P_TABLES, k.s.levels - 1):
        return full(k, P_TABLES)
    pool = k.keeper.area_room(v, 1) if k.asks_room else 0
    if pool:
        return full(k, pool)
    return prepare_room(k, v) if entry_room(k, 1) == E_OK else E_FULL
