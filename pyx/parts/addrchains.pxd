"""rmap_chain: user addresses of a frame beside its natural one [docs/facts/rmap-chain.md].

A frame is found at one address by its index; where it is mapped elsewhere (moved while shared, swapped in at another
place, remapped in a file) the address goes to its chain. Addresses, not entries: fork leaves them as they are.

   head[pfn] -> | next, 6 addresses | -> | next, 7 addresses | -> ...       a page's first block has the count in slot 0

Blocks are filled from the front, addresses are never taken out one by one: all go when the frame is unmapped. Addresses
that no longer hold anything stay until then. Frames of the page cache and anonymous frames have chains of the same kind.

Costs: add O(addresses of the frame), walk one candidate an address for each address space; 32 or 64 bytes a block.
"""
from libc.stdint cimport uint32_t, uint64_t

from rmapcore.pyx.base.ids cimport pfn_t, vpn_t
from rmapcore.pyx.base.pool cimport pool_give, pool_take
from rmapcore.pyx.base.state cimport State

cdef enum:
    ADDRESSES = 7             # slots of a block
    FIRST_SLOT = 1            # of a frame's first block: slot 0 is the kernel's count
    ADDRESS_LINK = 56         # offset of `next`, asserted in addrchains.pyx

cdef struct AddressBlock:     # 64 bytes
    uint64_t[7] vpn
    uint32_t next             # 0: the last; free list
    uint32_t used             # slots in use, from the front, slot 0 of a first block included

cdef struct AddressPool:      # what kernels need of an AddressChains
    AddressBlock* block
    uint32_t* head            # by frame: its first block, 0 none
    int pool

cdef class AddressChains:
    """The chains of one machine; made on demand by AddressChains.of, shared by all who ask."""
    cdef AddressPool c
    cdef readonly int bytes   # kernel bytes of a block

    cdef list violations(self, State* s)


cdef inline bint addresses_hold(AddressPool* c, pfn_t pfn, vpn_t vpn) noexcept nogil:
    """Is the page among the frame's addresses?"""
    cdef uint32_t b = c.head[pfn]
    cdef uint32_t i = FIRST_SLOT
    while b:
        while i < c.block[b].used:
            if c.block[b].vpn[i] == vpn:
                return True
            i += 1
        b = c.block[b].next
        i = 0
    return False


cdef inline void addresses_add(State* s, AddressPool* c, pfn_t pfn, vpn_t vpn) noexcept nogil:
    """add_rmap_address: once, in the first free slot, in a new block at the tail if there is none."""
    cdef uint32_t b = c.head[pfn]
    cdef uint32_t last = 0
    cdef uint32_t fresh
    if addresses_hold(c, pfn, vpn):
        return
    while b:
        last = b
        b = c.block[b].next
    if last and c.block[last].used < ADDRESSES:
        c.block[last].vpn[c.block[last].used] = vpn
        c.block[last].used += 1
        return
    fresh = pool_take(s, c.pool, c.block, sizeof(AddressBlock), ADDRESS_LINK)
    c.block[fresh].next = 0
    c.block[fresh].used = 0 if last else FIRST_SLOT
    c.block[fresh].vpn[c.block[fresh].used] = vpn
    c.block[fresh].used += 1
    if last:
        c.block[last].next = fresh
    else:
        c.head[pfn] = fresh


cdef inline void addresses_drop(State* s, AddressPool* c, pfn_t pfn) noexcept nogil:
    """The frame is unmapped: its chain goes."""
    cdef uint32_t b = c.head[pfn]
    cdef uint32_t next
    c.head[pfn] = 0
    while b:
        next = c.block[b].next
        pool_give(s, c.pool, c.block, sizeof(AddressBlock), ADDRESS_LINK, b)
        b = next


cdef inline bint addresses_next(AddressPool* c, pfn_t pfn, uint32_t* block, uint32_t* at, vpn_t* vpn,
                                uint64_t* entered) noexcept nogil:
    """One step through a frame's addresses, from *block = 0; False: no more. *entered counts blocks."""
    cdef uint32_t b = block[0]
    if b == 0:
        b = c.head[pfn]
        at[0] = FIRST_SLOT
    elif at[0] < c.block[b].used:
        vpn[0] = c.block[b].vpn[at[0]]
        at[0] += 1
        return True
    else:
        b = c.block[b].next
        at[0] = 0
    if b == 0:
        return False
    entered[0] += 1
    block[0] = b
    vpn[0] = c.block[b].vpn[at[0]]
    at[0] += 1
    return True
