"""What pte_chain keeps."""
import numpy as np

from damage import DIRECT, DISK, SWAPCACHE, case

BLOCK = 8                                                # words of a chain block on x86_64: next and idx, 7 entries


def chain_head(p, pfn=None):
    """Words of the first block of a chain with two entries: a view."""
    pfn = p.anonymous() if pfn is None else pfn
    assert not p.frames["flags"][pfn] & DIRECT
    block = int(p.frames["rmap"][pfn])
    return p.pte_chain[block * BLOCK:(block + 1) * BLOCK]


@case("PC1", "pte_chain")
def free_slot_behind_the_head(p):
    head = chain_head(p)
    spare = int(p.pools["bump"][p.core.arenas["pte_chain"].pool])
    p.pools["bump"][p.core.arenas["pte_chain"].pool] += 1
    p.pte_chain[spare * BLOCK:(spare + 1) * BLOCK] = (2, 0, 0, *head[3:])
    head[0] |= np.uint32(spare << 5)


@case("PC2", "pte_chain")
def head_with_another_idx(p):
    chain_head(p)[0] += np.uint32(1)


@case("PC3", "pte_chain")
def stored_entry_of_another_frame(p):
    chain_head(p)[7] = p.slot(DISK)


@case("PC4", "pte_chain")
def chain_without_an_entry(p):
    head = chain_head(p)
    idx = int(head[0]) & 31
    head[1 + idx] = 0
    head[0] += np.uint32(1)


@case("PC5", "pte_chain")
def word_of_an_unmapped_frame(p):
    p.frames["rmap"][p.frame(has=SWAPCACHE, mapcount=0)] = 1


@case("PC6", "pte_chain")
def entry_stored_twice(p):
    head = chain_head(p)
    head[6] = head[7]


@case("PC7", "pte_chain")
def used_slot_in_a_free_block(p):
    pool = p.core.arenas["pte_chain"].pool
    p.pte_chain[int(p.pools["free"][pool]) * BLOCK + 3] = 7


@case("PC7", "pte_chain")
def lost_block(p):
    pool = p.core.arenas["pte_chain"].pool
    p.pools["free"][pool] = p.pools["bump"][pool]
