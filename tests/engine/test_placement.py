"""Where mmap without an address finds room under 6.18 (rules QD5 to QD5b), as the live kernel does; machine and twin."""
import errno

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


GIB = 1 << 30
LOW, LOW_FILE = 0x62, 0x42


def no_room(process, *arguments):
    with pytest.raises(OSError) as caught:
        process.mmap(*arguments)
    assert caught.value.errno == errno.ENOMEM


def test_32_bits_find_room_from_one_to_two_gib_from_below(machine):
    """Rule QD5b, all of it measured on Linux 6.18.44 without address space randomization."""
    process = machine.spawn()
    file = machine.file("f", 16 * MIB)
    assert process.mmap(0, PAGE, RW, LOW) == GIB
    assert process.mmap(0, PAGE, RW, LOW) == GIB + PAGE
    assert process.mmap(0, HUGE, RW, LOW) == GIB + HUGE
    assert process.mmap(0, 2 * HUGE, RW, LOW) == GIB + 3 * HUGE
    assert process.mmap(0, 3 * PAGE, RW, LOW) == GIB + 2 * PAGE
    assert process.mmap(0, 2 * HUGE, RW, LOW_FILE, file) == GIB + 6 * HUGE
    assert process.mmap(0, 2 * HUGE, RW, LOW_FILE, file, PAGE) == GIB + 8 * HUGE + PAGE
    assert process.mremap(GIB, PAGE, 2 * PAGE, MAYMOVE) > 2 * GIB
    machine.check()


def test_hints_of_32_bits_end_at_two_gib(machine):
    process = machine.spawn()
    assert process.mmap(0x50000123, PAGE, RW, LOW) == 0x50000000
    assert process.mmap(0x20000000, PAGE, RW, LOW) == 0x20000000
    for hint in (0x300000000000, 2 * GIB - PAGE, 0x50000000):
        assert GIB <= process.mmap(hint, 2 * PAGE, RW, LOW) < GIB + 16 * PAGE
    assert process.mmap(0x200000000000, PAGE, RW, LOW | 0x10) == 0x200000000000
    assert process.mmap(0x200000001000, PAGE, RW, LOW | 0x100000) == 0x200000001000
    machine.check()


def test_one_gib_of_32_bits_is_all_there_is(machine):
    process = machine.spawn()
    for growing, less in ((2 * GIB, 256), (2 * GIB + 16 * PAGE, 240), (2 * GIB + 256 * PAGE, 0)):
        process.mmap(growing, PAGE, RW, FIXED_GROWING)
        if less:
            no_room(process, 0, GIB - (less - 1) * PAGE, RW, LOW)
        assert process.mmap(0, GIB - less * PAGE, RW, LOW) == GIB
        process.munmap(GIB, GIB)
        process.munmap(growing, PAGE)
    process.mmap(0, GIB, RW, LOW)
    no_room(process, 0, PAGE, RW, LOW)
    assert process.mmap(0, PAGE, RW, PRIVATE) > 2 * GIB
    machine.check()


def test_32_bits_pass_by_what_grows(machine):
    process = machine.spawn()
    process.mmap(GIB + 64 * PAGE, 16 * PAGE, RW, FIXED_GROWING)
    assert process.mmap(0, 16 * PAGE, RW, LOW) == GIB + 80 * PAGE
    machine.check()


def test_a_hint_below_64_kib_stands_for_64_kib(machine):
    assert machine.spawn().mmap(PAGE, PAGE, RW, PRIVATE) == 64 << 10


@pytest.mark.parametrize("make", [rmapcore.Machine, reference.Machine], ids=["machine", "twin"])
def test_32_bits_elsewhere(make):
    process = make("anon_vma", ram=64 * PAGE, swap=64 * PAGE).spawn()
    assert process.mmap(0, GIB, RW, LOW) == GIB
    assert process.mmap(GIB // 2, PAGE, RW, LOW) == GIB // 2
    no_room(process, 0x300000000000, PAGE, RW, LOW)
    for kernel in ("2.6.7", "6.18"):
        process = make("anon_vma", kernel=kernel, arch="i386", ram=64 * PAGE, swap=64 * PAGE).spawn()
        assert process.mmap(0, PAGE, RW, LOW) == process.mmap(0, PAGE, RW, PRIVATE) + (PAGE if kernel == "6.18" else -PAGE)
