"""What becomes of one frame of the inactive list (rules K4, QK3, QK4) [2.6.7 and 6.18 mm/vmscan.c].

Text of every kernel, which says by `judge` what its references make of a frame.

   judged ──> slot (anonymous) ──> unmapped ──> written ──> out of its cache, free      any step may keep it or activate it
"""
from libc.stdint cimport uint32_t, uint64_t

from rmapcore.pyx.base.ids cimport pfn_t, swp_t
from rmapcore.pyx.base.records cimport (
    FILE_SHMEM, PG_ANON, PG_CACHED, PG_DIRTY, PG_SWAPCACHE, R_FAILED, R_FREED, R_REFERENCED, R_SCANNED, R_SWAPPED, R_UNMAPPED,
    R_WRITTEN, Frame,
)
from rmapcore.pyx.base.state cimport State
from rmapcore.pyx.machine.files cimport CACHE_SWAP, cache_del
from rmapcore.pyx.machine.frames cimport frame_give, page_count
from rmapcore.pyx.machine.lru cimport lru_move
from rmapcore.pyx.machine.swap cimport slot_dup, slot_take, swapcache_add, swapcache_del
from rmapcore.pyx.reclaim.walk cimport (
    SWAP_FAIL, SWAP_SUCCESS, VERDICT_ACTIVATE, VERDICT_KEEP, VERDICT_RECLAIM, VERDICT_RECLAIM_CLEAN, Verdict, page_referenced,
    tell_freed,
)
from rmapcore.pyx.seam.kernel cimport Kernel


cdef bint in_use(State* s, Frame* f) noexcept nogil:
    """page_mapping_inuse: somebody maps the page or its file, or it is in the swap cache."""
    if f.mapcount or f.flags & PG_SWAPCACHE:
        return True
    return f.flags & PG_CACHED and s.file[f.owner].n_areas > 0


cdef inline Verdict judge_referenced(Kernel k, pfn_t pfn) noexcept nogil:
    """The judgement of 2.6.7, and of schemes that sweep under every kernel: used lately or not (rule K4)."""
    cdef Frame* f = &k.s.frame[pfn]
    cdef uint32_t referenced = page_referenced(k, pfn)
    if referenced and in_use(k.s, f):
        return VERDICT_ACTIVATE
    if f.mapcount and k.anon.sweeps:
        return VERDICT_KEEP
    return VERDICT_RECLAIM_CLEAN if referenced else VERDICT_RECLAIM


cdef bint write_page(Kernel k, pfn_t pfn) noexcept nogil:
    """Writes a dirty frame to its slot or disk; a shmem page first moves to the swap cache. False: no slot."""
    cdef State* s = k.s
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


cdef inline void spare(State* s, pfn_t pfn, Verdict verdict) noexcept nogil:
    """What a frame that was used gets: another round, or the active list."""
    if verdict == VERDICT_KEEP:
        fail(s, pfn, False)
    else:
        lru_move(s, pfn, True)
        s.h.reclaimed[R_REFERENCED] += 1


cdef inline bint evict(Kernel k, pfn_t pfn, bint keep_dirty) noexcept nogil:
    """Frees one frame of the inactive list that nobody used lately, if it will go (rules K4, QK4). True: freed."""
    cdef State* s = k.s
    cdef Frame* f = &s.frame[pfn]
    cdef bint lazy = f.flags & LAZY
    cdef int result
    cdef swp_t slot
    if f.mapcount == 0 and not f.flags & (PG_CACHED | PG_SWAPCACHE):       # nothing but a pin holds it
        fail(s, pfn, False)
        return False
    if f.flags & PG_ANON and not f.flags & PG_SWAPCACHE and not lazy:
        slot = slot_take(s)
        if slot == 0:
            fail(s, pfn, True)
            return False
        swapcache_add(s, pfn, slot)
        f.flags |= PG_DIRTY
    if f.mapcount:
        result = try_to_unmap(k, pfn)
        if result != SWAP_SUCCESS:
            fail(s, pfn, result == SWAP_FAIL or STUCK_IS_ACTIVE)
            return False
        s.h.reclaimed[R_UNMAPPED] += 1
    if lazy and not f.flags & (PG_CACHED | PG_SWAPCACHE):
        if page_count(s, pfn):
            fail(s, pfn, False)
            return False
        frame_give(s, pfn)
        s.h.reclaimed[R_FREED] += 1
        return True
    if f.flags & PG_DIRTY:
        if keep_dirty or page_count(s, pfn) != 1:
            fail(s, pfn, False)
            return False
        if not write_page(k, pfn):
            fail(s, pfn, True)
            return False
    if page_count(s, pfn) != 1:
        fail(s, pfn, False)
        return False
    if f.flags & PG_SWAPCACHE:
        if s.swap_map[f.owner] > 1:
            s.h.reclaimed[R_SWAPPED] += 1
        swapcache_del(s, pfn)
        tell_freed(k, pfn)
    else:
        cache_del(s, pfn)
    frame_give(s, pfn)
    s.h.reclaimed[R_FREED] += 1
    return True


cdef bint page_out(Kernel k, pfn_t pfn) noexcept nogil:
    """Reclaim of one frame of the inactive list that asks for no references (rule QE9). True: freed."""
    k.s.h.reclaimed[R_SCANNED] += 1
    if k.anon.sweeps:                          # no walk of one page, so no slot for it (rule K9)
        fail(k.s, pfn, False)
        return False
    return evict(k, pfn, False)


cdef inline bint shrink_frame(Kernel k, pfn_t pfn) noexcept nogil:
    """One frame of the inactive list (rules K4, QK3). True: freed."""
    cdef State* s = k.s
    cdef Verdict verdict
    s.h.reclaimed[R_SCANNED] += 1
    verdict = judge(k, pfn)
    if verdict == VERDICT_KEEP or verdict == VERDICT_ACTIVATE:
        spare(s, pfn, verdict)
        return False
    return evict(k, pfn, verdict == VERDICT_RECLAIM_CLEAN)
