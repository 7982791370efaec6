"""Reclaim around the reverse map, as 2.6.7 mm/vmscan.c does it (rules K1-K8).

   active   head ............. tail --not referenced--> inactive head ............. tail --unmapped, written--> free
      ^________referenced________|        ^________________kept___________________|

Victims are taken strictly in LRU order. A pass looks at a share of the lists given by its priority; a run over the
active list ages, a run over the inactive list frees. Writes complete at once. Each mapped victim costs a walk in
page_referenced and one in try_to_unmap (rmap.pyx).
Left out on purpose: kswapd, pagevecs, readahead, buffer heads.
"""
from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memset

from rmapcore.pyx.engine cimport Engine, Scan
from rmapcore.pyx.files cimport CACHE_SWAP, cache_del
from rmapcore.pyx.frames cimport frame_give, page_count
from rmapcore.pyx.ids cimport pfn_t, swp_t
from rmapcore.pyx.lru cimport lru_move
from rmapcore.pyx.records cimport (
    FILE_SHMEM, N_RECLAIM, PG_ANON, PG_CACHED, PG_DIRTY, PG_SWAPCACHE,
    R_FAILED, R_FREED, R_REFERENCED, R_SCANNED, R_SWAPPED, R_UNMAPPED, R_WRITTEN, Frame, Head,
)
from rmapcore.pyx.rmap cimport SWAP_FAIL, SWAP_SUCCESS, page_referenced, try_to_unmap
from rmapcore.pyx.state cimport State
from rmapcore.pyx.swap cimport slot_dup, slot_take, swapcache_add, swapcache_del
from rmapcore.pyx.x86 cimport fetch_ahead

cdef enum:
    SWAP_CLUSTER_MAX = 32     # 2.6.7 linux/swap.h
    DEF_PRIORITY = 12
    SWAPPINESS = 60           # vm_swappiness
    AHEAD = 16                # victims between fetching a page's path and walking it: 16-32 hide a miss
    AGE_BATCH = 1024          # frames of the active list between two looks at the budget
    IDLE_ROUNDS = 3           # rounds in a row that free nothing before reclaim gives up (rule K7)

RECLAIM_FIELDS = ("scanned", "referenced", "unmapped", "swapped", "written", "freed", "failed")
assert len(RECLAIM_FIELDS) == N_RECLAIM


cdef void age_frame(Engine e, pfn_t pfn, bint reclaim_mapped) noexcept nogil:
    """One frame of the active list (rule K3)."""
    cdef State* s = e.s
    cdef Frame* f = &s.frame[pfn]
    cdef bint stay = False
    if f.mapcount:
        if not reclaim_mapped:
            stay = True
        elif page_referenced(e, pfn):
            stay = True
        elif f.flags & PG_ANON and s.n_slots < 2:
            stay = True
    lru_move(s, pfn, stay)


cdef uint64_t age(Engine e, Scan* r, uint64_t n) noexcept nogil:
    """Up to n frames from the tail of the active list; how many."""
    cdef Head* h = e.s.h
    cdef uint64_t done = 0
    while done < n and h.active_tail:
        look_ahead(e, r, h.active_tail)
        age_frame(e, h.active_tail, r.reclaim_mapped)
        done += 1
    return done


cdef bint in_use(State* s, Frame* f) noexcept nogil:
    """page_mapping_inuse: somebody maps the page or its file, or it is in the swap cache."""
    if f.mapcount or f.flags & PG_SWAPCACHE:
        return True
    return f.flags & PG_CACHED and s.file[f.owner].n_areas > 0


cdef bint write_out(Engine e, pfn_t pfn) noexcept nogil:
    """Writes a dirty frame to its slot or disk; a shmem page first moves to the swap cache. False: no slot."""
    cdef State* s = e.s
    cdef Frame* f = &s.frame[pfn]
    cdef swp_t slot
    cdef uint64_t where
    if f.flags & PG_CACHED and s.file[f.owner].kind == FILE_SHMEM:
        slot = slot_take(s)
        if slot == 0:
            return False
        where = s.file[f.owner].base + f.index
        s.file[f.owner].n_swapped += 1
        cache_del(s, pfn)
        s.cache[where] = slot | CACHE_SWAP     # slot_take's count is the file's reference
        slot_dup(s, slot)
        swapcache_add(s, pfn, slot)
    if f.flags & PG_SWAPCACHE:
        if s.stamp:
            s.swap_stamp[f.owner] = s.stamp[pfn]
    elif s.disk:
        s.disk[s.file[f.owner].base + f.index] = s.stamp[pfn]
    f.flags &= ~<uint32_t> PG_DIRTY
    s.h.reclaimed[R_WRITTEN] += 1
    return True


cdef void fail(State* s, pfn_t pfn, bint activate) noexcept nogil:
    lru_move(s, pfn, activate)
    s.h.reclaimed[R_FAILED] += 1


cdef bint shrink_frame(Engine e, pfn_t pfn) noexcept nogil:
    """One frame of the inactive list (rule K4). True: freed."""
    cdef State* s = e.s
    cdef Frame* f = &s.frame[pfn]
    cdef uint32_t referenced
    cdef int result
    cdef swp_t slot
    s.h.reclaimed[R_SCANNED] += 1
    referenced = page_referenced(e, pfn)
    if referenced and in_use(s, f):
        lru_move(s, pfn, True)
        s.h.reclaimed[R_REFERENCED] += 1
        return False
    if f.flags & PG_ANON and not f.flags & PG_SWAPCACHE:
        slot = slot_take(s)
        if slot == 0:
            fail(s, pfn, True)
            return False
        swapcache_add(s, pfn, slot)
        f.flags |= PG_DIRTY
    if f.mapcount:
        result = try_to_unmap(e, pfn)
        if result != SWAP_SUCCESS:
            fail(s, pfn, result == SWAP_FAIL)
            return False
        s.h.reclaimed[R_UNMAPPED] += 1
    if f.flags & PG_DIRTY:
        if referenced or page_count(s, pfn) != 1:
            fail(s, pfn, False)
            return False
        if not write_out(e, pfn):
            fail(s, pfn, True)
            return False
    if page_count(s, pfn) != 1:
        fail(s, pfn, False)
        return False
    if f.flags & PG_SWAPCACHE:
        if s.swap_map[f.owner] > 1:
            s.h.reclaimed[R_SWAPPED] += 1
        swapcache_del(s, pfn)
    else:
        cache_del(s, pfn)
    frame_give(s, pfn)
    s.h.reclaimed[R_FREED] += 1
    return True


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
    r.pass_freed = 0
    r.reclaim_mapped = (
        h.n_mapped * 100 // e.s.n_frames // 2 + (<uint64_t> 100 >> h.prev_priority) + SWAPPINESS >= 100
    )


cdef bint batch(Engine e, Scan* r) noexcept nogil:
    """Up to 32 frames from the inactive tail, and no more than are missing; False: nothing left for this pass."""
    cdef Head* h = e.s.h
    cdef uint64_t n = r.inactive_left
    cdef uint64_t missing = r.target - (r.pass_freed if r.direct else r.freed)
    cdef uint64_t _
    if n > missing:
        n = missing
    if n > SWAP_CLUSTER_MAX:
        n = SWAP_CLUSTER_MAX
    if n > h.n_inactive:
        n = h.n_inactive
    if n == 0:
        return False
    for _ in range(n):
        if h.inactive_tail == 0:               # a sweep may have activated the rest of the batch
            break
        look_ahead(e, r, h.inactive_tail)
        if shrink_frame(e, h.inactive_tail):
            r.freed += 1
            r.pass_freed += 1
            r.round_freed += 1
    r.inactive_left -= n
    return r.inactive_left > 0


cdef inline void look_ahead(Engine e, Scan* r, pfn_t victim) noexcept nogil:
    """Fetches what the walk of a later victim will read, if victims jump from page table to page table.

    Looking is all it does: order, counters and results are those of one frame at a time. In address order it would only
    cost, so every AHEAD victims it decides anew by how often the leaf table changed.
    """
    cdef State* s = e.s
    cdef int _
    r.looked += 1
    if r.looked == AHEAD:
        r.looked = 0
        if e.leaf_changes * 4 < AHEAD:
            r.ahead = 0
        elif r.ahead == 0:
            r.ahead = victim
            for _ in range(AHEAD):             # the nearest ones come too late to gain anything
                r.ahead = s.frame[r.ahead].prev
        e.leaf_changes = 0
    if r.ahead == 0:
        return
    if s.frame[r.ahead].flags & PG_ANON:
        e.anon.prefetch(r.ahead)
    r.ahead = s.frame[r.ahead].prev
    fetch_ahead(&s.frame[s.frame[r.ahead].prev])


cdef void scan_begin(Scan* r, uint64_t target, bint direct) noexcept nogil:
    memset(r, 0, sizeof(Scan))
    r.priority = DEF_PRIORITY
    r.target = target
    r.direct = direct


cdef bint scan_step(Engine e, Scan* r, uint64_t budget) noexcept nogil:
    """Goes on with a reclaim for about `budget` frames. True: it has ended."""
    cdef Head* h = e.s.h
    cdef uint64_t used = 0
    cdef uint64_t done
    if r.target == 0:
        return True
    e.leaf_mm = 0
    while used < budget:
        if r.stage == 0:
            if r.priority < 0:
                h.prev_priority = 0
                r.idle = 0 if r.round_freed else r.idle + 1
                if r.idle == IDLE_ROUNDS or (r.direct and r.round_freed):
                    return True
                r.priority = DEF_PRIORITY
                r.round_freed = 0
            begin_pass(e, r)
            r.stage = 1
            r.ahead = 0
        elif r.stage == 1:
            if r.active_left == 0 or h.active_tail == 0:
                r.stage = 2
                r.ahead = 0                    # it is on the other list
                continue
            done = age(e, r, r.active_left if r.active_left < AGE_BATCH else AGE_BATCH)
            r.active_left -= done
            used += done
        else:
            used += SWAP_CLUSTER_MAX
            if not batch(e, r):
                r.stage = 0
            if (r.pass_freed if r.direct else r.freed) >= r.target:
                h.prev_priority = r.priority
                return True
            if r.stage == 0:
                r.priority -= 1
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
