"""A recording's file as text, from files made by hand: what belongs to a program, every kind of line, and damage."""
import itertools
import random
import struct

import numpy as np
import pytest
import ring_pages

from rmapcore.linux.capture import perfdata
from rmapcore.pyx.text.perfdata import Converter
from rmapcore.pyx.text.tracepoints import LOCATED, MISSING

# A recording of a machine, made by hand: pages of rings, and records of perf that end with pid and tid, time, id. Its
# tracepoints have their fields at other places than those of this kernel.
TRAILER = (24, 16)                             # as pyx.perfdata wants it
PAGE = (256, 24, 12)                           # bytes, before its entries, where it says how many are filled
N_EVENTS = len(perfdata.EVENTS)
FIRST_TYPE = 400                               # of an event
FIELDS = np.full((1 + N_EVENTS, 7, 2), MISSING, np.int32)
COMMON = 8                                     # bytes of type and thread, before the fields
for kind, *fields in (                         # place and width of each
        (1, (0, 8), (8, 8), (16, 8)), (2, (0, 8), (8, 8), (16, 8)),            # page faults: address, ip, error code
        (3, (0, 8), (8, 48)), (4, (0, 8), (8, 8)),                             # calls: number, arguments or result
        (5, (LOCATED, 4), (4, 4), (8, 4)),                                     # exec: a name somewhere
        (6, (0, 16), (16, 4), (20, 4), (24, 1)),
        (7, (0, 4), (4, 16), (24, 8), (20, 2)), (8, *((4 * at, 4) for at in range(3)), (12, 16), (28, 4), (32, 4), (36, 4)),
        (9, (0, 4), (4, 4), (8, 4), (16, 8)), (10, (0, 8), (8, 8), (16, 8)), (11, (0, 8), (8, 8), (16, 8), (24, 8)),
        (12, (0, 8), (8, 8)), (13, (0, 8)), (14, (0, 8)),
        *((kind, (0, 4), (8, 8), (16, 8), (24, 8), (4, 1)) for kind in (15, 16)), (17, (0, 4), (8, 8), (16, 8))):
    FIELDS[kind, :len(fields)] = [(at + COMMON, width) for at, width in fields]
HEADS = [b"", *map(perfdata.column, perfdata.EVENTS)]
LABELS = {9: (b"enter_mmap: ", b"exit_mmap: ", [b"addr: 0x", b", len: 0x"]), 152: (b"enter_all: ", b"exit_all: ", [])}


class Data:
    """Events of two processors and records of perf; the time counts up. seed: of how an entry is written, which is free."""

    def __init__(self, seed=0):
        self.events, self.records = ([], []), b""
        self.time = (1 << 59) + 5_000_000_000          # so late that a time in an entry lacks its highest bits
        self.choice = random.Random(seed)

    def record(self, kind, misc, body):
        self.records += struct.pack("<IHH", kind, misc, 8 + len(body)) + body
        self.time += 1_000_007
        return self

    def other(self, pid, kind, body, misc=0, tid=None):
        body += bytes(-len(body) % 8)
        return self.record(kind, misc, body + struct.pack("<IIQQ", pid, tid or pid, self.time, 99))

    def name(self, pid, name, misc=0, tid=None):
        return self.other(pid, 3, struct.pack("<II", pid, tid or pid) + name + b"\0", misc, tid)

    def task(self, kind, pid, parent, tid=None, parent_tid=None):
        body = struct.pack("<IIIIQ", pid, parent, tid or pid, parent_tid or parent, self.time)
        return self.other(parent if kind == 7 else pid, kind, body, tid=None if kind == 7 else tid)

    def event(self, tid, kind, fields):
        raw = struct.pack("<HBBi", FIRST_TYPE + kind, 0, 0, tid) + fields
        self.choice.choice(self.events).append((self.time, raw + bytes(-len(raw) % 4)))
        self.time += 1_000_007
        return self

    def words(self, tid, kind, *words):
        return self.event(tid, kind, struct.pack(f"<{len(words)}Q", *words))

    def pages(self):
        """The events of one processor after the other, in every form that an entry may have."""
        made = []
        for events in self.events:
            page, now = b"", events[0][0] if events else 0
            for time, raw in events:
                entry = self.entry(raw, time - now, time)
                if not page or len(page) + len(entry) > PAGE[0]:
                    made += [page] if page else []
                    page = struct.pack("<QIIQ", time, 0, 0, 0)
                    entry = self.entry(raw, 0, time)
                page, now = page + entry, time
            made += [page] if page else []
        return b"".join(map(self.whole, made))

    def entry(self, raw, delta, time):
        form = self.choice.choice(("short", "long", "extended", "absolute", "dropped"))
        before = b""
        if delta >= 1 << 27 or form == "extended":
            before, delta = struct.pack("<II", 30 | delta % (1 << 27) << 5, delta >> 27), 0
        elif form == "absolute":
            time &= (1 << 59) - 1
            before, delta = struct.pack("<II", 31 | time % (1 << 27) << 5, time >> 27), 0
        elif form == "dropped":
            before = struct.pack("<III", 29 | 1 << 5, 8, 77)
        if form == "long" or len(raw) > 4 * 28:
            return before + struct.pack("<II", delta << 5, 4 + len(raw)) + raw
        return before + struct.pack("<I", len(raw) // 4 | delta << 5) + raw

    def whole(self, page):
        """Filled up; some have an entry that says that the rest is nothing, and say that events before were lost."""
        filled, rest = len(page) - PAGE[1], PAGE[0] - len(page)
        if rest >= 4 and self.choice.random() < 0.5:
            page, filled, rest = page + struct.pack("<I", 29), PAGE[0] - PAGE[1], rest - 4
        lost = self.choice.choice((0, 1 << 31))
        return page[:PAGE[2]] + struct.pack("<I", filled | lost) + page[PAGE[2] + 4:] + bytes(rest)

    def converter(self, pid):
        pages, kinds = self.pages(), np.zeros(1 << 16, np.uint8)
        kinds[FIRST_TYPE + 1:FIRST_TYPE + 1 + N_EVENTS] = np.arange(1, 1 + N_EVENTS)
        self.content, self.start = pages + self.records, len(pages)
        return Converter(np.frombuffer(self.content, np.uint8), len(pages), kinds, PAGE, TRAILER, FIELDS, HEADS, LABELS, pid)

    def index(self, converter):
        found = converter.events(), converter.records(self.start, len(self.content))
        return map(np.concatenate, zip(*found, strict=True))

    def lines(self, converter):
        times, places = self.index(converter)
        order = np.argsort(times, kind="stable")
        out, done, text = np.empty(8192 + 300, np.uint8), 0, b""
        while done < len(order):
            done, n = converter.convert(times[order], places[order], done, out)
            text += out[:n].tobytes()
        return text.decode().splitlines()


def machine(seed=0):
    data = Data(seed)
    data.name(50, b"python").words(60, 1, 1, 2, 3).task(7, 60, 50)
    data.words(60, 3, 9, *range(6))                                    # before its execve
    data.name(60, b"a b 1/2", 1 << 13)
    data.other(60, 10, struct.pack("<IIQQQIIQQII", 60, 60, 0x400000, 0x1000, 0, 0xFE, 1, 77, 5, 5, 2) + b"/bin/x y\0")
    data.event(60, 5, struct.pack("<III", 24 | 7 << 16, 60, 60) + b"\0\0\0\0/bin/x\0")
    data.words(60, 3, 9, 0, 0x2000, 3, 0x22, 0xFFFFFFFF, 0).words(70, 1, 1, 2, 3).words(60, 4, 9, 0x7F0000000000)
    data.words(60, 1, 0x7F0000000000, 0x55, 6).words(60, 2, 0x7F0000001000, 0xFFFFFFFF81000000, 2)
    data.words(60, 3, 1, *range(6)).words(60, 4, 1, 0)                 # a call that is not listed
    data.task(7, 61, 60)
    data.words(61, 3, 152, *range(6)).words(61, 4, 152, (1 << 64) - 1)
    data.event(61, 6, b"a b 1/2".ljust(16, b"\0") + struct.pack("<IIB", 61, 120, 1)).task(4, 61, 60)
    data.words(61, 1, 1, 2, 3)                                         # the pid comes again, for another program
    data.event(60, 7, struct.pack("<I16sIQ", 62, b"a b", 0xFFFFFFFE, 0x3D0F00))
    data.event(60, 8, struct.pack("<iii16siii", 11, 0, 1, b"a b", 60, 0, -1))
    for member in (0, 1, 2, 3, 4):
        data.event(60, 9, struct.pack("<IIiiq", 0xFFFFFFFF, 1, member, 0, 4096 * member - 4096))
    data.words(60, 10, 3, 0x7F0000000000, 4096)
    data.words(60, 11, 3, 0x7F0000000000, 4096, 1 << 40)
    data.words(60, 12, 0x7F0000000010, 9)
    data.words(60, 13, 32).words(60, 14, 1)
    data.words(60, 15, 4 << 32 | 0xFE00001, 0xAB, 0x1000, 3).words(60, 16, 0xFE00001, 0xAB, 0x1000, 3)
    data.words(60, 17, 0xFE00001, 0xAB, 3)
    data.task(7, 60, 60, tid=62).words(62, 1, 0x1000, 2, 4).task(4, 60, 60, tid=62)
    data.task(7, 62, 50).words(62, 1, 1, 2, 3)                         # the same of a thread
    data.event(60, 6, b"a b 1/2".ljust(16, b"\0") + struct.pack("<IIB", 60, 120, 0)).task(4, 60, 50)
    return data.name(60, b"stranger", 1 << 13).words(60, 1, 1, 2, 3)


@pytest.mark.parametrize("seed", range(8))
def test_a_program_is_taken_out_of_the_machine(seed):
    data = machine(seed)
    converter = data.converter(60)
    lines = data.lines(converter)
    assert (converter.lines, converter.faults, converter.processes, converter.lost) == (len(lines), 3, 2, 0)
    assert lines[0].startswith("         a b 1/2    60/60    576460757.307423: PERF_RECORD_COMM exec: ")
    tail = " " * 15 + "0"
    assert [line.partition(": ")[2].strip().removesuffix(tail) for line in lines] == [
        "PERF_RECORD_COMM exec: a b 1/2:60/60",
        "PERF_RECORD_MMAP2 60/60: [0x400000(0x1000) @ 0 fe:01 77 5]: r-xp /bin/x y",
        "sched:sched_process_exec: filename=/bin/x pid=60 old_pid=60",
        "enter_mmap: addr: 0x00000000, len: 0x00002000", "exit_mmap: 0x7f0000000000",
        "exceptions:page_fault_user: address=0x7f0000000000 ip=0x55 error_code=0x6",
        "exceptions:page_fault_kernel: address=0x7f0000001000 ip=0xffffffff81000000 error_code=0x2",
        "PERF_RECORD_FORK(61:61):(60:60)",
        "enter_all: ", "exit_all: 0xffffffffffffffff",
        "sched:sched_process_exit: comm=a b 1/2 pid=61 prio=120 group_dead=true", "PERF_RECORD_EXIT(61:61):(60:60)",
        "task:task_newtask: pid=62 comm=a b clone_flags=3d0f00 oom_score_adj=-2",
        "signal:signal_generate: sig=11 errno=0 code=1 comm=a b pid=60 grp=0 res=-1",
        "kmem:rss_stat: mm_id=4294967295 curr=1 type=MM_FILEPAGES size=-4096B",
        "kmem:rss_stat: mm_id=4294967295 curr=1 type=MM_ANONPAGES size=0B",
        "kmem:rss_stat: mm_id=4294967295 curr=1 type=MM_SWAPENTS size=4096B",
        "kmem:rss_stat: mm_id=4294967295 curr=1 type=MM_SHMEMPAGES size=8192B",
        "kmem:rss_stat: mm_id=4294967295 curr=1 type=? size=12288B",
        "syscalls:sys_enter_read: fd: 0x00000003, buf: 0x7f0000000000, count: 0x00001000",
        "syscalls:sys_enter_pread64: fd: 0x00000003, buf: 0x7f0000000000, count: 0x00001000, pos: 0x10000000000",
        "syscalls:sys_enter_futex: uaddr: 0x7f0000000010, op: 0x00000009",
        "vmscan:mm_vmscan_memcg_reclaim_end: nr_reclaimed=32", "vmscan:mm_vmscan_direct_reclaim_end: nr_reclaimed=1",
        "filemap:mm_filemap_add_to_page_cache: dev 254:1 ino ab pfn=0x1000 ofs=12288 order=4",
        "filemap:mm_filemap_delete_from_page_cache: dev 254:1 ino ab pfn=0x1000 ofs=12288 order=0",
        "filemap:mm_filemap_fault: dev=254:1 ino=ab ofs=12288",
        "PERF_RECORD_FORK(60:62):(60:60)", "exceptions:page_fault_user: address=0x1000 ip=0x2 error_code=0x4",
        "PERF_RECORD_EXIT(60:62):(60:60)",
        "sched:sched_process_exit: comm=a b 1/2 pid=60 prio=120 group_dead=false", "PERF_RECORD_EXIT(60:60):(50:50)",
    ]


def test_order_is_that_of_time():
    """perf writes what it has read from one processor after the other."""
    data, expected = machine(), machine()
    converter = data.converter(60)
    places = [*(converter.records(data.start, len(data.content))[1] - data.start).tolist(), len(data.records)]
    records = [data.records[at:end] for at, end in itertools.pairwise(places)]
    data.records = b"".join(records[1::2] + records[::2])
    assert data.lines(data.converter(60)) == expected.lines(expected.converter(60))


def test_lost_records_are_counted_and_damage_is_found():
    data = machine()
    data.record(2, 0, struct.pack("<QQ", 11, 5)).record(99, 0, b"")
    converter = data.converter(60)
    start, end = data.start, len(data.content)
    converter.records(start, end)
    assert converter.lost == 5
    for first, last in ((start, end - 1), (start + 4, end), (start, end + 8), (start + 8, start)):
        with pytest.raises(ValueError, match=r"no record at byte|beyond the end"):
            data.converter(60).records(first, last)
    short = Data().name(60, b"x", 1 << 13).words(60, 1, 1, 2).words(60, 3, 9)      # events that end early
    converter = short.converter(60)
    assert len(short.lines(converter)) == 1 and converter.damaged
    with pytest.raises(ValueError, match="less than 8192"):
        converter.convert(np.empty(0, np.uint64), np.empty(0, np.uint64), 0, np.empty(9, np.uint8))


@pytest.mark.parametrize("entry", [
    struct.pack("<II", 1, 0),                  # too short for a type and a thread: is none of ours
    struct.pack("<II", 28, 0),                 # longer than its page
    struct.pack("<II", 0, 0), struct.pack("<II", 0, 3), struct.pack("<II", 0, 1 << 31),
    struct.pack("<II", 29 | 32, 0), struct.pack("<II", 29 | 32, 0xFFFFFFFF), struct.pack("<I", 30), struct.pack("<I", 0)])
def test_damaged_pages(entry):
    """Nothing outside of a page is looked at, and nothing is taken twice."""
    page = struct.pack("<QIIQ", 1, 0, len(entry), 0) + entry
    kinds = np.zeros(1 << 16, np.uint8)
    data = np.frombuffer(page.ljust(PAGE[0], b"\xff"), np.uint8)
    converter = Converter(data, len(data), kinds, PAGE, TRAILER, FIELDS, HEADS, LABELS, 60)
    if entry[0] == 1:
        assert len(converter.events()[0]) == 1
    else:
        with pytest.raises(ValueError, match="no event at byte 24"):
            converter.events()


def test_random_pages():
    """The same as the twin, and nothing is read outside of them."""
    choice, good = random.Random(1), 0
    for _ in range(2000):
        words = [choice.choice((choice.getrandbits(32), choice.randrange(32), choice.randrange(300),
                                choice.choice((1, 2)) | choice.getrandbits(27) << 5)) for _ in range(58)]
        pages = struct.pack("<QIIQ58I", choice.getrandbits(64), 0, choice.choice((232, 40, 40, 24)), 0, *words)
        data = np.frombuffer(pages, np.uint8)
        converter = Converter(data, len(data), np.ones(1 << 16, np.uint8), PAGE, TRAILER, FIELDS, HEADS, LABELS, 60)
        try:
            expected = ring_pages.events(pages, PAGE)
        except ValueError as error:
            with pytest.raises(ValueError, match=f"no event at byte {error}$"):
                converter.events()
            continue
        times, places = converter.events()
        assert list(zip(times.tolist(), places.tolist(), strict=True)) == [found[:2] for found in expected]
        converter.convert(times, places, 0, np.empty(1 << 16, np.uint8))
        good += len(places) > 1
    assert good > 100


@pytest.mark.parametrize(("rings", "page"), [(100, PAGE), (512, PAGE), (256, (256, 24, 21)), (256, (24, 24, 12))])
def test_no_whole_pages(rings, page):
    with pytest.raises(ValueError, match="no whole pages"):
        Converter(np.zeros(300, np.uint8), rings, np.zeros(1 << 16, np.uint8), page, TRAILER, FIELDS, HEADS, LABELS, 60)
