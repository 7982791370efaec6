"""Linux 6.18 (November 2025): what differs from 2.6.7, rule by rule in docs/rules, in the order of a call's way down.

   policy       what the shared text asks of every kernel        swapin     faults on swap entries      around   fault-around
   placement    where mmap finds room                            populate   what calls fault in
   ranges       mprotect mlock mbind mseal    advice, pageout   madvise           mremap, remap
   references   what reclaim makes of the references to a page
"""
include "../shared.pxi"
include "policy.pxi"
include "placement.pxi"
include "references.pxi"
include "swapin.pxi"
include "around.pxi"
include "populate.pxi"
include "ranges.pxi"
include "advice.pxi"
include "pageout.pxi"
include "mremap.pxi"
include "remap.pxi"
include "steps.pxi"


cdef class Linux618(Steps618):
    """Linux 6.18, as shown on the live kernel."""
