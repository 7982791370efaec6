"""How many areas each call of 2.6.7 allows (rule D7a), and what it leaves done (rules E3-E6, E9). The machine has its real
65,536 areas, the twin twelve."""
import errno

import numpy as np
import pytest

import reference
import rmapcore
from rmapcore.operations import OPERATION, Op

PAGE = 4096
R, RW, RX = 1, 3, 5
PRIVATE, FIXED, GROWSDOWN = 0x22, 0x32, 0x100
MAYMOVE, MAYMOVE_FIXED = 1, 3
LOCKED, ACCOUNT = 0x2000, 0x100000
MANY = 0x10000000                              # most of the areas
SIDE = 0x80000000                              # those that the tests are about, every one 4 pages
AWAY = 0xA0000000


def make_machine():
    """65,526 areas, so that ten are missing to the limit."""
    machine = rmapcore.Machine("anon_vma", arch="i386", ram="8MiB", swap=0, track_contents=False)
    process = machine.spawn()
    n = 65526
    process.mmap(MANY, n * PAGE, RW, FIXED)
    cuts = np.zeros(n // 2, OPERATION)
    cuts["op"], cuts["process"], cuts["length"], cuts["prot"] = Op.MPROTECT, process.pid, PAGE, R
    cuts["addr"] = MANY + (2 * np.arange(n // 2) + 1) * PAGE
    run = rmapcore.machine.replay.Replay(machine._engine, cuts, [0])
    assert run.run(len(cuts), 1 << 40) == rmapcore.machine.replay.ENDED
    return machine, process


def make_twin():
    machine = reference.Machine("anon_vma", kernel="2.6.7", arch="i386", ram=64 * PAGE, swap=0)
    machine.most_areas = 12
    process = machine.spawn()
    process.mmap(MANY, PAGE, R, FIXED)
    process.mmap(MANY + 2 * PAGE, PAGE, R, FIXED)
    return machine, process


@pytest.fixture(params=["machine", "twin"])
def crowded(request):
    return make_machine() if request.param == "machine" else make_twin()


@pytest.fixture
def machine(crowded):
    return crowded[0]


@pytest.fixture
def process(crowded):
    return crowded[1]


def fill(process, missing):
    """Areas until so many are missing to the limit; -1: one more than it, which mmap can make."""
    for i in range(10 - missing):
        process.mmap(side(i), 4 * PAGE, RW, FIXED)


def side(i, page=0):
    return SIDE + (8 * i + page) * PAGE


def missing(process):
    most = 12 if isinstance(process, reference.common.machine.Process) else 65536
    return most - len(process.maps())


def refused(number, call, *arguments):
    with pytest.raises(OSError) as caught:
        call(*arguments)
    return caught.value.errno == number


def areas(process):
    """(start, end, flags) of each."""
    if isinstance(process, reference.common.machine.Process):
        return [(start, end, flags) for start, end, _, flags, *_ in process.maps()]
    return [tuple(int(area[name]) for name in ("start", "end", "flags")) for area in process.maps()]


def spans(process, i):
    """The areas of the i-th place: (first page, page after the last, flags that decide)."""
    return [((start - side(i)) // PAGE, (end - side(i)) // PAGE, flags & (LOCKED | 7))
            for start, end, flags in areas(process) if side(i) <= start < side(i + 1)]


def test_mmap_goes_one_beyond_and_no_further(machine, process):
    fill(process, -1)
    assert missing(process) == -1
    machine.check()
    assert refused(errno.ENOMEM, process.mmap, AWAY, PAGE, RW, FIXED)
    assert refused(errno.ENOMEM, process.mmap, 0, PAGE, RW, PRIVATE)
    assert refused(errno.ENOMEM, process.mmap, side(10, 4), PAGE, RW, FIXED)      # even if it would merge
    assert refused(errno.ENOMEM, process.mmap, side(10), 4 * PAGE, RX, FIXED)     # or take an area's place
    assert refused(errno.ENOMEM, process.munmap, side(9), PAGE)
    process.munmap(side(9), 4 * PAGE)
    process.mmap(side(10), 4 * PAGE, RX, FIXED)                                   # at the limit: in the place of another
    assert missing(process) == 0
    assert refused(errno.ENOMEM, process.mmap, side(8, 1), PAGE, RX, FIXED)       # which it may not cut
    process.mmap(0, PAGE, RW, PRIVATE)
    assert missing(process) == -1
    child = process.fork()
    assert missing(child) == -1
    machine.check()


def test_the_heap_goes_one_beyond_too(machine, process):
    fill(process, 0)
    heap = process.brk(0)
    assert process.brk(heap + 4 * PAGE) == heap + 4 * PAGE
    assert missing(process) == -1
    assert refused(errno.ENOMEM, process.brk, heap + 5 * PAGE)                    # even if it would merge
    assert refused(errno.ENOMEM, process.brk, heap + PAGE)                        # a part of it is cut off
    assert process.brk(heap) == heap
    assert missing(process) == 0
    machine.check()


def test_munmap_asks_where_it_cuts(machine, process):
    fill(process, 1)
    assert refused(errno.ENOMEM, process.munmap, side(0, 1), PAGE)                # two cuts: the first stays
    assert spans(process, 0) == [(0, 1, RW), (1, 4, RW)] and missing(process) == 0
    assert refused(errno.ENOMEM, process.munmap, side(1, 2), 8 * PAGE)
    assert refused(errno.ENOMEM, process.munmap, side(1), PAGE)
    assert spans(process, 1) == [(0, 4, RW)]
    process.munmap(side(1), 4 * PAGE)
    assert missing(process) == 1
    process.munmap(side(2, 3), PAGE)                                              # one cut, then it goes
    assert spans(process, 2) == [(0, 3, RW)] and missing(process) == 1
    machine.check()


def test_a_fixed_mapping_asks_where_it_cuts(machine, process):
    fill(process, 1)
    assert refused(errno.ENOMEM, process.mmap, side(0, 1), PAGE, RX, FIXED)
    assert spans(process, 0) == [(0, 1, RW), (1, 4, RW)] and missing(process) == 0
    process.munmap(side(1), 8 * PAGE)
    process.munmap(side(2), 4 * PAGE)
    process.mmap(side(3, 1), PAGE, RX, FIXED)                                     # two cuts reach the limit
    assert spans(process, 3) == [(0, 1, RW), (1, 2, RX), (2, 4, RW)] and missing(process) == 0
    machine.check()


def test_mprotect_merges_before_it_cuts(machine, process):
    fill(process, 1)
    process.mprotect(side(0, 2), 2 * PAGE, R)
    assert missing(process) == 0
    assert refused(errno.ENOMEM, process.mprotect, side(1), PAGE, R)
    process.mprotect(side(0, 1), PAGE, R)                                         # its neighbour takes it
    assert spans(process, 0) == [(0, 1, RW), (1, 4, R)]
    assert refused(errno.ENOMEM, process.mprotect, side(0), 4 * PAGE + PAGE, RX)  # a hole behind: both are changed
    assert [flags for _, _, flags in spans(process, 0)] == [RX, RX] or spans(process, 0) == [(0, 4, RX)]
    machine.check()


def test_mprotect_keeps_what_it_did_before_the_limit(machine, process):
    fill(process, 1)
    process.mlock(side(0, 2), 2 * PAGE)        # so that the two will not merge
    assert refused(errno.ENOMEM, process.mprotect, side(0), 3 * PAGE, RX)         # the first whole, of the second a part
    assert spans(process, 0) == [(0, 2, RX), (2, 4, RW | LOCKED)]
    machine.check()


def test_locks_say_again(machine, process):
    fill(process, 0)
    assert refused(errno.EAGAIN, process.mlock, side(0), PAGE)
    assert refused(errno.EAGAIN, process.mlock, side(0, 1), 3 * PAGE)
    assert spans(process, 0) == [(0, 4, RW)]
    process.mlock(side(0), 4 * PAGE)
    assert spans(process, 0) == [(0, 4, RW | LOCKED)]
    assert refused(errno.EAGAIN, process.munlock, side(0), PAGE)
    process.munmap(side(9), 4 * PAGE)
    process.mprotect(side(1, 2), 2 * PAGE, R)
    assert refused(errno.EAGAIN, process.mlock, side(1), 3 * PAGE)                # the first of two areas stays locked
    assert spans(process, 1) == [(0, 2, RW | LOCKED), (2, 4, R)]
    machine.check()


def test_advice_says_again(machine, process):
    fill(process, 0)
    assert refused(errno.EAGAIN, process.madvise, side(0), PAGE, 1)
    assert refused(errno.EAGAIN, process.madvise, side(0), PAGE, 0)               # normal, as it is: it cuts all the same
    process.madvise(side(0), 4 * PAGE, 1)
    process.madvise(side(0), PAGE, 4)
    assert missing(process) == 0
    machine.check()


def test_moves_want_three_areas_to_spare(machine, process):
    fill(process, 2)
    assert refused(errno.ENOMEM, process.mremap, side(0), 4 * PAGE, 8 * PAGE + PAGE, MAYMOVE)
    process.mremap(side(0), 4 * PAGE, 5 * PAGE)                                   # in place
    assert refused(errno.ENOMEM, process.mremap, side(1), PAGE, PAGE, MAYMOVE_FIXED, AWAY)
    assert refused(errno.ENOMEM, process.mremap, side(1), 4 * PAGE, 4 * PAGE, MAYMOVE_FIXED, side(2))
    assert spans(process, 2) == [] and missing(process) == 3                      # the destination has gone
    process.munmap(side(3), 4 * PAGE)
    assert process.mremap(side(1, 1), PAGE, 2 * PAGE, MAYMOVE_FIXED, AWAY) == AWAY
    assert spans(process, 1) == [(0, 1, RW), (2, 4, RW)] and missing(process) == 2
    machine.check()


def test_a_move_that_is_refused_has_searched(machine, process):
    """The place to go on from has moved (rule D8)."""
    at = process.mmap(0, PAGE, R, PRIVATE)
    process.munmap(at, PAGE)
    for i in range(7):
        process.mmap(side(i), 4 * PAGE, RW, FIXED)
    at = process.mmap(0, PAGE, R, PRIVATE)
    process.munmap(at, PAGE)
    assert missing(process) == 3
    assert refused(errno.ENOMEM, process.mremap, side(0), 4 * PAGE, 16 * PAGE, MAYMOVE)
    assert process.mmap(0, PAGE, R, PRIVATE) == at + 16 * PAGE
    machine.check()


def test_a_shrinking_mremap_cuts(machine, process):
    fill(process, 0)
    assert refused(errno.ENOMEM, process.mremap, side(0), 4 * PAGE, 2 * PAGE)
    assert spans(process, 0) == [(0, 4, RW)]
    process.munmap(side(1), 4 * PAGE)
    process.mremap(side(0), 4 * PAGE, 2 * PAGE)
    assert spans(process, 0) == [(0, 2, RW)] and missing(process) == 1
    machine.check()


# --- area by area, the limit far away ---------------------------------------------------------------------------------


@pytest.fixture(params=[rmapcore.Machine, reference.Machine], ids=["machine", "twin"])
def roomy(request):
    """Places 0 and 1 touch: 8 pages read-write; a hole; place 2."""
    machine = request.param("anon_vma", kernel="2.6.7", arch="i386", ram=64 * PAGE, swap=0)
    process = machine.spawn()
    process.mmap(side(0), 8 * PAGE, RW, FIXED)
    process.mmap(side(2), 4 * PAGE, RW, FIXED)
    return machine, process


def test_a_hole_ends_mprotect_and_mlock_where_it_is(roomy):
    machine, process = roomy
    process.munmap(side(0, 6), 2 * PAGE)
    assert refused(errno.ENOMEM, process.mprotect, side(0, 4), 16 * PAGE, R)
    assert spans(process, 0) == [(0, 4, RW), (4, 6, R)] and spans(process, 2) == [(0, 4, RW)]
    assert refused(errno.ENOMEM, process.mlock, side(0, 2), 16 * PAGE)
    assert spans(process, 0) == [(0, 2, RW), (2, 4, RW | LOCKED), (4, 6, R | LOCKED)] and spans(process, 2) == [(0, 4, RW)]
    assert process.rss == 2                    # what may only be read has the zero page
    assert refused(errno.ENOMEM, process.munlock, side(0, 3), 1 << 40)
    assert spans(process, 0) == [(0, 2, RW), (2, 3, RW | LOCKED), (3, 4, RW), (4, 6, R)]
    assert refused(errno.ENOMEM, process.mprotect, side(0, 7), PAGE, R)
    machine.check()


def test_advice_passes_over_holes(roomy):
    machine, process = roomy
    process.munmap(side(0, 6), 2 * PAGE)
    process.write(side(0), 6 * PAGE)
    process.write(side(2), 4 * PAGE)
    assert refused(errno.ENOMEM, process.madvise, side(0, 4), 14 * PAGE, 4)
    assert process.rss == 4 + 2
    assert refused(errno.ENOMEM, process.madvise, side(2, 3), 4 * PAGE, 4)
    assert process.rss == 5
    process.mlock(side(0), PAGE)
    assert refused(errno.EINVAL, process.madvise, side(0), 20 * PAGE, 4)          # the first is locked: it ends at once
    assert process.rss == 5
    assert refused(errno.EINVAL, process.madvise, side(0), PAGE, 99)
    assert refused(errno.ENOMEM, process.madvise, side(0, 6), PAGE, 99)           # nobody looked at the advice
    machine.check()


def test_mlock_says_what_it_could_not_bring_in(roomy):
    machine, process = roomy
    process.mmap(side(0), 2 * PAGE, 0, FIXED)
    assert refused(errno.EFAULT, process.mlock, side(0), 8 * PAGE)
    assert spans(process, 0) == [(0, 2, LOCKED), (2, 8, RW)]
    process.mmap(side(4), 4 * PAGE, R, 0x11, machine.file("f", 2 * PAGE))
    assert refused(errno.EPERM, process.mlock, side(4), 4 * PAGE)
    process.munlock(side(4), 4 * PAGE)
    assert refused(errno.EFAULT, process.mlock, side(4, 2), 2 * PAGE)
    assert process.rss == 2
    assert refused(errno.EINVAL, process.mlock, side(2), PAGE, 1)                 # no mlock2
    assert process.rss == 2
    machine.check()


def test_locking_what_comes_unlocks_what_is(roomy):
    """MCL_FUTURE alone."""
    machine, process = roomy
    process.mmap(side(4), 2 * PAGE, 0, FIXED)
    process.mlockall(1)                        # what cannot be brought in is no error
    assert all(flags & LOCKED for *_, flags in areas(process)) and process.rss == 12
    process.mlockall(2)
    assert not any(flags & LOCKED for *_, flags in areas(process))
    process.mmap(side(6), PAGE, RW, FIXED)
    assert spans(process, 6) == [(0, 1, RW | LOCKED)] and process.rss == 13
    machine.check()


def test_a_growing_file_mapping_is_refused(roomy):
    machine, process = roomy
    file = machine.file("f", 8 * PAGE)
    for flags in (0x102, 0x101):
        assert refused(errno.EINVAL, process.mmap, 0, PAGE, RW, flags, file, 0)
    process.mmap(side(4), PAGE, RW, 0x121 | 0x10)                                 # shared memory may grow
    machine.check()


def test_mremap_in_its_order(roomy):
    machine, process = roomy
    process.write(side(0), 8 * PAGE)
    assert process.mremap(AWAY, 4 * PAGE, 2 * PAGE) == AWAY                       # nothing there, and nothing looks
    assert refused(errno.EFAULT, process.mremap, AWAY, 4 * PAGE, 4 * PAGE, MAYMOVE_FIXED, side(2))
    assert spans(process, 2) == []
    assert refused(errno.EFAULT, process.mremap, side(0, 6), 8 * PAGE, 4 * PAGE, MAYMOVE_FIXED, AWAY)
    assert spans(process, 0) == [(0, 8, RW)]
    assert refused(errno.EFAULT, process.mremap, side(0, 6), 8 * PAGE, 3 * PAGE, MAYMOVE_FIXED, AWAY)
    assert refused(errno.ENOMEM, process.mremap, side(0), 8 * PAGE, 1 << 33, MAYMOVE)
    assert refused(errno.EINVAL, process.mremap, side(0), 0, PAGE, MAYMOVE_FIXED, side(0))
    machine.check()


def test_a_private_mapping_is_duplicated_without_its_pages(roomy):
    machine, process = roomy
    process.write(side(0), 8 * PAGE)
    assert [flags & ACCOUNT for *_, flags in areas(process)] == [ACCOUNT, ACCOUNT]
    at = process.mremap(side(0, 2), 0, 4 * PAGE, MAYMOVE)
    assert process.rss == 8 and spans(process, 0) == [(0, 8, RW)]
    assert process.write(at, 4 * PAGE)["zero"] == 4
    assert {start: flags & ACCOUNT for start, _, flags in areas(process)} == {side(0): 0, side(2): ACCOUNT, at: ACCOUNT}
    machine.check()
