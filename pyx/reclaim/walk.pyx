"""page_referenced, and the sweep of schemes that cannot walk one page (walk.pxd; rules K5, K10) [2.6.7 mm/rmap.c]."""
from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memset

from rmapcore.pyx.base.counters cimport C_RMAP_REMOVES, tally
from rmapcore.pyx.base.ids cimport pfn_t, slot_t, swp_t
from rmapcore.pyx.base.records cimport (
    PG_ACTIVE, PG_ANON, PG_DIRTY, PG_EXCLUSIVE, PG_LAZYFREE, PG_REFERENCED, PG_SWAPCACHE, R_UNMAPPED, VM_LOCKED, Frame,
)
from rmapcore.pyx.base.state cimport State
from rmapcore.pyx.base.x86 cimport PTE_ACCESSED, PTE_DIRTY, pte_get, pte_pfn, pte_present, pte_set, swap_entry
from rmapcore.pyx.machine.frames cimport page_count
from rmapcore.pyx.machine.lru cimport mark_accessed
from rmapcore.pyx.machine.swap cimport slot_dup, slot_take, swapcache_add
from rmapcore.pyx.machine.vmas cimport absent_entry
from rmapcore.pyx.reclaim.walk cimport frame_unmapped, leaf_slot, walk
from rmapcore.pyx.seam.kernel cimport Kernel
from rmapcore.pyx.seam.scheme cimport HIT_SEEN, WALK_REFERENCED, WALK_SWEEP, Outcome, Scheme, Walk

cdef enum:
    SWEEP_TARGET = 32         # entries one sweep tries to make freeable [2.4.22 mm/vmscan.c]


cdef Outcome clear_young(Kernel k, Walk* w, slot_t slot, void* told) noexcept nogil:
    """Takes the young bit of an entry; told: uint32, how many had it."""
    cdef uint64_t entry = pte_get(k.s, slot)
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


cdef bint sweep_entry(Kernel k, Walk* w) noexcept nogil:
    """Unmaps one entry of a sweep if it may go (rule K10). True: only the caches refer to its frame now."""
    cdef State* s = k.s
    cdef slot_t slot = w.slot if w.slot else leaf_slot(k, w.mm, w.vpn)
    cdef uint64_t entry = pte_get(s, slot) if slot else 0
    cdef pfn_t pfn = pte_pfn(s, entry)
    cdef Frame* f = &s.frame[pfn]
    cdef swp_t swap
    if not pte_present(entry) or pfn == 0:
        return False
    if s.area[w.vma].flags & VM_LOCKED:
        mark_accessed(s, pfn)
        return False
    if entry & PTE_ACCESSED:
        pte_set(s, slot, entry & ~<uint64_t> PTE_ACCESSED)
        mark_accessed(s, pfn)
        return False
    if f.flags & PG_ACTIVE:
        return False
    if entry & PTE_DIRTY:
        f.flags |= PG_DIRTY
    if f.flags & PG_ANON and not f.flags & PG_SWAPCACHE:
        swap = slot_take(s)
        if swap == 0:
            return False
        swapcache_add(s, pfn, swap)
        f.flags = f.flags & ~<uint32_t> PG_LAZYFREE | PG_DIRTY
    if f.flags & PG_ANON:
        slot_dup(s, f.owner)
        pte_set(s, slot, swap_entry(s, f.owner) | (s.swap_exclusive if f.flags & PG_EXCLUSIVE else 0))
        f.flags &= ~<uint32_t> PG_EXCLUSIVE
        s.mm[w.mm].swapents += 1
    else:
        if k.side.wants_entries:
            k.side.pages_unmapping(w.vma, w.vpn, slot, 1)
        pte_set(s, slot, absent_entry(s, w.vma, w.vpn, f.index))
    s.mm[w.mm].rss -= 1
    f.mapcount -= 1
    tally(s, C_RMAP_REMOVES, 1)
    if f.mapcount:
        return False
    frame_unmapped(k, pfn)
    s.h.reclaimed[R_UNMAPPED] += 1
    return page_count(s, pfn) == 1


cdef uint32_t sweep(Kernel k) noexcept nogil:
    """For a scheme without a walk of one page: unmaps what its sweep proposes, file pages too, until enough looks freeable:
    how many frames do.

    The rules of 2.4's try_to_swap_out [2.4.22 mm/vmscan.c]: locked and young entries stay, and are accesses (young is cleared);
    entries of active pages stay; the others go, and each that leaves its page to the caches counts as freeable.
    """
    cdef uint32_t freeable = 0
    cdef Walk w
    memset(&w, 0, sizeof(Walk))
    w.purpose = WALK_SWEEP
    k.anon.walk_begin(&w)
    while freeable < SWEEP_TARGET and k.anon.walk_next(&w):
        freeable += sweep_entry(k, &w)
    k.anon.walk_end(&w, False)
    return freeable
