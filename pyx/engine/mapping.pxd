"""One mapping comes or goes (rule F9): entry, counts, and what both sides hear of it."""
from libc.stdint cimport uint32_t, uint64_t

from rmapcore.pyx.base.counters cimport C_RMAP_REMOVES, tally
from rmapcore.pyx.base.ids cimport PAGE_SHIFT, pfn_t, slot_t, vma_id, vpn_t
from rmapcore.pyx.base.records cimport PG_ANON, PG_PIN, VM_WRITE, Frame
from rmapcore.pyx.base.state cimport State
from rmapcore.pyx.base.x86 cimport PTE_RW
from rmapcore.pyx.machine.frames cimport frame_give, page_count
from rmapcore.pyx.reclaim.walk cimport frame_unmapped, tell_freed
from rmapcore.pyx.seam.kernel cimport Kernel

cdef void map_frame(Kernel k, vma_id v, vpn_t vpn, slot_t slot, pfn_t pfn, uint64_t bits, bint anon) noexcept nogil


cdef inline uint64_t writable(uint32_t vm_flags) noexcept nogil:
    """maybe_mkwrite: RW only where the area may be written."""
    return PTE_RW if vm_flags & VM_WRITE else 0


cdef inline uint64_t entry_of(pfn_t pfn, uint64_t bits) noexcept nogil:
    return (<uint64_t> pfn << PAGE_SHIFT) | bits


cdef inline void prepare(Kernel k, vma_id v) noexcept nogil:
    """Before an anonymous page enters v."""
    k.anon.anon_prepare(v)
    k.s.area[v].anon = 1


cdef inline void unmap_frame(Kernel k, vma_id v, vpn_t vpn, slot_t slot, pfn_t pfn) noexcept nogil:
    """Removes one mapping whose entry is about to be overwritten; the frame stays, its references may be 0."""
    cdef State* s = k.s
    cdef Frame* f = &s.frame[pfn]
    if f.flags & PG_ANON:
        if k.anon.wants_entries:
            k.anon.pages_unmapping(v, vpn, slot, 1)
    elif k.side.wants_entries:
        k.side.pages_unmapping(v, vpn, slot, 1)
    tally(s, C_RMAP_REMOVES, 1)
    s.mm[s.area[v].mm].rss -= 1
    f.mapcount -= 1
    if f.mapcount == 0:
        frame_unmapped(k, pfn)


cdef inline void unpin_frame(Kernel k, pfn_t pfn) noexcept nogil:
    """Drops a pin; frees the frame if it was the last reference."""
    k.s.frame[pfn].flags -= PG_PIN
    if page_count(k.s, pfn) == 0:
        tell_freed(k, pfn)
        frame_give(k.s, pfn)
