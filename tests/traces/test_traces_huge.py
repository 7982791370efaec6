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
    assert touched(load, recording) == [("WRITE", 100, 0), ("READ", 100, 1), ("WRITE", 100, 1)]
    assert [name for name, *_ in operations(load(recording))[3:]] == [
        "FAULT", "FAULT", "WRITE", "FAULT", "READ", "FAULT", "WRITE", "FAULT"
    ]


def test_another_fault_without_a_page_says_that_there_was_no_huge_one(load):
    recording = asked().fault(100, FIRST, WRITE).fault(100, FIRST + HUGE, WRITE).fault(100, FIRST + PAGE, WRITE)
    assert touched(load, recording) == [("WRITE", 100, 1)]
    recording.enter(100, "fork").fork(100, 101).leave(100, "fork", 101)
    recording.fault(101, FIRST + HUGE + PAGE, WRITE).fault(101, FIRST + 2 * HUGE, WRITE)
    assert touched(load, recording) == [("WRITE", 101, 2)]


def test_the_first_write_to_a_huge_page_of_zeros_brings_one(load):
    """Measured: AnonHugePages of /proc/self/smaps is 0 after the read and 2048 kB after the write."""
    recording = asked().fault(100, FIRST, READ).fault(100, FIRST + PAGE, READ_ONLY).fault(100, FIRST + 2 * PAGE, READ_ONLY)
    assert touched(load, recording) == [("READ", 100, 0), ("WRITE", 100, 0)]
    recording = asked().fault(100, FIRST, READ).enter(100, "fork").fork(100, 101).leave(100, "fork", 101)
    recording.fault(101, FIRST + PAGE, READ_ONLY).fault(100, FIRST + PAGE, READ_ONLY)
    assert touched(load, recording) == [("READ", 100, 0), ("WRITE", 101, 0), ("WRITE", 100, 0)]
    recording = asked().fault(100, FIRST, READ).fault(100, FIRST, READ_ONLY).fault(100, FIRST + PAGE, WRITE)
    assert touched(load, recording) == []


def threads():
    return asked().enter(100, "clone3", uargs=1, size=88).fork(100, (100, 101)).leave(100, "clone3", 101)


@pytest.mark.parametrize(("second", "wait", "third", "huge"), [
    ((100, 101), 0, None, True),                       # while the kernel still cleared the huge page
    ((100, 101), 0.03, (100, 102), True),
    ((100, 101), 0, (100, 101), False),                # that it has faulted before is over
    ((100, 101), 0, 100, False),
    ((100, 101), 0.5, None, False),
    (100, 0, None, False),
])
def test_threads_that_fault_at_once_in_a_block(load, second, wait, third, huge):
    """java -XX:+UseTransparentHugePages: two threads, up to 28 ms apart where others had the processors meanwhile."""
    recording = threads().fault((100, 103), FIRST + 2 * HUGE, WRITE).fault(100, FIRST, WRITE)
    recording.time += wait
    recording.fault(second, FIRST + PAGE, WRITE)
    if third:
        recording.fault(third, FIRST + 2 * PAGE, WRITE)
    recording.fault(100, FIRST + HUGE, WRITE)
    trace = load(recording)
    assert touched(load, recording) == [("WRITE", 100, 2)] + [("WRITE", 100, 0)] * huge + [("WRITE", 100, 1)]
    n_faults = 2 + (third is not None)
    assert [name for name, *_ in operations(trace)][5:] == ["FAULT"] * n_faults + ["WRITE"] * huge + ["FAULT", "WRITE"]


@pytest.mark.parametrize("who", [100, (100, 101)])
def test_a_thread_that_faults_elsewhere_is_done_with_its_block(load, who):
    recording = threads().fault(100, FIRST, WRITE).fault((100, 101), FIRST + PAGE, WRITE).fault(who, FIRST - PAGE, WRITE)
    recording.fault((100, 102), FIRST + 2 * PAGE, WRITE)
    assert touched(load, recording) == []


def test_a_huge_page_of_which_a_part_is_given_back_is_split(load):
    recording = asked().fault(100, FIRST, WRITE)
    for start, length in ((FIRST + PAGE, PAGE), (FIRST + HUGE - PAGE, HUGE + PAGE), (FIRST + HUGE, HUGE)):
        recording.call(100, "madvise", start=start, len_in=length, behavior=DONTNEED)
    recording.fault(100, FIRST + PAGE, WRITE).fault(100, FIRST + HUGE, WRITE)
    assert [name for name, _, _ in touched(load, recording)] == ["WRITE", "MADVISE", "WRITE"]
    assert touched(load, recording)[2] == ("WRITE", 100, 1)


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


@pytest.mark.parametrize(("start", "length", "whole"), [
    (FIRST, HUGE, [("WRITE", FIRST, HUGE)]), (FIRST - PAGE, 2 * HUGE + 2 * PAGE, [("WRITE", FIRST, 2 * HUGE)]),
    (FIRST + PAGE, HUGE, [])])
def test_collapsed_blocks_are_full(load, start, length, whole):
    """madvise(MADV_COLLAPSE) fills what lacked, and copies what others have too."""
    recording = started().mmap(100, FIRST - PAGE, 3 * HUGE).fault(100, FIRST, WRITE)
    trace = load(recording.call(100, "madvise", start=start, len_in=length, behavior=25))
    assert [(name, addr, length) for name, _, addr, length in operations(trace, "addr", "length")[3:]] == whole
    assert trace.summary["left_out"] == ({} if whole else {"madvise MADV_COLLAPSE": 1})
