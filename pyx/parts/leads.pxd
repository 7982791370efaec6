"""What schemes answer in lead(), for one page."""
from libc.stdint cimport uint32_t, uint64_t

from rmapcore.pyx.base.ids cimport mm_id, vma_id, vpn_t
from rmapcore.pyx.base.records cimport Area, Frame
from rmapcore.pyx.seam.scheme cimport Lead


cdef inline void lead_to(Lead* lead, mm_id mm, vma_id v, vpn_t vpn, uint32_t tried) noexcept nogil:
    """Its first candidate, as walk_next would give it; v: its area, 0 if the scheme does not know. tried: as in Lead."""
    lead.mm = mm
    lead.vma = v
    lead.slot = 0
    lead.vpn = vpn
    lead.tried = tried


cdef inline bint lead_as_before(Lead* lead, const Frame* f, uint32_t word, vma_id v, const Area* area,
                                const uint64_t* shift) noexcept nogil:
    """Leads to area v if the page has this word, and the area covers it: v was the first candidate of a page of that word.
    area, shift: State.area and State.anon_shift, which the caller keeps at hand."""
    cdef vpn_t vpn
    if f.rmap != word:
        return False
    vpn = f.index + shift[v]
    if not area[v].start <= vpn < area[v].end:
        return False
    lead_to(lead, area[v].mm, v, vpn, 1)
    return True
