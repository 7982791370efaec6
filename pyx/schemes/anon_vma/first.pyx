"""anon_vma_2_6_7: anon_vma as it was released first, with its two faults [2.6.7 mm/rmap.c, mm/mmap.c].

A. An area that takes over pages when a border moves (mprotect, cases 4 and 5; mremap into a neighbour) and that was never
   faulted gets no anon_vma. The pages name the giver's, on whose list the area is not: no walk finds them there. Only a
   neighbour that is swallowed whole hands its anon_vma on. If the giver's areas go, so does the anon_vma, and the pages
   name a free record, or one in its next life: in the kernel a use after free, here an empty list, or another's, whose
   areas the page tables turn down. Fixed in 2.6.8 [BK d84672c45e].
B. A neighbour's anon_vma is adopted without its lock, so that two processors could break the list. One thread can only
   show that the lock is not taken (counter lock_anon_vma). Fixed in 2.6.8 [BK b6815589d6].

Where such pages would hit a BUG_ON of 2.6.7 (a page swapped in or copied in an area with no anon_vma, or another one than
the page names) the machine goes on, and the page stays lost: check() says so (AV3, AV4, W1).
"""
from libc.stdint cimport uint32_t

from rmapcore.pyx.base.ids cimport vma_id
from rmapcore.pyx.schemes.anon_vma.lists cimport AnonVmaNode, AnonVmas


cdef class AnonVma267(AnonVmas):
    """anon_vma of 2.6.7. No options."""

    def __init__(self, **options):
        self.name = "anon_vma_2_6_7"
        AnonVmas.__init__(self, **options)

    cdef void anon_prepare(self, vma_id v) noexcept nogil:
        cdef uint32_t o
        if self.s.area[v].rmap:
            return
        o = self.neighbours(v)
        if o:
            self.link(v, o)                    # fault B: no lock
        else:
            self.create(v)

    cdef void area_import(self, vma_id v, vma_id giver) noexcept nogil:
        """Fault A: nothing."""

    cdef void area_merge(self, vma_id v, vma_id gone) noexcept nogil:
        """An area without an anon_vma takes the swallowed one's, and its place on the list."""
        cdef uint32_t o = self.s.area[gone].rmap
        cdef AnonVmaNode* n
        if self.s.area[v].rmap == 0 and o:
            n = &self.node[v]
            n[0] = self.node[gone]
            if n.next:
                self.node[n.next].prev = v
            if n.prev:
                self.node[n.prev].next = v
            else:
                self.anon_vma[o].first = v
            self.s.area[v].rmap = o
            self.s.area[gone].rmap = 0
        else:
            self.unlink(gone)
