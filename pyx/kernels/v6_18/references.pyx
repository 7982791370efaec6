"""What 6.18 makes of the references to a page (rules QK1-QK3) [6.18 mm/vmscan.c folio_check_references, shrink_active_list].

   inactive list    used by two areas, or again since the last look, or code   active list
                    used once                                                 another round, and marked REFERENCED
                    not used                                                  reclaimed (file pages used before: if clean)
   active list      code that was used                                        stays; all else goes to the inactive list
"""
from libc.stdint cimport uint32_t, uint64_t

from rmapcore.pyx.base.counters cimport C_VMA_LOOKUPS, tally
from rmapcore.pyx.base.ids cimport pfn_t, vma_id
from rmapcore.pyx.base.records cimport FILE_DISK, PG_ANON, PG_CACHED, PG_LAZYFREE, PG_REFERENCED, VM_EXEC, VM_LOCKED, Frame
from rmapcore.pyx.base.state cimport State
from rmapcore.pyx.base.x86 cimport PTE_ACCESSED, pte_set
from rmapcore.pyx.machine.vmas cimport find_vma
from rmapcore.pyx.reclaim.walk cimport folio_referenced
from rmapcore.pyx.seam.kernel cimport Engine
from rmapcore.pyx.seam.scheme cimport Lead


cdef inline bint is_file(State* s, Frame* f) noexcept nogil:
    """folio_is_file_lru: it can be had again from a disk, or need not be had again."""
    if f.flags & PG_CACHED:
        return s.file[f.owner].kind == FILE_DISK
    return f.flags & PG_LAZYFREE != 0


cdef int check_references(Engine e, pfn_t pfn) noexcept nogil:
    """The judgement on a frame of the inactive list."""
    cdef State* s = e.s
    cdef Frame* f = &s.frame[pfn]
    cdef uint32_t flags
    cdef uint32_t users = folio_referenced(e, pfn, &flags)
    cdef bint before = f.flags & PG_REFERENCED
    if flags & VM_LOCKED:
        return JUDGED_ACTIVE
    f.flags &= ~<uint32_t> PG_REFERENCED
    if users:
        f.flags |= PG_REFERENCED
        if before or users > 1 or (flags & VM_EXEC and is_file(s, f)):
            return JUDGED_ACTIVE
        return JUDGED_KEEP
    return JUDGED_CLEAN if before and is_file(s, f) else JUDGED_RECLAIM


cdef bint stays_active(Engine e, pfn_t pfn) noexcept nogil:
    """Does a frame of the active list stay there?"""
    cdef State* s = e.s
    cdef Frame* f = &s.frame[pfn]
    cdef uint32_t flags
    if folio_referenced(e, pfn, &flags) and flags & VM_EXEC and is_file(s, f):
        return True
    return f.flags & PG_ANON and s.n_slots < 2             # nowhere to swap: not looked at


cdef void look_at_lead(State* s, Lead* lead, uint64_t entry) noexcept nogil:
    """folio_referenced of an anonymous frame by a lead whose entry is a hit: the young bit goes, unless it is locked."""
    cdef vma_id v = lead.vma
    if v == 0:
        tally(s, C_VMA_LOOKUPS, 1)
        v = find_vma(s, lead.mm, lead.vpn)
    if not entry & PTE_ACCESSED:
        return
    if not s.area[v].flags & VM_LOCKED:
        pte_set(s, lead.slot, entry & ~<uint64_t> PTE_ACCESSED)
