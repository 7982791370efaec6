"""perf's own file as text, from files made by hand: what belongs to a program, every kind of line, and damage."""
import struct

import numpy as np
import pytest

from rmapcore.linux.capture import perfdata
from rmapcore.pyx.text.perfdata import Converter
from rmapcore.pyx.text.tracepoints import LOCATED, MISSING

# A perf.data of a machine, made by hand: samples have id, ip, pid and tid, time, raw data; other records end with pid and tid,
# time, id. Its tracepoints have their fields at other places than those of this kernel.
PLACES = (24, 32, 40, 24, 16)                  # as pyx.perfdata wants them
N_EVENTS = len(perfdata.EVENTS)
FIELDS = np.full((1 + N_EVENTS, 7, 2), MISSING, np.int32)
for kind, *fields in (                         # place and width of each
        (1, (0, 8), (8, 8), (16, 8)), (2, (0, 8), (8, 8), (16, 8)),            # page faults: address, ip, error code
        (3, (0, 8), (8, 48)), (4, (0, 8), (8, 8)),                             # calls: number, arguments or result
        (5, (LOCATED, 4), (4, 4), (8, 4)),                                     # exec: a name somewhere
        (6, (0, 16), (16, 4), (20, 4), (24, 1)),
        (7, (0, 4), (4, 16), (24, 8), (20, 2)), (8, *((4 * at, 4) for at in range(3)), (12, 16), (28, 4), (32, 4), (36, 4)),
        (9, (0, 4), (4, 4), (8, 4), (16, 8)), (10, (0, 8), (8, 8), (16, 8)), (11, (0, 8), (8, 8), (16, 8), (24, 8)),
        (12, (0, 8), (8, 8)), (13, (0, 8)), (14, (0, 8)),
        *((kind, (0, 4), (8, 8), (16, 8), (24, 8), (4, 1)) for kind in (15, 16)), (17, (0, 4), (8, 8), (16, 8))):
    FIELDS[kind, :len(fields)] = fields
HEADS = [b"", *map(perfdata.column, perfdata.EVENTS)]
LABELS = {9: (b"enter_mmap: ", b"exit_mmap: ", [b"addr: 0x", b", len: 0x"]), 152: (b"enter_all: ", b"exit_all: ", [])}


class Data:
    """Records one after the other; the time counts up."""

    def __init__(self):
        self.content = b""
        self.time = 5_000_000_000

    def record(self, kind, misc, body):
        self.content += struct.pack("<IHH", kind, misc, 8 + len(body)) + body
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

    def sample(self, pid, kind, raw, tid=None):
        raw += bytes(-(len(raw) + 4) % 8)
        head = struct.pack("<QQIIQI", 10 + kind, 0xFFFF, pid, tid or pid, self.time, len(raw))
        return self.record(9, 0, head + raw)

    def words(self, pid, kind, *words, tid=None):
        return self.sample(pid, kind, struct.pack(f"<{len(words)}Q", *words), tid)

    def converter(self, pid):
        return Converter(np.frombuffer(self.content, np.uint8), np.arange(11, 11 + N_EVENTS, dtype=np.uint64),
                         np.arange(1, 1 + N_EVENTS, dtype=np.uint8), PLACES, FIELDS, HEADS, LABELS, pid)

    def lines(self, converter):
        times, places = converter.index(0, len(self.content))
        order = np.argsort(times, kind="stable")
        out, done, text = np.empty(8192 + 300, np.uint8), 0, b""
        while done < len(order):
            done, n = converter.convert(times[order], places[order], done, out)
            text += out[:n].tobytes()
        return text.decode().splitlines()


def machine():
    data = Data()
    data.name(50, b"python").words(60, 1, 1, 2, 3).task(7, 60, 50)
    data.words(60, 3, 9, *range(6))                                    # before its execve
    data.name(60, b"a b 1/2", 1 << 13)
    data.other(60, 10, struct.pack("<IIQQQIIQQII", 60, 60, 0x400000, 0x1000, 0, 0xFE, 1, 77, 5, 5, 2) + b"/bin/x y\0")
    data.sample(60, 5, struct.pack("<III", 16 | 7 << 16, 60, 60) + b"\0\0\0\0/bin/x\0")
    data.words(60, 3, 9, 0, 0x2000, 3, 0x22, 0xFFFFFFFF, 0).words(70, 1, 1, 2, 3).words(60, 4, 9, 0x7F0000000000)
    data.words(60, 1, 0x7F0000000000, 0x55, 6).words(60, 2, 0x7F0000001000, 0xFFFFFFFF81000000, 2)
    data.words(60, 3, 1, *range(6)).words(60, 4, 1, 0)                 # a call that is not listed
    data.task(7, 61, 60)
    data.words(61, 3, 152, *range(6)).words(61, 4, 152, (1 << 64) - 1)
    data.sample(61, 6, b"a b 1/2".ljust(16, b"\0") + struct.pack("<IIB", 61, 120, 1)).task(4, 61, 60)
    data.words(61, 1, 1, 2, 3)                                         # the pid comes again, for another program
    data.sample(60, 7, struct.pack("<I16sIQ", 62, b"a b", 0xFFFFFFFE, 0x3D0F00))
    data.sample(60, 8, struct.pack("<iii16siii", 11, 0, 1, b"a b", 60, 0, -1))
    for member in (0, 1, 2, 3, 4):
        data.sample(60, 9, struct.pack("<IIiiq", 0xFFFFFFFF, 1, member, 0, 4096 * member - 4096))
    data.words(60, 10, 3, 0x7F0000000000, 4096)
    data.words(60, 11, 3, 0x7F0000000000, 4096, 1 << 40)
    data.words(60, 12, 0x7F0000000010, 9)
    data.words(60, 13, 32).words(60, 14, 1)
    data.words(60, 15, 4 << 32 | 0xFE00001, 0xAB, 0x1000, 3).words(60, 16, 0xFE00001, 0xAB, 0x1000, 3)
    data.words(60, 17, 0xFE00001, 0xAB, 3)
    data.task(7, 60, 60, tid=62).words(60, 1, 0x1000, 2, 4, tid=62).task(4, 60, 60, tid=62)
    data.sample(60, 6, b"a b 1/2".ljust(16, b"\0") + struct.pack("<IIB", 60, 120, 0)).task(4, 60, 50)
    return data.name(60, b"stranger", 1 << 13).words(60, 1, 1, 2, 3)


def test_a_program_is_taken_out_of_the_machine():
    data = machine()
    converter = data.converter(60)
    lines = data.lines(converter)
    assert (converter.lines, converter.faults, converter.processes, converter.lost) == (len(lines), 3, 2, 0)
    assert lines[0].startswith("         a b 1/2    60/60        5.004000: PERF_RECORD_COMM exec: ")
    tail = " " * 15 + "0"
    assert [line[43:].strip().removesuffix(tail) for line in lines] == [
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
    places = data.converter(60).index(0, len(data.content))[1].tolist()
    records = [data.content[at:end] for at, end in zip(places, [*places[1:], len(data.content)], strict=True)]
    data.content = b"".join(records[1::2] + records[::2])
    assert data.lines(data.converter(60)) == expected.lines(expected.converter(60))


def test_lost_events_are_counted_and_damage_is_found():
    data = machine()
    data.record(2, 0, struct.pack("<QQ", 11, 5)).record(13, 0, struct.pack("<Q", 3)).record(99, 0, b"")
    converter = data.converter(60)
    converter.index(0, len(data.content))
    assert converter.lost == 8
    for start, end in ((0, len(data.content) - 1), (4, len(data.content)), (0, len(data.content) + 8), (8, 0)):
        with pytest.raises(ValueError, match=r"no record at byte|beyond the end"):
            data.converter(60).index(start, end)
    short = Data().name(60, b"x", 1 << 13).words(60, 1, 1, 2).words(60, 3, 9)      # raw data that ends early
    converter = short.converter(60)
    assert len(short.lines(converter)) == 1 and converter.damaged
    with pytest.raises(ValueError, match="less than 8192"):
        converter.convert(np.empty(0, np.uint64), np.empty(0, np.uint64), 0, np.empty(9, np.uint8))
