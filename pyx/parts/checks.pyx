"""What the check() of several families is made of: telling a fault, which records of a pool are in use, and whether the
entries of an area and the frames that they map name the same.

A fault is (rule, frame, mm, page, text), as check() returns them; 0 stands for no frame, no mm, no page. {0} and {1} in its
text stand for two numbers: so telling one is one call, and a check that tells thirty stays quick to compile.
"""
from libc.stdint cimport uint32_t, uint64_t

from rmapcore.pyx.base.ids cimport pfn_t, slot_t, vma_id, vpn_t
from rmapcore.pyx.base.records cimport P_AREAS, P_FRAMES, PG_ANON, Area, Frame
from rmapcore.pyx.base.state cimport State
from rmapcore.pyx.base.x86 cimport pte_get, pte_is_swap, pte_pfn, pte_present
from rmapcore.pyx.machine.pagetable cimport leaf_run, pt_next
from rmapcore.pyx.machine.vmas cimport anon_index


cdef int fault(list faults, str rule, pfn_t pfn, uint32_t mm, vpn_t vpn, str text, uint64_t a=0, uint64_t b=0) except -1:
    """Notes one fault."""
    faults.append((rule, pfn, mm, vpn, text.format(a, b)))
    return 0


cdef int area_fault(State* s, list faults, str rule, vma_id area, str text, uint64_t a=0, uint64_t b=0) except -1:
    """Notes one about an area, whose place is its start. A number that is no area's has no place."""
    cdef vma_id known = area if area < s.pool[P_AREAS].bump else 0
    return fault(faults, rule, 0, s.area[known].mm, s.area[known].start, f"area {area}: {text}", a, b)


cdef set in_use(State* s, int pool, void* base, size_t size, size_t link, str rule, str what, list faults):
    """Numbers of a pool's records off its free list (base, size, link: as pool_give has them).

    Complains by this rule if they are not as many as counted.
    """
    cdef uint64_t bump = s.pool[pool].bump
    cdef uint32_t at = s.pool[pool].free
    cdef set free = set()
    while at and at < bump and at not in free:
        free.add(at)
        at = (<uint32_t*> (<char*> base + size * at + link))[0]
    cdef set live = set(range(1, bump)) - free
    if at or len(live) != <Py_ssize_t> s.pool[pool].live:
        fault(faults, rule, 0, 0, 0, "{0} " + what + "s off the free list, {1} counted", len(live), s.pool[pool].live)
    return live


cdef dict astray(State* s, set live):
    """Anonymous frames whose word is none of these, or that nothing maps: frame -> (0, 0), for area_entries to fill in."""
    cdef dict lost = {}
    cdef uint64_t pfn
    cdef Frame* f
    for pfn in range(1, min(s.n_frames, s.pool[P_FRAMES].bump)):
        f = &s.frame[pfn]
        if f.flags & PG_ANON and (f.mapcount == 0 or f.rmap not in live):
            lost[pfn] = 0, 0
    return lost


cdef int still_astray(State* s, dict lost, str rule, list faults) except -1:
    """Tells of these frames, with their places as far as they are known."""
    cdef uint32_t pfn, mm
    cdef vpn_t vpn
    for pfn, (mm, vpn) in lost.items():
        fault(faults, rule, pfn, mm, vpn, "word {0}, mapcount {1}", s.frame[pfn].rmap, s.frame[pfn].mapcount)
    return 0


cdef int area_entries(State* s, vma_id v, set names, str told, tuple rules, dict lost, list faults) except -1:
    """Goes through the entries of an area; names: the anon_vmas in which a walk would find it, told: how that is said.

    rules: three names. First: where there are anonymous or swap entries, there are names. Second: their frames name one of
    them. Third: their index gives the entry's address. lost: frames that get their place.
    """
    cdef Area* a = &s.area[v]
    cdef vpn_t vpn = a.start
    cdef uint64_t entry
    cdef uint32_t i, n
    cdef pfn_t pfn
    cdef slot_t slot
    cdef Frame* f
    unnamed, other, index = rules
    while True:
        slot = pt_next(s, a.mm, &vpn, a.end)
        if slot == 0:
            return 0
        n = leaf_run(s, vpn, a.end)
        for i in range(n):
            entry = pte_get(s, slot + i)
            if not pte_present(entry):
                if pte_is_swap(entry) and not names:
                    fault(faults, unnamed, 0, a.mm, vpn + i, "area {0}: swap entry, no anon_vma", v)
                continue
            pfn = pte_pfn(s, entry)
            if pfn == 0 or pfn >= s.n_frames or not s.frame[pfn].flags & PG_ANON:
                continue
            f = &s.frame[pfn]
            if lost and lost.get(pfn) == (0, 0):
                lost[pfn] = a.mm, vpn + i
            if not names:
                fault(faults, unnamed, pfn, a.mm, vpn + i, "area {0}: anonymous page, no anon_vma", v)
            elif f.rmap not in names:
                fault(faults, other, pfn, a.mm, vpn + i, "area {0}: " + told + ", its frame names {1}", v, f.rmap)
            if f.index != anon_index(s, v, vpn + i):
                fault(faults, index, pfn, a.mm, vpn + i, "area {0}: the frame's index is {1}", v, f.index)
        vpn += n


cdef bint next_anonymous(State* s, Entries* e) noexcept nogil:
    """Goes on to the next present entry of an anonymous frame; whether there is one. What entries say may be wrong."""
    cdef uint64_t entry
    while True:
        if e.left == 0:
            e.slot = pt_next(s, e.mm, &e.next, s.task_vpn)
            if e.slot == 0:
                return False
            e.left = leaf_run(s, e.next, s.task_vpn)
        entry = pte_get(s, e.slot)
        e.vpn = e.next
        e.pfn = pte_pfn(s, entry)
        e.next += 1
        e.slot += 1
        e.left -= 1
        if pte_present(entry) and 0 < e.pfn < s.n_frames and s.frame[e.pfn].flags & PG_ANON:
            return True
