"""The cold half of rmap_chain: making the arenas, and the invariants of chains (docs/facts/invariants.md)."""
import numpy as np

from libc.stdint cimport uint32_t, uint64_t

from rmapcore.pyx.base.records cimport P_FRAMES
from rmapcore.pyx.base.state cimport State
from rmapcore.pyx.parts.addrchains cimport ADDRESS_LINK, ADDRESSES, FIRST_SLOT, AddressBlock, AddressChains

cdef AddressBlock _block

ADDRESS_BLOCK = np.asarray(<AddressBlock[:1]> &_block).dtype
assert ADDRESS_BLOCK.itemsize == 64 and ADDRESS_BLOCK.fields["next"][1] == ADDRESS_LINK

MOST_BLOCKS = 1 << 26


cdef class AddressChains:

    @staticmethod
    def of(core):
        """The address chains of a machine (a Core)."""
        if "rmap_chain" not in core.mechanisms:
            core.mechanisms["rmap_chain"] = AddressChains(core)
        return core.mechanisms["rmap_chain"]

    def __init__(self, core):
        self.bytes = 64 if core.arch == "x86_64" else 32
        self.c.pool = core.new_pool("rmap_chain", MOST_BLOCKS, self.bytes, self.bytes)
        self.c.block = <AddressBlock*> <size_t> core.new_arena("rmap_chains", ADDRESS_BLOCK, MOST_BLOCKS, self.c.pool)
        self.c.head = <uint32_t*> <size_t> core.new_arena(
            "rmap_chain_heads", np.uint32, core.geometry["n_frames"], P_FRAMES)

    @property
    def pool(self):
        """Number of the pool of blocks."""
        return self.c.pool

    cdef list violations(self, State* s):
        """RC1 blocks in use are those reached from mapped frames, each once. RC2 only a last block has free slots, and each
        has an address. RC3 no frame has an address twice."""
        cdef list found = []
        cdef uint64_t bump = s.pool[self.c.pool].bump
        cdef uint32_t pfn, b, i
        cdef AddressBlock* block
        met = set()
        for pfn in range(1, <uint32_t> s.pool[P_FRAMES].bump):
            b = self.c.head[pfn]
            if b and s.frame[pfn].mapcount == 0:
                found.append(("RC1", pfn, 0, 0, f"unmapped, but chained: block {b}"))
                continue
            addresses = set()
            i = FIRST_SLOT
            while b:
                if b >= bump or b in met:
                    found.append(("RC1", pfn, 0, 0, f"block {b} " + ("was reached before" if b in met else "does not exist")))
                    break
                met.add(b)
                block = &self.c.block[b]
                if block.used <= i or block.used > ADDRESSES or (block.next and block.used < ADDRESSES):
                    found.append(("RC2", pfn, 0, 0, f"block {b}: {block.used} slots in use"))
                    break
                while i < block.used:
                    if block.vpn[i] in addresses:
                        found.append(("RC3", pfn, 0, block.vpn[i], "the address is in the chain twice"))
                    addresses.add(block.vpn[i])
                    i += 1
                b = block.next
                i = 0
        if len(met) != <Py_ssize_t> s.pool[self.c.pool].live:
            found.append(("RC1", 0, 0, 0, f"{len(met)} blocks reached, {s.pool[self.c.pool].live} counted"))
        return found
