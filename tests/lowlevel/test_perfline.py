"""Lines taken apart by the kernel against the same lines read by the rules: whole recordings, and damaged ones."""
import random
from pathlib import Path

import numpy as np
import pytest
import zstandard

from rmapcore.errors import TraceError
from rmapcore.operations import OPERATION, Op
from rmapcore.pyx.text import perfline
from rmapcore.traces import load_trace

RECORDING = Path(__file__).parent.parent / "data" / "redis-bgsave.perf.txt.zst"
EVENTS = [("fault:", perfline.FAULT, 0), ("enter:", perfline.ARGUMENTS, 2), ("begin:", perfline.ARGUMENTS, 0),
          ("leave:", perfline.RESULT, 0), ("MMAP2", perfline.MAPPING, 0), ("COMM", perfline.TEXT, 0),
          ("rss:", perfline.COUNT, 0)]
FAULT, ENTER, BEGIN, LEAVE, MMAP2, COMM, RSS = range(perfline.FIRST, perfline.FIRST + len(EVENTS))
USER_END = 1 << 47
COLUMNS = "            prog   10/12     3.000001: "
NANOSECONDS = 3_000_001_000            # the same
FAULT_AT = "fault: address={:#x} ip=0x1 error_code=0x{:x}               0"


class Untaken:
    """In place of a Scanner: gives every line back, as if each were damaged."""

    def __init__(self, events, user_end):
        pass

    def lives(self, who, space, special_start, special_end):
        pass

    def scan(self, block, start):
        end = block.find(b"\n", start)
        end = len(block) if end < 0 else end
        return [(perfline.UNREAD, None, (), block[start:end].decode("latin-1"))], end + 1


@pytest.fixture
def both(tmp_path, monkeypatch):
    """both(text): what load_trace makes of it with the kernel and without, each (operations, files, summary) or an error."""
    path = tmp_path / "recording"

    def outcome():
        try:
            trace = load_trace(path)
            return trace.operations.tobytes(), trace.files, trace.summary
        except TraceError as error:
            return error.line, str(error)

    def both(text):
        path.write_bytes(text)
        with_kernel = outcome()
        with monkeypatch.context() as patch:
            patch.setattr(perfline, "Scanner", Untaken)
            return with_kernel, outcome()

    return both


@pytest.fixture(scope="module")
def lines():
    with zstandard.open(RECORDING, "rb") as stream:
        return stream.read().splitlines()


def scan(text, scanner=None):
    """All lines of a text as [(event, who, values, text)…]."""
    block = text.encode("latin-1")
    scanner = scanner or perfline.Scanner(EVENTS, USER_END)
    start, found = 0, []
    while start <= len(block):
        some, start = scanner.scan(block, start)
        found += some
    return found


# --- One line -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("rest", "event", "values", "text"), [
    ("fault: address=0x7f0012345678 ip=0x1 error_code=0x14               0", FAULT, (0x7F0012345678, 0x14, NANOSECONDS), None),
    ("fault: address=0xffffffffffffffff ip=copy_from_iter error_code=0xffffffff", FAULT,
     ((1 << 64) - 1, 0xFFFFFFFF, NANOSECONDS), None),
    ("   enter: addr: 0x00000000, len: 0x2000, off: 0x1               0", ENTER, (0, 0x2000), None),
    ("enter: addr: 0x1 len: 0x2", ENTER, (1, 2), None),
    ("begin:               0", BEGIN, (), None),
    ("leave: 0xfffffffffffffffe               0", LEAVE, ((1 << 64) - 2,), None),
    ("MMAP2 10/12: [0x7000(0x1000) @ 0 fe:00 7 0]: r--p /a b", MMAP2, (0x7000, 0x1000, 0, 10), "fe:00 7 0]: r--p /a b"),
    ("MMAP2 10/12: [0x7000(0x1000) @ 0x2000 <ab>]: r--p \xe9", MMAP2, (0x7000, 0x1000, 0x2000, 10), "<ab>]: r--p \xe9"),
    ("COMM exec: x:10/12", COMM, (), "exec: x:10/12"),
    ("rss: mm_id=4294967295 curr=1 type=MM_FILEPAGES size=0B               0", RSS, (4294967295, 1, 0, 0), None),
    ("rss: mm_id=0 curr=0 type=MM_ANONPAGES size=8192B", RSS, (0, 0, 1, 8192), None),
    ("rss: mm_id=7 curr=1 type=MM_SWAPENTS size=999999999999999999B x", RSS, (7, 1, 2, 10**18 - 1), None),
    ("rss: mm_id=7 curr=1 type=MM_SHMEMPAGES size=4096B", RSS, (7, 1, 3, 4096), None),
    ("sched:sched_switch: a ==> b ", perfline.OTHER, (), "sched:sched_switch: a ==> b "),
])
def test_what_is_taken(rest, event, values, text):
    assert scan(COLUMNS + rest) == [(event, (10, 12), values, text)]
    assert scan(COLUMNS.replace("/12    ", "/12 [003]") + rest) == [(event, (10, 12), values, text)]


@pytest.mark.parametrize("line", [
    "", " ", "# comment", COLUMNS, COLUMNS + "fault:", COLUMNS + "COMM ", COLUMNS[:20],
    COLUMNS.replace("10/12", "10-12") + "COMM x", COLUMNS.replace("10", "-1") + "COMM x",
    COLUMNS.replace("10/12", "1234567890/12") + "COMM x", COLUMNS.replace("3.0", "3,0") + "COMM x",
    COLUMNS.strip() + " COMM x", "#" + COLUMNS[1:] + "COMM x", COLUMNS + "COMM \xe9", COLUMNS + "CO\xa0MM x",
    COLUMNS + "fault: address=0x7f00 ip=0x1 error_code=0x100000000",
    COLUMNS + "fault: address=0x10000000000000000 ip=0x1 error_code=0x6",
    COLUMNS + "fault: address=0x7F00 ip=0x1 error_code=0x6", COLUMNS + "fault: address=0x ip=0x1 error_code=0x6",
    COLUMNS + "fault: address=0x7f00 ip=a b error_code=0x6",
    COLUMNS + "fault: address=0x7f00 ip=0x1 error_code=0x6 error_code=0x7",
    COLUMNS + "enter: addr: 0x1", COLUMNS + "enter: addr: 1, len: 0x2", COLUMNS + "enter: a,b: 0x1, len: 0x2",
    COLUMNS + "enter: addr: 0x1,, len: 0x2", COLUMNS + "enter: addr: 0x1, len: 0x2x", COLUMNS + "leave: ?",
    COLUMNS + "leave: 0x1x", COLUMNS + "MMAP2 10/12: [0x7000(0x1000) @ 0x2000", COLUMNS + "MMAP2 10/12: [0x7000(0x1000) @ 1 x",
    COLUMNS + "MMAP2 [0x7000(0x1000) @ 0 x", COLUMNS + "rss: mm_id=7 curr=1 type=MM_ANONPAGES size=-4096B",
    COLUMNS + "rss: mm_id=7 curr=2 type=MM_ANONPAGES size=0B", COLUMNS + "rss: mm_id=7 curr=1 type=MM_ANONPAGE size=0B",
    COLUMNS + "rss: mm_id=7 curr=1 type=MM_ANONPAGES size=0", COLUMNS + "rss: mm_id=7 curr=1 type=MM_ANONPAGES size=0Bx",
    COLUMNS + "rss: mm_id=7 curr=1 type=MM_ANONPAGES size=1000000000000000000B", COLUMNS + "rss: mm_id=-7 curr=1 type=",
])
def test_what_is_given_back(line):
    before, after = COLUMNS + "COMM before", COLUMNS + "COMM after"
    found = scan("\n".join([before, line, after]))
    assert found[1] == (perfline.UNREAD, None, (), line)
    assert [text for _, _, _, text in found] == ["before", line, "after"]


def test_blocks_end_with_or_without_a_line_end():
    line = COLUMNS + "leave: 0x5"
    assert scan(line) == [(LEAVE, (10, 12), (5,), None)]
    assert scan(line + "\n") == [(LEAVE, (10, 12), (5,), None), (perfline.UNREAD, None, (), "")]
    assert len(scan("\n".join([line] * 1000))) == 1000


def test_arguments_of_a_scanner():
    with pytest.raises(ValueError, match="7 arguments"):
        perfline.Scanner([("enter:", perfline.ARGUMENTS, 7)], USER_END)
    for start in (-1, 5):
        with pytest.raises(ValueError, match="outside of a block of 4 bytes"):
            perfline.Scanner(EVENTS, USER_END).scan(b"abcd", start)


# --- Faults of threads whose home is known --------------------------------------------------------------------------


def test_faults_become_operations():
    scanner = perfline.Scanner(EVENTS, USER_END)
    scanner.lives((10, 12), 77, 0x5000, 0x7000)
    addresses = [0x4FFF, 0x7000, USER_END - 1, 0x5000, 0x6FFF, USER_END, 0x1000]
    text = "\n".join(COLUMNS + FAULT_AT.format(address, code) for code, address in enumerate(addresses, 1))
    found = scan(text + "\n" + COLUMNS.replace("12", "13") + FAULT_AT.format(1, 2), scanner)
    assert [(event, who, values) for event, who, values, _ in found] == [
        (perfline.FAULTS, None, (3,)), (FAULT, (10, 12), (0x5000, 4, NANOSECONDS)),
        (FAULT, (10, 12), (0x6FFF, 5, NANOSECONDS)),
        (FAULT, (10, 12), (USER_END, 6, NANOSECONDS)),
        (perfline.FAULTS, None, (1,)), (FAULT, (10, 13), (1, 2, NANOSECONDS))]
    operations = np.frombuffer(found[0][3] + found[4][3], OPERATION)
    expected = np.zeros(4, OPERATION)
    expected["op"], expected["process"] = Op.FAULT, 77
    expected["addr"], expected["flags"] = [*addresses[:3], 0x1000], [1, 2, 3, 7]
    expected["arg"], expected["arg2"] = NANOSECONDS, 12
    assert (operations == expected).all()


@pytest.mark.parametrize(("rest", "forgets"), [
    ("COMM exec: x:10/12", True), ("PERF_RECORD_FORK(1:1):(10:12) x", True), ("nonsense", True),
    ("MMAP2 10/12: [0x7000(0x1000) @ 0 00:00 0 0]: r-xp [vdso]", True),
    ("MMAP2 10/12: [0x7000(0x1000) @ 0 00:00 0 0]: r-xp /lib/[v", False),
    ("sched:sched_switch: a ==> b", False), ("enter: addr: 0x1, len: 0x2", False), ("leave: 0x0", False),
])
def test_homes_are_forgotten_behind_what_may_change_them(rest, forgets):
    scanner = perfline.Scanner(EVENTS, USER_END)
    fault = COLUMNS + FAULT_AT.format(0x1000, 6)
    scanner.lives((10, 12), 77, USER_END, 0)
    block = "\n".join([fault, COLUMNS + rest, fault]).encode()
    found, start = scanner.scan(block, 0)
    assert [line[0] for line in found][::2] == [perfline.FAULTS] * (1 if forgets else 2)
    if forgets:
        scanner.lives((10, 12), 77, USER_END, 0)          # of a line before the one that changed it: too late
        (last,), _ = scanner.scan(block, start)
        assert last == (FAULT, (10, 12), (0x1000, 6, NANOSECONDS), None)


def test_a_scan_stops_before_the_second_fault_of_a_thread_without_a_home():
    scanner = perfline.Scanner(EVENTS, USER_END)
    fault, other = (COLUMNS.replace("12", tid) + FAULT_AT.format(0x1000, 6) for tid in ("12", "13"))
    block = "\n".join([fault, other, COLUMNS + "leave: 0x0", fault, fault, other]).encode()
    found, start = scanner.scan(block, 0)
    assert [line[:2] for line in found] == [(FAULT, (10, 12)), (FAULT, (10, 13)), (LEAVE, (10, 12))]
    scanner.lives((10, 12), 77, USER_END, 0)
    found, start = scanner.scan(block, start)
    assert [line[:3] for line in found] == [(perfline.FAULTS, None, (2,)), (FAULT, (10, 13), (0x1000, 6, NANOSECONDS))]
    assert start == len(block) + 1


def test_threads_with_a_place_in_common():
    """The one that was told last has it, and never takes another's fault."""
    scanner = perfline.Scanner(EVENTS, USER_END)
    threads = [(10, 12), (11, 12), (10, 268)]
    text = "\n".join(COLUMNS.replace("10/12 ", f"{pid}/{tid}") + FAULT_AT.format(0x1000, 6) for pid, tid in threads)
    for place in (0, 1, 2, 1, 0):
        scanner.lives(threads[place], 77 + place, USER_END, 0)
        found = scan(text, scanner)
        assert [who for _, who, _, _ in found] == threads[:place] + [None] + threads[place + 1:]
        assert np.frombuffer(found[place][3], OPERATION)["process"].tolist() == [77 + place]
    for who in ((-1, 12), (10, -1), (1 << 80, 12)):       # of lines that are given back: no line that is taken is theirs
        scanner.lives(who, 80, USER_END, 0)
        assert scan(text, scanner) == found


# --- The same with and without --------------------------------------------------------------------------------------


def test_a_whole_recording(both, lines):
    taken, given_back = both(b"\n".join(lines))
    assert taken == given_back and taken[2]["faults"] > 10_000
    given_back = [line for line in scan(b"\n".join(lines).decode("latin-1")) if line[0] == perfline.UNREAD]
    assert len(given_back) < len(lines) / 100


BYTES = b" 0x:/[]()a,.-+_fFX\t\x85\xa0\xe9#9\x1c\r"


def damaged(chance, lines):
    """Some lines of a recording, up to three of them changed, lost, moved or doubled."""
    start = chance.randrange(len(lines))
    part = lines[:chance.randrange(1, 250)] + lines[start:start + chance.randrange(100)]
    for _ in range(chance.randrange(4)):
        at, other = chance.randrange(len(part)), chance.randrange(len(part))
        what = chance.randrange(8)
        if what == 0:
            part[at], part[other] = part[other], part[at]
        elif what == 1:
            part.insert(at, part[other])
        elif what == 2:
            part[at] = part[at][:chance.randrange(len(part[at]) + 1)]
        elif part[at]:
            line = bytearray(part[at])
            place = chance.randrange(len(line))
            byte = bytes([chance.choice(BYTES)])
            line[place:place + chance.randrange(2)] = chance.choice([byte, b""])
            part[at] = bytes(line)
    return b"\n".join(part)


@pytest.mark.parametrize("seed", range(4))
def test_damaged_recordings(both, lines, seed):
    chance = random.Random(seed)
    n_errors = 0
    for _ in range(150):
        text = damaged(chance, lines)
        taken, given_back = both(text)
        assert taken == given_back
        n_errors += len(taken) == 2
    assert 20 < n_errors < 130
