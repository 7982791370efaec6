"""The cold half of pte_chain: geometry and options, making the pool, and the invariants (docs/facts/invariants.md).

NRPTE = (line - pointer) / pte_addr_t: a block is one cache line of the CPU the kernel was built for. A pte_addr_t is as
long as a pointer; only PAE with CONFIG_HIGHPTE, where page tables may lie beyond 4 GiB, needs 8 bytes [2.6.0
asm-i386/rmap.h]. check() costs O(frames + stored entries) and two byte arrays, one by block, one bit by entry.
"""
import numpy as np

from libc.stdint cimport uint8_t, uint32_t, uint64_t

from rmapcore.pyx.base.ids cimport mm_id, slot_t, vpn_t
from rmapcore.pyx.base.records cimport P_FRAMES, P_MMS, P_TABLES, PG_ANON, PG_CACHED, PG_DIRECT, Frame
from rmapcore.pyx.base.state cimport State
from rmapcore.pyx.base.x86 cimport pte_get, pte_pfn, pte_present
from rmapcore.pyx.machine.pagetable cimport pt_lookup, slot_mm, slot_vpn
from rmapcore.pyx.parts.chains cimport CHAIN_BLOCKS, CHAIN_IDX, CHAIN_IDX_BITS, Chains, Notes, chain_block
from rmapcore.pyx.parts.checks cimport fault

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
        most = min(CHAIN_BLOCKS, core.most_entries)        # a block holds an entry at least
        self.c.pool = core.new_pool(self.name, most, line, line)               # slab memory is never high memory
        address = core.new_arena(self.name, np.uint32, most, self.c.pool, self.c.stride)
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
        cdef Notes notes
        cdef bytearray met, stored
        cdef bint whole = kind == PG_ANON or not self.anon
        cdef uint32_t flags, pfn
        notes.s = s
        notes.blocks = s.pool[self.c.pool].bump
        notes.n_slots = s.pool[P_TABLES].bump << s.bits
        notes.reached = 0
        met = bytearray(notes.blocks)
        stored = bytearray((notes.n_slots >> 3) + 1)
        notes.met = <uint8_t*> <char*> met
        notes.stored = <uint8_t*> <char*> stored
        for pfn in range(1, <uint32_t> s.pool[P_FRAMES].bump):
            flags = s.frame[pfn].flags
            if s.frame[pfn].mapcount == 0:
                # a frame without mappings has no kind: those of the page cache are the file side's
                if (flags & PG_CACHED == 0) == (kind == PG_ANON) and (s.frame[pfn].rmap or flags & PG_DIRECT):
                    fault(found, "PC5", pfn, 0, 0, "unmapped, but its word is {0}", s.frame[pfn].rmap)
            elif flags & PG_ANON == kind:
                self.check_frame(&notes, pfn, True, self.some and kind != PG_ANON, found)
            elif whole and (self.anon if flags & PG_ANON else self.files):
                self.check_frame(&notes, pfn, False, False, found)
        if whole:
            self.check_free(&notes, found)
        return found

    cdef int check_frame(self, Notes* n, uint32_t pfn, bint mine, bint some, list found) except -1:
        """PC1 to PC4, PC6 and PC7 for a mapped frame; not mine: PC7's notes alone. some: without a word it has no chain."""
        cdef Frame* f = &n.s.frame[pfn]
        cdef uint64_t entries = 0
        cdef uint32_t block = 0 if f.flags & PG_DIRECT else f.rmap
        if f.flags & PG_DIRECT and mine:
            entries = 1
            self.check_entry(n, pfn, f.rmap, found)
        while block:
            if block >= n.blocks or n.met[block]:
                if mine:
                    text = "block {0} was reached before" if block < n.blocks else "block {0} does not exist"
                    fault(found, "PC7", pfn, 0, 0, text, block)
                break
            n.met[block] = 1
            n.reached += 1
            if mine:
                entries += self.check_block(n, pfn, block, found)
            block = chain_block(&self.c, block)[0] >> CHAIN_IDX_BITS
        if mine and entries != f.mapcount and not (some and f.rmap == 0):
            fault(found, "PC4", pfn, 0, 0, "{0} entries stored, mapcount {1}", entries, f.mapcount)
        return 0

    cdef int check_block(self, Notes* n, uint32_t pfn, uint32_t block, list found) except -1:
        """PC1 and PC2 for one block, and its entries: how many."""
        cdef uint32_t* p = chain_block(&self.c, block)
        cdef uint32_t idx = p[0] & CHAIN_IDX
        cdef bint head = block == n.s.frame[pfn].rmap
        cdef uint32_t i
        cdef int entries = 0
        if not head and idx:
            fault(found, "PC1", pfn, 0, 0, "block {0} behind the head has idx {1}", block, idx)
        for i in range(self.c.n):
            if (p[1 + i] != 0) != (i >= idx):
                text = f"slot {i} of block {block} is {'used' if p[1 + i] else 'free'}, idx {idx}"
                fault(found, "PC2" if head else "PC1", pfn, 0, 0, text)
            if p[1 + i]:
                entries += 1
                self.check_entry(n, pfn, p[1 + i], found)
        if idx >= self.c.n:
            fault(found, "PC2", pfn, 0, 0, f"block {block} has idx {idx} of {self.c.n} slots")
        return entries

    cdef int check_entry(self, Notes* n, uint32_t pfn, slot_t slot, list found) except -1:
        """PC3 and PC6 for one stored entry."""
        cdef State* s = n.s
        cdef uint64_t value
        cdef mm_id mm
        cdef vpn_t vpn
        if slot >= n.n_slots or slot >> s.bits == 0:
            return fault(found, "PC3", pfn, 0, 0, "stored entry {0} lies in no table", slot)
        if n.stored[slot >> 3] >> (slot & 7) & 1:
            fault(found, "PC6", pfn, 0, 0, "entry {0} is stored twice", slot)
        n.stored[slot >> 3] |= <uint8_t> (1 << (slot & 7))
        mm = slot_mm(s, slot)
        vpn = slot_vpn(s, slot)
        if (s.table[slot >> s.bits].level != 0 or mm == 0 or mm >= s.pool[P_MMS].bump or not s.mm[mm].alive
                or pt_lookup(s, mm, vpn) != slot):
            return fault(found, "PC3", pfn, 0, 0, "stored entry {0} is in no leaf table of a living mm", slot)
        value = pte_get(s, slot)
        if not pte_present(value) or pte_pfn(s, value) != pfn:
            fault(found, "PC3", pfn, mm, vpn, "stored entry {0} holds {1:#x}, not this frame", slot, value)
        return 0

    cdef int check_free(self, Notes* n, list found) except -1:
        """PC7: how many blocks were reached, and the free ones."""
        cdef uint32_t block = n.s.pool[self.c.pool].free
        cdef uint64_t live = n.s.pool[self.c.pool].live
        cdef uint32_t* p
        cdef uint32_t i
        if n.reached != live:
            fault(found, "PC7", 0, 0, 0, "{0} blocks in use, {1} reached", live, n.reached)
        while block:
            if block >= n.blocks or n.met[block]:
                return fault(found, "PC7", 0, 0, 0, "block {0} is in the free list, and in use, twice or beyond it", block)
            n.met[block] = 1
            p = chain_block(&self.c, block)
            for i in range(self.c.n):
                if p[1 + i]:
                    fault(found, "PC7", 0, 0, 0, f"slot {i} of free block {block} holds {p[1 + i]}")
            block = p[0]
        return 0
