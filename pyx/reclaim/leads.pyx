"""Finding leads for a group of frames: from the tail of an LRU list, or from an array."""
from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memcpy

from rmapcore.pyx.base.counters cimport (
    C_LOCK_PAGE_TABLE, C_LOCK_PAGE_TABLE_HELD, C_PTES_FOUND, C_PTES_TRIED, C_RMAP_REMOVES, C_RMAP_WALKS, C_VMA_LOOKUPS,
    N_COUNTERS, tally,
)
from rmapcore.pyx.base.ids cimport pfn_t, vma_id, vpn_t
from rmapcore.pyx.base.records cimport PG_ANON, Frame
from rmapcore.pyx.base.state cimport State
from rmapcore.pyx.base.x86 cimport fetch_ahead, pte_fetch
from rmapcore.pyx.machine.vmas cimport find_vma
from rmapcore.pyx.reclaim.leads cimport GROUP, Group
from rmapcore.pyx.reclaim.walk cimport leaf_slot
from rmapcore.pyx.seam.kernel cimport Kernel
from rmapcore.pyx.seam.scheme cimport WALK_REFERENCED, WALK_UNMAP, Lead


cdef void gather(Kernel k, Group* g, pfn_t tail, uint32_t n) noexcept nogil:
    """The n frames from a list's tail on, and what the group after this one will read first."""
    cdef State* s = k.s
    cdef uint32_t i
    cdef pfn_t pfn = tail
    g.n = n
    for i in range(n):
        g.pfn[i] = pfn
        fetch_ahead(&s.frame[s.ahead[pfn]])
        fetch_ahead(&s.ahead[s.ahead[pfn]])
        pfn = s.frame[pfn].prev


cdef void approach(Kernel k, Group* g) noexcept nogil:
    """Finds the leads of the group's anonymous frames, and fetches their entries."""
    cdef State* s = k.s
    cdef Frame* frame = s.frame
    cdef uint32_t i
    cdef Lead* lead
    for i in range(g.n):
        lead = &g.lead[i]
        lead.pfn = g.pfn[i] if frame[g.pfn[i]].flags & PG_ANON else 0
        lead.mm = 0
        lead.tried = 0
    k.anon.lead(g.lead, g.n)
    for i in range(g.n):
        lead = &g.lead[i]
        if lead.mm == 0:
            continue
        if lead.slot == 0:
            lead.slot = leaf_slot(k, lead.mm, lead.vpn)
            if lead.slot == 0:
                lead.tried = 0
        pte_fetch(s, lead.slot)


cdef void approach_next(Kernel k, Group* g, const uint32_t* pfns, uint64_t left) noexcept nogil:
    """The same for the next frames of an array, of which `left` are left; the records of those behind are fetched."""
    cdef uint64_t i
    g.n = <uint32_t> left if left < GROUP else GROUP
    for i in range(g.n):
        g.pfn[i] = pfns[i]
    for i in range(g.n, 2 * GROUP if left > 2 * GROUP else left):
        fetch_ahead(&k.s.frame[pfns[i]])
    approach(k, g)


cdef void count_leads(Kernel k, uint64_t walks, uint64_t locks, uint64_t tried) noexcept nogil:
    """Counts walks that ended at their leads. locks: page tables locked by them; tried: what the leads say, summed."""
    cdef State* s = k.s
    tally(s, C_RMAP_WALKS, walks)
    tally(s, C_PTES_TRIED, walks)
    tally(s, C_PTES_FOUND, walks)
    tally(s, C_LOCK_PAGE_TABLE, locks)
    tally(s, C_LOCK_PAGE_TABLE_HELD, locks)
    k.anon.leads_walked(walks, tried)


cdef void one_walk(Kernel k, const Lead* lead, uint64_t lookups, bint unmaps, uint64_t* each) noexcept nogil:
    """What a walk that ends at its lead counts, by counter: try_to_unmap's, if it unmaps. count_leads says it."""
    cdef uint64_t[N_COUNTERS] before
    cdef uint64_t* count = k.s.count
    cdef int i
    memcpy(before, count, sizeof(before))
    count_leads(k, 1, 1 if unmaps or k.anon.table_locks else 0, lead.tried)
    tally(k.s, C_RMAP_REMOVES, unmaps)
    tally(k.s, C_VMA_LOOKUPS, lookups if lead.vma == 0 else 0)
    for i in range(N_COUNTERS):
        each[i] = count[i] - before[i]
    memcpy(count, before, sizeof(before))


cdef void tell_leads(Kernel k, const Lead* leads, uint32_t n, uint64_t lookups, bint unmapped) noexcept nogil:
    """Tells the account of n walks of page_referenced that ended at their leads; unmapped: and try_to_unmap's of each.

    lookups: of an area that the scheme does not know, by page_referenced. Counts nothing. The areas are looked up once for
    each run of leads.
    """
    cdef State* s = k.s
    cdef uint64_t[N_COUNTERS] each
    cdef const Lead* first = leads
    cdef const Lead* end = leads + n
    cdef const Lead* next
    cdef uint32_t alike
    cdef vma_id v
    cdef vpn_t start, pages
    cdef Lead lead
    while first < end:
        lead = first[0]
        v = lead.vma if lead.vma else find_vma(s, lead.mm, lead.vpn)
        start = s.area[v].start
        pages = s.area[v].end - start
        next = first + 1
        if next < end:
            while next.vpn - start < pages and next.mm == lead.mm and next.vma == lead.vma and next.tried == lead.tried:
                next += 1
                if next == end:                # asked here, the loop has one jump less
                    break
        alike = <uint32_t> (next - first)
        if not k.account.leads_alike(first, v, alike, unmapped):
            one_walk(k, first, lookups, False, each)
            k.account.leads_differ(first, each, WALK_REFERENCED)
            if unmapped:
                one_walk(k, first, 1, True, each)
                k.account.leads_differ(first, each, WALK_UNMAP)
            k.account.leads_alike(first, v, alike, unmapped)
        k.account.rank_leads(first, v, alike, unmapped)
        first = next
