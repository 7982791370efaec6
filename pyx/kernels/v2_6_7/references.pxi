"""2.6.7: what reclaim makes of the references to a page (rules K3, K4, K6) [2.6.7 mm/vmscan.c, mm/rmap.c]."""
from libc.stdint cimport uint64_t

from rmapcore.pyx.base.ids cimport pfn_t, slot_t, vma_id
from rmapcore.pyx.base.records cimport PG_ANON, PG_SWAPCACHE, VM_LOCKED, Frame
from rmapcore.pyx.base.state cimport State
from rmapcore.pyx.base.x86 cimport PTE_ACCESSED, pte_set
from rmapcore.pyx.machine.frames cimport page_count
from rmapcore.pyx.reclaim.leads cimport lead_referenced
from rmapcore.pyx.reclaim.walk cimport VERDICT_ACTIVATE, Verdict, page_referenced
from rmapcore.pyx.seam.kernel cimport Kernel
from rmapcore.pyx.seam.scheme cimport Lead

cdef enum:
    STUCK_IS_ACTIVE = 0                    # what could not be unmapped for want of a walk stays inactive
    LOOKUPS = 1                            # of the area, by walks of one victim: try_to_unmap's
    NO_USE = 0                             # flags of anonymous victims that do not say that somebody used them
    SWAPPINESS = 60                        # vm_swappiness


cdef inline bint takes_mapped(State* s) noexcept nogil:
    """Whether the distress is such that mapped frames of the active list may go [refill_inactive_zone]."""
    return s.h.n_mapped * 100 // s.n_frames // 2 + (<uint64_t> 100 >> s.h.prev_priority) + SWAPPINESS >= 100


cdef inline bint stays_active(Kernel k, pfn_t pfn, bint reclaim_mapped) noexcept nogil:
    """Does a frame of the active list stay there? (rule K3)"""
    cdef Frame* f = &k.s.frame[pfn]
    if f.mapcount == 0:
        return False
    return not reclaim_mapped or page_referenced(k, pfn) or (f.flags & PG_ANON and k.s.n_slots < 2)


cdef inline bint lead_stays_active(State* s, Lead* lead, uint64_t entry) noexcept nogil:
    return lead_referenced(s, lead, entry) != 0 or s.n_slots < 2


cdef inline Verdict judge(Kernel k, pfn_t pfn) noexcept nogil:
    return judge_referenced(k, pfn)


cdef inline bint lead_used(State* s, Lead* lead, uint64_t entry, Verdict* verdict) noexcept nogil:
    """judge by a lead whose entry is a young hit, of an anonymous frame. True: always."""
    lead_referenced(s, lead, entry)
    verdict[0] = VERDICT_ACTIVATE
    return True


cdef inline bint must_stay(State* s, pfn_t pfn, vma_id v, slot_t slot, uint64_t entry) noexcept nogil:
    """try_to_unmap_one: locked and young entries stay, and those of pages that somebody else refers to (rule K6)."""
    cdef Frame* f = &s.frame[pfn]
    if s.area[v].flags & VM_LOCKED:
        return True
    if entry & PTE_ACCESSED:
        pte_set(s, slot, entry & ~<uint64_t> PTE_ACCESSED)
        return True
    return f.flags & PG_SWAPCACHE and page_count(s, pfn) != f.mapcount + 1
