"""Folios of several pages: fault-around and faults map them whole (rules F6, QF3); kernel and twin."""
import errno
import random

import pytest
import two_machines

from rmapcore.core.program import make
from rmapcore.operations import MOST_FOLIO_ORDER, NOT_CACHED, Op

PAGE = 4096
TABLE = 512
AT = 0x20000000                                # where a leaf table begins
SHARED, PRIVATE = 0x11, 0x12                   # fixed
READ, RW = 1, 3


class Two(two_machines.Two):
    """Of one process, whose file comes into the page cache in folios."""

    def __init__(self, pages, warm=True, scheme="anon_vma_chain", kernel="6.18", ram=4096):
        super().__init__(scheme, pages, "disk", warm, kernel, ram=ram * PAGE, swap=ram * PAGE)

    def do(self, call, *arguments):
        return super().do(call, 0, *arguments)

    def mmap(self, *arguments):
        super().mmap(0, *arguments)

    def told(self, first, pages, order):
        """Pages of the file come into the page cache. The status."""
        first, length = first * PAGE, pages * PAGE
        return self.operate(make(Op.READAHEAD, other=1, addr=first, length=length, arg=order), self.twin.read_ahead, first,
                            length, order)

    def truncate(self, pages):
        for file in self.files:
            file.truncate(pages * PAGE)

    def present(self, at, pages):
        """The runs of present pages: [(first, last), ...] of the area at `at`."""
        there = self.processes[0][0].pagemap(at, pages * PAGE)["present"].tolist()
        starts = [page for page in range(pages) if there[page] and not (page and there[page - 1])]
        ends = [page for page in range(pages) if there[page] and not (page + 1 < pages and there[page + 1])]
        return list(zip(starts, ends, strict=True))


# What Linux 6.18.44 did with a file that was written by 64 KiB on ext4, so that it lies in folios of 16 pages:
# (pages of the file, page of the area at which the file begins, pages of the area, offset, access, page of the file): mapped
LIVE = [
    (128, 0, 128, 0, "read", 5, [(0, 15)]),
    (128, 3, 128, 0, "read", 5, [(0, 15)]),
    (128, 3, 128, 0, "read", 20, [(0, 31)]),
    (128, 5, 60, 5, "read", 5, [(5, 31)]),                 # the first folio begins before the area
    (128, 0, 24, 0, "read", 20, [(16, 23)]),               # the second one ends behind it
    (128, 0, 128, 0, "write", 20, [(16, 31)]),
    (128, 17, 60, 17, "write", 20, [(20, 20)]),
    (128, 3, 128, 0, "read", 111, [(96, 124)]),            # the last folio ends the file
    (128, 3, 128, 0, "read", 127, [(112, 127)]),           # in a new leaf table there is no fault-around then, but the fault
    (128, 8, 128, 0, "read", 119, [(96, 119)]),
    (128, 0, 128, 0, "write", 127, [(112, 127)]),
    (129, 8, 129, 0, "read", 119, [(96, 127)]),
    (129, 8, 129, 0, "read", 120, [(112, 128)]),
    (128, TABLE - 37, 128, 0, "read", 36, [(16, 36)]),     # the leaf table ends within the third folio
    (128, TABLE - 37, 128, 0, "read", 38, [(37, 63)]),
    (128, TABLE - 37, 128, 0, "write", 36, [(36, 36)]),
]


@pytest.mark.parametrize("warm", [True, False])
@pytest.mark.parametrize(("pages", "place", "mapped", "offset", "access", "page", "runs"), LIVE)
def test_what_the_live_kernel_mapped(pages, place, mapped, offset, access, page, runs, warm):
    two = Two(pages, warm)
    assert two.told(0, 128, 4) == 0
    if pages > 128:
        assert two.told(128, 1, 0) == 0
    at = AT + place * PAGE
    two.mmap(at, mapped, RW, SHARED, offset)
    assert two.do(access, at + (page - offset) * PAGE) == "done"
    assert [(first + offset, last + offset) for first, last in two.present(at, mapped)] == runs
    two.same()


def test_a_private_write_copies_one_page_and_a_read_maps_the_rest():
    two = Two(128)
    two.told(0, 128, 4)
    two.mmap(AT + 3 * PAGE, 128, RW, PRIVATE)
    two.do("write", AT + 23 * PAGE)
    assert two.present(AT + 3 * PAGE, 128) == [(20, 20)]
    two.do("read", AT + 25 * PAGE)
    assert two.present(AT + 3 * PAGE, 128) == [(0, 31)]
    two.same()


def test_a_shared_write_makes_the_whole_folio_writable_and_dirty():
    two = Two(64)
    two.told(0, 64, 3)
    two.mmap(AT, 64, RW, SHARED)
    two.do("write", AT + 10 * PAGE)
    pages = two.processes[0][0].pagemap(AT, 64 * PAGE)
    assert [page for page in range(64) if pages["writable"][page]] == list(range(8, 16))
    faults = two.machine.counters["faults_file"]
    two.do("write", AT + 15 * PAGE)
    assert two.machine.counters["faults_file"] == faults and two.machine.counters["faults_cow"] == 0
    two.same()


@pytest.mark.parametrize("how", ["truncate", "remove"])
def test_a_folio_that_loses_pages_leaves_the_largest_pieces(how):
    """16 pages from 16 on lose those from 21 on, or 21 and 22: 4 and 1 stay, and with a hole 1 and 8 more."""
    two = Two(64)
    two.told(0, 64, 4)
    two.mmap(AT, 64, RW, SHARED)
    if how == "truncate":
        two.truncate(21)
        two.truncate(64)
    else:
        assert two.do("madvise", AT + 21 * PAGE, 2 * PAGE, 9) == "done"
    two.same()
    at = AT + 0x4000000 + 12 * PAGE                        # where windows end after pages 3, 19 and 35
    two.mmap(at, 64, READ, SHARED)
    two.do("read", at + 18 * PAGE)
    assert two.present(at, 64) == [(0, 19)]                # the window from page 4 on: a whole folio, and a piece of 4
    two.do("read", at + 23 * PAGE)
    assert two.present(at, 64) == [(0, 35 if how == "truncate" else 47)]
    two.same()


def test_what_is_not_cached_is_passed_over_until_it_is_read():
    two = Two(64)
    two.told(0, 16, 4)
    two.told(4, 4, NOT_CACHED)
    two.mmap(AT, 64, READ, SHARED)
    two.do("read", AT)
    assert two.present(AT, 64) == [(0, 3), (8, 15)]        # a folio lost pages: its pieces of 4 and 8 are left
    two.do("read", AT + 6 * PAGE)
    assert two.present(AT, 64) == [(0, 3), (6, 6), (8, 15)]
    two.told(4, 1, 0)
    two.do("read", AT + 5 * PAGE)
    assert two.present(AT, 64) == [(0, 6), (8, 15)]
    two.same()


@pytest.mark.parametrize(("first", "pages", "order", "status"), [
    (0, 16, 4, 0), (8, 16, 4, errno.EINVAL), (0, 8, 4, errno.EINVAL), (0, 512, 9, 0), (0, 1024, 10, errno.EINVAL),
    (0, 1, 1 << 40, errno.EINVAL), (1 << 40, 16, 4, 0), (3, 5, 0, 0), (3, 5, NOT_CACHED, 0), (3, 5, 254, errno.EINVAL),
])
@pytest.mark.parametrize("kernel", ["2.6.7", "6.18"])
def test_what_may_be_told(kernel, first, pages, order, status):
    two = Two(100, kernel=kernel, scheme="anonmm")
    assert two.told(first, pages, order) == status
    two.same()


@pytest.mark.parametrize("scheme", ["anon_vma_chain", "anonmm", "pte_chain", "virtual_scan"])
@pytest.mark.parametrize("kernel", ["2.6.7", "6.18", "7.3"])
@pytest.mark.parametrize("seed", range(2))
def test_random_programs(scheme, kernel, seed):
    """Files warm and cold, few frames, areas across leaf tables, holes and cuts."""
    rng = random.Random(f"folios {scheme} {kernel} {seed}")
    for _ in range(12):
        pages = rng.choice([40, 128, 600])
        two = Two(pages, rng.random() < 0.6, scheme, kernel, rng.choice([96, 300, 2048]))
        areas = []
        for _ in range(rng.randrange(1, 4)):
            at = AT + (len(areas) * 4 * TABLE + rng.choice([0, 3, 16, TABLE - 20, TABLE - 1])) * PAGE
            offset = rng.choice([0, 0, 5, 16, 33])
            length = rng.randrange(1, pages - offset + 1)
            two.mmap(at, length, rng.choice([READ, RW, RW]), rng.choice([SHARED, PRIVATE]), offset)
            areas.append((at, length))
        for _ in range(25):
            at, length = rng.choice(areas)
            page = at + rng.randrange(length) * PAGE
            act = rng.choice(["told", "told", "missing", *["read"] * 3, *["write"] * 2, "drop", "remove", "cut", "out"])
            if act == "told":
                order = rng.choice([0, 1, 2, 3, 4, 4, 5, MOST_FOLIO_ORDER])
                two.told(rng.randrange(pages) >> order << order, rng.randrange(1, 9) << order, order)
            elif act == "missing":
                two.told(rng.randrange(pages), rng.randrange(1, 30), NOT_CACHED)
            elif act in ("read", "write"):
                two.do(act, page)
            elif act == "drop":
                two.do("madvise", page, PAGE, 4)
            elif act == "remove" and kernel != "2.6.7":
                two.do("madvise", page, min(3 * PAGE, at + length * PAGE - page), 9)
            elif act == "cut":
                two.truncate(rng.randrange(1, pages))
                two.truncate(pages)
            elif act == "out":
                for machine in (two.machine, two.twin):
                    machine.reclaim(16)
            two.same()
