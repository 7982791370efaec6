"""Machine.run: packed operations on a machine, slice by slice."""
import errno
import threading

import numpy as np
import pytest

import rmapcore
import rmapcore.core.running
from rmapcore.core.program import make
from rmapcore.operations import status_name
from rmapcore.pyx.seam.prototype import Prototype
from rmapcore.schemes import SCHEMES

PAGE = 4096
AT = 0x10000000
FIXED = 0x32                           # MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS
Op, Status = rmapcore.Op, rmapcore.Status


def life(pages=40, pid=7):
    """A process that maps, writes, forks a child that writes a half, and reclaim of some."""
    return np.concatenate([
        make(Op.SPAWN, process=pid), make(Op.MMAP, process=pid, addr=AT, length=pages * PAGE, prot=3, flags=FIXED),
        make(Op.WRITE, process=pid, addr=AT, length=pages * PAGE), make(Op.FORK, process=pid, other=pid + 1),
        make(Op.WRITE, process=pid + 1, addr=AT, length=pages // 2 * PAGE), make(Op.RECLAIM, arg=pages // 4),
        make(Op.READ, process=pid, addr=AT, length=pages * PAGE), make(Op.EXIT, process=pid + 1),
    ])


def machine_of(scheme="anon_vma", **sizes):
    return rmapcore.Machine(scheme, track_contents=True, **{"ram": 100 * PAGE, "swap": 200 * PAGE, **sizes})


def arenas(machine):
    return {name: machine._core.view(name).tobytes() for name in machine._core.arenas}


@pytest.fixture
def slices(monkeypatch):
    """What is called before each slice with its number; slices then touch 8 pages."""
    class Slice:
        count, action = 0, staticmethod(lambda count: None)

        def __index__(self):
            self.count += 1
            self.action(self.count)
            return 8

        __int__ = __index__

    one = Slice()
    monkeypatch.setattr(rmapcore.core.running.batch, "SLICE", one)
    return one


@pytest.mark.parametrize("scheme", SCHEMES)
def test_it_does_what_the_calls_do(scheme):
    ran, called = machine_of(scheme), machine_of(scheme)
    statuses = ran.run(life(pid=1))
    assert statuses.dtype == np.uint16 and statuses.tolist() == [0] * len(life())
    process = called.spawn()
    process.mmap(AT, 40 * PAGE, 3, FIXED)
    process.write(AT, 40 * PAGE)
    child = process.fork()
    child.write(AT, 20 * PAGE)
    called.reclaim(10)
    process.read(AT, 40 * PAGE)
    child.exit()
    assert arenas(ran) == arenas(called)
    assert list(ran.processes) == [1]


def test_what_fails_is_passed_over():
    machine = machine_of()
    file = machine.file("f", PAGE)
    machine.run(life())
    cases = [
        (make(Op.WRITE, process=7, addr=AT + 40 * PAGE, length=PAGE), Status.SEGV),
        (make(Op.MUNMAP, process=7, addr=AT + 1, length=PAGE), errno.EINVAL),
        (make(Op.MUNMAP, process=9, addr=AT, length=PAGE), errno.ESRCH),
        (make(Op.READ, process=0xFFFFFFFF, addr=AT, length=PAGE), errno.ESRCH),
        (make(Op.SPAWN, process=7), errno.EEXIST),
        (make(Op.FORK, process=7, other=7), errno.EEXIST),
        (make(Op.MMAP, process=7, addr=0, length=2 * PAGE, prot=3, flags=1, other=1), 0),
        (make(Op.MMAP, process=7, addr=0, length=PAGE, prot=3, flags=1, other=2), errno.ENOENT),
        (make(Op.TRUNCATE, other=0), errno.ENOENT),
        (make(Op.PUNCH_HOLE, other=1, length=PAGE), errno.ENOSYS),
        (make(Op.WRITEBACK, other=1), errno.ENOSYS),
        (make(Op.WRITEBACK, other=2), errno.ENOENT),
        (make(0, process=7), errno.EINVAL),
        (make(len(Op) + 1, process=7), errno.EINVAL),
        (make(Op.MUNMAP, process=7, addr=AT, length=PAGE), 0),
    ]
    statuses = machine.run(np.concatenate([operation for operation, _ in cases]), [file])
    assert statuses.tolist() == [status for _, status in cases]
    shared = int(machine.process(7).maps()["start"][machine.process(7).maps()["file"] > 0][0])
    assert machine.run(make(Op.READ, process=7, addr=shared, length=2 * PAGE)).tolist() == [Status.BUS]
    machine.check()


@pytest.mark.parametrize(("start", "length", "status", "left"), [
    (0, PAGE, 0, [1, 2, 3]), (1, 3 * PAGE, 0, [0, 3]), (PAGE + 1, 2 * PAGE - 2, 0, [0, 1, 2, 3]),
    (2 * PAGE, 1 << 40, 0, [0, 1]), (PAGE, 0, errno.EINVAL, [0, 1, 2, 3]), (PAGE, (1 << 64) - 1, errno.EINVAL, [0, 1, 2, 3]),
])
def test_a_hole_takes_the_pages_that_are_wholly_in_it(start, length, status, left):
    machine = rmapcore.Machine(kernel="6.18")
    process = machine.spawn()
    shown = process.mmap(AT, 4 * PAGE, flags=0x11, file=machine.file("f", 4 * PAGE))
    process.write(shown, 4 * PAGE)
    assert machine.run(make(Op.PUNCH_HOLE, other=1, addr=start, length=length)).tolist() == [status]
    assert np.flatnonzero(process.pagemap(shown, 4 * PAGE)["present"]).tolist() == left
    assert machine.run(make(Op.PUNCH_HOLE, other=2, length=PAGE)).tolist() == [errno.ENOENT]


@pytest.mark.parametrize(("start", "length", "status", "cached"), [
    (0, PAGE, 0, 1), (1, 3 * PAGE, 0, 4), (38 * PAGE, 1 << 40, 0, 2), (40 * PAGE, PAGE, 0, 0), (0, 0, 0, 0),
    (PAGE, (1 << 64) - 1, errno.EINVAL, 0),
])
@pytest.mark.parametrize("kernel", ["2.6.7", "6.18"])
def test_what_is_read_ahead_is_cached_and_mapped_by_nobody(kernel, start, length, status, cached):
    machine = rmapcore.Machine(kernel=kernel)
    file, shared = machine.file("f", 40 * PAGE), machine.file("s", 40 * PAGE, "shmem")
    process = machine.spawn()
    shown = process.mmap(AT, 40 * PAGE, flags=0x11, prot=1, file=file)
    ran = machine.run(make(Op.READAHEAD, other=[1, 2], addr=start, length=length, count=2), [file, shared])
    assert ran.tolist() == [status, status]
    assert machine.totals["frames_peak"] == cached and process.rss == 0
    process.read(shown + 39 * PAGE)
    process.read(shown)
    machine.check()


def test_read_ahead_stops_where_no_frame_is_free():
    machine = rmapcore.Machine(ram=16 * PAGE, swap=0)
    file = machine.file("f", 40 * PAGE)
    assert machine.run(make(Op.READAHEAD, other=1, length=40 * PAGE), [file]).tolist() == [0]
    assert machine.totals["frames_peak"] == machine.ram // PAGE - 1          # one is the zero page
    machine.check()


def test_names_of_statuses():
    assert [status_name(status) for status in (errno.EFAULT, *Status)][2:] == ["SIGSEGV", "SIGBUS", "out of memory",
                                                                              "arena full"]
    assert status_name(errno.EFAULT) == "EFAULT"


@pytest.mark.parametrize("operations", [
    np.zeros(3, np.uint64), np.zeros((2, 2), rmapcore.OPERATION), np.zeros((), rmapcore.OPERATION), [], None,
    np.zeros(3, [("op", "<u2"), ("process", "<u4")]), [(1,) * 9],
])
def test_another_dtype(operations):
    machine = machine_of()
    before = arenas(machine)
    with pytest.raises(TypeError, match=r"rmapcore\.OPERATION"):
        machine.run(operations)
    assert arenas(machine) == before


def test_operations_need_not_lie_in_a_row():
    machine = machine_of()
    apart = np.repeat(life(), 2)
    assert not machine.run(apart[::2]).any()
    apart.flags.writeable = False
    assert machine.run(apart[:1]).tolist() == [errno.EEXIST]
    assert machine.run(np.zeros(0, rmapcore.OPERATION)).tolist() == []


def test_files_are_numbered_from_one():
    machine = machine_of()
    machine.file("other", 9 * PAGE)
    files = [machine.file("a", PAGE), machine.file("b", 2 * PAGE, "shmem")]
    machine.run(np.concatenate([make(Op.TRUNCATE, other=[1, 2], count=2, arg=[5 * PAGE, 6 * PAGE])]), files)
    assert [file.size for file in files] == [5 * PAGE, 6 * PAGE]
    machine.run(make(Op.TRUNCATE, other=files[1].number, arg=PAGE))        # by File.number
    assert files[1].size == PAGE
    before = arenas(machine)
    for wrong, error in ([machine_of().file("a", PAGE)], ValueError), ([1], TypeError), (["a"], TypeError), ("a", TypeError):
        with pytest.raises(error, match="files"):
            machine.run(make(Op.TRUNCATE, other=1, arg=PAGE), wrong)
    assert arenas(machine) == before


def test_files_of_shared_anonymous_memory_are_nobodys_to_name():
    machine = machine_of()
    process = machine.spawn()
    process.mmap(length=PAGE, flags=0x21)
    number = int(process.maps()["file"][0])
    assert machine.run(make(Op.TRUNCATE, other=number, arg=0)).tolist() == [errno.ENOENT]
    machine.check()


@pytest.mark.parametrize("stop", [0, 1, 5, 8])
def test_stop_and_go_on(stop):
    whole, parts = machine_of(), machine_of()
    whole.run(life())
    first = parts.run(life(), stop=stop)
    assert len(first) == stop
    parts.run(life()[stop:])
    assert arenas(parts) == arenas(whole)


@pytest.mark.parametrize("stop", [-1, 9, 1.0, True, "1"])
def test_a_stop_that_there_is_not(stop):
    machine = machine_of()
    with pytest.raises(ValueError if type(stop) is int else TypeError, match="stop"):
        machine.run(life(), stop=stop)
    assert not machine.processes


def test_slices_change_nothing(slices):
    whole = machine_of()
    whole.run(life())
    assert slices.count > 20
    rmapcore.core.running.batch.SLICE = 1 << 18
    other = machine_of()
    other.run(life())
    assert arenas(whole) == arenas(other)


def test_out_of_memory_says_how_far_it_came():
    machine = machine_of(ram=16 * PAGE, swap=0)
    operations = life()
    with pytest.raises(rmapcore.OutOfMemory) as caught:
        machine.run(operations)
    assert caught.value.done == 2
    machine.check()
    assert machine.run(make(Op.MUNMAP, process=7, addr=AT, length=40 * PAGE)).tolist() == [0]
    with pytest.raises(rmapcore.OutOfMemory) as caught:
        machine.process(7).mmap(AT, 40 * PAGE, 3, FIXED)
        machine.process(7).write(AT, 40 * PAGE)
    assert caught.value.done == 15


def test_a_full_arena_says_how_far_it_came():
    machine = machine_of(max_ptes=4096)
    operations = np.concatenate([make(Op.SPAWN, 100, process=np.arange(1, 101))])
    with pytest.raises(rmapcore.ArenaFull) as caught:
        machine.run(operations)
    assert caught.value.done == len(machine.processes) > 0
    machine.check()


def test_ctrl_c_is_heard_between_slices_and_in_long_operations(slices):
    for moment in (2, 5, 8):
        machine = machine_of()
        slices.count = 0

        def strike(count, moment=moment):
            if count == moment:
                raise KeyboardInterrupt

        slices.action = strike
        with pytest.raises(KeyboardInterrupt):
            machine.run(life())
        machine.check()
        slices.action = lambda count: None
        assert machine.run(make(Op.SPAWN, process=50)).tolist() == [0]


def test_one_thread_at_a_time(slices):
    machine, outcome = machine_of(), []

    def other():
        for use in (lambda: machine.run(life(pid=20)), machine.spawn, lambda: machine.counters):
            try:
                use()
                outcome.append("in")
            except rmapcore.MachineBusy:
                outcome.append("refused")

    def meanwhile(count):
        if count == 5:
            thread = threading.Thread(target=other)
            thread.start()
            thread.join()
            with pytest.raises(rmapcore.MachineBusy):      # nor may its own thread, in the middle of an operation
                machine.run(life(pid=30))
            assert machine.counters["faults_zero"] > 0     # but it may look

    slices.action = meanwhile
    assert not machine.run(life()).any()
    assert outcome == ["refused"] * 3 and list(machine.processes) == [7]


def test_what_a_hook_raises_reaches_the_caller():
    class Broken(Prototype):
        def anon_prepare(self, v):
            raise ZeroDivisionError(f"area {v}")

    machine = machine_of(Broken())
    with pytest.raises(ZeroDivisionError, match="area"):
        machine.run(life())


@pytest.mark.parametrize("kernel", ["2.6.7", "6.18"])
@pytest.mark.parametrize("seed", range(4))
def test_any_numbers_are_a_status_and_leave_the_machine_whole(kernel, seed):
    """Fields drawn near what there is, and from all that their bits can say."""
    rng = np.random.default_rng(seed)
    n = 3000
    machine = rmapcore.Machine(kernel=kernel, ram=300 * PAGE, swap=500 * PAGE, track_contents=True)
    files = [machine.file("a", 20 * PAGE), machine.file("b", 20 * PAGE, "shmem")]
    operations = np.zeros(n, rmapcore.OPERATION)
    for field in operations.dtype.names:
        kind = operations.dtype[field]
        operations[field] = rng.integers(0, np.iinfo(kind).max, n, kind, endpoint=True)
    usual = rng.random((len(operations.dtype.names), n)) < 0.97
    ranges = {"op": (0, 25), "prot": (0, 8), "process": (0, 5), "other": (0, 5), "addr": (AT // PAGE, AT // PAGE + 60),
              "length": (0, 20), "arg": (0, 30), "arg2": (0, 60)}
    for chosen, (field, (low, high)) in zip(usual, ranges.items(), strict=False):
        scale = PAGE if field in ("addr", "length") else 1
        operations[field][chosen] = rng.integers(low, high, int(chosen.sum())) * scale
    operations["flags"][usual[-1]] = rng.choice([0, 1, 2, 3, 0x21, 0x22, 0x31, 0x32, 0x132], int(usual[-1].sum()))
    operations[:5] = make(Op.SPAWN, 5, process=np.arange(5))
    at = 0
    while at < n:
        try:
            machine.run(operations[at:], files)
            at = n
        except (rmapcore.OutOfMemory, rmapcore.ArenaFull) as error:
            at += error.done + 1
    machine.check()
