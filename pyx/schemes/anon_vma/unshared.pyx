"""anon_vma_unshared: anon_vma as posted in March 2004, before BK 33252891ef: every area that is written to makes its own.

Neighbours that were faulted apart never merge again, for each has its own anon_vma: a loop that maps a page, writes it
and makes it read-only leaves one area and one anon_vma a page, up to the limit of areas, where all other schemes have one
area [Hugh Dickins, 2 Apr 2004; BK 33252891ef]. All else as anon_vma: an area that takes over pages gets their anon_vma
(2.6.8's importer), so that what is measured is the sharing alone.
"""
from rmapcore.pyx.base.ids cimport vma_id
from rmapcore.pyx.schemes.anon_vma.lists cimport AnonVmas


cdef class AnonVmaUnshared(AnonVmas):
    """anon_vma without a neighbour's. No options."""

    def __init__(self, **options):
        self.name = "anon_vma_unshared"
        AnonVmas.__init__(self, **options)

    cdef void anon_prepare(self, vma_id v) noexcept nogil:
        if self.s.area[v].rmap == 0:
            self.create(v)
