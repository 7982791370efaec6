"""page_referenced (walk.pxd; rule K5) [2.6.7 mm/rmap.c]."""
from libc.stdint cimport uint32_t, uint64_t

from rmapcore.pyx.base.ids cimport pfn_t, slot_t
from rmapcore.pyx.base.records cimport PG_ANON, PG_REFERENCED, Frame
from rmapcore.pyx.base.x86 cimport PTE_ACCESSED, pte_set
from rmapcore.pyx.reclaim.walk cimport walk
from rmapcore.pyx.seam.kernel cimport Kernel
from rmapcore.pyx.seam.scheme cimport HIT_SEEN, WALK_REFERENCED, Outcome, Scheme, Walk


cdef Outcome clear_young(Kernel k, Walk* w, slot_t slot, uint64_t entry, void* told) noexcept nogil:
    """Takes the young bit of an entry; told: uint32, how many had it."""
    if entry & PTE_ACCESSED:
        pte_set(k.s, slot, entry & ~<uint64_t> PTE_ACCESSED)
        (<uint32_t*> told)[0] += 1
    return HIT_SEEN


cdef uint32_t young_mappings(Kernel k, Scheme scheme, pfn_t pfn) noexcept nogil:
    """Young entries of a frame, and what a file side says of it; made old."""
    cdef uint32_t young = 0
    cdef Walk w
    walk(k, scheme, &w, pfn, WALK_REFERENCED, clear_young, &young, scheme.table_locks)
    return young + (1 if w.stop else 0)


cdef uint32_t page_referenced(Kernel k, pfn_t pfn) noexcept nogil:
    """How often the page was found referenced; clears every sign of it that was seen (rule K5)."""
    cdef Frame* f = &k.s.frame[pfn]
    cdef uint32_t referenced = 0
    if f.flags & PG_REFERENCED:
        f.flags &= ~<uint32_t> PG_REFERENCED
        referenced = 1
    if f.mapcount == 0 or k.anon.sweeps:       # a sweep looks at young bits in its own time
        return referenced
    if f.flags & PG_ANON:
        return referenced + young_mappings(k, k.anon, pfn)
    return referenced + young_mappings(k, k.side, pfn)
