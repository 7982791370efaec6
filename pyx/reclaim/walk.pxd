"""THE WALK of one frame through its scheme, and who visits its mappings (rules K5, K6).

A scheme proposes where a frame may be mapped; here each proposal is looked up in the page table and counted, and a visitor
acts upon those that map it. A walk ends as soon as mapcount entries were found, when the candidates run out, or at an entry
that must stay; with a scheme that is exhaustive it goes on to the last candidate. Costs: one look-up per candidate.

   scheme ── candidate ──> entry maps the frame? ──> visitor ──> outcome ──> scheme        page_referenced     here
                                                                                           folio_referenced    kernels/v6_18
                                                                                           try_to_unmap        unmap.pxi
                                                                                           whomaps, verify     look/query
"""
from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memset

from rmapcore.pyx.base.counters cimport (
    C_LOCK_PAGE_TABLE, C_LOCK_PAGE_TABLE_HELD, C_PTES_FOUND, C_PTES_TRIED, C_RMAP_WALKS, C_VMA_LOOKUPS, tally,
)
from rmapcore.pyx.base.ids cimport mm_id, pfn_t, slot_t, vma_id, vpn_t
from rmapcore.pyx.base.records cimport PG_ANON, PG_EXCLUSIVE, PG_LAZYFREE, Frame
from rmapcore.pyx.base.x86 cimport pte_get, pte_pfn, pte_present
from rmapcore.pyx.machine.pagetable cimport pt_lookup
from rmapcore.pyx.machine.vmas cimport find_vma
from rmapcore.pyx.seam.kernel cimport LEAVES, Kernel, Leaf
from rmapcore.pyx.seam.scheme cimport HIT_FAIL, HIT_NONE, Outcome, Purpose, Scheme, Walk

cdef enum:                    # try_to_unmap's answers [2.6.7 include/linux/rmap.h]
    SWAP_SUCCESS = 0
    SWAP_AGAIN = 1
    SWAP_FAIL = 2
    UNMAP_NO_SLOT = 3         # an answer of unmap_frames beside these: swap is full, the anonymous frame was left alone

cdef enum Verdict:            # what is to become of a frame of the inactive list [6.18 mm/vmscan.c enum folio_references]
    VERDICT_RECLAIM = 0
    VERDICT_RECLAIM_CLEAN = 1     # if it need not be written first
    VERDICT_KEEP = 2          # another round on the inactive list
    VERDICT_ACTIVATE = 3

# What is done with an entry that maps the frame. Walks are inlined into their callers, and visitors into walks.
ctypedef Outcome (*Visitor)(Kernel k, Walk* w, slot_t slot, uint64_t entry, void* told) noexcept nogil

cdef uint32_t page_referenced(Kernel k, pfn_t pfn) noexcept nogil


cdef inline slot_t leaf_slot(Kernel k, mm_id mm, vpn_t vpn) noexcept nogil:
    """pt_lookup that remembers the leaf table it found last in each of a few address spaces: walks go round in families."""
    cdef uint32_t index = <uint32_t> vpn & k.s.index_mask
    cdef Leaf* leaf = &k.leaf[mm & (LEAVES - 1)]
    cdef slot_t slot
    if mm == leaf.mm and vpn >> k.s.bits == leaf.number:
        return leaf.base + index
    slot = pt_lookup(k.s, mm, vpn)
    if slot:
        leaf.mm = mm
        leaf.number = vpn >> k.s.bits
        leaf.base = slot - index
    return slot


cdef inline void forget_leaves(Kernel k) noexcept nogil:
    """For every new batch of walks, if tables were freed or moved since the last."""
    if k.leaves_gone != k.s.tables_gone:
        memset(k.leaf, 0, sizeof(k.leaf))
        k.leaves_gone = k.s.tables_gone


cdef inline slot_t candidate_slot(Kernel k, Walk* w, uint64_t* entry) noexcept nogil:
    """The place of a walk's candidate if its entry maps the walk's frame, else 0; *entry: what it holds."""
    cdef slot_t slot = w.slot
    if slot == 0:
        slot = leaf_slot(k, w.mm, w.vpn)
        if slot == 0:
            return 0
    entry[0] = pte_get(k.s, slot)
    if pte_present(entry[0]) and pte_pfn(k.s, entry[0]) == w.pfn:
        return slot
    return 0


cdef inline bint walk(Kernel k, Scheme scheme, Walk* w, pfn_t pfn, Purpose purpose, Visitor visit, void* told,
                      bint locks) noexcept nogil:
    """Walks a frame. w: scratch, whose `stop` a file side may have set. locks: page tables count as locked for candidates.

    True: all mappings were found.
    """
    cdef uint32_t want = k.s.frame[pfn].mapcount
    cdef uint64_t tried = 0
    cdef uint64_t entry
    cdef Outcome outcome
    cdef slot_t slot
    memset(w, 0, sizeof(Walk))
    w.pfn = pfn
    w.purpose = purpose
    tally(k.s, C_RMAP_WALKS, 1)
    scheme.walk_begin(w)
    while (w.found < want or scheme.exhaustive) and scheme.walk_next(w):
        tried += 1
        slot = candidate_slot(k, w, &entry)
        outcome = visit(k, w, slot, entry, told) if slot else HIT_NONE
        if outcome != HIT_NONE:
            w.found += 1
        scheme.walk_hit(w, outcome)
        if outcome == HIT_FAIL:
            break
    tally(k.s, C_PTES_TRIED, tried)
    tally(k.s, C_PTES_FOUND, w.found)
    if locks:
        tally(k.s, C_LOCK_PAGE_TABLE, tried)
        tally(k.s, C_LOCK_PAGE_TABLE_HELD, tried)
    scheme.walk_end(w, w.found == want)
    return w.found == want


cdef inline vma_id area_of(Kernel k, Walk* w) noexcept nogil:
    """The area of a candidate; looked up where the scheme knows none."""
    if w.vma:
        return w.vma
    tally(k.s, C_VMA_LOOKUPS, 1)
    return find_vma(k.s, w.mm, w.vpn)


cdef inline void frame_unmapped(Kernel k, pfn_t pfn) noexcept nogil:
    """The last mapping has gone: ANON is cleared, the scheme told [2.6.7 mm/rmap.c page_remove_rmap]."""
    cdef Frame* f = &k.s.frame[pfn]
    k.s.h.n_mapped -= 1
    if not f.flags & PG_ANON:
        if k.side.wants_last:
            k.side.page_last(pfn)
        return
    if k.anon.wants_last:
        k.anon.page_last(pfn)
    f.flags &= ~<uint32_t> (PG_ANON | PG_EXCLUSIVE | PG_LAZYFREE)


cdef inline void tell_freed(Kernel k, pfn_t pfn) noexcept nogil:
    """A frame that nothing refers to any more is about to be given back: the scheme hears of it if it has a word."""
    if k.anon.wants_freed and k.s.frame[pfn].rmap:
        k.anon.page_freed(pfn)
