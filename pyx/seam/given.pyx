"""What schemes in Python say, checked before it is used: answers of hooks, candidates of walks, arguments.

TypeError for what has the wrong type, ValueError for what is not there; both with the value.
"""
import reprlib
from operator import index

from libc.stdint cimport uint64_t

from rmapcore.pyx.base.ids cimport mm_id, slot_t, vma_id, vpn_t
from rmapcore.pyx.base.records cimport P_AREAS, P_MMS, P_TABLES
from rmapcore.pyx.base.state cimport State
from rmapcore.pyx.machine.pagetable cimport slot_mm, slot_vpn
from rmapcore.pyx.machine.vmas cimport peek_vma
from rmapcore.pyx.seam.scheme cimport WALK_CLUSTERS, WALK_SWEEP, Walk

import numpy as np


def shown(value):
    """A value in a message: short, whatever it is."""
    return reprlib.repr(value)


def no_answer(answer):
    """A hook that nobody asks anything; one with a yield would not even have run."""
    if answer is not None:
        raise TypeError(f"{shown(answer)} is an answer, and nothing was asked")


def truth(answer):
    """The answer of a hook that is asked."""
    if not isinstance(answer, bool | np.bool_):
        raise TypeError(f"{shown(answer)} is neither True nor False")
    return bool(answer)


def frame_number(value, frames):
    """A frame of a machine that has so many."""
    if not 0 <= whole(value) < frames:
        raise ValueError(f"{shown(value)} is no frame from 0 to {frames - 1}")
    return index(value)


def purpose_number(value):
    """A purpose that walks of one page, or sweeps, have."""
    if not 0 <= whole(value) < WALK_CLUSTERS:
        raise ValueError(f"{shown(value)} is no purpose: QUERY, REFERENCED, UNMAP or SWEEP")
    return index(value)


cdef object whole(object value):
    try:
        return index(value)
    except TypeError:
        raise TypeError(f"{shown(value)} is no whole number") from None


cdef int take_candidate(State* s, Walk* w, object candidate) except -1:
    """A candidate into the cursor. The engine believes it, so nothing may come here that is not there."""
    if not isinstance(candidate, tuple) or not 3 <= len(<tuple> candidate) <= 4:
        raise (ValueError if isinstance(candidate, tuple) else TypeError)(
            f"{shown(candidate)} is not (mm, vma, vpn) or (mm, vma, vpn, slot)")
    numbers = [whole((<tuple> candidate)[i]) for i in range(len(<tuple> candidate))]
    mm, vma, vpn = numbers[:3]
    slot = numbers[3] if len(numbers) == 4 else 0
    if not (0 < mm < s.pool[<int> P_MMS].bump and s.mm[<mm_id> mm].alive):
        raise ValueError(f"{shown(candidate)}: no address space {mm} is alive")
    if not 0 <= vpn < s.task_vpn:
        raise ValueError(f"{shown(candidate)}: page {vpn} is outside of user space")
    if not (vma == 0 or 0 < vma < s.pool[<int> P_AREAS].bump and s.area[<vma_id> vma].alive):
        raise ValueError(f"{shown(candidate)}: there is no area {vma}")
    if vma and not (s.area[<vma_id> vma].mm == mm and s.area[<vma_id> vma].start <= vpn < s.area[<vma_id> vma].end):
        raise ValueError(f"{shown(candidate)}: page {vpn} of address space {mm} is not in area {vma}")
    if not 0 <= slot < s.pool[<int> P_TABLES].bump << s.bits:
        raise ValueError(f"{shown(candidate)}: there is no entry {slot}")
    if slot and not (s.table[<slot_t> slot >> s.bits].level == 0 and slot_mm(s, slot) == mm and slot_vpn(s, slot) == vpn):
        raise ValueError(f"{shown(candidate)}: entry {slot} is not that of page {vpn} of address space {mm}")
    w.mm, w.vma, w.vpn, w.slot = mm, vma, vpn, slot
    if w.vma == 0 and w.purpose == WALK_SWEEP:
        w.vma = peek_vma(s, w.mm, w.vpn)       # a sweep asks it whether the page is locked
    return 0


cdef uint64_t most_candidates(State* s, Walk* w) noexcept nogil:
    """No walk has more: one per entry of every page table, and per area and address space that has none; a sweep may try
    every page of every area besides."""
    cdef uint64_t most = (s.pool[P_TABLES].bump << s.bits) + s.pool[P_AREAS].bump + s.pool[P_MMS].bump
    cdef vma_id v
    cdef vpn_t pages
    if w.purpose == WALK_SWEEP:
        for v in range(1, <vma_id> s.pool[P_AREAS].bump):
            pages = s.area[v].end - s.area[v].start
            most += pages if s.area[v].alive else 0
    return most
