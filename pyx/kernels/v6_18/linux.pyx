"""Linux 6.18 (November 2025): the rules of docs/rules/6.18. Every kernel's folder has the same file names.

   frames     where fresh frames begin, who may write in place     areas        what mmap, munmap, brk, truncate may and do
   entries    what swap entries keep, what fork and zap make       placement    where mmap finds room
   references what reclaim makes of references                     ranges       mprotect mlock mbind mseal
   swapin     faults on swap entries     around   fault-around     advice, pageout   madvise
   populate   what calls fault in                                  mremap, remap (remap_file_pages)
   tables     page tables that move whole, or go early             writeback    msync, fsync, sync

A later kernel includes these files but those with a rule that it changes, and has a steps.pxi and a class of its own.
"""
include "../shared.pxi"
include "frames.pxi"
include "entries.pxi"
include "tables.pxi"
include "areas.pxi"
include "placement.pxi"
include "references.pxi"
include "swapin.pxi"
include "around.pxi"
include "populate.pxi"
include "ranges.pxi"
include "advice.pxi"
include "pageout.pxi"
include "writeback.pxi"
include "mremap.pxi"
include "remap.pxi"
include "steps.pxi"


cdef class Linux618(Steps618):
    """Linux 6.18, as shown on the live kernel."""
