"""What schemes answer in lead(), for one page."""
from libc.stdint cimport uint32_t

from rmapcore.pyx.base.ids cimport mm_id, vma_id, vpn_t
from rmapcore.pyx.seam.scheme cimport Lead


cdef inline void lead_to(Lead* lead, mm_id mm, vma_id v, vpn_t vpn, uint32_t tried) noexcept nogil:
    """Its first candidate, as walk_next would give it; v: its area, 0 if the scheme does not know. tried: as in Lead."""
    lead.mm = mm
    lead.vma = v
    lead.slot = 0
    lead.vpn = vpn
    lead.tried = tried
