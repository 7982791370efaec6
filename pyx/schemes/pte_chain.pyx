"""pte_chain: the reverse mapping of 2.5.27 to 2.6.6, as it stood from 2.5.35 on [docs/facts/pte-chain.md].

Each anonymous frame stores the addresses of its page-table entries, alone or in a chain of blocks (chainside, chains). A
walk is exact, and areas play no part: geometry hooks stay empty and areas merge whatever their page offsets are. The
price is paid where entries come and go, and the chains live in low memory.

Costs: pages_* O(entries) adds of O(1), removes of O(mapcount); walk O(mapcount); no hook for areas or address spaces.
"""
from rmapcore.pyx.base.records cimport PG_ANON
from rmapcore.pyx.machine.core cimport Core
from rmapcore.pyx.parts.chainside cimport ChainSide


cdef class PteChain(ChainSide):
    """Chains of page-table entries for anonymous pages.

    line: bytes of a block (32, 64, 128; the architecture's usual one if not given).  highpte: 1 for 8-byte entry
    addresses on i386-pae.
    """

    def __init__(self, **options):
        ChainSide.__init__(self, **options)
        self.ours = PG_ANON

    def attach(self, Core core):
        ChainSide.attach(self, core)
        self.chains.anon = True

    def overhead(self):
        """The union in struct page: a pointer, or an 8-byte pte_addr_t with highpte."""
        return {"page": self.chains.page_bytes, "vma": 0}
