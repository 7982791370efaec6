"""2.6.7: entries: what swap entries keep, what fork and zap make of them (rules A3, H1, H3) [2.6.7 mm/memory.c]."""
from libc.stdint cimport uint32_t, uint64_t

from rmapcore.pyx.base.ids cimport pfn_t, slot_t, vma_id, vpn_t
from rmapcore.pyx.base.state cimport State

cdef enum:
    QUIET = 0                              # frames whose entries say nothing when they are zapped: none
    KEEPS_COPIES = 0                       # no call zaps a range but its private copies
    MARKERS = 0                            # no guard markers


cdef inline uint64_t exclusive_bit(State* s, uint32_t flags) noexcept nogil:
    return 0


cdef inline void share(State* s, pfn_t pfn) noexcept nogil:
    pass


cdef inline uint64_t share_swapped(State* s, slot_t slot, uint64_t entry) noexcept nogil:
    return entry


cdef inline bint needs_no_fault(State* s, uint32_t vm_flags, uint64_t entry) noexcept nogil:
    """Whether mprotect makes an entry writable at once: private ones never are, shared ones by their protection."""
    return False


cdef inline void leave_fresh_leaf(State* s, vma_id v, vpn_t vpn, slot_t slot) noexcept nogil:
    """A leaf table that was made for a fault which failed: it stays (rule C1)."""


cdef inline bint notes_use(uint32_t vm_flags) noexcept nogil:
    return True
