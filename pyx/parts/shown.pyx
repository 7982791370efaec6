"""What structure() of several families is made of: rows of frames, areas and address spaces by their words, and which records
of a pool are in use. Cold: it runs when somebody wants a picture.

A row is (kind, number, fields, links), as Scheme.structure has it.
"""
from libc.stdint cimport uint32_t

from rmapcore.pyx.base.ids cimport mm_id, vma_id
from rmapcore.pyx.base.records cimport P_FRAMES, PG_ANON
from rmapcore.pyx.base.state cimport State
from rmapcore.pyx.parts.checks cimport in_use


cdef dict named(object to, uint32_t word):
    return {to: (to, word)} if isinstance(to, str) else to(word)


cdef list live_mms(State* s):
    """Living address spaces, oldest first."""
    cdef list found = []
    cdef mm_id mm = s.h.mm_first
    while mm:
        found.append(mm)
        mm = s.mm[mm].next
    return found


cdef list live_areas(State* s):
    """Their areas, ascending in each."""
    cdef list found = []
    cdef mm_id mm
    cdef vma_id v
    for mm in live_mms(s):
        v = s.mm[mm].first
        while v:
            found.append(v)
            v = s.area[v].next
    return found


cdef list frames_shown(State* s, uint32_t kind, object to):
    """A row for each frame of a kind (PG_ANON, or 0) that has a word.

    to: what words are numbers of, which is the link's name too; or a function of the word that says the links.
    """
    cdef list rows = []
    cdef uint32_t pfn
    for pfn in range(1, <uint32_t> min(s.n_frames, s.pool[P_FRAMES].bump)):
        if s.frame[pfn].rmap and s.frame[pfn].flags & PG_ANON == kind:
            rows.append(("frame", pfn, {}, named(to, s.frame[pfn].rmap)))
    return rows


cdef list areas_shown(State* s, object to):
    """The same of areas."""
    cdef vma_id v
    return [("area", v, {}, named(to, s.area[v].rmap)) for v in live_areas(s) if s.area[v].rmap]


cdef list mms_shown(State* s, object to):
    """The same of address spaces."""
    cdef mm_id mm
    return [("mm", mm, {}, named(to, s.mm[mm].rmap)) for mm in live_mms(s) if s.mm[mm].rmap]


cdef list areas_on(void* nodes, uint32_t first):
    """The areas on a list. nodes: OnList of each area."""
    cdef dict met = {}
    cdef uint32_t v = first
    while v and ("area", v) not in met:
        met["area", v] = None
        v = (<OnList*> nodes)[v].next
    return list(met)


cdef set records_shown(State* s, int pool, void* base, size_t size, size_t link):
    """Numbers of the records of a pool that are in use (base, size, link: as pool_give has them)."""
    return in_use(s, pool, base, size, link, "", "", [])
