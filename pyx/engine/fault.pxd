"""Faults: what an access does to the page table that the hardware does not do by itself (rules F2 to F10)."""
from libc.stdint cimport uint32_t, uint64_t

from rmapcore.pyx.base.counters cimport C_RMAP_REMOVES, tally
from rmapcore.pyx.base.ids cimport mm_id, pfn_t, slot_t, vma_id, vpn_t
from rmapcore.pyx.base.records cimport PG_ANON, PG_EXCLUSIVE, PG_LAZYFREE, VM_DROPPABLE, VM_WRITE, Frame
from rmapcore.pyx.base.state cimport State
from rmapcore.pyx.base.x86 cimport PTE_RW
from rmapcore.pyx.reclaim.walk cimport frame_unmapped
from rmapcore.pyx.seam.kernel cimport Engine

cdef enum:
    RETRY = -1                # the entry changed while memory was allocated: the access starts again

cdef int fault(Engine e, mm_id mm, vpn_t vpn, bint write) noexcept nogil
cdef pfn_t read_file(Engine e, uint32_t file, uint64_t index) noexcept nogil
cdef void map_frame(Engine e, vma_id v, vpn_t vpn, slot_t slot, pfn_t pfn, uint64_t bits, bint anon) noexcept nogil
cdef void map_copy(Engine e, vma_id v, vpn_t vpn, slot_t slot, pfn_t fresh, pfn_t old) noexcept nogil
cdef void copy_to(Engine e, vma_id v, vpn_t vpn, slot_t slot, pfn_t fresh, pfn_t old) noexcept nogil
cdef void prepare(Engine e, vma_id v) noexcept nogil
cdef int handle(Engine e, vma_id v, vpn_t vpn, bint write) noexcept nogil
cdef int force_copy(Engine e, mm_id mm, vma_id v, vpn_t vpn, slot_t slot) noexcept nogil


cdef inline uint64_t writable(uint32_t vm_flags) noexcept nogil:
    """maybe_mkwrite: RW only where the area may be written."""
    return PTE_RW if vm_flags & VM_WRITE else 0


cdef inline uint32_t fresh_flags(State* s, vma_id v) noexcept nogil:
    """What a fresh anonymous frame in v is (rules QB1, QB2)."""
    if not s.rules.exclusive:
        return 0
    return PG_EXCLUSIVE | (PG_LAZYFREE if s.area[v].flags & VM_DROPPABLE else 0)


cdef inline void unmap_frame(Engine e, vma_id v, vpn_t vpn, slot_t slot, pfn_t pfn) noexcept nogil:
    """Removes one mapping whose entry is about to be overwritten; the frame stays, its references may be 0."""
    cdef State* s = e.s
    cdef Frame* f = &s.frame[pfn]
    if f.flags & PG_ANON:
        if e.anon.wants_entries:
            e.anon.pages_unmapping(v, vpn, slot, 1)
    elif e.side.wants_entries:
        e.side.pages_unmapping(v, vpn, slot, 1)
    tally(s, C_RMAP_REMOVES, 1)
    s.mm[s.area[v].mm].rss -= 1
    f.mapcount -= 1
    if f.mapcount == 0:
        frame_unmapped(e, pfn)
