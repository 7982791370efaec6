"""What rmap_chain keeps."""
import numpy as np

from damage import LRU, case


def chained(p):
    """A frame with a chain of two blocks, and these."""
    pfn = int(np.flatnonzero(p.rmap_chain_heads)[0])
    first = int(p.rmap_chain_heads[pfn])
    second = int(p.rmap_chains["next"][first])
    assert second and p.rmap_chains["next"][second] == 0
    return pfn, first, second


@case("RC1", "rmap_chain")
def chain_of_an_unmapped_frame(p):
    pfn, _, _ = chained(p)
    other = next(pfn for pfn in range(1, int(p.pools["bump"][0])) if p.frames["flags"][pfn] & LRU
                 and p.frames["mapcount"][pfn] == 0)
    p.rmap_chain_heads[other] = p.rmap_chain_heads[pfn]


@case("RC1", "rmap_chain")
def block_of_two_frames(p):
    one, other = np.flatnonzero(p.rmap_chain_heads)[:2]
    p.rmap_chain_heads[other] = p.rmap_chain_heads[one]


@case("RC1", "rmap_chain")
def lost_block(p):
    _, first, second = chained(p)
    address = p.rmap_chains["vpn"][second][0]
    p.rmap_chains["next"][first] = 0
    p.rmap_chains["vpn"][first][1] = address             # the one that holds a mapping must be found


def lengthened(p, block):
    """The chain goes on with another block."""
    _, _, second = chained(p)
    p.rmap_chains["used"][second] = 7
    p.rmap_chains["vpn"][second][1:] = np.arange(1, 7)
    p.rmap_chains["next"][second] = block


@case("RC1", "rmap_chain")
def block_beyond_the_arena(p):
    lengthened(p, 1 << 20)


@case("RC1", "rmap_chain")
def block_that_was_never_used(p):
    lengthened(p, p.unused("rmap_chains"))


@case("RC2", "rmap_chain")
def free_slot_before_the_last_block(p):
    _, first, _ = chained(p)
    p.rmap_chains["used"][first] -= 1


@case("RC2", "rmap_chain")
def block_without_an_address(p):
    _, _, second = chained(p)
    p.rmap_chains["used"][second] = 0


@case("RC3", "rmap_chain")
def address_twice(p):
    _, first, _ = chained(p)
    p.rmap_chains["vpn"][first][1] = p.rmap_chains["vpn"][first][2]
