"""Where mmap without an address finds room under 2.6.7 (rule D8): it goes on where its last search ended. The machine and
its twin."""
import numpy as np
import pytest

import reference
import rmapcore

PAGE = 4096
R, RW, RX = 1, 3, 5
PRIVATE, FIXED = 0x22, 0x32
MAYMOVE, MAYMOVE_FIXED = 1, 3
BASES = {"i386": 0x40000000, "x86_64": 0x2AAAAAAAB000}
ENDS = {"i386": 0xC0000000, "x86_64": (1 << 47) - PAGE}


@pytest.fixture(params=[rmapcore.Machine, reference.Machine], ids=["machine", "twin"])
def make(request):
    return request.param


@pytest.fixture(params=["i386", "x86_64"])
def arch(request):
    return request.param


@pytest.fixture
def machine(make, arch):
    return make("anon_vma", kernel="2.6.7", arch=arch, ram=64 * PAGE, swap=64 * PAGE)


@pytest.fixture
def process(machine):
    return machine.spawn()


@pytest.fixture
def place(machine, process, arch):
    """place(pages, prot): where a mapping of that many pages goes, in pages from the base."""
    def place(pages, prot=RW, process=process):
        at = process.mmap(0, pages * PAGE, prot, PRIVATE)
        machine.check()
        return (at - BASES[arch]) // PAGE

    return place


def test_a_hole_that_was_too_small_is_passed_by_the_next(process, place, arch):
    """The fragmentation that was reported in May 2005 and mended in 2.6.12."""
    assert (place(1, R), place(1, RW)) == (0, 1)
    process.munmap(BASES[arch], PAGE)
    assert place(2, RX) == 2
    assert place(1, R) == 4
    assert place(3, RW) == 5
    process.munmap(BASES[arch] + PAGE, PAGE)
    assert place(1, R) == 1                    # not 0: what is below was not unmapped since


def test_a_child_and_a_new_program_begin_at_the_base(process, place, arch):
    assert (place(1, R), place(1, RW), place(1, R)) == (0, 1, 2)
    process.munmap(BASES[arch], PAGE)
    assert place(2, RX) == 3
    child = process.fork()
    assert place(1, R, child) == 0             # the parent would go on at page 5
    assert place(1, R) == 5
    process.execve()
    assert place(1) == 0


def test_what_a_merge_swallows_was_not_unmapped(process, place, arch):
    assert (place(1, RX), place(1, R), place(2, RW)) == (0, 1, 2)
    process.munmap(BASES[arch], PAGE)
    assert place(2, R) == 4
    process.mprotect(BASES[arch] + PAGE, PAGE, RW)               # one area [1, 4)
    assert len(process.maps()) == 2
    assert place(1) == 6


def test_hints_fixed_places_and_the_heap_leave_it_where_it_is(process, place, arch):
    assert place(2) == 0
    process.mmap(BASES[arch] + 40 * PAGE, PAGE, RW, PRIVATE)
    process.mmap(BASES[arch] + 60 * PAGE, PAGE, RW, FIXED)
    process.brk(process.brk(0) + PAGE)
    assert place(3, R) == 2
    process.mmap(BASES[arch] + PAGE, PAGE, RX, FIXED)            # unmaps one page of an area below
    assert place(1, R) == 5
    process.munmap(BASES[arch] + 40 * PAGE, PAGE)                # above: means nothing
    assert place(1, R) == 6


def test_what_a_fixed_mapping_unmaps_brings_the_search_back(process, place, arch):
    assert (place(4), place(1, R)) == (0, 4)
    process.mmap(BASES[arch], 3 * PAGE, RX, FIXED)
    process.munmap(BASES[arch] + PAGE, PAGE)
    assert place(2, R) == 5
    process.mmap(BASES[arch] + 2 * PAGE, PAGE, RX, FIXED)        # in the place of an area: the search passes page 1 still
    assert place(1, R) == 7


def test_below_the_base_nothing_matters(process, place, arch):
    low = BASES[arch] - 8 * PAGE
    process.mmap(low, PAGE, RW, FIXED)
    assert place(1, R) == 0
    process.munmap(low, PAGE)
    assert place(1, R) == 1


def test_at_the_end_the_search_begins_anew_at_the_base(process, place, arch):
    rest = (ENDS[arch] - BASES[arch]) // PAGE
    assert (place(1, R), place(3), place(1, R)) == (0, 1, 4)
    process.munmap(BASES[arch] + PAGE, 3 * PAGE)
    assert place(rest - 7) == 5                # two pages are left at the end
    assert place(3, RX) == 1
    with pytest.raises(OSError):
        process.mmap(0, 3 * PAGE, R, PRIVATE)  # found nothing: the search stays where it was
    assert place(2, R) == rest - 2


def test_moves_search_and_give_back(process, place, arch):
    assert (place(2), place(1, R), place(2)) == (0, 2, 3)
    base = BASES[arch]
    at = process.mremap(base, 2 * PAGE, 4 * PAGE, MAYMOVE)
    assert (at - base) // PAGE == 5
    assert place(1, R) == 0                    # what was moved away was unmapped
    process.mremap(at, 4 * PAGE, 2 * PAGE, MAYMOVE)
    assert place(1, RX) == 1
    process.mremap(base + 3 * PAGE, 2 * PAGE, 2 * PAGE, MAYMOVE_FIXED, base + 40 * PAGE)
    assert place(3, RX) == 7
    assert place(1, R) == 10


def test_what_an_older_machine_remembers_is_taken_for_the_place_to_go_on_from(tmp_path):
    """Before, hole_vpn was where a search for hole_pages had found room, and nothing lower did."""
    machine = rmapcore.Machine("anon_vma", ram=64 * PAGE, swap=0)
    process = machine.spawn()
    at = process.mmap(0, 3 * PAGE)
    process.mmap(0, PAGE, R)
    process.munmap(at, 3 * PAGE)
    path = tmp_path / "machine.npz"
    machine.save(path)
    with np.load(path) as arrays:
        kept = dict(arrays)
    mms = kept["mms"]
    mms["hole_vpn"][1], mms["hole_pages"][1] = at // PAGE + 3, 7
    np.savez(path, **kept)
    loaded = rmapcore.Machine.load(path)
    loaded.check()
    process = next(iter(loaded.processes.values()))
    assert process.mmap(0, PAGE, RX) == at + 4 * PAGE
    loaded.check()
