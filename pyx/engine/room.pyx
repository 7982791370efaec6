"""Whether there is room for what a call is about to do: E_OK or E_FULL, with full_pool set (rule C5).

Asked before anything changes, so that a full arena leaves all as it was. The answers are bounds: what the step takes at the
most. So a call may be refused that would just have fitted, but none begins that does not. Records by area and by entry are
cheap to bound; where chains are long, the scheme counts them only when they could be too many (area_room).
"""
from libc.stdint cimport uint32_t, uint64_t

from rmapcore.pyx.base.ids cimport mm_id, pfn_t, slot_t, vma_id, vpn_t
from rmapcore.pyx.base.pool cimport pool_room
from rmapcore.pyx.base.records cimport P_TABLES, VM_NONLINEAR
from rmapcore.pyx.base.state cimport State
from rmapcore.pyx.base.x86 cimport pte_get, pte_present
from rmapcore.pyx.engine.arguments cimport smaller
from rmapcore.pyx.machine.files cimport cache_pfn, file_pages
from rmapcore.pyx.machine.pagetable cimport pt_lookup
from rmapcore.pyx.machine.vmas cimport page_of, peek_vma
from rmapcore.pyx.seam.kernel cimport E_FULL, E_OK, Kernel, entry_room, full

cdef enum:
    MOVE_COPIES = 4           # of a move: the copy, two splits of the source, the area behind the target that joins


cdef int border_room(Kernel k, mm_id mm, vpn_t start, vpn_t end, uint32_t n) noexcept nogil:
    """May n areas be split, copied or taken over where a range meets its neighbours, whichever of them it is?"""
    cdef State* s = k.s
    cdef vma_id v
    cdef int pool
    if not k.keeper.wants_room or k.keeper.area_room(0, n) == 0:
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


cdef uint64_t records_of(Kernel k, vma_id v, vpn_t vpn) noexcept nogil:
    """Records by entry that a fault there may take: in a nonlinear area the page may be one whose other entries are
    written down only now (filemap/list.pyx)."""
    cdef State* s = k.s
    cdef uint64_t entry, index
    cdef slot_t slot
    cdef pfn_t pfn
    if not s.area[v].flags & VM_NONLINEAR or not k.side.entry_pool:
        return 1
    slot = pt_lookup(s, s.area[v].mm, vpn)
    entry = pte_get(s, slot) if slot else 0
    if pte_present(entry):
        return 1
    index = page_of(s, v, vpn, entry)
    pfn = cache_pfn(s, s.area[v].file, index) if index < file_pages(s, s.area[v].file) else 0
    return 1 + (s.frame[pfn].mapcount if pfn else 0)
