"""The acting half of reverse mapping: page_referenced, try_to_unmap, and the sweep of schemes without a walk.

A scheme proposes where a frame may be mapped; here each proposal is looked up in the page table, counted, and acted upon
(rules K5, K6, K10) [2.6.7 mm/rmap.c]. A walk ends as soon as mapcount entries were found, when the candidates run out, or
at an entry that must stay; with a scheme that is exhaustive it goes on to the last candidate. What lies in nonlinear areas
may be left to clusters.pyx. Costs: one look-up per candidate.
"""
from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memset

from rmapcore.pyx.base.counters cimport (
    C_LOCK_PAGE_TABLE, C_LOCK_PAGE_TABLE_HELD, C_PTES_FOUND, C_PTES_TRIED, C_RMAP_REMOVES, C_RMAP_WALKS, C_VMA_LOOKUPS, tally,
)
from rmapcore.pyx.base.ids cimport pfn_t, slot_t, swp_t, vma_id
from rmapcore.pyx.base.records cimport (
    PG_ACTIVE, PG_ANON, PG_DIRTY, PG_EXCLUSIVE, PG_LAZYFREE, PG_REFERENCED, PG_SWAPCACHE, R_UNMAPPED, VM_DROPPABLE,
    VM_LOCKED, VM_RAND_READ, VM_SEQ_READ, Frame,
)
from rmapcore.pyx.base.state cimport State
from rmapcore.pyx.base.x86 cimport PTE_ACCESSED, PTE_DIRTY, pte_get, pte_pfn, pte_present, pte_set, swap_entry
from rmapcore.pyx.machine.frames cimport page_count
from rmapcore.pyx.machine.lru cimport mark_accessed
from rmapcore.pyx.machine.swap cimport slot_dup, slot_take, swapcache_add
from rmapcore.pyx.machine.vmas cimport absent_entry, find_vma
from rmapcore.pyx.reclaim.clusters cimport sweep_clusters
from rmapcore.pyx.reclaim.walk cimport SWAP_AGAIN, SWAP_FAIL, SWAP_SUCCESS, candidate_slot, leaf_slot
from rmapcore.pyx.seam.kernel cimport Engine
from rmapcore.pyx.seam.scheme cimport (
    HIT_FAIL, HIT_NONE, HIT_SEEN, HIT_UNMAPPED, WALK_REFERENCED, WALK_SWEEP, WALK_UNMAP, Scheme, Walk,
)

cdef enum:
    SWEEP_TARGET = 32         # entries one sweep tries to make freeable [2.4.22 mm/vmscan.c]


cdef void frame_unmapped(Engine e, pfn_t pfn) noexcept nogil:
    """The last mapping has gone: ANON is cleared, the scheme told [2.6.7 page_remove_rmap]."""
    cdef Frame* f = &e.s.frame[pfn]
    e.s.h.n_mapped -= 1
    if not f.flags & PG_ANON:
        if e.side.wants_last:
            e.side.page_last(pfn)
        return
    if e.anon.wants_last:
        e.anon.page_last(pfn)
    f.flags &= ~<uint32_t> (PG_ANON | PG_EXCLUSIVE | PG_LAZYFREE)


cdef uint32_t page_referenced(Engine e, pfn_t pfn) noexcept nogil:
    """How often the page was found referenced; clears every sign of it that was seen (rule K5)."""
    cdef Frame* f = &e.s.frame[pfn]
    cdef uint32_t referenced = 0
    if f.flags & PG_REFERENCED:
        f.flags &= ~<uint32_t> PG_REFERENCED
        referenced = 1
    if f.mapcount == 0 or e.anon.sweeps:       # a sweep looks at young bits in its own time
        return referenced
    if f.flags & PG_ANON:
        return referenced + walk_referenced(e, e.anon, pfn)
    return referenced + walk_referenced(e, e.side, pfn)


cdef uint32_t walk_referenced(Engine e, Scheme scheme, pfn_t pfn) noexcept nogil:
    """The walk of page_referenced: young entries found, and cleared."""
    cdef State* s = e.s
    cdef uint32_t referenced = 0
    cdef uint32_t want = s.frame[pfn].mapcount
    cdef uint64_t tried = 0
    cdef uint64_t entry
    cdef slot_t slot
    cdef Walk w
    memset(&w, 0, sizeof(Walk))
    w.pfn = pfn
    w.purpose = WALK_REFERENCED
    tally(s, C_RMAP_WALKS, 1)
    scheme.walk_begin(&w)
    while (w.found < want or scheme.exhaustive) and scheme.walk_next(&w):
        tried += 1
        slot = candidate_slot(e, &w)
        if slot == 0:
            scheme.walk_hit(&w, HIT_NONE)
            continue
        w.found += 1
        entry = pte_get(s, slot)
        if entry & PTE_ACCESSED:
            pte_set(s, slot, entry & ~<uint64_t> PTE_ACCESSED)
            referenced += 1
        scheme.walk_hit(&w, HIT_SEEN)
    scheme.walk_end(&w, w.found == want)
    count_walk(s, tried, w.found, scheme.table_locks)
    return referenced + (1 if w.stop else 0)


cdef uint32_t folio_referenced(Engine e, pfn_t pfn, uint32_t* flags) noexcept nogil:
    """page_referenced of 6.18: areas that used the page since it was looked at last, and clears the signs (rule QK2).

    *flags: what these areas are, all flags together; VM_LOCKED ends the walk.
    """
    flags[0] = 0
    if e.s.frame[pfn].mapcount == 0 or e.anon.sweeps:
        return 0
    if e.s.frame[pfn].flags & PG_ANON:
        return walk_users(e, e.anon, pfn, flags)
    return walk_users(e, e.side, pfn, flags)


cdef uint32_t walk_users(Engine e, Scheme scheme, pfn_t pfn, uint32_t* flags) noexcept nogil:
    """The walk of folio_referenced."""
    cdef State* s = e.s
    cdef uint32_t want = s.frame[pfn].mapcount
    cdef uint32_t referenced = 0
    cdef uint64_t tried = 0
    cdef uint64_t entry
    cdef slot_t slot
    cdef vma_id v
    cdef Walk w
    memset(&w, 0, sizeof(Walk))
    w.pfn = pfn
    w.purpose = WALK_REFERENCED
    tally(s, C_RMAP_WALKS, 1)
    scheme.walk_begin(&w)
    while (w.found < want or scheme.exhaustive) and scheme.walk_next(&w):
        tried += 1
        slot = candidate_slot(e, &w)
        if slot == 0:
            scheme.walk_hit(&w, HIT_NONE)
            continue
        w.found += 1
        v = area_of(e, &w)
        if s.area[v].flags & VM_LOCKED:
            flags[0] |= VM_LOCKED
            scheme.walk_hit(&w, HIT_FAIL)
            break
        entry = pte_get(s, slot)
        if entry & PTE_ACCESSED:
            pte_set(s, slot, entry & ~<uint64_t> PTE_ACCESSED)
            if not s.area[v].flags & (VM_SEQ_READ | VM_RAND_READ):
                flags[0] |= s.area[v].flags
                referenced += 1
        scheme.walk_hit(&w, HIT_SEEN)
    scheme.walk_end(&w, w.found == want)
    count_walk(s, tried, w.found, scheme.table_locks)
    if w.stop:                                 # a file side that knows an area to be locked
        flags[0] |= VM_LOCKED
    return referenced


cdef inline vma_id area_of(Engine e, Walk* w) noexcept nogil:
    """The area of a candidate; looked up where the scheme knows none."""
    if w.vma:
        return w.vma
    tally(e.s, C_VMA_LOOKUPS, 1)
    return find_vma(e.s, w.mm, w.vpn)


cdef inline void count_walk(State* s, uint64_t tried, uint64_t found, bint locks) noexcept nogil:
    tally(s, C_PTES_TRIED, tried)
    tally(s, C_PTES_FOUND, found)
    if locks:
        tally(s, C_LOCK_PAGE_TABLE, tried)
        tally(s, C_LOCK_PAGE_TABLE_HELD, tried)


cdef bint may_drop(State* s, pfn_t pfn, uint64_t entry, vma_id v) noexcept nogil:
    """Is a LAZYFREE frame as worthless as when it became one? One that was written since is an ordinary one (rule QK4)."""
    cdef Frame* f = &s.frame[pfn]
    if entry & PTE_DIRTY:
        f.flags |= PG_DIRTY
    if f.flags & PG_DIRTY and not s.area[v].flags & VM_DROPPABLE:
        f.flags &= ~<uint32_t> PG_LAZYFREE
        return False
    return page_count(s, pfn) == f.mapcount


cdef int walk_unmap(Engine e, Scheme scheme, pfn_t pfn) noexcept nogil:
    """Removes every mapping of the frame that may go (rule K6)."""
    cdef State* s = e.s
    cdef Frame* f = &s.frame[pfn]
    cdef uint32_t want = f.mapcount
    cdef uint64_t tried = 0
    cdef uint64_t entry
    cdef int result = SWAP_AGAIN
    cdef slot_t slot
    cdef vma_id v
    cdef Walk w
    memset(&w, 0, sizeof(Walk))
    w.pfn = pfn
    w.purpose = WALK_UNMAP
    tally(s, C_RMAP_WALKS, 1)
    scheme.walk_begin(&w)
    while (w.found < want or scheme.exhaustive) and scheme.walk_next(&w):
        tried += 1
        slot = candidate_slot(e, &w)
        if slot == 0:
            scheme.walk_hit(&w, HIT_NONE)
            continue
        w.found += 1
        v = area_of(e, &w)
        entry = pte_get(s, slot)
        if s.area[v].flags & VM_LOCKED:
            result = SWAP_FAIL
        elif s.rules.inactive_first:
            if f.flags & PG_LAZYFREE and not may_drop(s, pfn, entry, v):
                result = SWAP_FAIL
        elif entry & PTE_ACCESSED:
            pte_set(s, slot, entry & ~<uint64_t> PTE_ACCESSED)
            result = SWAP_FAIL
        elif f.flags & PG_SWAPCACHE and page_count(s, pfn) != f.mapcount + 1:
            result = SWAP_FAIL
        if result == SWAP_FAIL:
            scheme.walk_hit(&w, HIT_FAIL)
            break
        if entry & PTE_DIRTY:
            f.flags |= PG_DIRTY
        if f.flags & PG_LAZYFREE:
            pte_set(s, slot, 0)
        elif f.flags & PG_ANON:
            slot_dup(s, f.owner)
            pte_set(s, slot, swap_entry(s, f.owner) | (s.swap_exclusive if f.flags & PG_EXCLUSIVE else 0))
            f.flags &= ~<uint32_t> PG_EXCLUSIVE
            s.mm[w.mm].swapents += 1
        else:
            pte_set(s, slot, absent_entry(s, v, w.vpn, f.index))
        s.mm[w.mm].rss -= 1
        f.mapcount -= 1
        tally(s, C_RMAP_REMOVES, 1)
        scheme.walk_hit(&w, HIT_UNMAPPED)
    scheme.walk_end(&w, w.found == want)
    count_walk(s, tried, w.found, True)
    if f.mapcount and result == SWAP_AGAIN and scheme.clusters:
        sweep_clusters(e, scheme, pfn)
    if f.mapcount == 0:
        frame_unmapped(e, pfn)
        return SWAP_SUCCESS
    return result


cdef bint sweep_out(Engine e, Walk* w) noexcept nogil:
    """Unmaps one entry of a sweep if it may go (rule K10). True: only the caches refer to its frame now."""
    cdef State* s = e.s
    cdef slot_t slot = w.slot if w.slot else leaf_slot(e, w.mm, w.vpn)
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
        if e.side.wants_entries:
            e.side.pages_unmapping(w.vma, w.vpn, slot, 1)
        pte_set(s, slot, absent_entry(s, w.vma, w.vpn, f.index))
    s.mm[w.mm].rss -= 1
    f.mapcount -= 1
    tally(s, C_RMAP_REMOVES, 1)
    if f.mapcount:
        return False
    frame_unmapped(e, pfn)
    s.h.reclaimed[R_UNMAPPED] += 1
    return page_count(s, pfn) == 1


cdef uint32_t sweep(Engine e) noexcept nogil:
    """For a scheme without a walk of one page: unmaps what its sweep proposes, file pages too, until enough looks freeable:
    how many frames do.

    The rules of 2.4's try_to_swap_out (schemes.md 3 d): locked and young entries stay, and are accesses (young is cleared);
    entries of active pages stay; the others go, and each that leaves its page to the caches counts as freeable.
    """
    cdef uint32_t freeable = 0
    cdef Walk w
    memset(&w, 0, sizeof(Walk))
    w.purpose = WALK_SWEEP
    e.anon.walk_begin(&w)
    while freeable < SWEEP_TARGET and e.anon.walk_next(&w):
        freeable += sweep_out(e, &w)
    e.anon.walk_end(&w, False)
    return freeable


cdef int try_to_unmap(Engine e, pfn_t pfn) noexcept nogil:
    """Unmaps a mapped frame through the side that answers for it. A scheme that sweeps cannot: AGAIN."""
    if e.anon.sweeps:
        return SWAP_AGAIN
    if e.s.frame[pfn].flags & PG_ANON:
        return walk_unmap(e, e.anon, pfn)
    return walk_unmap(e, e.side, pfn)
