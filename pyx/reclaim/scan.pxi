"""Reclaim around the reverse map, as 2.6.7 mm/vmscan.c does it (rules K1-K9).

Text of every kernel, which says what its ageing makes of a frame and of a lead (`stays_active`, `lead_stays_active`), whether
mapped frames may go (`takes_mapped`), and how often one looks for an area where a scheme knows none (LOOKUPS).

   active   head ............. tail --not referenced--> inactive head ............. tail --unmapped, written--> free
      ^________referenced________|        ^________________kept___________________|

Victims are taken strictly in LRU order. A pass looks at a share of the lists given by its priority; a run over the
active list ages, a run over the inactive list frees. Writes complete at once. Each mapped victim costs a walk in
page_referenced and one in try_to_unmap (walk.pxd). Victims are looked at in groups whose walks begin together (leads.pyx):
most are anonymous and mapped once, and are done with where the walk begins; `evict_leads` and `spare_lead` are shrink_frame for
these. Under a scheme that sweeps, mapped frames are only counted, and now and then a sweep unmaps others (rule K9).
Left out on purpose: kswapd, pagevecs, readahead, buffer heads.
"""
from libc.stdint cimport uint32_t, uint64_t

from rmapcore.pyx.base.counters cimport C_RMAP_REMOVES, C_SCANNED_PTES, C_VMA_LOOKUPS, tally
from rmapcore.pyx.base.ids cimport mm_id, pfn_t, swp_t, vma_id, vpn_t
from rmapcore.pyx.base.records cimport (
    GONE_RECLAIM, PG_ANON, PG_DIRECT, PG_DIRTY, PG_EXCLUSIVE, PG_LRU, R_FREED, R_SCANNED, R_SCANNED_PTES, R_SWAPPED,
    R_UNMAPPED, R_WRITTEN, VM_LOCKED, Frame, Head,
)
from rmapcore.pyx.base.state cimport State
from rmapcore.pyx.base.x86 cimport PTE_ACCESSED, pte_set, swap_entries
from rmapcore.pyx.machine.frames cimport frame_take, frames_clear
from rmapcore.pyx.machine.gone cimport tell_gone
from rmapcore.pyx.machine.lru cimport lru_move, lru_move_tail
from rmapcore.pyx.machine.swap cimport slots_take
from rmapcore.pyx.machine.vmas cimport find_vma
from rmapcore.pyx.reclaim.leads cimport GROUP, Group, approach, count_leads, gather, in_groups, lead_entry, tell_leads
from rmapcore.pyx.reclaim.scan cimport DEF_PRIORITY, scan_begin
from rmapcore.pyx.reclaim.walk cimport forget_leaves
from rmapcore.pyx.seam.kernel cimport Kernel, Scan
from rmapcore.pyx.seam.scheme cimport Lead

cdef enum:
    SWAP_CLUSTER_MAX = 32     # 2.6.7 linux/swap.h; a batch is one group (leads.pxd)
    SWEPT = 16                # entries that a sweep reads in the time of a frame, about
    AGE_BATCH = 1024          # frames of the active list between two looks at the budget
    MAPPED_SHIFT = 10         # mapped frames before a sweep: 2.4.22 shrink_cache, nr_pages << (10 - priority) (rule K9)
    MAPPED_PRIORITIES = 5     #   with its priorities from 6 to 1
    MAPPED_SHARE = 10         #   but at most max_scan / 10
    IDLE_ROUNDS = 3           # rounds in a row that free nothing before reclaim gives up (rule K7)


cdef inline void move_leads(Kernel k, Group* g, uint32_t first, uint32_t end, bint active) noexcept nogil:
    """Leads of frames first..end - 1 of the group, decided alike: their frames are the tail of the active list."""
    if first == end:
        return
    lru_move_tail(k.s, &g.pfn[first], end - first, active)
    if k.account is not None:
        tell_leads(k, &g.lead[first], end - first, LOOKUPS - 1, False)


cdef void age_group(Kernel k, uint32_t n) noexcept nogil:
    """n frames of the active list, which has as many, when mapped ones may go. What one lead after the other decides alike
    moves together."""
    cdef State* s = k.s
    cdef uint64_t walks = 0
    cdef uint64_t tried = 0
    cdef uint64_t entry
    cdef uint32_t first = 0                    # of those that are to move, and whereto
    cdef bint active = False
    cdef bint stays
    cdef uint32_t i
    cdef Lead* lead
    cdef Group g
    gather(k, &g, s.h.active_tail, n)
    approach(k, &g)
    for i in range(n):
        lead = &g.lead[i]
        entry = lead_entry(s, lead)
        if entry == 0 or s.frame[g.pfn[i]].flags & LAZY:
            move_leads(k, &g, first, i, active)
            first = i + 1
            lru_move(s, g.pfn[i], stays_active(k, g.pfn[i], True))
            continue
        stays = lead_stays_active(s, lead, entry)
        if stays != active:
            move_leads(k, &g, first, i, active)
            first = i
        active = stays
        walks += 1
        tried += lead.tried
    move_leads(k, &g, first, n, active)
    count_leads(k, walks, walks if k.anon.table_locks else 0, tried)


cdef uint64_t age(Kernel k, uint64_t n, bint reclaim_mapped) noexcept nogil:
    """Up to n frames from the tail of the active list; how many."""
    cdef Head* h = k.s.h
    cdef uint64_t done = 0
    cdef uint64_t now
    while done < n and h.active_tail:
        now = n - done if n - done < GROUP else GROUP
        if now > h.n_active:
            now = h.n_active
        if reclaim_mapped and in_groups(k):
            age_group(k, <uint32_t> now)
        else:
            now = 1
            lru_move(k.s, h.active_tail, stays_active(k, h.active_tail, reclaim_mapped))
        done += now
    return done


cdef void begin_pass(Kernel k, Scan* r) noexcept nogil:
    """How much of each list this priority looks at (rule K2)."""
    cdef Head* h = k.s.h
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
    r.reclaim_mapped = takes_mapped(k.s)


cdef inline bint evictable(State* s, Lead* lead) noexcept nogil:
    """Is this a frame that only its lead maps and nobody has used, and of no special kind?"""
    cdef uint64_t entry = lead_entry(s, lead)
    if entry == 0 or entry & PTE_ACCESSED:
        return False
    return s.frame[lead.pfn].flags & ~<uint32_t> (PG_DIRTY | PG_DIRECT | PG_EXCLUSIVE | NO_USE) == PG_ANON | PG_LRU


cdef uint32_t evict_leads(Kernel k, Lead* lead, uint32_t n) noexcept nogil:
    """shrink_frame for the first of n leads that are evictable, up to where their frames leave the inactive list: contents are
    in slots, entries say so. How many; 0: the first is another kind of frame, and nothing has changed.
    """
    cdef State* s = k.s
    cdef Frame* frame = s.frame
    cdef mm_id mm = 0                          # of the lead before that named no area, which one was found, and where it lies
    cdef vma_id found = 0
    cdef vma_id v
    cdef vpn_t start = 0
    cdef vpn_t end = 0
    cdef uint32_t run = 0
    cdef uint32_t i = 0
    cdef uint32_t first
    cdef swp_t[GROUP] slots
    cdef uint64_t[GROUP] words                 # the swap entries
    if n > s.h.slots_free:
        n = <uint32_t> s.h.slots_free
    while run < n and evictable(s, &lead[run]):
        v = lead[run].vma
        if v == 0:
            if lead[run].mm != mm or not start <= lead[run].vpn < end:
                mm = lead[run].mm
                found = find_vma(s, mm, lead[run].vpn)
                start = s.area[found].start
                end = s.area[found].end
            v = found
        if s.area[v].flags & VM_LOCKED:
            break
        run += 1
    if run == 0:
        return 0
    slots_take(s, slots, run)                  # the one count of each goes from the swap cache to the entry
    swap_entries(s, slots, words, run)
    while i < run:
        first = i
        mm = lead[i].mm
        while i < run and lead[i].mm == mm:
            if s.stamp:
                s.swap_stamp[slots[i]] = s.stamp[lead[i].pfn]
            pte_set(s, lead[i].slot, words[i] | exclusive_bit(s, frame[lead[i].pfn].flags))
            frame[lead[i].pfn].mapcount = 0
            i += 1
        s.mm[mm].swapents += i - first
        s.mm[mm].rss -= i - first
    return run


cdef void free_evicted(Kernel k, Scan* r, Group* g, uint32_t first, uint32_t end) noexcept nogil:
    """Frees the frames first..end - 1 of a group, evicted just now: they are the tail of the inactive list."""
    cdef State* s = k.s
    cdef Head* h = s.h
    cdef uint32_t n = end - first
    cdef uint64_t tried = 0
    cdef uint64_t lookups = 0
    cdef uint32_t i
    cdef pfn_t newer
    if n == 0:
        return
    if s.gone:
        for i in range(first, end):
            tell_gone(s, g.lead[i].mm, g.lead[i].vpn, g.pfn[i], GONE_RECLAIM)
    k.anon.leads_unmapped(&g.lead[first], n)
    newer = s.frame[g.pfn[end - 1]].prev
    h.inactive_tail = newer
    if newer:
        s.frame[newer].next = 0
    else:
        h.inactive = 0
    for i in range(first, end):
        tried += g.lead[i].tried
        lookups += g.lead[i].vma == 0
    frames_clear(s, &g.pfn[first], n)
    h.n_inactive -= n
    h.n_mapped -= n
    h.reclaimed[R_SCANNED] += n
    h.reclaimed[R_UNMAPPED] += n
    h.reclaimed[R_WRITTEN] += n
    h.reclaimed[R_SWAPPED] += n
    h.reclaimed[R_FREED] += n
    tally(s, C_VMA_LOOKUPS, LOOKUPS * lookups)
    tally(s, C_RMAP_REMOVES, n)
    count_leads(k, 2 * n, 2 * n if k.anon.table_locks else n, 2 * tried)
    if k.account is not None:
        tell_leads(k, &g.lead[first], n, LOOKUPS - 1, True)
    freed(r, n)


cdef inline void freed(Scan* r, uint64_t n) noexcept nogil:
    r.freed += n
    r.pass_freed += n
    r.round_freed += n


cdef inline bint spare_lead(Kernel k, Lead* lead) noexcept nogil:
    """shrink_frame for a frame that only its lead maps, and somebody has used. False: another one, nothing has changed."""
    cdef State* s = k.s
    cdef uint64_t entry = lead_entry(s, lead)
    cdef Verdict verdict
    if not entry & PTE_ACCESSED or s.frame[lead.pfn].flags & LAZY or not lead_used(s, lead, entry, &verdict):
        return False
    s.h.reclaimed[R_SCANNED] += 1
    spare(s, lead.pfn, verdict)
    if k.account is not None:
        tell_leads(k, lead, 1, LOOKUPS - 1, False)
    return True


cdef void shrink_group(Kernel k, Scan* r, uint32_t n) noexcept nogil:
    """n frames of the inactive list, which has as many."""
    cdef uint32_t first = 0
    cdef uint32_t i = 0
    cdef uint32_t evicted
    cdef uint64_t spared = 0
    cdef uint64_t tried = 0
    cdef Group g
    gather(k, &g, k.s.h.inactive_tail, n)
    approach(k, &g)
    while i < n:
        evicted = evict_leads(k, &g.lead[i], n - i)
        if evicted == 0:
            free_evicted(k, r, &g, first, i)
            if spare_lead(k, &g.lead[i]):
                spared += 1
                tried += g.lead[i].tried
            else:
                freed(r, shrink_frame(k, g.pfn[i]))
            evicted = 1
            first = i + 1
        i += evicted
    free_evicted(k, r, &g, first, n)
    count_leads(k, spared, spared if k.anon.table_locks else 0, tried)


cdef bint batch(Kernel k, Scan* r) noexcept nogil:
    """Up to 32 frames from the inactive tail, and no more than are missing; False: nothing left for this pass."""
    cdef Head* h = k.s.h
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
    if in_groups(k):
        shrink_group(k, r, <uint32_t> n)
    else:
        for _ in range(n):
            mapped = k.anon.sweeps and k.s.frame[h.inactive_tail].mapcount
            freed(r, shrink_frame(k, h.inactive_tail))
            if mapped and r.mapped_left == 0:
                r.round_swept += sweep(k)
                return False
            r.mapped_left -= mapped
    r.inactive_left -= n
    return r.inactive_left > 0


cdef bint round_ends(Kernel k, Scan* r, int priority) noexcept nogil:
    """After the last pass of a round, at this priority. True: so does the reclaim (rules K7, K8)."""
    k.s.h.prev_priority = priority
    r.idle = 0 if r.round_freed or r.round_swept else r.idle + 1
    if r.idle == IDLE_ROUNDS or (r.direct and r.round_freed):
        return True
    r.priority = DEF_PRIORITY
    r.round_freed = 0
    r.round_swept = 0
    return False


cdef bint scan_step(Kernel k, Scan* r, uint64_t budget) noexcept nogil:
    """Goes on with a reclaim for about `budget` frames. True: it has ended."""
    cdef Head* h = k.s.h
    cdef uint64_t used = 0
    cdef uint64_t done, entries
    cdef bint enough
    if r.target == 0:
        return True
    forget_leaves(k)
    while used < budget:
        if r.stage == 0:
            if r.priority < 0 and round_ends(k, r, 0):
                return True
            begin_pass(k, r)
            if k.account is not None:
                k.account.pass_begins()
            r.stage = 1
        elif r.stage == 1:
            if r.active_left == 0 or h.active_tail == 0:
                r.stage = 2
                continue
            done = age(k, r.active_left if r.active_left < AGE_BATCH else AGE_BATCH, r.reclaim_mapped)
            r.active_left -= done
            used += done
        else:
            entries = k.s.count[C_SCANNED_PTES]
            if not batch(k, r):
                r.stage = 0
            entries = k.s.count[C_SCANNED_PTES] - entries
            h.reclaimed[R_SCANNED_PTES] += entries
            used += SWAP_CLUSTER_MAX + entries // SWEPT
            enough = (r.pass_freed if r.direct else r.freed) >= r.target
            if k.account is not None and (enough or r.stage == 0):
                k.account.pass_ends(r.priority, r.pass_freed)
            if enough:
                h.prev_priority = r.priority
                return True
            if r.stage == 0:
                r.priority -= 1
                if k.anon.sweeps and r.round_freed >= SWAP_CLUSTER_MAX and round_ends(k, r, r.priority + 1):
                    return True
    return False


cdef bint direct_reclaim(Kernel k) noexcept nogil:
    """What an allocation does when no frame is free (rule K7). False: nothing was freed."""
    cdef Scan r
    scan_begin(&r, SWAP_CLUSTER_MAX, True)
    while not scan_step(k, &r, 1 << 20):
        pass
    return r.freed > 0


cdef inline pfn_t alloc_frame(Kernel k) noexcept nogil:
    """A free frame, by direct reclaim if need be; 0: out of memory. Whatever the caller holds must be pinned (rule B2)."""
    cdef pfn_t pfn = frame_take(k.s)
    while pfn == 0:
        if not direct_reclaim(k):
            return 0
        pfn = frame_take(k.s)
    return pfn
