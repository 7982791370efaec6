"""Traces: the saved form, repeated ones, and real recordings, where each recorded fault must fall into an area that the
operations have mapped at that moment."""

import bisect
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

import rmapcore
from recordings import GOOD, LIBC, MIB, PAGE, A, operations, started
from rmapcore.errors import TraceError
from rmapcore.operations import OPERATION, Op
from rmapcore.traces import Trace, load_trace

DATA = Path(__file__).parent.parent / "data"

# --- The saved form -------------------------------------------------------------------------------------------------


def test_a_saved_trace_is_mapped_and_equal(load, tmp_path):
    mapped = {"start": A, "length": PAGE, "path": "/tmp/\udcff\udce4", "inode": 1}
    trace = load(started().mmap(100, A, PAGE, flags=1, fd=3, mapped=mapped).fault(100, A))
    path = tmp_path / "saved"
    trace.save(path)
    assert [entry.name for entry in tmp_path.glob("saved*")] == ["saved"]
    content = path.read_bytes()
    assert content[:8] == b"RMAPOPS1" and (len(content) - 3 * OPERATION.itemsize) % 64 == 0
    saved = load_trace(path)
    assert isinstance(saved.operations, np.memmap)
    assert np.array_equal(saved.operations, trace.operations)
    assert (saved.files, saved.summary, saved.source) == (trace.files, trace.summary, trace.source)
    assert saved.digest == trace.digest == saved._digest()
    saved.save(path)  # over the file it maps
    assert load_trace(path).digest == trace.digest


def test_operations_are_read_only(load, tmp_path):
    trace = load(GOOD)
    trace.save(tmp_path / "saved")
    for array in (trace.operations, load_trace(tmp_path / "saved").operations):
        assert array.dtype == OPERATION and array.dtype.itemsize == 48
        with pytest.raises(ValueError):
            array["op"] = 0


def test_damaged_saved_traces_are_refused(load, tmp_path):
    trace = load(GOOD)
    path = tmp_path / "saved"
    trace.save(path)
    content = path.read_bytes()
    for end in (8, 15, 40, len(content) - 48, len(content) - 1):
        path.write_bytes(content[:end])
        with pytest.raises(TraceError):
            load_trace(path)
    for old, new in (
        (b'"version": 2', b'"version": 1'),
        (b'"count": 4', b'"count": 3'),
        (b'"faults": 1', b'"faults": 2'),
    ):
        assert old in content
        path.write_bytes(content.replace(old, new))
        with pytest.raises(TraceError):
            load_trace(path)


def test_a_save_that_fails_leaves_nothing(load, tmp_path):
    trace = load(GOOD)
    target = tmp_path / "folder"
    target.mkdir()
    with pytest.raises(OSError):
        trace.save(target)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["folder", "recording.txt"]


def test_the_digest_depends_on_operations_and_files_only(load):
    first = load(GOOD)
    later = load(b"# a comment\n" + GOOD.text())
    other = load(GOOD.text().replace(b"error_code=0x6", b"error_code=0x7"))
    assert len(first.digest) == 32 and first.digest == later.digest != other.digest


# --- Repeated -------------------------------------------------------------------------------------------------------


def test_every_repetition_has_processes_of_its_own(load):
    recording = started().mmap(100, A, PAGE, flags=1, fd=3, mapped=dict(start=A, length=PAGE, **LIBC))
    for _ in range(2):  # the second has an id above all real pids
        recording.enter(100, "fork").fork(100, 103).leave(100, "fork", 103).fault(103, A).exit(103)
    trace = load(recording)
    thrice = trace.repeated(3)
    again = 1 << 22
    expected = []
    for first, second, third in ((100, 103, again), *((again + n, again + n + 1, again + n + 2) for n in (1, 4))):
        expected += [("SPAWN", first, 0), ("MMAP", first, 1)]
        for child in (second, third):
            expected += [("FORK", first, child), ("FAULT", child, 0), ("EXIT", child, 0)]
    assert operations(thrice, "other") == expected
    others = [name for name in OPERATION.names if name not in ("process", "other")]
    assert np.array_equal(thrice.operations[others], np.tile(trace.operations[others], 3))
    assert (thrice.files, thrice.source) == (trace.files, trace.source)
    assert thrice.summary == {
        name: {reason: 3 * n for reason, n in count.items()} if isinstance(count, dict) else 3 * count
        for name, count in trace.summary.items()
    }
    assert (thrice.summary["processes"], thrice.summary["alive"], len(thrice)) == (9, 3, 24)
    with pytest.raises(ValueError):
        thrice.operations["op"] = 0


def test_operations_of_no_process_and_files_stay_what_they_are():
    made = np.zeros(5, OPERATION)
    made["op"] = [Op.SPAWN, Op.MMAP, Op.RECLAIM, Op.TRUNCATE, Op.EXIT]
    made["process"] = [7, 7, 0, 0, 7]
    made["other"] = [0, 1, 0, 1, 0]
    trace = Trace(made, [("x", PAGE, "disk")], {}, "made here")
    assert trace.repeated(2).operations["process"].tolist() == [7, 7, 0, 0, 7, 8, 8, 0, 0, 8]
    assert trace.repeated(2).operations["other"].tolist() == [0, 1, 0, 1, 0] * 2
    assert len(Trace(made[:0], [], {}, "empty").repeated(4)) == 0
    assert Trace(made[2:3], [], {}, "reclaim").repeated(2).operations["process"].tolist() == [0, 0]


def test_how_often_a_trace_can_be_repeated(load):
    trace = load(GOOD)
    assert trace.repeated(1).digest == trace.digest != trace.repeated(2).digest
    assert trace.repeated(2).digest == trace.repeated(np.int64(2)).digest
    for times in (0, -1, 1.5, True, "2", None):
        with pytest.raises(ValueError if type(times) is int else TypeError, match=r"times: .* is not a whole number"):
            trace.repeated(times)
    with pytest.raises(ValueError, match="32 bits"):
        trace.repeated(1 << 32)


@pytest.mark.parametrize("scheme", rmapcore.schemes())
def test_every_repetition_replays_like_the_first(scheme):
    trace = load_trace(DATA / "redis-bgsave.perf.txt.zst")
    once, twice = (rmapcore.Machine(scheme, ram="1GiB", swap=0) for _ in range(2))
    statuses = trace.replay(once)["statuses"]
    assert np.array_equal(trace.repeated(2).replay(twice)["statuses"], np.tile(statuses, 2))
    assert twice.processes == {}
    for counter in ("faults_zero", "faults_file", "pages_copied_cow", "vma_splits", "vma_merges"):
        assert twice.counters[counter] == 2 * once.counters[counter] > 0
    twice.check()


# --- Real recordings ------------------------------------------------------------------------------------------------

STACK_LIMIT = 8 * MIB
PROT_WRITE, PROT_EXEC, MAP_GROWSDOWN = 2, 4, 0x100


class Areas:
    """The areas of one address space: sorted, disjoint (start, end, prot, grows, file, file offset of address 0)."""

    def __init__(self, areas=(), heap=0):
        self.areas = list(areas)
        self.heap = self.brk = heap

    def cut(self, start, end):
        """Takes the range out; gives what was in it."""
        kept, taken = [], []
        for area in self.areas:
            low, high = max(area[0], start), min(area[1], end)
            if low >= high:
                kept.append(area)
                continue
            taken.append((low, high, *area[2:]))
            kept += [(a, b, *area[2:]) for a, b in ((area[0], low), (high, area[1])) if a < b]
        self.areas = sorted(kept)
        return taken

    def put(self, *areas):
        for area in areas:
            self.cut(area[0], area[1])
            bisect.insort(self.areas, area)

    def find(self, address):
        at = bisect.bisect(self.areas, (address + 1,)) - 1
        if at >= 0 and address < self.areas[at][1]:
            return self.areas[at]
        if at + 1 < len(self.areas):
            _, end, prot, grows, *rest = self.areas[at + 1]
            if grows and end - address <= STACK_LIMIT:
                self.areas[at + 1] = (address & -PAGE, end, prot, grows, *rest)
                return self.areas[at + 1]
        return None


def page_up(address):
    return (address + PAGE - 1) & -PAGE


def misplaced_faults(trace):
    """Replays the operations on intervals; [(index, why)…] of the faults that no mapping explains."""
    spaces, wrong = {}, []
    for index, o in enumerate(trace.operations):
        op, prot, flags, pid, other, addr, length, arg, arg2 = o.item()
        end = page_up(addr + length)
        if pid == 0:                           # of a file
            continue
        if op in (Op.SPAWN, Op.EXECVE):
            assert (pid in spaces) == (op == Op.EXECVE)
            spaces[pid] = Areas()
            continue
        space = spaces[pid]
        if op == Op.MMAP:
            space.put((addr, end, prot, bool(flags & MAP_GROWSDOWN), other, arg - addr))
        elif op == Op.MUNMAP:
            space.cut(addr, end)
        elif op == Op.MPROTECT:
            space.put(*((area[0], area[1], prot, *area[3:]) for area in space.cut(addr, end)))
        elif op == Op.MREMAP:
            taken = space.cut(addr, end)
            assert taken, "mremap of nothing"
            new = arg2 if flags & 2 else addr
            first = taken[0]
            space.put((new, page_up(new + arg), *first[2:5], first[5] + first[0] - new))
        elif op == Op.SETBRK:
            assert addr % PAGE == 0
            space.heap = space.brk = addr
        elif op == Op.BRK:
            low, high = page_up(space.brk), page_up(addr)
            if high > low:
                space.put((low, high, 3, False, 0, 0))
            elif high < low:
                space.cut(high, low)
            space.brk = addr
        elif op == Op.FORK:
            assert other not in spaces
            spaces[other] = Areas(space.areas)
            spaces[other].heap, spaces[other].brk = space.heap, space.brk
        elif op == Op.EXIT:
            del spaces[pid]
        elif op == Op.FAULT:
            area = space.find(addr)
            if area is None:
                wrong.append((index, "no area"))
            elif flags & 2 and not area[2] & PROT_WRITE:
                wrong.append((index, "write to an area that is not writable"))
            elif flags & 16 and not area[2] & PROT_EXEC:
                wrong.append((index, "fetch from an area that is not executable"))
            elif area[4] and not 0 <= addr + area[5] < trace.files[area[4] - 1].size:
                wrong.append((index, "past the end of the file"))
    return wrong


def recordings():
    return sorted(DATA.glob("*.perf.txt.zst"))


# From the table beside the recordings: events, faults, tasks forked (threads too).
RECORDED = {
    "redis-bgsave": (18606, 14713, 20),
    "make-j2": (26747, 22259, 25),
    "apache-prefork": (24755, 6867, 16),
    "postgres": (22399, 10639, 12),
    "process-pool": (12590, 8637, 7),
}
ASSUMED = {"postgres": {"faults that mapped a large folio of a file", *(
    f"{call} of a file that is not known to be mapped" for call in ("fsync", "fdatasync", "ftruncate", "sync_file_range"))}}


@pytest.mark.parametrize("path", recordings(), ids=lambda path: path.name)
def test_real_recordings(path, tmp_path):
    trace = load_trace(path)
    summary = trace.summary
    recorded = RECORDED.get(path.name.removesuffix(".perf.txt.zst"))
    if recorded:
        assert (summary["events"], summary["faults"], summary["forks"] + summary["threads"]) == recorded
    counts = Counter(trace.operations["op"].tolist())
    left_out_faults = sum(count for reason, count in summary["left_out"].items() if reason.startswith("fault "))
    assert counts[Op.FAULT] == summary["faults"] - left_out_faults
    assert counts[Op.EXIT] == counts[Op.SPAWN] + counts[Op.FORK] == summary["processes"]
    assert summary["alive"] == summary["lost"] == 0
    assert {*summary["assumed"]} == ASSUMED.get(path.name.removesuffix(".perf.txt.zst"), set())
    assert misplaced_faults(trace) == []
    trace.save(tmp_path / "saved")
    assert load_trace(tmp_path / "saved").digest == trace.digest
