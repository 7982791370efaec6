"""6.18: page tables that mremap moves whole, and that MADV_DONTNEED frees (rules QC3, QC4) [6.18 mm/mremap.c, mm/memory.c].

   both places at a multiple of 2 MiB, 2 MiB to go, no table there      the leaf table moves
   the same with 1 GiB, on x86_64                                       the table above moves, with all its leaves
   else                                                                 entries move one by one (engine/move.pyx)
"""
from libc.stdint cimport uint32_t, uint64_t

from rmapcore.pyx.base.ids cimport mm_id, pfn_t, slot_t, vma_id, vpn_t
from rmapcore.pyx.base.records cimport GONE_MOVE, PG_ANON
from rmapcore.pyx.base.state cimport State
from rmapcore.pyx.base.x86 cimport pte_get, pte_pfn, pte_present
from rmapcore.pyx.engine.arguments cimport smaller
from rmapcore.pyx.engine.move cimport move_entries
from rmapcore.pyx.machine.gone cimport tell_tables
from rmapcore.pyx.machine.pagetable cimport leaf_is_empty, pt_drop_leaf, pt_make, pt_move, pt_next, pt_table
from rmapcore.pyx.seam.kernel cimport E_OK, RETRY, Kernel
from rmapcore.pyx.seam.scheme cimport Scheme


cdef void free_leaves(Kernel k, vma_id v, vpn_t start, vpn_t end) noexcept nogil:
    """After MADV_DONTNEED of a part of an area: the leaf tables that it covers go, where nothing is left in them."""
    cdef State* s = k.s
    cdef mm_id mm = s.area[v].mm
    cdef vpn_t span = <vpn_t> 1 << s.bits
    cdef vpn_t vpn = (start + span - 1) & ~(span - 1)
    cdef slot_t slot
    end &= ~(span - 1)
    while True:
        slot = pt_next(s, mm, &vpn, end)
        if slot == 0:
            return
        if not s.area[v].guards or leaf_is_empty(s, slot >> s.bits):
            pt_drop_leaf(s, mm, vpn)
        vpn += span


cdef bint free_before(State* s, vma_id v, vpn_t at, vpn_t down_to) noexcept nogil:
    """Does area v begin at `at`, and is nothing mapped between `down_to` and there?"""
    cdef vma_id before = s.area[v].prev
    return s.area[v].start == at and (before == 0 or s.area[before].end <= down_to)


cdef vpn_t realigned(State* s, vma_id source, vma_id target, vpn_t old, vpn_t new, uint64_t pages) noexcept nogil:
    """Pages that a move begins earlier, at the leaf table's begin, because nothing is there: 0 if it does not (rule QC3)."""
    cdef vpn_t inside = old & s.index_mask
    if inside == 0 or inside != new & s.index_mask or pages < s.index_mask + 1 - inside:
        return 0
    return inside if free_before(s, source, old, old - inside) and free_before(s, target, new, new - inside) else 0


cdef uint64_t extent(vpn_t old, vpn_t new, vpn_t end, int bits) noexcept nogil:
    """Pages from old on, below end, within one span of 1 << bits pages at both places."""
    cdef uint64_t inside = (<uint64_t> 1 << bits) - 1
    return smaller(smaller(inside + 1 - (old & inside), inside + 1 - (new & inside)), end - old)


cdef bint asks(Scheme side) noexcept nogil:
    """Has it to do with the pages of a table that moves whole?"""
    return side.wants_moves and not side.keeps_places


cdef int copy_shared(Kernel k, mm_id mm, vma_id source, uint32_t leaf, vpn_t old, vpn_t new) noexcept nogil:
    """Copies the pages of a leaf table that the scheme does not let move."""
    cdef State* s = k.s
    cdef slot_t base = leaf << s.bits
    cdef uint32_t i = 0
    cdef uint64_t entry
    cdef pfn_t pfn
    cdef int status
    while i <= s.index_mask:
        entry = pte_get(s, base + i)
        pfn = pte_pfn(s, entry) if pte_present(entry) else 0
        if pfn and s.frame[pfn].flags & PG_ANON and not k.anon.may_move(pfn, new + i):
            status = k.force_copy(mm, source, old + i, base + i)
            if status != E_OK and status != RETRY:
                return status
        else:
            i += 1
    return E_OK


cdef void tell_moved(Kernel k, vma_id target, uint32_t leaf, vpn_t new) noexcept nogil:
    """A leaf table lies at `new` now: page by page, for the sides that ask."""
    cdef State* s = k.s
    cdef slot_t base = leaf << s.bits
    cdef uint32_t i
    cdef uint64_t entry
    cdef pfn_t pfn
    for i in range(s.index_mask + 1):
        entry = pte_get(s, base + i)
        pfn = pte_pfn(s, entry) if pte_present(entry) else 0
        if pfn and s.frame[pfn].flags & PG_ANON:
            if asks(k.anon):
                k.anon.page_moved(pfn, target, new + i, base + i, base + i)
        elif pfn and asks(k.side):
            k.side.page_moved(pfn, target, new + i, base + i, base + i)


cdef int move_whole(Kernel k, mm_id mm, vma_id source, vma_id target, vpn_t old, vpn_t new, uint32_t level) noexcept nogil:
    """A table of that level, which exists, with all below it. Schemes that ask for it have every page looked at."""
    cdef State* s = k.s
    cdef bint asked = asks(k.anon) or asks(k.side)
    cdef vpn_t end = old + (<vpn_t> 1 << (s.bits * (level + 1)))
    cdef vpn_t vpn = old
    cdef slot_t slot
    cdef int status
    while asked:
        slot = pt_next(s, mm, &vpn, end)
        if slot == 0:
            break
        if asks(k.anon):
            status = copy_shared(k, mm, source, slot >> s.bits, vpn, new + (vpn - old))
            if status != E_OK:
                return status
        vpn += s.index_mask + 1
    if s.gone:
        tell_tables(s, mm, old, end, GONE_MOVE)
    pt_move(s, mm, old, new, level)
    vpn = new
    while asked:
        slot = pt_next(s, mm, &vpn, new + (end - old))
        if slot == 0:
            break
        tell_moved(k, target, slot >> s.bits, vpn)
        vpn += s.index_mask + 1
    return E_OK


cdef int move_tables(Kernel k, mm_id mm, vma_id source, vma_id target, vpn_t old, vpn_t new, uint64_t pages,
                     uint64_t* moved) noexcept nogil:
    """move_page_tables (rule QC3). *moved: pages passed when it failed."""
    cdef State* s = k.s
    cdef vpn_t end = old + pages
    cdef vpn_t at = old - realigned(s, source, target, old, new, pages)
    cdef uint64_t span = <uint64_t> 1 << s.bits
    cdef uint64_t n, part
    cdef int status = E_OK
    new -= old - at
    moved[0] = 0
    while at < end:
        moved[0] = at - old if at > old else 0
        n = extent(at, new, end, 2 * s.bits)
        if s.levels == 2 or pt_table(s, mm, at, 1):
            if s.levels == 4:
                pt_make(s, mm, new, 2)
            if s.levels == 4 and n == span << s.bits and pt_table(s, mm, new, 1) == 0:
                status = move_whole(k, mm, source, target, at, new, 1)
            else:
                n = extent(at, new, end, s.bits)
                if pt_table(s, mm, at, 0):
                    pt_make(s, mm, new, 1)
                    if n == span and pt_table(s, mm, new, 0) == 0:
                        status = move_whole(k, mm, source, target, at, new, 0)
                    else:
                        pt_make(s, mm, new, 0)
                        status = move_entries(k, mm, source, target, at, new, n, &part)
                        if status != E_OK:
                            moved[0] = at + part - old if at + part > old else 0
            if status != E_OK:
                return status
        at += n
        new += n
    moved[0] = pages
    return E_OK
