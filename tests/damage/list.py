"""What list keeps of frames in nonlinear areas; its lists have a test file of their own (test_list.py)."""
import numpy as np

from damage import DIRECT, DISK, ODD, PAGE, case


@case("W1", "rmap_chain")
def chained_frame_without_its_chain(p):
    """It looks like one that has linear entries only."""
    pfn = p.pfn(ODD + 4 * PAGE)
    assert p.frames["flags"][pfn] & DIRECT
    p.frames["rmap"][pfn] = 0
    p.frames["flags"][pfn] &= np.uint32(~DIRECT & 0xFFFFFFFF)


@case("PC3", "rmap_chain")
def chained_frame_with_an_entry_of_another(p):
    pfn, block = p.pfn(ODD + 2 * PAGE), int(p.frames["rmap"][p.pfn(ODD + 2 * PAGE)])
    assert not p.frames["flags"][pfn] & DIRECT
    p.pte_chain[8 * block + 7] = p.slot(DISK)            # in no chain, and never was


@case("FL3", "rmap_chain")
def nonlinear_areas_forgotten(p):
    """Found by changing saved machines at random: what is loaded then would keep no chains."""
    p.list_nonlinear[0] = 0
