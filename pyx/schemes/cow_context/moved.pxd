"""Areas that were moved, or are of a private file, and their records (moved.pyx)."""
from libc.stdint cimport uint64_t

from rmapcore.pyx.base.ids cimport mm_id, vma_id
from rmapcore.pyx.base.records cimport VM_MAYSHARE, VM_SHARED, Area
from rmapcore.pyx.base.state cimport State
from rmapcore.pyx.machine.vmas cimport anon_index, anon_shift
from rmapcore.pyx.schemes.cow_context.remaps cimport Remaps

cdef enum:
    MARKED = 1                # area.rmap: an anonymous page has been or may be in it ("faulted")

cdef class Moved(Remaps):
    cdef void record(self, vma_id v) noexcept nogil
    cdef void forget(self, vma_id v) noexcept nogil
    cdef void replace(self, vma_id v, uint64_t old) noexcept nogil
    cdef int adds_room(self, uint64_t spans, uint64_t offsets, uint64_t n) noexcept nogil
    cdef int copies_room(self, mm_id parent, uint64_t n) noexcept nogil


cdef inline uint64_t anon_pgoff(State* s, vma_id v) noexcept nogil:
    """The index that an anonymous page at the area's start has."""
    return anon_index(s, v, s.area[v].start)


cdef inline uint64_t offset_of(State* s, vma_id v) noexcept nogil:
    """Address less index of the area's anonymous pages; 0: it was never moved, and is of no file. Wraps."""
    return anon_shift(s, v)


cdef inline bint tracked(State* s, vma_id v) noexcept nogil:
    """Does the area need a record of its offset? It may have anonymous pages, and they lie elsewhere than their index says."""
    cdef Area* a = &s.area[v]
    return a.rmap != 0 and (a.file == 0 or not a.flags & (VM_SHARED | VM_MAYSHARE)) and offset_of(s, v) != 0
