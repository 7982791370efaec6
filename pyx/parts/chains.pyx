"""The cold half of pte_chain: geometry and options, making the pool, and the invariants (docs/facts/invariants.md).

NRPTE = (line - pointer) / pte_addr_t: a block is one cache line of the CPU the kernel was built for. A pte_addr_t is as
long as a pointer; only PAE with CONFIG_HIGHPTE, where page tables may lie beyond 4 GiB, needs 8 bytes [2.6.0
asm-i386/rmap.h]. check() costs O(frames + stored entries) and two byte arrays, one by block, one bit by entry.
"""
import numpy as np

from libc.stdint cimport uint32_t, uint64_t

from rmapcore.pyx.base.ids cimport mm_id, slot_t, vpn_t
from rmapcore.pyx.base.records cimport P_FRAMES, P_MMS, P_TABLES, PG_ANON, PG_CACHED, PG_DIRECT, Frame
from rmapcore.pyx.base.state cimport State
from rmapcore.pyx.base.x86 cimport pte_get, pte_pfn, pte_present
from rmapcore.pyx.machine.pagetable cimport pt_lookup, slot_mm, slot_vpn
from rmapcore.pyx.parts.chains cimport CHAIN_BLOCKS, CHAIN_IDX, CHAIN_IDX_BITS, Chains, chain_block

LINES = (32, 64, 128)         # L1_CACHE_BYTES; the 486's 16 is left out: with 8-byte entries no chain fits it
DEFAULT_LINE = {"i386": 32, "i386-pae": 32, "x86_64": 64}      # Pentium Pro to III; K8


def chain_options(name, options):
    """(line or 0 for the default, highpte) from the options of a pte_chain scheme or file side."""
    line = highpte = 0
    for key, value in options.items():
        text = str(value)
        if key == "line":
            if text not in map(str, LINES):
                raise ValueError(f"{name}: line is {value!r}; allowed are 32, 64, 128 (bytes of a block)")
            line = int(text)
        elif key == "highpte":
            if text not in ("0", "1"):
                raise ValueError(f"{name}: highpte is {value!r}; allowed are 0, 1")
            highpte = int(text)
        else:
            raise ValueError(f"{name}: no option {key!r}; allowed are line (32, 64, 128) and highpte (0, 1)")
    return line, highpte


cdef class Chains:

    @staticmethod
    def of(core, int line, bint highpte):
        """The chains of this geometry in a machine (a Core). line 0: the usual one of the architecture."""
        if highpte and core.arch != "i386-pae":
            raise ValueError(f"pte_chain: highpte=1 is for i386-pae only (8-byte pte addresses), not for {core.arch}")
        line = line or DEFAULT_LINE[core.arch]
        key = ("pte_chain", line, bool(highpte))
        if key not in core.mechanisms:
            core.mechanisms[key] = Chains(core, line, highpte)
        return core.mechanisms[key]

    def __init__(self, core, int line, bint highpte):
        """Makes pool and arena. Two geometries in one machine (scheme and file side differ) need two names."""
        self.line = line
        self.pointer_bytes = 8 if core.arch == "x86_64" else 4
        self.page_bytes = 8 if highpte else self.pointer_bytes
        self.name = "pte_chain"
        if self.name in core.arenas:
            self.name = f"pte_chain {line}" + (" highpte" if highpte else "")
        self.c.n = (line - self.pointer_bytes) // self.page_bytes
        self.c.stride = 1 + self.c.n
        self.c.pool = core.new_pool(self.name, CHAIN_BLOCKS, line, line)       # slab memory is never high memory
        address = core.new_arena(self.name, np.uint32, CHAIN_BLOCKS, self.c.pool, self.c.stride)
        self.c.base = <uint32_t*> <size_t> address

    @property
    def nrpte(self):
        """Entries of a block."""
        return self.c.n

    @property
    def pool(self):
        """Number of the pool of blocks."""
        return self.c.pool

    cdef list violations(self, State* s, uint32_t kind):
        """check() of the side `kind` (PG_ANON: scheme, 0: file side): a list of (rule, frame, mm, vpn, text).

        PC1  only the head block has free slots
        PC2  the head's free slots are those below idx
        PC3  every stored entry lies in a leaf table of a living mm and maps the frame
        PC4  a mapped frame has mapcount stored entries
        PC5  the word and PG_DIRECT of an unmapped frame are 0
        PC6  no entry is stored twice
        PC7  the blocks in use are those reached from frames, each once; free blocks are clean

        PC7 needs both sides if they share the blocks: the scheme looks for both.
        """
        cdef list found = []
        cdef uint64_t blocks = s.pool[self.c.pool].bump
        cdef uint64_t reached = 0
        cdef uint64_t entries
        cdef uint64_t n_slots = s.pool[P_TABLES].bump << s.bits
        cdef unsigned char[::1] met = bytearray(blocks)
        cdef unsigned char[::1] stored = bytearray((n_slots >> 3) + 1)
        cdef bint whole = kind == PG_ANON or not self.anon
        cdef bint mine
        cdef Frame* f
        cdef uint32_t* p
        cdef uint32_t pfn, block, idx, i
        for pfn in range(1, <uint32_t> s.pool[P_FRAMES].bump):
            f = &s.frame[pfn]
            if f.mapcount == 0:
                # a frame without mappings has no kind: those of the page cache are the file side's
                if (f.flags & PG_CACHED == 0) == (kind == PG_ANON) and (f.rmap or f.flags & PG_DIRECT):
                    found.append(("PC5", pfn, 0, 0, f"unmapped, but its word is {f.rmap}"))
                continue
            mine = f.flags & PG_ANON == kind
            if not mine and not (whole and (self.anon if f.flags & PG_ANON else self.files)):
                continue
            entries = 0
            if f.flags & PG_DIRECT:
                if mine:
                    entries = 1
                    self.entry(s, found, stored, n_slots, pfn, f.rmap)
                block = 0
            else:
                block = f.rmap
            while block:
                if block >= blocks or met[block]:
                    if mine:
                        found.append(("PC7", pfn, 0, 0, f"block {block} "
                                      + ("was reached before" if block < blocks else "does not exist")))
                    break
                met[block] = 1
                reached += 1
                p = chain_block(&self.c, block)
                idx = p[0] & CHAIN_IDX
                if mine:
                    if block != f.rmap and idx:
                        found.append(("PC1", pfn, 0, 0, f"block {block} behind the head has idx {idx}"))
                    for i in range(self.c.n):
                        if (p[1 + i] != 0) != (i >= idx):
                            found.append(("PC2" if block == f.rmap else "PC1", pfn, 0, 0,
                                          f"slot {i} of block {block} is {'used' if p[1 + i] else 'free'}, idx {idx}"))
                        if p[1 + i]:
                            entries += 1
                            self.entry(s, found, stored, n_slots, pfn, p[1 + i])
                    if idx >= self.c.n:
                        found.append(("PC2", pfn, 0, 0, f"block {block} has idx {idx} of {self.c.n} slots"))
                block = p[0] >> CHAIN_IDX_BITS
            if mine and entries != f.mapcount and not (self.some and kind != PG_ANON and f.rmap == 0):
                found.append(("PC4", pfn, 0, 0, f"{entries} entries stored, mapcount {f.mapcount}"))
        if whole:
            if reached != s.pool[self.c.pool].live:
                found.append(("PC7", 0, 0, 0, f"{s.pool[self.c.pool].live} blocks in use, {reached} reached"))
            block = s.pool[self.c.pool].free
            while block:
                if block >= blocks or met[block]:
                    found.append(("PC7", 0, 0, 0, f"block {block} is in the free list, and in use, twice or beyond it"))
                    break
                met[block] = 1
                p = chain_block(&self.c, block)
                for i in range(self.c.n):
                    if p[1 + i]:
                        found.append(("PC7", 0, 0, 0, f"slot {i} of free block {block} holds {p[1 + i]}"))
                block = p[0]
        return found

    cdef int entry(self, State* s, list found, unsigned char[::1] stored, uint64_t n_slots, uint32_t pfn,
                   slot_t slot) except -1:
        """PC3 and PC6 for one stored entry."""
        cdef uint64_t value
        cdef mm_id mm
        cdef vpn_t vpn
        if slot >= n_slots or slot >> s.bits == 0:
            found.append(("PC3", pfn, 0, 0, f"stored entry {slot} lies in no table"))
            return 0
        if stored[slot >> 3] >> (slot & 7) & 1:
            found.append(("PC6", pfn, 0, 0, f"entry {slot} is stored twice"))
        stored[slot >> 3] |= <unsigned char> (1 << (slot & 7))
        mm = slot_mm(s, slot)
        vpn = slot_vpn(s, slot)
        if (s.table[slot >> s.bits].level != 0 or mm == 0 or mm >= s.pool[P_MMS].bump or not s.mm[mm].alive
                or pt_lookup(s, mm, vpn) != slot):
            found.append(("PC3", pfn, 0, 0, f"stored entry {slot} is in no leaf table of a living mm"))
            return 0
        value = pte_get(s, slot)
        if not pte_present(value) or pte_pfn(s, value) != pfn:
            found.append(("PC3", pfn, mm, vpn, f"stored entry {slot} holds {value:#x}, not this frame"))
        return 0
