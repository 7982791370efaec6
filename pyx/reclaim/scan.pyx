"""Reclaim around the reverse map, as 2.6.7 mm/vmscan.c does it (rules K1-K9), with 6.18's judgement where asked (QK).

   active   head ............. tail --not referenced--> inactive head ............. tail --unmapped, written--> free
      ^________referenced________|        ^________________kept___________________|

Victims are taken strictly in LRU order. A pass looks at a share of the lists given by its priority; a run over the
active list ages, a run over the inactive list frees. Writes complete at once. Each mapped victim costs a walk in
page_referenced and one in try_to_unmap (rmap.pyx). Victims are looked at in groups whose walks begin together (leads.pyx):
most are anonymous and mapped once, and are done with where the walk begins; `evict` is shrink_frame for these. Under a scheme
that sweeps, mapped frames are only counted, and now and then a sweep unmaps others (rule K9).
Left out on purpose: kswapd, pagevecs, readahead, buffer heads.
"""
from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memset

from rmapcore.pyx.base.counters cimport C_RMAP_REMOVES, C_SCANNED_PTES, C_VMA_LOOKUPS, tally
from rmapcore.pyx.base.ids cimport pfn_t, swp_t, vma_id
from rmapcore.pyx.base.records cimport (
    N_RECLAIM, PG_ANON, PG_DIRECT, PG_DIRTY, PG_EXCLUSIVE, PG_LAZYFREE, PG_LRU, R_FREED, R_SCANNED, R_SCANNED_PTES, R_SWAPPED,
    R_UNMAPPED, R_WRITTEN, VM_LOCKED, Frame, Head,
)
from rmapcore.pyx.base.state cimport State
from rmapcore.pyx.base.x86 cimport PTE_ACCESSED, pte_set, swap_entry
from rmapcore.pyx.kernels.v6_18.references cimport look_at_lead, stays_active
from rmapcore.pyx.machine.frames cimport frame_clear
from rmapcore.pyx.machine.lru cimport lru_move
from rmapcore.pyx.machine.swap cimport slot_take
from rmapcore.pyx.machine.vmas cimport find_vma
from rmapcore.pyx.reclaim.leads cimport GROUP, Group, approach, count_leads, gather, in_groups, lead_entry, lead_referenced
from rmapcore.pyx.reclaim.shrink cimport shrink_frame
from rmapcore.pyx.reclaim.walk cimport forget_leaves, page_referenced, sweep
from rmapcore.pyx.seam.kernel cimport Engine, Scan
from rmapcore.pyx.seam.scheme cimport Lead

cdef enum:
    SWAP_CLUSTER_MAX = 32     # 2.6.7 linux/swap.h
    DEF_PRIORITY = 12
    SWAPPINESS = 60           # vm_swappiness
    SWEPT = 16                # entries that a sweep reads in the time of a frame, about
    AGE_BATCH = 1024          # frames of the active list between two looks at the budget
    MAPPED_SHIFT = 10         # mapped frames before a sweep: 2.4.22 shrink_cache, nr_pages << (10 - priority) (rule K9)
    MAPPED_PRIORITIES = 5     #   with its priorities from 6 to 1
    MAPPED_SHARE = 10         #   but at most max_scan / 10
    IDLE_ROUNDS = 3           # rounds in a row that free nothing before reclaim gives up (rule K7)

RECLAIM_FIELDS = ("scanned", "referenced", "unmapped", "swapped", "written", "freed", "failed", "scanned_ptes")
assert len(RECLAIM_FIELDS) == N_RECLAIM
assert SWAP_CLUSTER_MAX <= GROUP               # a batch is one group


cdef void age_frame(Engine e, pfn_t pfn, bint reclaim_mapped) noexcept nogil:
    """One frame of the active list (rule K3)."""
    cdef State* s = e.s
    cdef Frame* f = &s.frame[pfn]
    cdef bint stay = False
    if s.rules.inactive_first:
        stay = stays_active(e, pfn)
    elif f.mapcount:
        if not reclaim_mapped:
            stay = True
        elif page_referenced(e, pfn):
            stay = True
        elif f.flags & PG_ANON and s.n_slots < 2:
            stay = True
    lru_move(s, pfn, stay)


cdef void age_group(Engine e, uint32_t n) noexcept nogil:
    """n frames of the active list, which has as many, when mapped ones may go."""
    cdef State* s = e.s
    cdef uint64_t walks = 0
    cdef uint64_t tried = 0
    cdef uint64_t entry
    cdef uint32_t i
    cdef bint stay
    cdef Lead* lead
    cdef Group g
    gather(e, &g, s.h.active_tail, n)
    approach(e, &g)
    for i in range(n):
        lead = &g.lead[i]
        entry = lead_entry(s, lead)
        if entry == 0 or s.frame[g.pfn[i]].flags & PG_LAZYFREE:
            age_frame(e, g.pfn[i], True)
            continue
        if s.rules.inactive_first:
            look_at_lead(s, lead, entry)
            stay = s.n_slots < 2
        else:
            stay = lead_referenced(s, lead, entry) != 0 or s.n_slots < 2
        lru_move(s, lead.pfn, stay)
        walks += 1
        tried += lead.tried
    count_leads(e, walks, walks if e.anon.table_locks else 0, tried)


cdef uint64_t age(Engine e, uint64_t n, bint reclaim_mapped) noexcept nogil:
    """Up to n frames from the tail of the active list; how many."""
    cdef Head* h = e.s.h
    cdef uint64_t done = 0
    cdef uint64_t now
    while done < n and h.active_tail:
        now = n - done if n - done < GROUP else GROUP
        if now > h.n_active:
            now = h.n_active
        if reclaim_mapped and in_groups(e):
            age_group(e, <uint32_t> now)
        else:
            now = 1
            age_frame(e, h.active_tail, reclaim_mapped)
        done += now
    return done


cdef void begin_pass(Engine e, Scan* r) noexcept nogil:
    """How much of each list this priority looks at (rule K2)."""
    cdef Head* h = e.s.h
    cdef uint64_t inactive = (h.n_active + h.n_inactive) >> r.priority
    cdef uint64_t active
    cdef uint64_t enough = h.n_active + h.n_inactive
    if enough > SWAP_CLUSTER_MAX:
        enough = SWAP_CLUSTER_MAX
    if h.prev_priority > r.priority:
        h.prev_priority = r.priority
    if h.n_active >= 4 * (2 * h.n_inactive + 1):
        active = 4 * inactive
    else:
        active = inactive * h.n_active // (2 * h.n_inactive + 1)
    h.acc_active += active + 1
    h.acc_inactive += inactive
    r.active_left = 0
    r.inactive_left = 0
    if h.acc_active >= enough:
        r.active_left = h.acc_active if h.acc_active < h.n_active else h.n_active
        h.acc_active = 0
    if h.acc_inactive >= enough:
        r.inactive_left = h.acc_inactive
        h.acc_inactive = 0
    r.mapped_left = SWAP_CLUSTER_MAX << (MAPPED_SHIFT - 1 - MAPPED_PRIORITIES * r.priority // DEF_PRIORITY)
    if r.mapped_left > r.inactive_left // MAPPED_SHARE:
        r.mapped_left = r.inactive_left // MAPPED_SHARE
    r.pass_freed = 0
    r.reclaim_mapped = e.s.rules.inactive_first or (
        h.n_mapped * 100 // e.s.n_frames // 2 + (<uint64_t> 100 >> h.prev_priority) + SWAPPINESS >= 100
    )


cdef inline bint evict(Engine e, Lead* lead) noexcept nogil:
    """shrink_frame for a frame that only its lead maps and nobody has used, up to where it leaves the inactive list: its
    contents are in a slot, the entry says so. False: it is another kind of frame, and nothing has changed.
    """
    cdef State* s = e.s
    cdef Frame* f = &s.frame[lead.pfn]
    cdef uint64_t entry = lead_entry(s, lead)
    cdef vma_id v = lead.vma
    cdef swp_t slot
    if entry == 0 or entry & PTE_ACCESSED or f.flags & ~<uint32_t> (PG_DIRTY | PG_DIRECT | PG_EXCLUSIVE) != PG_ANON | PG_LRU:
        return False
    if s.h.slots_free == 0:                    # before find_vma, which remembers what it found
        return False
    if v == 0:
        v = find_vma(s, lead.mm, lead.vpn)
    if s.area[v].flags & VM_LOCKED:
        return False
    slot = slot_take(s)                        # its one count goes from the swap cache to the entry
    if s.stamp:
        s.swap_stamp[slot] = s.stamp[lead.pfn]
    pte_set(s, lead.slot, swap_entry(s, slot) | (s.swap_exclusive if f.flags & PG_EXCLUSIVE else 0))
    s.mm[lead.mm].swapents += 1
    s.mm[lead.mm].rss -= 1
    f.mapcount = 0
    return True


cdef void retire(Engine e, Scan* r, Group* g, uint32_t first, uint32_t end) noexcept nogil:
    """Frees the frames first..end - 1 of a group, evicted just now: they are the tail of the inactive list."""
    cdef State* s = e.s
    cdef Head* h = s.h
    cdef uint32_t n = end - first
    cdef uint64_t tried = 0
    cdef uint64_t lookups = 0
    cdef uint32_t i
    cdef pfn_t newer
    if n == 0:
        return
    e.anon.leads_unmapped(&g.lead[first], n)
    newer = s.frame[g.pfn[end - 1]].prev
    h.inactive_tail = newer
    if newer:
        s.frame[newer].next = 0
    else:
        h.inactive = 0
    for i in range(first, end):
        tried += g.lead[i].tried
        lookups += g.lead[i].vma == 0
        frame_clear(s, g.pfn[i])
    h.n_inactive -= n
    h.n_mapped -= n
    h.reclaimed[R_SCANNED] += n
    h.reclaimed[R_UNMAPPED] += n
    h.reclaimed[R_WRITTEN] += n
    h.reclaimed[R_SWAPPED] += n
    h.reclaimed[R_FREED] += n
    tally(s, C_VMA_LOOKUPS, 2 * lookups if s.rules.inactive_first else lookups)
    tally(s, C_RMAP_REMOVES, n)
    count_leads(e, 2 * n, 2 * n if e.anon.table_locks else n, 2 * tried)
    freed(r, n)


cdef inline void freed(Scan* r, uint64_t n) noexcept nogil:
    r.freed += n
    r.pass_freed += n
    r.round_freed += n


cdef void shrink_group(Engine e, Scan* r, uint32_t n) noexcept nogil:
    """n frames of the inactive list, which has as many."""
    cdef uint32_t first = 0
    cdef uint32_t i
    cdef Group g
    gather(e, &g, e.s.h.inactive_tail, n)
    approach(e, &g)
    for i in range(n):
        if evict(e, &g.lead[i]):
            continue
        retire(e, r, &g, first, i)
        freed(r, shrink_frame(e, g.pfn[i]))
        first = i + 1
    retire(e, r, &g, first, n)


cdef bint batch(Engine e, Scan* r) noexcept nogil:
    """Up to 32 frames from the inactive tail, and no more than are missing; False: nothing left for this pass."""
    cdef Head* h = e.s.h
    cdef uint64_t n = r.inactive_left
    cdef uint64_t missing = r.target - (r.pass_freed if r.direct else r.freed)
    cdef uint64_t _
    cdef bint mapped
    if n > missing:
        n = missing
    if n > SWAP_CLUSTER_MAX:
        n = SWAP_CLUSTER_MAX
    if n > h.n_inactive:
        n = h.n_inactive
    if n == 0:
        return False
    if in_groups(e):
        shrink_group(e, r, <uint32_t> n)
    else:
        for _ in range(n):
            mapped = e.anon.sweeps and e.s.frame[h.inactive_tail].mapcount
            freed(r, shrink_frame(e, h.inactive_tail))
            if mapped and r.mapped_left == 0:
                r.round_swept += sweep(e)
                return False
            r.mapped_left -= mapped
    r.inactive_left -= n
    return r.inactive_left > 0


cdef void scan_begin(Scan* r, uint64_t target, bint direct) noexcept nogil:
    memset(r, 0, sizeof(Scan))
    r.priority = DEF_PRIORITY
    r.target = target
    r.direct = direct


cdef bint round_ends(Engine e, Scan* r, int priority) noexcept nogil:
    """After the last pass of a round, at this priority. True: so does the reclaim (rules K7, K8)."""
    e.s.h.prev_priority = priority
    r.idle = 0 if r.round_freed or r.round_swept else r.idle + 1
    if r.idle == IDLE_ROUNDS or (r.direct and r.round_freed):
        return True
    r.priority = DEF_PRIORITY
    r.round_freed = 0
    r.round_swept = 0
    return False


cdef bint scan_step(Engine e, Scan* r, uint64_t budget) noexcept nogil:
    """Goes on with a reclaim for about `budget` frames. True: it has ended."""
    cdef Head* h = e.s.h
    cdef uint64_t used = 0
    cdef uint64_t done, entries
    if r.target == 0:
        return True
    forget_leaves(e)
    while used < budget:
        if r.stage == 0:
            if r.priority < 0 and round_ends(e, r, 0):
                return True
            begin_pass(e, r)
            r.stage = 1
        elif r.stage == 1:
            if r.active_left == 0 or h.active_tail == 0:
                r.stage = 2
                continue
            done = age(e, r.active_left if r.active_left < AGE_BATCH else AGE_BATCH, r.reclaim_mapped)
            r.active_left -= done
            used += done
        else:
            entries = e.s.count[C_SCANNED_PTES]
            if not batch(e, r):
                r.stage = 0
            entries = e.s.count[C_SCANNED_PTES] - entries
            h.reclaimed[R_SCANNED_PTES] += entries
            used += SWAP_CLUSTER_MAX + entries // SWEPT
            if (r.pass_freed if r.direct else r.freed) >= r.target:
                h.prev_priority = r.priority
                return True
            if r.stage == 0:
                r.priority -= 1
                if e.anon.sweeps and r.round_freed >= SWAP_CLUSTER_MAX and round_ends(e, r, r.priority + 1):
                    return True
    return False


cdef bint direct_reclaim(Engine e) noexcept nogil:
    """What an allocation does when no frame is free (rule K7). False: nothing was freed."""
    cdef Scan r
    scan_begin(&r, SWAP_CLUSTER_MAX, True)
    while not scan_step(e, &r, 1 << 20):
        pass
    return r.freed > 0


def reclaimed(Engine e):
    """What reclaim (asked for and direct) did since the machine's birth: {field: count}."""
    cdef int i
    return {name: e.s.h.reclaimed[i] for i, name in enumerate(RECLAIM_FIELDS)}
