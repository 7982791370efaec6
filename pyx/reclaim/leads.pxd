"""Leads: the walks of a group of frames begun together, so that what lies in random order is fetched all at once.

   victims ──> frame records ──> the scheme: first candidate of each ──> leaf entries ──> acted upon in order, one by one
               fetched a group ahead (lru.pxd)                           fetched

A lead is found without counting. Who acts takes it for the walk of a frame with one mapping if the entry is a hit (rule N2),
and counts what that walk counts; any other frame is walked by itself (walk.pxd), with its entry in the cache. So order,
counters and results are those of one frame at a time. Costs: nothing where the order is that of addresses, for then the
leaf table is the one looked into last.
"""
from libc.stdint cimport uint32_t, uint64_t

from rmapcore.pyx.base.ids cimport pfn_t, vma_id
from rmapcore.pyx.base.records cimport LRU_AHEAD, PG_REFERENCED
from rmapcore.pyx.base.state cimport State
from rmapcore.pyx.base.x86 cimport PTE_ACCESSED, pte_get, pte_pfn, pte_present, pte_set
from rmapcore.pyx.seam.kernel cimport Kernel
from rmapcore.pyx.seam.scheme cimport Lead

cdef enum:
    GROUP = LRU_AHEAD         # 16-64 hide a miss, fewer than 8 cost more than they gain; reclaim's batches are 32

cdef struct Group:
    uint32_t n
    pfn_t[GROUP] pfn          # in the order in which they are acted upon
    Lead[GROUP] lead

cdef void gather(Kernel k, Group* g, pfn_t tail, uint32_t n) noexcept nogil
cdef void approach(Kernel k, Group* g) noexcept nogil
cdef void approach_next(Kernel k, Group* g, const uint32_t* pfns, uint64_t left) noexcept nogil
cdef void count_leads(Kernel k, uint64_t walks, uint64_t locks, uint64_t tried) noexcept nogil
cdef void tell_leads(Kernel k, const Lead* leads, uint32_t n, uint64_t lookups, bint unmapped) noexcept nogil


cdef inline bint in_groups(Kernel k) noexcept nogil:
    """A scheme that sweeps may move any frame of a group: it takes them one at a time."""
    return not k.one_by_one and not k.anon.sweeps


cdef inline uint64_t lead_entry(State* s, Lead* lead) noexcept nogil:
    """The entry of a lead if it is all that a walk of the frame would find, else 0."""
    cdef uint64_t entry
    if lead.tried == 0 or s.frame[lead.pfn].mapcount != 1:
        return 0
    entry = pte_get(s, lead.slot)
    return entry if pte_present(entry) and pte_pfn(s, entry) == lead.pfn else 0


cdef inline uint32_t lead_referenced(State* s, Lead* lead, uint64_t entry) noexcept nogil:
    """page_referenced by a lead whose entry is a hit: how often, and every sign of it cleared (rule K5)."""
    cdef uint32_t referenced = 0
    if s.frame[lead.pfn].flags & PG_REFERENCED:
        s.frame[lead.pfn].flags &= ~<uint32_t> PG_REFERENCED
        referenced = 1
    if entry & PTE_ACCESSED:
        pte_set(s, lead.slot, entry & ~<uint64_t> PTE_ACCESSED)
        referenced += 1
    return referenced
