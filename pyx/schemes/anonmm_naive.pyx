"""anonmm_naive: every address space of the fork group, as the scheme was argued against [Andrea Arcangeli, 13 Mar 2004].

A walk begins at the head of the ring, not at the page's own anonmm, and goes through all of it even if all mappings have
been found: a page that one of N children mapped for itself costs N + 1 address spaces, where anonmm as merged needs one.
All else is anonmm's (forkgroup).
"""
from rmapcore.pyx.parts.forkgroup cimport ForkGroup
from rmapcore.pyx.seam.scheme cimport Walk


cdef class AnonmmNaive(ForkGroup):
    """anonmm that tries everybody. No options."""

    def __init__(self, **options):
        self.name = "anonmm_naive"
        ForkGroup.__init__(self, **options)
        self.exhaustive = True

    cdef void walk_begin(self, Walk* w) noexcept nogil:
        ForkGroup.walk_begin(self, w)
        w.a = self.anonmm[w.a].head
        w.b = w.a
