"""The importer of recordings: what it makes of single lines, of other columns, and of every kind of bad input."""

import contextlib
import gzip
import random

import pytest
import zstandard

from recordings import MIB, PAGE, A, B, Recording, damaged, operations, started
from rmapcore.errors import TraceError
from rmapcore.operations import OPERATION
from rmapcore.traces import load_trace

# --- Lines ----------------------------------------------------------------------------------------------------------


def test_faults_that_are_left_out_are_counted(load):
    recording = (
        started().fault(99, A).fault(100, 0xFFFFFFFF81000000, 0).fault(100, A, 0x14, "kernel").exit(100).fault(100, A)
    )
    trace = load(recording)
    assert operations(trace, "addr", "flags")[1:] == [("FAULT", 100, A, 0x14), ("EXIT", 100, 0, 0)]
    assert trace.summary["left_out"] == {"fault without a known address space": 2, "fault at a kernel address": 1}
    assert trace.summary["faults"] == 4


def test_calls_without_their_other_half_are_left_out(load):
    recording = (
        started().leave(100, "mmap", A).enter(100, "munmap", addr=A, len=PAGE).enter(100, "munmap", addr=B, len=PAGE)
    )
    recording.call(55, "munmap", addr=A, len=PAGE).enter(100, "exit_group", error_code=0).exit(100)
    trace = load(recording)
    assert operations(trace) == [("SPAWN", 100), ("EXIT", 100)]
    left_out = {"mmap without enter": 1, "munmap without exit": 2, "munmap without a known address space": 1}
    assert trace.summary["left_out"] == left_out


def test_other_events_comments_and_lost_events(load):
    recording = (
        started().event(100, "sched:sched_switch", "prev_comm=a ==> next_comm=b").line(100, "PERF_RECORD_LOST lost 12")
    )
    recording.line(100, "PERF_RECORD_MMAP -1/0: [0xffffffff81000000(0x1) @ 0]: x [kernel.kallsyms]_text")
    recording.line(100, "PERF_RECORD_COMM: other name:100/100").line(100, "PERF_RECORD_LOST lost 3")
    trace = load(b"# captured on: Sat Nov 21\n#\n\n" + recording.text())
    assert operations(trace) == [("SPAWN", 100)]
    assert trace.summary["lost"] == 15
    assert trace.summary["left_out"] == {"event sched:sched_switch": 1, "event PERF_RECORD_MMAP": 1}
    assert (trace.summary["lines"], trace.summary["events"]) == (11, 8)


@pytest.mark.parametrize("comm", ["Web Content 1/2", "a: 100/100 3.5:", "kworker/u8:3", "größer", "#1 100/7 1.0: x"])
def test_names_of_commands_may_hold_anything(load, comm):
    text = started().mmap(100, A, PAGE).fault(100, A).exit(100).text()
    shown = comm.encode().rjust(16)
    trace = load(text.replace(b"prog".rjust(16), shown).replace(b"prog", comm.encode()))
    assert operations(trace) == [("SPAWN", 100), ("MMAP", 100), ("FAULT", 100), ("EXIT", 100)]


def test_other_columns_of_perf_script(load):
    """Lines of which an editor has stripped the indentation, the processor printed, no addr column, DOS line ends."""
    recording = started(1234567).mmap(1234567, A, PAGE).enter(1234567, "vfork").fork(1234567, 1234568).fault(1234568, A)
    text = recording.text()
    plain = load(text)
    lines = text.decode().splitlines()
    variants = {
        "stripped": [line.strip() for line in lines],
        "processor": [line[:16] + line[16:].replace("  3732", " [001]  3732", 1) for line in lines],
        "no addr": [line.removesuffix("               0") for line in lines],
        "dos": [line + "\r" for line in lines],
    }
    for name, variant in variants.items():
        trace = load("\n".join(variant).encode())
        assert operations(trace, *OPERATION.names[1:]) == operations(plain, *OPERATION.names[1:]), name


# --- Bad input ------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize(
    "tail",
    [
        "exceptions:page_fault_user: address=0x7f00 ip=0x1234",
        "exceptions:page_fault_user: address=0x7fxx ip=0x1234 error_code=0x6               0",
        "exceptions:page_fault_user: address=0x7f00",
        "exceptions:page_fault_user: address=0x7f00 ip=0x1 error_code=0x1ffffffffffffffff 0",
        "syscalls:sys_enter_mmap: addr: 0x00000000, len: 0x00002000, prot: 0x00000003",
        "syscalls:sys_enter_munmap: addr: zero, len: 0x00002000               0",
        "syscalls:sys_exit_mmap: ",
        "syscalls:sys_exit_mmap: ?",
        "PERF_RECORD_MMAP2 100/100: [0x7fff907e5000(0x21000) @ 0x7ffffffde000",
        "PERF_RECORD_FORK(101:101):(100",
        "PERF_RECORD_COMM exec: bash",
        "PERF_REC",
        "nonsense here",
    ],
)
def test_a_line_that_cannot_be_used_is_named(load, tail):
    recording = started().mmap(100, A, PAGE)
    n_good = len(recording.lines)
    with pytest.raises(TraceError) as caught:
        load(recording.line(100, tail).fault(100, A).exit(100))
    error = caught.value
    assert error.line == n_good + 1
    assert error.file.endswith("recording.txt")
    assert str(error).startswith(f"{error.file}:{error.line}: ") and tail.strip()[:40] in str(error)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "empty"),
        (b"\n\n", "no perf script recording"),
        (b"The quick brown fox\njumps over\n", "no perf script recording"),
        (b"PERFILE2" + bytes(100), "perf script"),
        (bytes(range(256)) * 100, "no perf script recording"),
        (bytes(5 << 20), "no text"),
        (b"\x7fELF\x02\x01\x01\x00\n\x00\n", "no perf script recording"),
        (Recording().event(1, "sched:sched_switch", "a ==> b").text(), "no perf script recording"),
        (b"\x28\xb5\x2f\xfd" + b"junk" * 100, "zstd"),
        (b"\x28\xb5\x2f\xfd", "zstd"),
        (b"\x1f\x8b" + b"junk" * 100, "gzip"),
        (zstandard.compress(b""), "empty"),
        (b"RMAPOPS1", "cut off"),
        (b"RMAPOPS1" + b"\xff" * 100, "cut off"),
        (b"RMAPOPS1\x02" + bytes(7) + b"[]" + bytes(38), "damaged"),
        (b"RMAPOPS1\x02" + bytes(7) + b"{}" + bytes(38), "damaged"),
    ],
)
def test_what_is_no_recording_is_refused(load, content, says):
    with pytest.raises(TraceError, match=says) as caught:
        load(content)
    assert caught.value.file and str(caught.value).count("\n") == 0 and len(str(caught.value)) < 600


def test_missing_files_and_folders(tmp_path):
    for path in (tmp_path / "missing", tmp_path):
        with pytest.raises(TraceError) as caught:
            load_trace(path)
        assert caught.value.file == str(path) and caught.value.line is None


@pytest.mark.parametrize("compress", [zstandard.compress, gzip.compress], ids=["zstd", "gzip"])
def test_compressed_recordings_whole_in_parts_and_cut_off(load, compress):
    chance = random.Random(6)
    faults = started().mmap(100, A, MIB * 64)
    for _ in range(20_000):
        faults.fault(100, A + chance.randrange(MIB * 64))
    text = faults.text()
    plain = load(text)
    packed = compress(text)
    assert load(packed).digest == plain.digest
    assert load(compress(text[:777]) + compress(text[777:])).digest == plain.digest
    for end in (len(packed) - 1, len(packed) // 2, 10, *(chance.randrange(4, len(packed)) for _ in range(10))):
        with pytest.raises(TraceError):
            load(packed[:end])
    for _ in range(10):  # a flipped bit must not end in another exception
        damaged = bytearray(packed)
        damaged[chance.randrange(4, len(packed))] ^= 1 << chance.randrange(8)
        with contextlib.suppress(TraceError):
            load(bytes(damaged))


def test_damaged_text_ends_in_a_trace_or_a_trace_error(load):
    chance = random.Random(7)
    areas = [{"start": B, "length": PAGE, "path": path} for path in ("[stack]", "//anon", "[vdso]", "/bin/prog")]
    recording = Recording().exec(100, *areas).mmap(100, A, PAGE).fault(100, A).call(100, "brk", A, brk=0)
    recording.enter(100, "clone3", uargs=1, size=88).fork(100, (100, 101)).fork(100, 102).leave(100, "clone3", 102)
    recording.enter(100, "munmap", addr=A, len=PAGE).mmap((100, 101), A, PAGE).leave(100, "munmap")
    recording.call((100, 101), "mremap", B, addr=A, old_len=PAGE, new_len=PAGE, flags=1, new_addr=0)
    recording.enter(102, "execve", filename=1, argv=2, envp=3).exec(102, *areas).exit(102).exit((100, 101), "false")
    recording.enter(100, "shmat", shmid=1, shmaddr=0, shmflg=0).mmap2(100, A, PAGE, "/SYSV0").leave(100, "shmat", A)
    recording.call(100, "shmdt", shmaddr=A).exit(100)
    lines = [line.encode() + b"\n" for line in recording.lines]
    for _ in range(1000):
        try:
            load(damaged(lines, chance, 2))
        except TraceError as error:
            assert error.file


# --- What perf writes besides ----------------------------------------------------------------------------------------


def running(pid, *areas):
    """What perf writes at its start of a process that runs: lines of no thread, at time 0."""
    recording = Recording()
    recording.time = 0
    recording.line((0, 0), f"PERF_RECORD_COMM: prog:{pid}/{pid}")
    for start, length, path, prot in areas:
        recording.line((0, 0), f"PERF_RECORD_MMAP2 {pid}/{pid}: [{start:#x}({length:#x}) @ 0 fe:00 7 0]: {prot} {path}")
    recording.time = 2054.9
    return recording


def test_call_stacks_are_passed_over(load):
    """perf record -g: lines that begin with a tab, and an empty one."""
    stack = b"\n\tffffffff821f32a1 exc_page_fault\n\t    7fb0ed082ad7 [unknown]\n\n"
    text = started().fault(100, A).text().replace(b"\n", stack)
    trace = load(text)
    assert operations(trace) == operations(load(started().fault(100, A))) and trace.summary["events"] == 4


def test_a_process_that_ran_before_has_its_areas(load):
    heap, stack, vdso = 0x555500000000, 0x7FFE00000000, 0x7FFF00000000
    recording = running(70, (A, 4 * PAGE, "/usr/bin/prog", "r-xp"), (B, 2 * PAGE, "//anon", "rw-p"),
                        (heap, PAGE, "[heap]", "rw-p"), (stack, 33 * PAGE, "[stack]", "rw-p"),
                        (vdso, 2 * PAGE, "[vdso]", "r-xp"), (0xFFFFFFFFFF600000, PAGE, "[vsyscall]", "--xp"))
    trace = load(recording.fault(70, B).fault(70, vdso, 4).call(70, "brk", heap + 3 * PAGE, brk=heap + 3 * PAGE))
    assert operations(trace, "addr", "length", "flags") == [
        ("SPAWN", 70, 0, 0, 0), ("MMAP", 70, A, 4 * PAGE, 0x12), ("MMAP", 70, B, 2 * PAGE, 0x32), ("SETBRK", 70, heap, 0, 0),
        ("BRK", 70, heap + PAGE, 0, 0), ("MMAP", 70, stack, 33 * PAGE, 0x132), ("FAULT", 70, B, 0, 6),
        ("BRK", 70, heap + 3 * PAGE, 0, 0)]
    assert trace.summary["left_out"] == {"fault in vdso or vvar": 1}
    assert trace.summary["assumed"] == {"processes that ran before: what they had in memory is not known": 1}
    assert [path for path, *_ in trace.files] == ["/usr/bin/prog"]


def test_a_process_that_ran_before_forks_and_executes(load):
    recording = running(70, (B, 2 * PAGE, "//anon", "rw-p")).enter(70, "clone", flags=0x1200011)
    recording.line(70, "PERF_RECORD_FORK(71:71):(70:70)").fault(71, B).exec(70)
    kinds = [(name, pid) for name, pid, *_ in operations(load(recording))]
    assert kinds == [("SPAWN", 70), ("MMAP", 70), ("FORK", 70), ("FAULT", 71), ("EXECVE", 70)]


def test_the_parents_of_what_ran_before_have_not_forked_it_now(load):
    """perf record -a tells of each process whose child it is, and then its areas."""
    parent, child = running(70, (A, PAGE, "//anon", "rw-p")), running(71, (B, PAGE, "//anon", "rw-p"))
    parent.lines += ["         swapper     0/0         0.000000: PERF_RECORD_FORK(71:71):(70:70)", *child.lines,
                     "         swapper     0/0         0.000000: PERF_RECORD_FORK(71:72):(71:71)"]
    trace = load(parent.fault((71, 72), B))
    assert operations(trace, "addr") == [("SPAWN", 70, 0), ("MMAP", 70, A), ("SPAWN", 71, 0), ("MMAP", 71, B), ("FAULT", 71, B)]
    assert (trace.summary["forks"], trace.summary["threads"]) == (0, 1)
    assert set(trace.summary["assumed"]) == {"processes that ran before: what they had in memory is not known"}
