"""Swap slots and page cache: S1 to S5, C1 to C4."""
from libc.stdint cimport uint64_t

from rmapcore.pyx.base.state cimport State
from rmapcore.pyx.look.check.violation cimport Check

cdef enum:
    SCAN_PAGES = 1 << 22      # 16 GiB: sparse files may be far longer, and reading their entries takes seconds


cdef inline bint blank(State* s, uint64_t first, uint64_t end, uint64_t* at) noexcept nogil:
    """Are these entries of the cache arena 0, and no stamp on their disk? *at: the first that is not."""
    at[0] = first
    while at[0] < end:
        if s.cache[at[0]] or (s.disk and s.disk[at[0]]):
            return False
        at[0] += 1
    return True


cdef bint free_slots(Check* c) noexcept nogil
cdef bint cache(Check* c) noexcept nogil
cdef bint swap(Check* c) noexcept nogil
