"""6.18: frames of faults: where they begin, who may write in place (rules QB1-QB3, QF4) [6.18 mm/memory.c, swapfile.c]."""
from libc.stdint cimport uint32_t

from rmapcore.pyx.base.ids cimport pfn_t, slot_t, vma_id, vpn_t
from rmapcore.pyx.base.records cimport PG_ANON, PG_EXCLUSIVE, PG_LAZYFREE, PG_SWAPCACHE, VM_DROPPABLE, VM_SHARED, Frame
from rmapcore.pyx.base.state cimport State
from rmapcore.pyx.base.x86 cimport pte_get
from rmapcore.pyx.engine.mapping cimport prepare
from rmapcore.pyx.machine.frames cimport page_count
from rmapcore.pyx.machine.swap cimport free_swap
from rmapcore.pyx.seam.kernel cimport Kernel

cdef enum:
    STARTS_ACTIVE = 0                      # fresh anonymous frames begin on the inactive list (rule QB3)
    LAZY = PG_LAZYFREE                     # the flag of frames that are worth nothing (rule QB2)


cdef inline uint32_t fresh_flags(State* s, vma_id v) noexcept nogil:
    """What a fresh anonymous frame in v is (rules QB1, QB2)."""
    return PG_EXCLUSIVE | (PG_LAZYFREE if s.area[v].flags & VM_DROPPABLE else 0)


cdef inline void first_use(State* s, pfn_t pfn) noexcept nogil:
    """A fault is no reference of its own: the young bit tells."""


cdef bint reuse_alone(State* s, pfn_t pfn) noexcept nogil:
    """wp_can_reuse_anon_folio: nobody else refers to an anonymous frame, which is exclusive from now on (rule QF4)."""
    cdef Frame* f = &s.frame[pfn]
    if not f.flags & PG_ANON or page_count(s, pfn) > 1 + (f.flags & PG_SWAPCACHE != 0):
        return False
    if f.flags & PG_SWAPCACHE and not free_swap(s, pfn):
        return False
    f.flags |= PG_EXCLUSIVE
    return True


cdef inline bint reuse(Kernel k, vma_id v, vpn_t vpn, pfn_t pfn) noexcept nogil:
    """do_wp_page: may the one who maps it write in place? (rule QF4)"""
    if k.s.frame[pfn].flags & PG_EXCLUSIVE:
        return True
    if not reuse_alone(k.s, pfn):
        return False
    k.anon.page_reused(pfn, v, vpn)
    return True


cdef inline bint dirties(uint32_t vm_flags) noexcept nogil:
    """Does a write to a shared page only make it writable, and the page itself dirty? The disk file hears of it (rule QA3)."""
    return vm_flags & VM_SHARED != 0


cdef inline void let_go(State* s, pfn_t old) noexcept nogil:
    """A copy has replaced this page: a slot that nobody else needs is free again (rule QF4)."""
    if old and s.frame[old].mapcount == 0:
        free_swap(s, old)


cdef inline bint asks_around(Kernel k, vma_id v, vpn_t vpn, slot_t slot, bint write, bint new_leaf) noexcept nogil:
    """Fault-around for a read, the area's anon_vma for a private write, before the page is asked for. True: it is mapped."""
    if not write:
        map_around(k, v, vpn, slot, new_leaf)
        return pte_get(k.s, slot) != 0
    if not k.s.area[v].flags & VM_SHARED:
        prepare(k, v)
    return False
