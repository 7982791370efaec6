"""The borders of what readers of recordings take: the last value inside and the first one outside of each."""
import errno
import gzip

import pytest

from recordings import PAGE, A, C, Recording, operations, started
from rmapcore import TraceError, load_trace
from rmapcore.operations import OPERATION
from rmapcore.traces import lines, rarecalls, remarks, states
from rmapcore.traces.files import LONGEST, Files, page_up
from rmapcore.traces.huge import BLOCK_BYTES, CLEARING, Answer, HugePages
from rmapcore.traces.lines import BadLine, Blocks
from rmapcore.traces.order import newest_first

USER_END = 1 << 47
ERRORS = 4095                                  # results that are a -errno


def left_out(trace):
    return dict(trace.summary["left_out"])


def test_user_addresses_end_at_2_to_47(load):
    trace = load(started().fault(100, USER_END - 1).fault(100, USER_END))
    assert operations(trace, "addr")[1:] == [("FAULT", 100, USER_END - 1)]
    assert left_out(trace) == {"fault at a kernel address": 1}


@pytest.mark.parametrize(("result", "failed"), [((1 << 64) - ERRORS, True), ((1 << 64) - ERRORS - 1, False),
                                                ((1 << 64) - 1, True), (0, False)])
def test_results_that_are_errors(load, result, failed):
    trace = load(started().call(100, "munmap", result, addr=A, len=PAGE))
    name = errno.errorcode.get((1 << 64) - result, f"error {(1 << 64) - result}")
    assert left_out(trace) == ({f"munmap failed: {name}": 1} if failed else {})


@pytest.mark.parametrize(("address", "inside"), [(C - 1, False), (C, True), (C + 2 * PAGE - 1, True), (C + 2 * PAGE, False)])
def test_faults_in_the_vdso(load, address, inside):
    vdso = {"start": C, "length": 2 * PAGE, "path": "[vdso]", "prot": "r-xp"}
    trace = load(Recording().exec(100, vdso).fault(100, address, 4))
    assert left_out(trace) == ({"fault in vdso or vvar": 1} if inside else {})
    assert [name for name, *_ in operations(trace)].count("FAULT") == (not inside)


@pytest.mark.parametrize(("start", "length", "whole"), [
    (0, BLOCK_BYTES, (0, BLOCK_BYTES)), (0, BLOCK_BYTES - 1, None), (1, BLOCK_BYTES, None),
    (1, 2 * BLOCK_BYTES - 1, (BLOCK_BYTES, BLOCK_BYTES)), (BLOCK_BYTES, 2 * BLOCK_BYTES, (BLOCK_BYTES, 2 * BLOCK_BYTES)),
])
def test_whole_blocks_of_huge_pages(start, length, whole):
    assert HugePages.whole(start, length) == whole


@pytest.mark.parametrize(("later", "races"), [(0, True), (CLEARING, True), (CLEARING + 1, False)])
def test_how_long_a_huge_page_may_take(later, races):
    answer = Answer(0, 7, A, True, 100, 5000)
    records = bytearray(OPERATION.itemsize)
    assert answer.races(7, 101, 5000 + later, records) == races
    assert not answer.races(8, 101, 5000, records) and not answer.races(7, 100, 5000, records)


@pytest.mark.parametrize(("times", "turned"), [
    ("654321", True), ("54321", False), ("987654321", True), ("11111111", False), ("123456", False),
    ("98765432109", True), ("987654323", False), ("76543", False),
])
def test_steps_that_show_that_the_newest_stands_first(times, turned):
    assert newest_first([b"prog 1/1 %d.%s: x" % (5 + int(digit), digit.encode()) for digit in times]) == turned


def test_nine_steps_back_to_one_forward():
    def of(back, forward):
        steps = [-1] * back + [1] * forward
        times = [100 + sum(steps[:number]) for number in range(len(steps) + 1)]
        return newest_first([b"prog 1/1 %d.5: x" % time for time in times])

    assert of(5, 0) and not of(4, 0) and of(9, 1) and not of(8, 1) and of(18, 2) and not of(17, 2)


def test_the_longest_file():
    files = Files()
    number = files.number("/a")
    files.extend(number, LONGEST)
    assert files.table == [["/a", LONGEST, "disk"]]
    files.extend(number, 1)
    assert files.table[0][1] == LONGEST
    with pytest.raises(BadLine, match=str(LONGEST + 1)):
        files.extend(number, LONGEST + 1)
    assert [page_up(value) for value in (0, 1, PAGE, PAGE + 1)] == [0, PAGE, PAGE, 2 * PAGE]


def test_a_file_is_found_by_all_then_by_its_inode_then_by_its_path_and_only_if_one_has_it():
    files = Files()
    for path, device, inode in (("/a", "1", "7"), ("/b", "1", "8"), ("/b", "1", "9"), ("/c", "2", "7"), ("/d", "2", "7")):
        files.number(path, device, inode)
    for asked, number in ((("/b", "1", "9"), 3), (("/b (deleted)", "1", "9"), 3), (("/x", "1", "8"), 2), (("/a", "3", "3"), 1),
                          (("/b", "3", "3"), 0), (("/c", "3", "3"), 4), (("/x", "2", "7"), 0), (("/x", "3", "3"), 0)):
        assert files.find(*asked) == number, asked


@pytest.mark.parametrize(("ends", "turned"), [((), True), ((100,), True), ((100, 300), False)])
def test_what_ends_before_all_else_that_it_does_runs_against_time(load, ends, turned):
    """Of two processes, beside some that do not."""
    recording = started()
    for pid in (200, 201):
        recording.exit(pid)
    recording.exec(300).mmap(200, A, PAGE).mmap(201, A, PAGE)
    for pid in ends:
        recording.exit(pid)
    if not turned:
        assert len(load(recording))
        return
    with pytest.raises(TraceError, match="turned round in time"):
        load(recording)


@pytest.mark.parametrize(("pages", "taken"), [(4, True), (5, False)])
def test_the_most_pages_of_a_state(tmp_path, monkeypatch, pages, taken):
    monkeypatch.setattr(states, "MOST_PAGES", 4)
    head = f"# state 1.000000000\n# process 1 1 a\n# area 0-10000 rw-p 0 00:00 0 rd \n# pages 0 {pages} anon 1 0\n"
    (tmp_path / "r").write_bytes(head.encode() + started().text())
    if taken:
        assert len(load_trace(tmp_path / "r"))
        return
    with pytest.raises(TraceError, match="a state with more than 4 pages of a process"):
        load_trace(tmp_path / "r")


def test_the_most_names_of_areas(load, monkeypatch):
    monkeypatch.setattr(rarecalls, "MOST_NAMES", 2)
    recording = started().mmap(100, A, 4 * PAGE)
    for name in (C, C + 16, C + 32):
        recording.call(100, "prctl", option=0x53564D61, arg2=0, arg3=A, arg4=PAGE, arg5=name)
    trace = load(recording)
    assert operations(trace, "arg")[2:] == [("NAME_AREA", 100, 1), ("NAME_AREA", 100, 2)]
    assert left_out(trace) == {"prctl PR_SET_VMA": 1}


def test_the_longest_line(tmp_path, monkeypatch):
    monkeypatch.setattr(lines, "LINE_BYTES_MAX", 100)
    assert list(Blocks("r", iter([b"x" * 100, b"\n"]))) == [b"x" * 100]
    with pytest.raises(TraceError, match="no line end"):
        list(Blocks("r", iter([b"x" * 101, b"\n"])))


def test_the_longest_compressed_text(tmp_path):
    text = started().fault(100, A).text()
    path, rest = tmp_path / "r.gz", 2 * PAGE - len(text) - 1
    path.write_bytes(gzip.compress(text + b"#" * rest + b"\n"))
    assert len(load_trace(path, max_text=2 * PAGE).operations) == 2
    path.write_bytes(gzip.compress(text + b"#" * (rest + 1) + b"\n"))
    with pytest.raises(TraceError, match=r"longer than 8,192 bytes"):
        load_trace(path, max_text=2 * PAGE)


def header(*entries):
    taken = remarks.Remarks()
    for key, value in entries:
        taken.take(f"# {key}: {value}", False)
    return taken


def test_how_much_of_a_header_is_kept():
    assert len(header(("k" * remarks.KEY_MOST, "v" * remarks.VALUE_MOST)).header) == 1
    assert not header(("k" * (remarks.KEY_MOST + 1), "v")).header and not header(("k", "v" * (remarks.VALUE_MOST + 1))).header
    assert not header(("", "v")).header
    assert len(header(*((str(number), "v") for number in range(remarks.KEYS_MOST + 5))).header) == remarks.KEYS_MOST
    late = remarks.Remarks()
    late.take("# k: v", True)
    assert not late.header and header(("k", "1"), ("k", "2")).header == {"k": "1"}


@pytest.mark.parametrize(("key", "most"), [(remarks.STACK_LIMIT, (1 << 64) - 1), (remarks.MAX_MAP_COUNT, (1 << 31) - 1)])
def test_limits_of_a_header(key, most):
    for value in (1, most):
        assert header((key, value)).header == {key: str(value)}
    for value in (0, most + 1):
        with pytest.raises(BadLine, match=f"{key} is not a number from 1 to {most}"):
            header((key, value))


@pytest.mark.parametrize(("text", "limit"), [("4096", 4096), ("8191", 4096), ("4095", None), ("unlimited", "unlimited"),
                                             (str((1 << 64) - 1), (1 << 64) - PAGE), ("many", None)])
def test_stack_limits_are_whole_pages(text, limit):
    assert header((remarks.STACK_LIMIT, text)).stack_limit == limit
