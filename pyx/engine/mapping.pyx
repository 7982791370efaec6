"""One mapping comes (mapping.pxd)."""
from libc.stdint cimport uint64_t

from rmapcore.pyx.base.counters cimport C_RMAP_ADDS, tally
from rmapcore.pyx.base.ids cimport pfn_t, slot_t, vma_id, vpn_t
from rmapcore.pyx.base.records cimport PG_ANON
from rmapcore.pyx.base.state cimport State
from rmapcore.pyx.base.x86 cimport pte_set
from rmapcore.pyx.engine.mapping cimport entry_of
from rmapcore.pyx.seam.kernel cimport Kernel


cdef void map_frame(Kernel k, vma_id v, vpn_t vpn, slot_t slot, pfn_t pfn, uint64_t bits, bint anon) noexcept nogil:
    """Writes the entry and adds the mapping (rule F9). rss is counted here."""
    cdef State* s = k.s
    pte_set(s, slot, entry_of(pfn, bits))
    tally(s, C_RMAP_ADDS, 1)
    s.mm[s.area[v].mm].rss += 1
    s.frame[pfn].mapcount += 1
    if s.frame[pfn].mapcount == 1:
        s.h.n_mapped += 1
        if anon:
            s.frame[pfn].flags |= PG_ANON
            k.anon.page_first(pfn, v, vpn)
        else:
            k.side.page_first(pfn, v, vpn)
    if anon and k.anon.wants_entries:
        k.anon.pages_mapped(v, vpn, slot, 1)
    if not anon and k.side.wants_entries:
        k.side.pages_mapped(v, vpn, slot, 1)
