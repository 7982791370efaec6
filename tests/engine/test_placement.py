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


MIB = 1 << 20
HUGE = 2 * MIB
MAYMOVE, FILE, SHARED_ANONYMOUS = 1, 2, 0x21


def test_whole_huge_pages_begin_at_one(machine):
    """Rule QD5a, all of it measured on Linux 6.18.44, whatever sysfs says of huge pages."""
    process = machine.spawn()
    low = process.mmap(0, PAGE, RW, PRIVATE)
    for length, flags in ((HUGE + PAGE, PRIVATE), (MIB, PRIVATE), (2 * HUGE, SHARED_ANONYMOUS)):
        at = process.mmap(0, length, RW, flags)
        assert at + length == low
        low = at
    for length in (HUGE, 2 * HUGE):
        at = process.mmap(0, length, RW, PRIVATE)
        assert at % HUGE == 0 and low - HUGE < at + length <= low
        low = at
    machine.check()


def test_huge_pages_of_a_file_follow_its_offset(machine):
    process = machine.spawn()
    file = machine.file("f", 32 * MIB)
    process.mmap(0, PAGE, RW, PRIVATE)
    assert process.mmap(0, 2 * HUGE, RW, FILE, file, PAGE) % HUGE == PAGE
    low = process.mmap(0, 2 * HUGE + PAGE, RW, FILE, file, 2 * PAGE)
    assert low % HUGE == 2 * PAGE
    assert process.mmap(0, HUGE, RW, FILE, file, PAGE) == low - HUGE
    machine.check()


def test_a_move_goes_where_a_mapping_would(machine):
    process = machine.spawn()
    one = process.mmap(0, HUGE + PAGE, RW, PRIVATE)
    process.mmap(one + HUGE + PAGE, PAGE, RW, PRIVATE | 0x10)
    assert process.mremap(one, HUGE + PAGE, 2 * HUGE, MAYMOVE) % HUGE == 0
    machine.check()


def test_what_has_a_hint_or_32_bits_goes_anywhere():
    for make in (rmapcore.Machine, reference.Machine):
        machine = make("anon_vma_chain", kernel="6.18", arch="i386", ram=64 * PAGE, swap=64 * PAGE)
        process = machine.spawn()
        low = process.mmap(0, PAGE, RW, PRIVATE)
        assert process.mmap(0, HUGE, RW, PRIVATE) == low - HUGE
        machine = make("anon_vma_chain", kernel="6.18", ram=64 * PAGE, swap=64 * PAGE)
        assert machine.spawn().mmap(0x40001000, HUGE, RW, PRIVATE) == 0x40001000
