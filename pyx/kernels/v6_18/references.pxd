"""What 6.18 makes of the references to a page (rules QK1-QK3)."""
from libc.stdint cimport uint64_t

from rmapcore.pyx.base.ids cimport pfn_t
from rmapcore.pyx.base.state cimport State
from rmapcore.pyx.seam.kernel cimport Engine
from rmapcore.pyx.seam.scheme cimport Lead

cdef enum:                    # what is to become of a frame of the inactive list [6.18 mm/vmscan.c enum folio_references]
    JUDGED_RECLAIM = 0
    JUDGED_CLEAN = 1          # reclaim it if it is clean
    JUDGED_KEEP = 2           # another round on the inactive list
    JUDGED_ACTIVE = 3

cdef int check_references(Engine e, pfn_t pfn) noexcept nogil
cdef bint stays_active(Engine e, pfn_t pfn) noexcept nogil
cdef void look_at_lead(State* s, Lead* lead, uint64_t entry) noexcept nogil
