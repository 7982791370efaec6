"""pte_chain: every frame knows the page-table entries that map it [docs/facts/pte-chain.md; rule G1].

A frame's word is 0 (unmapped), with PG_DIRECT the slot of its only entry, else the number of its chain's head block. A
block is one cache line of the kernel: a link and NRPTE entries. Only the head may have free slots, and they are its
lowest: blocks fill from the last slot down, and who leaves is replaced by the head's lowest used entry (the *victim*).

   frame.rmap -> | next, idx 5 | 0 0 0 0 0 i h | -> | next 0, idx 0 | g f e d c b a |       added a, b, ... i; NRPTE 7

Word 0 of a block is next << 5 | idx (idx: lowest used slot), in the free list the next free block; the words behind it
are the slots. Entries of a free block are zero, as the kernel's slab constructor left them. Page-cache frames and
anonymous frames have chains of the same kind and share one pool if their lines are equal.

Left out: the per-cpu spare block and its preallocation (a block is taken when needed), the walk's kmap with highpte.
Costs: add O(1), remove O(mapcount) search, walk one candidate per mapping and never a wrong one; ceil(m / NRPTE) lines
of low memory for a frame with m > 1 mappings. Collapsing to PG_DIRECT happens in page_referenced only.
"""
from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint32_t, uint64_t

from rmapcore.pyx.base.counters cimport C_LOCK_CHAIN, tally
from rmapcore.pyx.base.ids cimport pfn_t, slot_t
from rmapcore.pyx.base.pool cimport pool_give, pool_take
from rmapcore.pyx.base.records cimport PG_ANON, PG_DIRECT, Frame
from rmapcore.pyx.base.state cimport State
from rmapcore.pyx.base.x86 cimport fetch_ahead, pte_get, pte_pfn, pte_present

cdef enum:
    CHAIN_IDX_BITS = 5        # NRPTE is 31 at most (128-byte line, 4-byte entries)
    CHAIN_IDX = (1 << CHAIN_IDX_BITS) - 1
    CHAIN_BLOCKS = 1 << (32 - CHAIN_IDX_BITS)      # so many block numbers fit beside idx

cdef struct ChainPool:        # what kernels need of a Chains
    uint32_t* base            # blocks, `stride` words each
    uint32_t n                # NRPTE: entries of a block
    uint32_t stride           # 1 + NRPTE
    int pool                  # the pool that numbers the blocks

cdef struct Notes:            # of a check()
    State* s
    uint64_t blocks           # numbers of blocks are below
    uint64_t n_slots          # numbers of entries are below
    uint64_t reached          # blocks met from frames
    uint8_t* met              # by block
    uint8_t* stored           # a bit by entry

cdef class Chains:
    """The blocks of one geometry in one machine; made on demand by Chains.of, shared by all who ask for the same."""
    cdef ChainPool c
    cdef readonly str name              # of arena and pool
    cdef readonly int line              # kernel bytes of a block: L1_CACHE_BYTES
    cdef readonly int page_bytes        # the union in struct page: one pte_addr_t or pointer
    cdef readonly int pointer_bytes
    cdef public bint anon               # the scheme uses them
    cdef public bint files              # the file side uses them,
    cdef public bint some               #   but only for some frames: those without a word have no chain

    cdef list violations(self, State* s, uint32_t kind)
    cdef int check_frame(self, Notes* n, uint32_t pfn, bint mine, bint some, list found) except -1
    cdef int check_block(self, Notes* n, uint32_t pfn, uint32_t block, list found) except -1
    cdef int check_entry(self, Notes* n, uint32_t pfn, slot_t slot, list found) except -1
    cdef int check_free(self, Notes* n, list found) except -1


cdef inline uint32_t* chain_block(ChainPool* c, uint32_t block) noexcept nogil:
    return c.base + <size_t> block * c.stride


cdef inline bint chain_ours(State* s, pfn_t pfn, uint32_t kind) noexcept nogil:
    """Is the frame of this kind: PG_ANON (the scheme's) or 0 (the file side's)? The zero page is nobody's."""
    return pfn != 0 and s.frame[pfn].flags & PG_ANON == kind


cdef inline uint32_t chain_take(State* s, ChainPool* c) noexcept nogil:
    """A block whose entries are zero and whose word 0 is the caller's to set."""
    return pool_take(s, c.pool, c.base, <size_t> c.stride * sizeof(uint32_t), 0)


cdef inline void chain_give(State* s, ChainPool* c, uint32_t block) noexcept nogil:
    """Frees a block; its entries must be zero."""
    pool_give(s, c.pool, c.base, <size_t> c.stride * sizeof(uint32_t), 0, block)


cdef inline void chain_add(State* s, ChainPool* c, pfn_t pfn, slot_t slot) noexcept nogil:
    """page_add_rmap: the entry joins at the head's lowest free slot. Counts one lock_chain."""
    cdef Frame* f = &s.frame[pfn]
    cdef uint32_t word = f.rmap
    cdef uint32_t block
    cdef uint32_t* h
    tally(s, C_LOCK_CHAIN, 1)
    if word == 0:
        f.rmap = slot
        f.flags |= PG_DIRECT
    elif f.flags & PG_DIRECT:
        block = chain_take(s, c)
        h = chain_block(c, block)
        h[0] = c.n - 2                          # no next; the two last slots are used
        h[c.n] = word
        h[c.n - 1] = slot
        f.rmap = block
        f.flags &= ~<uint32_t> PG_DIRECT
    else:
        h = chain_block(c, word)
        if h[0] & CHAIN_IDX == 0:               # the head is full
            block = chain_take(s, c)
            h = chain_block(c, block)
            h[0] = (word << CHAIN_IDX_BITS) | (c.n - 1)
            h[c.n] = slot
            f.rmap = block
        else:
            h[h[0] & CHAIN_IDX] = slot          # slot idx - 1 is word idx
            h[0] -= 1


cdef inline void chain_fill(State* s, ChainPool* c, Frame* f, uint32_t* hole) noexcept nogil:
    """Takes one entry out: the victim moves into its place (they may be the same); an emptied head is freed."""
    cdef uint32_t head = f.rmap
    cdef uint32_t* h = chain_block(c, head)
    cdef uint32_t idx = h[0] & CHAIN_IDX
    hole[0] = h[1 + idx]
    h[1 + idx] = 0
    if idx + 1 == c.n:
        f.rmap = h[0] >> CHAIN_IDX_BITS
        chain_give(s, c, head)
    else:
        h[0] += 1


cdef inline void chain_remove(State* s, ChainPool* c, pfn_t pfn, slot_t slot) noexcept nogil:
    """page_remove_rmap: searches from the head. An entry that is not there is ignored, as in the kernel: check()
    finds it. A chain left with one entry stays a chain. Counts one lock_chain."""
    cdef Frame* f = &s.frame[pfn]
    cdef uint32_t block = f.rmap
    cdef uint32_t* p
    cdef uint32_t i
    tally(s, C_LOCK_CHAIN, 1)
    if f.flags & PG_DIRECT:
        if block == slot:
            f.rmap = 0
            f.flags &= ~<uint32_t> PG_DIRECT
        return
    while block:
        p = chain_block(c, block)
        block = p[0] >> CHAIN_IDX_BITS
        fetch_ahead(chain_block(c, block))
        for i in range(1 + (p[0] & CHAIN_IDX), c.n + 1):
            if p[i] == slot:
                chain_fill(s, c, f, &p[i])
                return


cdef inline void chain_add_range(State* s, ChainPool* c, slot_t slot, uint32_t n, uint32_t kind) noexcept nogil:
    """Adds the present entries among slot..slot + n - 1 whose frames are of this kind."""
    cdef uint32_t i
    cdef uint64_t entry
    for i in range(n):
        entry = pte_get(s, slot + i)
        if pte_present(entry) and chain_ours(s, pte_pfn(s, entry), kind):
            chain_add(s, c, pte_pfn(s, entry), slot + i)


cdef inline void chain_remove_range(State* s, ChainPool* c, slot_t slot, uint32_t n, uint32_t kind) noexcept nogil:
    """Removes them; the entries must still be in place."""
    cdef uint32_t i
    cdef uint64_t entry
    for i in range(n):
        entry = pte_get(s, slot + i)
        if pte_present(entry) and chain_ours(s, pte_pfn(s, entry), kind):
            chain_remove(s, c, pte_pfn(s, entry), slot + i)


cdef inline slot_t chain_next(ChainPool* c, uint32_t* block, uint32_t* at, uint32_t* next) noexcept nogil:
    """One step of a walk: the entry behind slot *at of *block, entering *next when the block is done; 0 at the end.

    A walk begins with *block = 0, *at = NRPTE - 1, *next = the head. *next is read on entering a block, because
    chain_fill may free that block while the walk stands on its last slot. Victims come from behind the walk or are
    the entry it stands on, never from before it: no entry is missed or met twice.
    """
    cdef uint32_t* p
    at[0] += 1
    if at[0] < c.n:
        return chain_block(c, block[0])[1 + at[0]]
    if next[0] == 0:
        return 0
    block[0] = next[0]
    p = chain_block(c, block[0])
    at[0] = p[0] & CHAIN_IDX                    # 0 in all but the head
    next[0] = p[0] >> CHAIN_IDX_BITS
    fetch_ahead(chain_block(c, next[0]))
    return p[1 + at[0]]


cdef inline void chain_unmapped(State* s, ChainPool* c, pfn_t pfn, uint32_t block, uint32_t at) noexcept nogil:
    """try_to_unmap succeeded for the entry a walk stands on: (block, at), or block 0 for a direct one."""
    cdef Frame* f = &s.frame[pfn]
    if block:
        chain_fill(s, c, f, chain_block(c, block) + 1 + at)
    else:
        f.rmap = 0
        f.flags &= ~<uint32_t> PG_DIRECT


cdef inline void chain_collapse(State* s, ChainPool* c, pfn_t pfn) noexcept nogil:
    """A chain of one entry becomes direct; any other stays."""
    cdef Frame* f = &s.frame[pfn]
    cdef uint32_t head = f.rmap
    cdef uint32_t* h
    if head == 0 or f.flags & PG_DIRECT:
        return
    h = chain_block(c, head)
    if h[0] != c.n - 1:                         # a next block, or more than the last slot
        return
    f.rmap = h[c.n]
    f.flags |= PG_DIRECT
    h[c.n] = 0
    chain_give(s, c, head)
