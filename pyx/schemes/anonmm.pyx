"""anonmm: anonymous pages by address space (in Linus's tree on 22 May 2004 only) [docs/facts/anonmm.md].

A walk tries the page's own anonmm first, then the ring from there, and ends when all mappings were found: often the
first address space has the page. What breaks: mremap of a page that others map, and swap-in at another address, each
cost a copy. All else: forkgroup.
"""
from libc.stdint cimport uint32_t

from rmapcore.pyx.base.ids cimport PAGE_SHIFT, mm_id
from rmapcore.pyx.base.records cimport Frame, Mm
from rmapcore.pyx.parts.forkgroup cimport AnonmmRecord, ForkGroup
from rmapcore.pyx.seam.scheme cimport Lead


cdef class Anonmm(ForkGroup):
    """One anonmm per address space. No options."""

    def __init__(self, **options):
        self.name = "anonmm"
        ForkGroup.__init__(self, **options)

    cdef void lead(self, Lead* leads, uint32_t n) noexcept nogil:
        """walk_begin and walk_next of each. A page of a dead anonmm would move at the end of page_referenced: its lead is
        good for fetching only."""
        cdef Frame* frame = self.s.frame
        cdef Mm* mms = self.s.mm
        cdef AnonmmRecord* r = self.anonmm
        cdef Frame* f
        cdef uint32_t i, own, o, tried
        cdef mm_id mm
        for i in range(n):
            if leads[i].pfn == 0:
                continue
            f = &frame[leads[i].pfn]
            own = f.rmap
            o = own
            tried = 0
            while True:
                mm = r[o].mm
                if mm:
                    tried += 1
                    if mms[mm].rss:
                        leads[i].mm = mm
                        leads[i].vma = 0
                        leads[i].slot = 0
                        leads[i].vpn = f.index >> PAGE_SHIFT
                        leads[i].tried = tried if r[own].mm else 0
                        break
                o = r[o].next
                if o == own:
                    break
