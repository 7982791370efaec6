"""Recordings that ask for more than they are: every reader has limits, and says file, line and value."""
import gzip
import time
import tracemalloc

import pytest
import zstandard

import rmapcore
from recordings import MIB, PAGE, A, Recording, started
from rmapcore import Op, TraceError, load_trace
from rmapcore.studies.replaycheck import check_replay
from rmapcore.traces import states

COMM_COLUMNS = 16
GIB = 1 << 30
MADV_HUGEPAGE = 14
LINE = b"            prog   100/100      1.000000:     exceptions:page_fault_user: address=0x1000 ip=0x1 error_code=0x6\n"


def refused(path, content, **options):
    """The message of the TraceError."""
    path.write_bytes(content if isinstance(content, bytes) else "".join(f"{line}\n" for line in content).encode())
    with pytest.raises(TraceError) as caught:
        load_trace(path, **options)
    assert str(caught.value).startswith(str(path)) and len(str(caught.value)) < 500
    return str(caught.value)


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress])
def test_compressed_text_has_a_limit(pack, tmp_path):
    bomb = pack(LINE * 9) + pack((b"#" + b" " * 9999 + b"\n") * 2000) * 3
    assert "the compressed text is longer than " in refused(tmp_path / "bomb", bomb)
    text = b"".join(f"{line}\n".encode() for line in started().lines) + LINE * 2000
    (tmp_path / "good").write_bytes(pack(text))
    assert load_trace(tmp_path / "good").summary["faults"] == 2000
    assert "longer than 8,192 bytes (max_text allows more)" in refused(tmp_path / "good", pack(text), max_text="8KiB")
    assert load_trace(tmp_path / "good", max_text="1MiB").summary["faults"] == 2000


def test_a_window_of_zstd_that_takes_gigabytes_is_refused(tmp_path):
    parameters = zstandard.ZstdCompressionParameters(window_log=30, enable_ldm=False, write_content_size=False)
    packer = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    assert "requires too much memory" in refused(tmp_path / "wide", packer.compress(LINE * 9) + packer.flush())


def test_huge_pages_asked_for_cost_nothing(tmp_path):
    """One line asks for 64 TiB, 33 million blocks; others again for parts of it."""
    recording = started().mmap(100, PAGE, 1 << 46).call(100, "madvise", start=0, len_in=1 << 63, behavior=MADV_HUGEPAGE)
    for number in range(1000):
        recording.call(100, "madvise", start=number * GIB, len_in=GIB, behavior=MADV_HUGEPAGE)
    recording.fault(100, 5 * GIB + 7, 6)
    (tmp_path / "r").write_text("".join(f"{line}\n" for line in recording.lines))
    tracemalloc.start()
    try:
        operations = load_trace(tmp_path / "r").operations
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()
    assert (int(operations["addr"][-1]), int(operations["length"][-1])) == (5 * GIB, 2 * MIB)


BIG = "f" * 17
PERF = [
    f"exceptions:page_fault_user: address=0x{BIG} ip=0x1 error_code=0x6",
    f"syscalls:sys_enter_munmap: addr: 0x{BIG}, len: 0x00001000",
    f"syscalls:sys_exit_munmap: 0x{BIG}",
    f"PERF_RECORD_MMAP2 100/100: [0x{BIG}(0x1000) @ 0 08:01 1 0]: r-xp /a",
    f"PERF_RECORD_MMAP2 {'9' * 30}/100: [0x1000(0x1000) @ 0 08:01 1 0]: r-xp /a",
    f"PERF_RECORD_FORK({'9' * 20}:1):(100:100)",
    f"raw_syscalls:sys_enter: NR 11 ({BIG}, 1000, 0, 0, 0, 0)",
    f"raw_syscalls:sys_exit: NR 11 = {'9' * 30}",
    f"kmem:rss_stat: mm_id=1 curr=1 type=MM_ANONPAGES size={'9' * 30}B",
    f"task:task_newtask: pid=5 comm=a clone_flags={BIG} oom_score_adj=0",
    f"signal:signal_generate: sig={'9' * 30} errno=0 code=1 comm=a",
]


@pytest.mark.parametrize("event", PERF)
def test_numbers_of_more_than_64_bits_are_refused_where_they_stand(event, tmp_path):
    lines = [*started().lines, f"{'prog':>{COMM_COLUMNS}}   100/100      1.000000: {event}"]
    message = refused(tmp_path / "r", lines)
    assert f":{len(lines)}: " in message and "bits" in message and event[:20] in message


@pytest.mark.parametrize("who", [f"{'9' * 20}/100", f"100/{'9' * 11}", "4294967296/4294967296"])
def test_pids_of_more_than_31_bits_are_refused(who, tmp_path):
    message = refused(tmp_path / "r", [*started().lines, f"{'prog':>{COMM_COLUMNS}} {who} 1.0: PERF_RECORD_COMM exec: a:1/1"])
    assert "more than 31 bits" in message


def test_a_file_that_is_too_long_is_refused(tmp_path):
    mapped = {"start": PAGE, "length": PAGE, "path": "/a"}
    recording = started().mmap(100, PAGE, PAGE, flags=2, fd=3, off=1 << 62, mapped=mapped)
    message = refused(tmp_path / "r", recording.lines)
    assert f"a file that is mapped up to byte {(1 << 62) + PAGE}" in message and f":{len(recording.lines)}: " in message


def test_files_that_no_machine_has_room_for(tmp_path):
    """Found by the fuzzer of readers: it was an arena that was full, and the advice to make a larger machine."""
    mapped = {"start": A, "length": PAGE, "path": "/a"}
    recording = started().mmap(100, A, PAGE, flags=2, fd=3, off=1 << 45, mapped=mapped).fault(100, A)
    (tmp_path / "r").write_bytes(recording.text())
    trace = load_trace(tmp_path / "r")
    for ask in (lambda: rmapcore.compare(trace, "anon_vma"), lambda: check_replay(trace)):
        with pytest.raises(ValueError, match=rf"/r: its files, {(1 << 33) + 1:,} pages together, are more than a machine"):
            ask()


def test_a_pid_that_no_machine_has(tmp_path):
    """Found by the fuzzer of readers: the message named neither the recording nor anything that its user could change."""
    (tmp_path / "r").write_bytes(started(1 << 24).mmap(1 << 24, A, PAGE).fault(1 << 24, A).text())
    with pytest.raises(ValueError, match=r"/r: no machine has room for all of it \(arena 'pids'"):
        rmapcore.compare(load_trace(tmp_path / "r"), "anon_vma")


@pytest.mark.parametrize(("line", "said"), [
    (f"# max_map_count: {'9' * 30}", "max_map_count is not a number from 1 to 2147483647"),
    ("# stack limit: 0", "stack limit is not a number from 1"),
    ("# state 1.000000000\n# process 1 1 a\n# special fffffffffffffffff 1", "a state cannot be read"),
    ("# state 1.000000000\n# process 1 1 a\n# area 0-fffffffffffff000 rw-p 0 00:00 0 rd \n# pages 0 99999999 anon 1 0",
     f"more than {states.MOST_PAGES:,} pages of a process"),
])
def test_numbers_of_headers_and_states(line, said, tmp_path):
    assert said in refused(tmp_path / "r", [*line.split("\n"), *started().lines])


@pytest.mark.parametrize(("line", "said"), [
    (f"10  1.5 mmap(0x{BIG}, 4096, 0x1, 0x22, -1, 0) = 0x1000", "64 bits"),
    (f"10  1.5 munmap(0x1000, 4096) = 0x{BIG}", "64 bits"),
    (f"{'9' * 20}  1.5 munmap(0x1000, 4096) = 0", "31 bits"),
    (f"10  1.5 mmap(NULL, {'9' * 30}, PROT_READ, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0x1000", "64 bits"),
])
def test_numbers_in_logs_of_strace(line, said, tmp_path):
    first = '10  1.0 execve("/bin/a", ["a"], 0x7ffd /* 1 var */) = 0'
    message = refused(tmp_path / "r", [first, line])
    assert ":2: " in message and said in message


@pytest.mark.parametrize("call", ["mremap(0x7ffff7fb6000, 38747) = 0",
                                  "mremap(0x7ffff7fb6000, 38747, 0, MREMAP_MAYMOVE) = 0x5000"])
def test_a_file_moved_to_nothing(call, tmp_path):
    (tmp_path / "r").write_text(f"28103 mmap(NULL, 38747, PROT_READ, MAP_PRIVATE, 3, 0) = 0x7ffff7fb6000\n28103 {call}\n")
    assert [Op(op).name for op in load_trace(tmp_path / "r").operations["op"]] == ["SPAWN", "MMAP", "MREMAP"]


def test_a_pid_above_those_of_a_kernel_does_not_name_two_address_spaces(tmp_path):
    """Ids of our own begin at 2^22: pid 2^22 is taken, and 100 is used a second time."""
    recording = Recording().exec(1 << 22).exec(100)
    recording.line(100, "sched:sched_process_exit: comm=a pid=100 prio=120 group_dead=true").exec(100)
    (tmp_path / "r").write_text("".join(f"{line}\n" for line in recording.lines))
    pids = [int(pid) for pid in load_trace(tmp_path / "r").operations["process"]]
    assert pids == [1 << 22, 100, 100, (1 << 22) + 1]


def test_many_ranges_of_huge_pages_take_time_in_proportion(tmp_path):
    took = []
    for count in (2000, 20_000):
        recording = started()
        for number in range(count):
            recording.call(100, "madvise", start=number * 8 * MIB, len_in=4 * MIB, behavior=MADV_HUGEPAGE)
        (tmp_path / "r").write_text("".join(f"{line}\n" for line in recording.lines))
        start = time.process_time()
        load_trace(tmp_path / "r")
        took.append(time.process_time() - start)
    assert took[1] < 25 * took[0]
