"""Where mmap without an address finds room under 6.18 (rule QD5), as the live kernel does; the machine and its twin."""
import pytest

import reference
import rmapcore

PAGE = 4096
RW = 3
PRIVATE, FIXED_GROWING = 0x22, 0x132
MAYMOVE_DONTUNMAP = 5
GAP = 256


@pytest.fixture(params=[rmapcore.Machine, reference.Machine], ids=["machine", "twin"])
def machine(request):
    return request.param("anon_vma_chain", kernel="6.18", ram=2048 * PAGE, swap=2048 * PAGE)


def test_a_hole_that_is_too_small_keeps_no_distance_from_a_stack(machine):
    """Measured on Linux 6.18.44: a growing area of one page lies in a hole of two; three pages go below what has the hole."""
    process = machine.spawn()
    top = process.mmap(0, 12 * PAGE, RW, PRIVATE)
    stack = 0x80400000
    process.mmap(stack, PAGE, RW, FIXED_GROWING)
    process.munmap(top + 2 * PAGE, 2 * PAGE)
    assert process.mremap(stack, PAGE, PAGE, MAYMOVE_DONTUNMAP, 0) == top + 3 * PAGE
    assert process.mmap(0, 3 * PAGE, RW, PRIVATE) == top - 3 * PAGE
    machine.check()


def test_a_hole_that_is_tried_keeps_its_distance(machine):
    process = machine.spawn()
    top = process.mmap(0, PAGE, RW, PRIVATE)
    stack = process.mmap(top - 300 * PAGE, PAGE, RW, FIXED_GROWING)
    assert process.mmap(0, 400 * PAGE, RW, PRIVATE) == stack - (GAP + 400) * PAGE
    machine.check()
    assert process.mmap(0, 10 * PAGE, RW, PRIVATE) == top - 10 * PAGE
    assert process.mmap(0, 10 * PAGE, RW, PRIVATE) == top - 20 * PAGE
    machine.check()


def test_below_a_stack_at_the_top_there_is_room_after_its_distance(machine):
    process = machine.spawn()
    top = process.mmap(0, PAGE, RW, PRIVATE)
    process.munmap(top, PAGE)
    stack = process.mmap(top, PAGE, RW, FIXED_GROWING)
    process.mmap(stack - 260 * PAGE, PAGE, RW, 0x32)
    assert process.mmap(0, 3 * PAGE, RW, PRIVATE) == stack - 259 * PAGE
    assert process.mmap(0, 3 * PAGE, RW, PRIVATE) == stack - 263 * PAGE
    machine.check()
