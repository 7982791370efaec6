"""anon_vma_chain_degree: the chains of 3.19 to 5.19: interval trees, and one count to know an anon_vma that may be reused.

Where each parent of a long line of forks exits, chains grew without end. So a child takes over, instead of a new anon_vma,
the oldest of its chain whose `degree` (its users, and its children; a root counts itself) is below 2, except its parent's own.
That was to mean: no user and one child. But it also holds for an anon_vma with one user and no child left, and for one that
has neither, which the areas of one process may then take one after the other, while their chains differ:

   Y1 [z1, b, ..] and Y2 [z2, b, ..], both call b their own     merged, they keep one chain: pages of the other are lost

That is the defect of this scheme, as it was (found and fixed by Jann Horn, 2555283eb40d, 6.0-rc4).

What may merge (3.0 to 6.15): equal anon_vmas; or one side has none and the *neighbour's* chain has one avc. An area without
anonymous pages has an empty chain, not one of one, so it never takes in pages; nor does a forked area take in a fresh range.
prev and next of a range that joins both: equal, or one has none, whatever their chains.
All else: avchains, avtrees. In the kernel: 44 or 72 bytes an anon_vma (5.x: 48 or 80).
"""
from libc.stdint cimport uint32_t

from rmapcore.pyx.base.ids cimport vma_id
from rmapcore.pyx.base.records cimport Area
from rmapcore.pyx.schemes.anon_vma_chain.chains cimport ChainedRecord
from rmapcore.pyx.schemes.anon_vma_chain.trees cimport AvTrees


cdef class AnonVmaChainDegree(AvTrees):
    """anon_vma_chain of 3.19, with its fault. No options."""

    def __init__(self, **options):
        self.name = "anon_vma_chain_degree"
        AvTrees.__init__(self, **options)
        self.era = "3.19"
        self.alike = False

    def sizes(self):
        return {"anon_vma": 72, "anon_vma_chain": 64} if self.word == 8 else {"anon_vma": 44, "anon_vma_chain": 32}

    cdef bint reusable(self, uint32_t o, vma_id parent) noexcept nogil:
        cdef ChainedRecord* r = &self.anon_vma[o]
        return o != self.s.area[parent].rmap and r.children + r.users < 2

    cdef bint compatible(self, vma_id v, vma_id source) noexcept nogil:
        cdef Area* a = self.s.area
        cdef uint32_t theirs = a[source].rmap if source else 0
        if a[v].rmap == theirs:
            return True
        return (a[v].rmap == 0 or theirs == 0) and self.singular(v)
