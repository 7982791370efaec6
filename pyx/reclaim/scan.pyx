"""A reclaim's beginning, and what all of them did (rules K7, K8)."""
from libc.stdint cimport uint64_t
from libc.string cimport memset

from rmapcore.pyx.reclaim.scan cimport DEF_PRIORITY
from rmapcore.pyx.seam.kernel cimport Kernel, Scan

from rmapcore.pyx.base import records


# "scanned", "referenced", ... : the R_ numbers by name, in their order
RECLAIM_FIELDS = tuple(name.removeprefix("R_").lower() for name in
                       sorted((name for name in vars(records) if name.startswith("R_")), key=vars(records).get))


cdef void scan_begin(Scan* r, uint64_t target, bint direct) noexcept nogil:
    memset(r, 0, sizeof(Scan))
    r.priority = DEF_PRIORITY
    r.target = target
    r.direct = direct


def reclaimed(Kernel k):
    """What reclaim (asked for and direct) did since the machine's birth: {field: count}."""
    cdef int i
    return {name: k.s.h.reclaimed[i] for i, name in enumerate(RECLAIM_FIELDS)}
