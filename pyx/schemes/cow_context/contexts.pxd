"""The tree of contexts, its pages and walks (contexts.pyx)."""
from libc.stdint cimport uint32_t, uint64_t

from rmapcore.pyx.base.ids cimport mm_id, pfn_t, vma_id, vpn_t
from rmapcore.pyx.base.state cimport State
from rmapcore.pyx.machine.vmas cimport peek_vma
from rmapcore.pyx.schemes.cow_context.moved cimport Moved

cdef class CowContexts(Moved):
    cdef bint own_field       # the context's pointer lies in a field of struct page of its own
    cdef bint slim            # without what areas no longer need

    cdef uint32_t create(self, mm_id mm, uint32_t parent) noexcept nogil
    cdef void put(self, uint32_t o) noexcept nogil
    cdef void marked(self, vma_id v) noexcept nogil
    cdef uint32_t maker(self, pfn_t pfn, uint32_t own) noexcept nogil
    cdef uint32_t onward(self, uint32_t o, uint32_t begin) noexcept nogil
    cdef bint ascends(self, uint32_t e) noexcept nogil
    cdef int check_tree(self, set live, dict want, list faults) except -1
    cdef int check_entries(self, mm_id mm, set live, list faults) except -1


cdef inline vma_id area_at(State* s, mm_id mm, vpn_t vpn) noexcept nogil:
    """The area that contains the page, or 0. Remembers nothing."""
    cdef vma_id v = s.mm[mm].cache
    if v and s.area[v].start <= vpn < s.area[v].end:
        return v
    v = peek_vma(s, mm, vpn)
    return v if v and s.area[v].start <= vpn else 0
