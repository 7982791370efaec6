"""pte_chain for page-cache frames: what 2.5.27 to 2.6.6 did before objrmap [2.6.6 mm/rmap.c; docs/facts/pte-chain.md].

The same hooks and chains as the scheme's (chainside, chains), and the same pool of blocks if the machine's scheme is
pte_chain with the same line: one slab cache. Files need no tree of areas: the `shared` list of an area serves truncation
only, which here goes by File.areas. A shared segment of n processes costs n / NRPTE lines for each of its pages; that is
what sent file pages to objrmap first.

Costs: pages_* O(entries) adds of O(1), removes of O(mapcount); walk O(mapcount); no hook for areas, File.rmap stays 0.
"""
from rmapcore.pyx.machine.core cimport Core
from rmapcore.pyx.parts.chains cimport Chains
from rmapcore.pyx.parts.chainside cimport ChainSide


cdef class PteChainFiles(ChainSide):
    """Chains of page-table entries for page-cache frames.

    line: bytes of a block (32, 64, 128; the architecture's usual one if not given).  highpte: 1 for 8-byte entry
    addresses on i386-pae.
    """

    def __init__(self, **options):
        ChainSide.__init__(self, **options)
        self.ours = 0                   # PG_ANON is clear

    def attach(self, Core core):
        ChainSide.attach(self, core)
        self.chains.files = True

    def census(self):
        """Its blocks, unless they are the scheme's too: the scheme reports them then."""
        return {} if self.chains.anon else ChainSide.census(self)

    def overhead(self):
        """The area's `shared` list_head, and the union in struct page unless the scheme has brought it already. Right
        once both sides are attached."""
        cdef int page = self.chains.page_bytes
        for chains in self.core.mechanisms.values():
            if isinstance(chains, Chains) and (<Chains> chains).anon:
                page = 0
        return {"page": page, "vma": 2 * self.chains.pointer_bytes}
