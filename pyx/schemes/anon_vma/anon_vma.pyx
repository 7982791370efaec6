"""anon_vma: anonymous pages by object, one list of areas per anon_vma (2.6.7 to 2.6.33; here as in 2.6.8).

Areas that a later mprotect could merge share an anon_vma: an area without takes its neighbour's (BK 33252891ef). An area that
takes over pages when a border moves gets the giver's first: 2.6.7 forgot that, 2.6.8's importer fixed it [BK
d84672c45e], as it fixed the missing lock when a neighbour's is adopted [BK b6815589d6]. All else: anonvmas.
"""
from libc.stdint cimport uint32_t

from rmapcore.pyx.base.ids cimport vma_id
from rmapcore.pyx.schemes.anon_vma.lists cimport AnonVmas


cdef class AnonVma(AnonVmas):
    """anon_vma of 2.6.8. No options."""

    def __init__(self, **options):
        self.name = "anon_vma"
        AnonVmas.__init__(self, **options)

    cdef void anon_prepare(self, vma_id v) noexcept nogil:
        """Afterwards v has an anon_vma: its own, the next's, the previous', or a new one."""
        cdef uint32_t o
        if self.s.area[v].rmap:
            return
        o = self.neighbours(v)
        if o:
            self.link_locked(v, o)
        else:
            self.create(v)
