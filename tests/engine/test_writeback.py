"""Pages of files that are written back: clean, and entries that hear of the next write (rule QF7); kernel and twin."""
import errno
import random

import pytest
import two_machines

import differential
import rmapcore
from rmapcore.core.program import make
from rmapcore.kernels import find as find_kernel
from rmapcore.operations import Op

PAGE = 4096
A, B = 0x10000000, 0x20000000
SHARED, PRIVATE = 0x11, 0x12                   # fixed
READ, RW = 1, 3


class Two(two_machines.Two):
    """They write back."""

    def write_back(self, start=0, length=0):
        return self.operate(make(Op.WRITEBACK, other=1, addr=start, length=length), self.twin.write_back, start, length)

    def told(self, start=0, length=0):
        """What a writeback has counted, if it counts."""
        before = dict(self.machine.counters)
        assert self.write_back(start, length) == 0
        return {name: count - before[name] for name, count in self.machine.counters.items() if count != before[name]}

    def writable(self, process, at, pages):
        return "".join("w" if row["writable"] else "r" if row["present"] else "-"
                       for row in self.processes[0][process].pagemap(at, pages * PAGE))


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("scheme", differential.KNOWN)
def test_who_may_write_afterwards(scheme, count):
    two = Two(scheme)
    two.mmap(0, A, 8, RW, SHARED)
    two.mmap(0, B, 8, RW, PRIVATE)
    for _ in range(count - 1):
        two.do("fork", 0)
    for process in range(count):
        two.do("write", process, A, 6 * PAGE)
        two.do("read", process, B, 6 * PAGE)
        two.do("write", process, B + 4 * PAGE, PAGE)
    told = two.told(PAGE, 2 * PAGE + 1)        # pages 1 to 3
    two.same()
    mappings = 2 * count                       # each has the page twice
    if scheme == "virtual_scan":
        assert told == {"scanned_ptes": 3 * count}
    else:
        assert (told["rmap_walks"], told["ptes_found"]) == (3, 3 * mappings)
        assert told["lock_page_table"] == told["ptes_tried"]
    for process in range(count):
        assert two.writable(process, A, 8) == "wrrrww--"
        assert two.writable(process, B, 6) == "rrrrwr"
        rows = two.processes[0][process].pagemap(A, 8 * PAGE)
        assert rows["mapcount"].tolist() == [mappings, mappings, mappings, mappings, count, mappings, 0, 0]
        assert rows["young"].tolist() == [1] * 6 + [0] * 2
        assert rows["dirty"].tolist() == [1, 0, 0, 0, 1, 1, 0, 0]
    assert two.told(PAGE, 3 * PAGE) == ({"scanned_ptes": 3 * count} if scheme == "virtual_scan" else {})    # all clean
    for process in range(count):
        before = two.machine.counters["faults_cow"]
        two.do("write", process, A, 4 * PAGE)
        assert two.machine.counters["faults_cow"] == before + 3
    two.do("fork", 0)
    two.do("write", count, A, PAGE)
    two.same()


@pytest.mark.parametrize("scheme", ["anon_vma_chain", "virtual_scan"])
def test_what_was_written_back_need_not_be_written_again(scheme):
    two = Two(scheme, ram=24 * PAGE)
    two.mmap(0, A, 8, RW, SHARED)
    two.do("write", 0, A, 8 * PAGE)
    assert two.write_back() == 0
    done = two.machine.reclaim(100)
    told = two.twin.reclaim(100)
    assert (done.written, told["written"]) == (0, 0)
    assert (done.freed > 0) == (told["freed"] > 0)
    before = two.processes[0][0].stamps(A, 8 * PAGE).tolist()
    two.do("read", 0, A, 8 * PAGE)
    assert two.processes[0][0].stamps(A, 8 * PAGE).tolist() == before
    assert two.told() == ({"scanned_ptes": 8} if scheme == "virtual_scan" else {})         # cached again, but not dirty
    two.same()


@pytest.mark.parametrize(("start", "length", "status", "left"), [
    (0, 0, 0, "rrrr"), (PAGE, 0, 0, "wrrr"), (PAGE - 1, 2, 0, "rrww"), (3 * PAGE, 1 << 40, 0, "wwwr"), (4 * PAGE, 0, 0, "wwww"),
    (1 << 50, PAGE, 0, "wwww"), (PAGE, (1 << 64) - 1, errno.EINVAL, "wwww"), (PAGE, (1 << 64) - PAGE - 1, 0, "wrrr"),
])
@pytest.mark.parametrize("scheme", ["anon_vma", "virtual_scan"])
def test_the_range(scheme, start, length, status, left):
    two = Two(scheme, pages=4)
    two.mmap(0, A, 6, RW, SHARED)
    two.do("write", 0, A, 4 * PAGE)
    assert two.write_back(start, length) == status
    two.same()
    assert two.writable(0, A, 4) == left


def test_sync_is_for_every_file():
    two = Two("anon_vma_chain")
    others = [machine.file("other", 2 * PAGE) for machine in (two.machine, two.twin)]
    two.mmap(0, A, 4, RW, SHARED)
    for processes, other in zip(two.processes, others, strict=True):
        processes[0].mmap(B, 2 * PAGE, RW, SHARED, other, 0)
    two.do("write", 0, A, 4 * PAGE)
    two.do("write", 0, B, PAGE)
    assert two.machine.run(make(Op.WRITEBACK)).tolist() == [0]
    two.twin.sync()
    assert two.writable(0, A, 4) + two.writable(0, B, 2) == "rrrrr-"
    two.same()


def test_shared_memory_has_no_disk():
    two = Two("anon_vma_chain", kind="shmem")
    two.mmap(0, A, 4, RW, SHARED)
    two.do("write", 0, A, 4 * PAGE)
    assert two.write_back() == 0
    assert two.writable(0, A, 4) == "wwww"


def test_a_kernel_that_does_not_protect_pages():
    machine = rmapcore.Machine(kernel="2.6.7")
    file, process = machine.file("f", PAGE), machine.spawn()
    process.mmap(A, PAGE, RW, SHARED, file)
    process.write(A)
    done = make(Op.WRITEBACK, other=1)
    assert machine.run(done).tolist() == [errno.ENOSYS]
    assert machine.run(find_kernel("2.6.7").taken(done)).tolist() == [0]
    assert process.pagemap(A, PAGE)["writable"].tolist() == [1]


def step(two, rng):
    """One call of a random program."""
    process = rng.randrange(len(two.processes[0]))
    base = rng.choice((A, A, B))
    at, length = base + rng.randrange(16) * PAGE, rng.randint(1, 8) * PAGE
    kind = rng.choice(("write", "write", "read", "back", "back", "fork", "mprotect", "map", "munmap", "reclaim", "truncate",
                          "mremap", "guard"))
    if kind in ("write", "read", "munmap"):
        two.do(kind, process, at, length)
    elif kind == "back":
        two.write_back(rng.randrange(16 * PAGE), rng.choice((0, 1, rng.randrange(12 * PAGE))))
    elif kind == "fork" and len(two.processes[0]) < 5:
        two.do("fork", process)
    elif kind == "mprotect":
        two.do("mprotect", process, at, length, rng.choice((0, READ, RW)))
    elif kind == "map":
        two.mmap(process, at, length // PAGE, rng.choice((READ, RW)), rng.choice((SHARED, SHARED, PRIVATE)),
                 rng.randrange(12))
    elif kind == "reclaim":
        pages = rng.randint(1, 30)
        two.machine.reclaim(pages)
        two.twin.reclaim(pages)
    elif kind == "truncate":
        size = rng.randint(4 * PAGE, 16 * PAGE)
        for file in two.files:
            file.truncate(size)
    elif kind == "mremap":
        two.do("mremap", process, at, length, length, 3, rng.choice((A, B)) + rng.randrange(16, 32) * PAGE)
    elif kind == "guard":
        two.do("madvise", process, at, PAGE, 102)
    two.same()


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("scheme", differential.KNOWN)
def test_random_programs(scheme, seed):
    rng, two = random.Random(seed), Two(scheme, ram=80 * PAGE)
    two.mmap(0, A, 16, RW, SHARED)
    two.mmap(0, B, 16, RW, PRIVATE)
    for _ in range(120):
        step(two, rng)
