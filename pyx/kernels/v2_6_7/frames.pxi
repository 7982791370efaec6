"""2.6.7: frames of faults: where they begin, who may write in place (rules F7, F10, K1) [2.6.7 mm/memory.c, swapfile.c]."""
from libc.stdint cimport uint32_t

from rmapcore.pyx.base.ids cimport pfn_t, slot_t, vma_id, vpn_t
from rmapcore.pyx.base.state cimport State
from rmapcore.pyx.machine.lru cimport mark_accessed
from rmapcore.pyx.machine.swap cimport can_share
from rmapcore.pyx.seam.kernel cimport Kernel

cdef enum:
    STARTS_ACTIVE = 1                      # fresh anonymous frames begin on the active list (rule K1)
    LAZY = 0                               # the flag of frames that are worth nothing (rule QB2): there are none


cdef inline uint32_t fresh_flags(State* s, vma_id v) noexcept nogil:
    return 0


cdef inline void first_use(State* s, pfn_t pfn) noexcept nogil:
    mark_accessed(s, pfn)


cdef inline bint reuse(Kernel k, vma_id v, vpn_t vpn, pfn_t pfn) noexcept nogil:
    """can_share_swap_page: may the one who maps it write in place? (rule F7)"""
    if not can_share(k.s, pfn):
        return False
    k.anon.page_reused(pfn, v, vpn)
    return True


cdef inline bint dirties(uint32_t vm_flags) noexcept nogil:
    """Does a write to a shared page only make it writable? Entries of shared areas are writable from the start."""
    return False


cdef inline void let_go(State* s, pfn_t old) noexcept nogil:
    pass


cdef inline bint asks_around(Kernel k, vma_id v, vpn_t vpn, slot_t slot, bint write, bint new_leaf) noexcept nogil:
    return False


cdef inline bint map_folio(Kernel k, vma_id v, vpn_t vpn, slot_t slot, bint write) noexcept nogil:
    return False
