"""Huge pages in recordings: one fault, 512 small pages."""
import pytest

from recordings import MIB, PAGE, operations, started

HUGE = 2 * MIB
FIRST = 0x7F0000000000                 # of three blocks; the area begins a page below
HUGEPAGE, DONTNEED = 14, 4
WRITE, READ, READ_ONLY = 6, 4, 7


def asked():
    recording = started().mmap(100, FIRST - PAGE, 3 * HUGE + PAGE)
    return recording.call(100, "madvise", start=FIRST - PAGE, len_in=3 * HUGE + PAGE, behavior=HUGEPAGE)


def touched(load, recording):
    """(operation, process, block) of what huge pages brought."""
    return [(name, process, (addr - FIRST) // HUGE)
            for name, process, addr, length in operations(load(recording), "addr", "length") if length == HUGE]


def test_a_huge_page_comes_with_the_first_fault_of_its_block(load):
    recording = asked().fault(100, FIRST - PAGE, WRITE).fault(100, FIRST + 5 * PAGE, WRITE).fault(100, FIRST + HUGE + 7, READ)
    recording.fault(100, FIRST + HUGE + 9 * PAGE, READ_ONLY).fault(100, FIRST + 3 * HUGE, WRITE)
    assert touched(load, recording) == [("WRITE", 100, 0), ("READ", 100, 1)]
    assert [name for name, *_ in operations(load(recording))[3:]] == [
        "FAULT", "FAULT", "WRITE", "FAULT", "READ", "FAULT", "FAULT"
    ]


def test_another_fault_without_a_page_says_that_there_was_no_huge_one(load):
    recording = asked().fault(100, FIRST, WRITE).fault(100, FIRST + HUGE, WRITE).fault(100, FIRST + PAGE, WRITE)
    assert touched(load, recording) == [("WRITE", 100, 1)]
    recording.enter(100, "fork").fork(100, 101).leave(100, "fork", 101)
    recording.fault(101, FIRST + HUGE + PAGE, WRITE).fault(101, FIRST + 2 * HUGE, WRITE)
    assert touched(load, recording) == [("WRITE", 101, 2)]


@pytest.mark.parametrize(("name", "arguments", "again"), [
    ("madvise", {"start": FIRST, "len_in": HUGE, "behavior": DONTNEED}, True),
    ("munmap", {"addr": FIRST, "len": HUGE}, False),
    ("munmap", {"addr": FIRST - PAGE, "len": PAGE}, None),
])
def test_a_block_that_was_emptied(load, name, arguments, again):
    recording = asked().fault(100, FIRST, WRITE).fault(100, FIRST + HUGE, WRITE).call(100, name, **arguments)
    recording.fault(100, FIRST + PAGE, WRITE)
    first = [] if again is None else [("WRITE", 100, 0)]
    calls = [("MADVISE" if name == "madvise" else "MUNMAP", 100, 0)] * (again is not None)
    assert touched(load, recording) == [*first, ("WRITE", 100, 1), *calls, *[("WRITE", 100, 0)] * bool(again)]
