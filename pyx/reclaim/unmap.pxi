"""try_to_unmap (rules K6, QK4): removes every mapping of a frame that may go [2.6.7 and 6.18 mm/rmap.c].

Text of every kernel, which says by `must_stay` what keeps an entry. What lies in nonlinear areas may be left to clusters.pyx.
"""
from libc.stdint cimport uint32_t, uint64_t, uint8_t

from rmapcore.pyx.base.counters cimport C_RMAP_REMOVES, tally
from rmapcore.pyx.base.ids cimport mm_id, pfn_t, slot_t, swp_t, vma_id
from rmapcore.pyx.base.records cimport GONE_RECLAIM, PG_ANON, PG_DIRTY, PG_SWAPCACHE, Frame
from rmapcore.pyx.base.state cimport State
from rmapcore.pyx.base.x86 cimport PTE_DIRTY, pte_set, swap_entry
from rmapcore.pyx.machine.gone cimport tell_gone
from rmapcore.pyx.machine.swap cimport slot_dup, slot_take, swapcache_add
from rmapcore.pyx.machine.vmas cimport absent_entry
from rmapcore.pyx.reclaim.clusters cimport unmap_clusters
from rmapcore.pyx.reclaim.leads cimport GROUP, Group, approach_next, in_groups
from rmapcore.pyx.reclaim.walk cimport (
    SWAP_AGAIN, SWAP_FAIL, SWAP_SUCCESS, UNMAP_NO_SLOT, area_of, forget_leaves, frame_unmapped, walk,
)
from rmapcore.pyx.seam.kernel cimport Kernel
from rmapcore.pyx.seam.scheme cimport HIT_FAIL, HIT_UNMAPPED, WALK_UNMAP, Outcome, Scheme, Walk


cdef inline void entry_to_swap(State* s, Frame* f, pfn_t pfn, mm_id mm, slot_t slot) noexcept nogil:
    """An entry of an anonymous frame names the frame's slot instead; one user more of that."""
    slot_dup(s, f.owner)
    pte_set(s, slot, swap_entry(s, f.owner) | exclusive_bit(s, f.flags))
    share(s, pfn)
    s.mm[mm].swapents += 1


cdef Outcome unmap_entry(Kernel k, Walk* w, slot_t slot, uint64_t entry, void* told) noexcept nogil:
    """One mapping goes, if it may; told: int, SWAP_FAIL if not."""
    cdef State* s = k.s
    cdef Frame* f = &s.frame[w.pfn]
    cdef vma_id v = area_of(k, w)
    if must_stay(s, w.pfn, v, slot, entry):
        (<int*> told)[0] = SWAP_FAIL
        return HIT_FAIL
    if entry & PTE_DIRTY:
        f.flags |= PG_DIRTY
    if f.flags & LAZY:
        pte_set(s, slot, 0)
    elif f.flags & PG_ANON:
        entry_to_swap(s, f, w.pfn, w.mm, slot)
    else:
        pte_set(s, slot, absent_entry(s, v, w.vpn, f.index))
    if s.gone:
        tell_gone(s, w.mm, w.vpn, w.pfn, GONE_RECLAIM)
    s.mm[w.mm].rss -= 1
    f.mapcount -= 1
    tally(s, C_RMAP_REMOVES, 1)
    return HIT_UNMAPPED


cdef int unmap_mappings(Kernel k, Scheme scheme, pfn_t pfn) noexcept nogil:
    """try_to_unmap through the side that answers for the frame."""
    cdef Frame* f = &k.s.frame[pfn]
    cdef int result = SWAP_AGAIN
    cdef Walk w
    walk(k, scheme, &w, pfn, WALK_UNMAP, unmap_entry, &result, True)
    if f.mapcount and result == SWAP_AGAIN and scheme.clusters:
        unmap_clusters(k, scheme, pfn)
    if f.mapcount == 0:
        frame_unmapped(k, pfn)
        return SWAP_SUCCESS
    return result


cdef int try_to_unmap(Kernel k, pfn_t pfn) noexcept nogil:
    """Unmaps a mapped frame. A scheme that sweeps cannot: AGAIN."""
    if k.anon.sweeps:
        return SWAP_AGAIN
    if k.s.frame[pfn].flags & PG_ANON:
        return unmap_mappings(k, k.anon, pfn)
    return unmap_mappings(k, k.side, pfn)


cdef uint8_t swap_and_unmap(Kernel k, pfn_t pfn) noexcept nogil:
    """The middle of reclaim's visit to a frame (rule K4): slot and swap cache, then try_to_unmap."""
    cdef Frame* f = &k.s.frame[pfn]
    cdef swp_t slot
    if f.mapcount == 0:
        return SWAP_SUCCESS
    if f.flags & PG_ANON and not f.flags & PG_SWAPCACHE:
        slot = slot_take(k.s)
        if slot == 0:
            return UNMAP_NO_SLOT
        swapcache_add(k.s, pfn, slot)
        f.flags |= PG_DIRTY
    return <uint8_t> try_to_unmap(k, pfn)


cdef void unmap_frames(Kernel k, const uint32_t* pfns, uint32_t n, uint8_t* answers) noexcept nogil:
    """That of each frame, in groups (look/probe)."""
    cdef uint32_t i
    cdef Group g
    forget_leaves(k)
    for i in range(n):
        if i % GROUP == 0 and in_groups(k):
            approach_next(k, &g, pfns + i, n - i)
        answers[i] = swap_and_unmap(k, pfns[i])
