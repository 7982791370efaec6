"""anon_vma_chain: the chains of today (6.0 to 6.19): interval trees, and children and users of an anon_vma counted apart.

A child takes over, instead of a new anon_vma, the oldest of its chain that no area calls its own and that has at most one
child: that of an ancestor which has gone. So chains of a daemon that forks and exits stay short.

   P exits ╳    A1: no user, one child (A2)      V3, forked from V2, takes A1 for its own
      V1 ──── V2 ──── V3                         pages of V3 are looked for in V2 and V3
   Two counts, because one (anon_vma_chain_degree) took a user for a child (2555283eb40d, 6.0-rc4).

What may merge (6.16 on, 879bca0a2c4f): equal anon_vmas; or one side has none and the other has not inherited from a parent
(its chain has one anon_vma). The side that has none gets the other's. Also where mremap moves: the source is asked.
All else: avchains, avtrees. In the kernel: 52 or 104 bytes an anon_vma (96, and the 8 of the allocator's free pointer, as
/proc/slabinfo of 6.18 shows; i386 without it: UNVERIFIED).
"""
from libc.stdint cimport uint32_t

from rmapcore.pyx.base.ids cimport vma_id
from rmapcore.pyx.base.records cimport Area
from rmapcore.pyx.schemes.anon_vma_chain.chains cimport ChainedRecord
from rmapcore.pyx.schemes.anon_vma_chain.trees cimport AvTrees


cdef class AnonVmaChain(AvTrees):
    """anon_vma_chain of today. No options."""

    def __init__(self, **options):
        self.name = "anon_vma_chain"
        AvTrees.__init__(self, **options)
        self.era = "6.18"

    def sizes(self):
        return {"anon_vma": 104, "anon_vma_chain": 64} if self.word == 8 else {"anon_vma": 52, "anon_vma_chain": 32}

    cdef bint reusable(self, uint32_t o, vma_id parent) noexcept nogil:
        cdef ChainedRecord* r = &self.anon_vma[o]
        return r.children < 2 and r.users == 0

    cdef bint inherited(self, vma_id v) noexcept nogil:
        """Has it anonymous pages, and maybe an ancestor's among them? (vma_is_fork_child)"""
        return self.s.area[v].rmap != 0 and not self.singular(v)

    cdef bint compatible(self, vma_id v, vma_id source) noexcept nogil:
        cdef Area* a = self.s.area
        cdef uint32_t theirs = a[source].rmap if source else 0
        if a[v].rmap == theirs:
            return True
        if a[v].rmap and theirs:
            return False
        return not self.inherited(v if theirs == 0 else source)
