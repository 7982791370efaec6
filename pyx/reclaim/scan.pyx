"""A reclaim's beginning, and what all of them did (rules K7, K8)."""
from libc.stdint cimport uint64_t
from libc.string cimport memset

from rmapcore.pyx.base.records cimport N_RECLAIM
from rmapcore.pyx.reclaim.scan cimport DEF_PRIORITY
from rmapcore.pyx.seam.kernel cimport Kernel, Scan


RECLAIM_FIELDS = ("scanned", "referenced", "unmapped", "swapped", "written", "freed", "failed", "scanned_ptes")
assert len(RECLAIM_FIELDS) == N_RECLAIM


cdef void scan_begin(Scan* r, uint64_t target, bint direct) noexcept nogil:
    memset(r, 0, sizeof(Scan))
    r.priority = DEF_PRIORITY
    r.target = target
    r.direct = direct


def reclaimed(Kernel k):
    """What reclaim (asked for and direct) did since the machine's birth: {field: count}."""
    cdef int i
    return {name: k.s.h.reclaimed[i] for i, name in enumerate(RECLAIM_FIELDS)}
