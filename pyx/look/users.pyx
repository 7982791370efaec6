"""Who maps frames (users.pxd): a walk of each through its scheme, begun in groups, and a scan."""
from libc.stdint cimport int64_t, uint32_t, uint64_t

from rmapcore.pyx.base.ids cimport PAGE_SHIFT, mm_id, pfn_t, slot_t, vpn_t
from rmapcore.pyx.base.records cimport PG_ANON, P_TABLES
from rmapcore.pyx.base.state cimport State
from rmapcore.pyx.base.x86 cimport pte_get, pte_pfn, pte_present
from rmapcore.pyx.machine.pagetable cimport leaf_run, pt_next
from rmapcore.pyx.reclaim.leads cimport GROUP, Group, approach_next, count_leads, lead_entry
from rmapcore.pyx.reclaim.walk cimport forget_leaves, walk
from rmapcore.pyx.seam.kernel cimport Kernel
from rmapcore.pyx.seam.scheme cimport HIT_NONE, HIT_SEEN, WALK_QUERY, Lead, Outcome, Scheme, Walk


cdef uint64_t count_entries(State* s) noexcept nogil:
    """Entries of all leaf tables in use."""
    cdef uint64_t leaves = 0
    cdef uint64_t t
    for t in range(1, s.pool[P_TABLES].bump):
        if s.table[t].level == 0:
            leaves += 1
    return leaves << s.bits


cdef struct Places:           # where a frame is mapped; each array may be NULL
    uint32_t n                # found so far
    uint32_t most             # room in the arrays
    uint32_t* pids
    uint64_t* addresses
    slot_t* slots


cdef Outcome note_place(Kernel k, Walk* w, slot_t slot, uint64_t entry, void* told) noexcept nogil:
    """told: Places."""
    cdef Places* p = <Places*> told
    if p.n == p.most:
        return HIT_NONE
    if p.pids:
        p.pids[p.n] = k.s.mm[w.mm].pid
    if p.addresses:
        p.addresses[p.n] = w.vpn << PAGE_SHIFT
    if p.slots:
        p.slots[p.n] = slot
    p.n += 1
    return HIT_SEEN


cdef void walk_places(Kernel k, Scheme scheme, pfn_t pfn, Places* p) noexcept nogil:
    cdef Walk w
    walk(k, scheme, &w, pfn, WALK_QUERY, note_place, p, False)


cdef uint32_t query_frame(Kernel k, pfn_t pfn, uint32_t* pids, uint64_t* addresses, slot_t* slots) noexcept nogil:
    """Walks a frame; writes at most mapcount places. How many were found."""
    cdef Places p
    if pfn == 0 or k.s.frame[pfn].mapcount == 0:
        return 0
    p.n = 0
    p.most = k.s.frame[pfn].mapcount
    p.pids = pids
    p.addresses = addresses
    p.slots = slots
    if k.s.frame[pfn].flags & PG_ANON:
        walk_places(k, k.anon, pfn, &p)
    else:
        walk_places(k, k.side, pfn, &p)
    return p.n


cdef void find_users(Kernel k, uint64_t n, const uint32_t* frames, int64_t* offsets, uint32_t* pids,
                     uint64_t* addresses) noexcept nogil:
    """whomaps of n frames: those of frame i at [offsets[i], offsets[i + 1]). The arrays have room for all mapcounts."""
    cdef State* s = k.s
    cdef uint64_t walks = 0
    cdef uint64_t tried = 0
    cdef uint64_t i, entry
    cdef bint alone = k.one_by_one or k.account is not None                # an account hears of each of these walks
    cdef Group g
    cdef Lead* lead
    offsets[0] = 0
    forget_leaves(k)
    for i in range(n):
        lead = &g.lead[i % GROUP]
        entry = 0
        if not alone:
            if i % GROUP == 0:
                approach_next(k, &g, frames + i, n - i)
            entry = lead_entry(s, lead)
        if entry:
            pids[offsets[i]] = s.mm[lead.mm].pid
            addresses[offsets[i]] = lead.vpn << PAGE_SHIFT
            offsets[i + 1] = offsets[i] + 1
            walks += 1
            tried += lead.tried
        else:
            offsets[i + 1] = offsets[i] + query_frame(k, frames[i], pids + offsets[i], addresses + offsets[i], NULL)
    count_leads(k, walks, 0, tried)


cdef uint64_t scan_users(State* s, pfn_t pfn, uint64_t most, uint32_t* pids, uint64_t* addresses) noexcept nogil:
    """The same of one frame by a scan of all page tables, in the order of `mappings`; how many there are, `most` filled in."""
    cdef vpn_t end = <vpn_t> 1 << (s.top_shift + s.bits)
    cdef uint64_t found = 0
    cdef mm_id mm = s.h.mm_first
    cdef uint64_t entry
    cdef uint32_t n, i
    cdef slot_t slot
    cdef vpn_t vpn
    while mm and pfn and found < s.frame[pfn].mapcount:
        vpn = 0
        while True:
            slot = pt_next(s, mm, &vpn, end)
            if slot == 0:
                break
            n = leaf_run(s, vpn, end)
            for i in range(n):
                entry = pte_get(s, slot + i)
                if not pte_present(entry) or pte_pfn(s, entry) != pfn:
                    continue
                if found < most:
                    pids[found] = s.mm[mm].pid
                    addresses[found] = (vpn + i) << PAGE_SHIFT
                found += 1
            vpn += n
        mm = s.mm[mm].next
    return found
