"""The importer of recordings: every rule of translation on a small recording, every kind of bad input, the saved form,
and real recordings, where each recorded fault must fall into an area that the operations have mapped at that moment."""

import bisect
import contextlib
import gzip
import random
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import zstandard

from rmapcore.errors import TraceError
from rmapcore.operations import OPERATION, Op
from rmapcore.traces import load_trace

DATA = Path(__file__).parent / "data"
PAGE = 4096
MIB = 1 << 20
ENOENT = (1 << 64) - 2


# --- Writing recordings ---------------------------------------------------------------------------------------------


class Recording:
    """Lines as perf writes them. `pid` may be a pair (pid, tid); a call is entered and left by two lines."""

    def __init__(self, comm="prog"):
        self.lines = []
        self.comm = comm
        self.time = 3732.676710

    def line(self, pid, text):
        pid, tid = pid if isinstance(pid, tuple) else (pid, pid)
        self.time += 0.000011
        self.lines.append(f"{self.comm:>16} {pid:5d}/{tid:<5d} {self.time:12.6f}: {text}")
        return self

    def event(self, pid, name, text):
        return self.line(pid, f"{name:>35}: {text}               0")

    def enter(self, pid, call, **arguments):
        return self.event(pid, f"syscalls:sys_enter_{call}", ", ".join(f"{k}: 0x{v:08x}" for k, v in arguments.items()))

    def leave(self, pid, call, result=0):
        return self.event(pid, f"syscalls:sys_exit_{call}", f"{result:#x}")

    def call(self, pid, name, result=0, **arguments):
        return self.enter(pid, name, **arguments).leave(pid, name, result)

    def mmap2(self, pid, start, length, path="//anon", offset=0, prot="rw-p", inode=0, device="fe:00"):
        pair = "{}/{}".format(*(pid if isinstance(pid, tuple) else (pid, pid)))
        return self.line(
            pid, f"PERF_RECORD_MMAP2 {pair}: [{start:#x}({length:#x}) @ {offset:#x} {device} {inode} 0]: {prot} {path}"
        )

    def mmap(self, pid, result, length, prot=3, flags=0x22, fd=0xFFFFFFFF, off=0, mapped=None, addr=0):
        self.enter(pid, "mmap", addr=addr, len=length, prot=prot, flags=flags, fd=fd, off=off)
        if mapped:
            self.mmap2(pid, **mapped)
        return self.leave(pid, "mmap", result)

    def fault(self, pid, address, code=6, kind="user"):
        return self.event(
            pid, f"exceptions:page_fault_{kind}", f"address={address:#x} ip=0x7f0000001000 error_code={code:#x}"
        )

    def exec(self, pid, *mappings):
        """Without a sys_enter_execve, as for the first program."""
        self.line(pid, f"PERF_RECORD_COMM exec: {self.comm}:{pid}/{pid}")
        for mapping in mappings:
            self.mmap2(pid, **mapping)
        self.event(pid, "sched:sched_process_exec", f"filename=/usr/bin/prog pid={pid} old_pid={pid}")
        return self.leave(pid, "execve")

    def fork(self, parent, child):
        (ppid, ptid), (pid, tid) = (p if isinstance(p, tuple) else (p, p) for p in (parent, child))
        return self.line(parent, f"PERF_RECORD_FORK({pid}:{tid}):({ppid}:{ptid})")

    def exit(self, pid, group_dead="true"):
        pair = "{}:{}".format(*(pid if isinstance(pid, tuple) else (pid, pid)))
        tail = f" group_dead={group_dead}" if group_dead else ""
        self.event(pid, "sched:sched_process_exit", f"comm={self.comm} pid={pair.split(':')[1]} prio=120{tail}")
        return self.line(pid, f"PERF_RECORD_EXIT({pair}):(1:1)")

    def text(self):
        return "".join(line + "\n" for line in self.lines).encode("utf-8", "surrogateescape")


@pytest.fixture
def load(tmp_path):
    def load(recording):
        path = tmp_path / "recording.txt"
        path.write_bytes(recording if isinstance(recording, bytes) else recording.text())
        return load_trace(path)

    return load


def operations(trace, *fields):
    """[(name of op, process, fields…)…]"""
    return [(Op(o["op"]).name, int(o["process"]), *(int(o[field]) for field in fields)) for o in trace.operations]


def started(pid=100):
    """A recording with one process, whose SPAWN is the first operation."""
    return Recording().exec(pid)


A, B, C = 0x7F0000000000, 0x7F0000100000, 0x7F0000200000
LIBC = {"path": "/usr/lib/libc.so.6", "inode": 7}


# --- Calls ----------------------------------------------------------------------------------------------------------


def test_mmap_is_fixed_where_the_kernel_put_it(load):
    trace = load(started().mmap(100, A, 0x1801, prot=3, flags=0x100022, mapped={"start": A, "length": 0x2000}))
    _, mmap = trace.operations
    assert (mmap["op"], mmap["addr"], mmap["length"], mmap["prot"], mmap["flags"]) == (Op.MMAP, A, 0x1801, 3, 0x32)
    assert mmap["other"] == 0 and trace.files == []


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (0x03, 0x11),  # MAP_SHARED_VALIDATE
        (0x8002, 0x8012),  # MAP_POPULATE stays
        (0x2001, 0x2011),  # MAP_LOCKED too
        (0x20022, 0x20032),  # MAP_STACK
        (0x21, 0x31),  # shared anonymous memory keeps its flags, and makes its own object
    ],
)
def test_mmap_flags(load, flags, expected):
    trace = load(started().mmap(100, A, PAGE, flags=flags, fd=3, mapped=dict(start=A, length=PAGE, **LIBC)))
    assert int(trace.operations[1]["flags"]) == expected
    assert int(trace.operations[1]["other"]) == (0 if flags & 0x20 else 1)


def test_huge_pages_become_ordinary_ones_of_the_same_length(load):
    trace = load(started().mmap(100, A, 5 * MIB, flags=0x40022))
    assert operations(trace, "length", "flags")[1] == ("MMAP", 100, 6 * MIB, 0x32)
    assert trace.summary["assumed"] == {"huge pages taken as ordinary ones": 1}


def test_mmap2_names_the_object_even_when_it_shows_the_merged_area(load):
    recording = started()
    recording.mmap(100, A, 2 * PAGE, prot=1, flags=2, fd=3, mapped=dict(start=A, length=2 * PAGE, **LIBC))
    recording.mmap(100, A + 2 * PAGE, PAGE, 1, 2, 3, 2 * PAGE, mapped=dict(start=A, length=3 * PAGE, **LIBC))
    trace = load(recording)
    assert operations(trace, "addr", "length", "other", "arg")[1:] == [
        ("MMAP", 100, A, 2 * PAGE, 1, 0),
        ("MMAP", 100, A + 2 * PAGE, PAGE, 1, 2 * PAGE),
    ]
    assert trace.files == [("/usr/lib/libc.so.6", 3 * PAGE, "disk")]


def test_mmap2_of_mprotect_brk_and_stack_growth_creates_nothing(load):
    recording = started().enter(100, "mprotect", start=A, len=PAGE, prot=1).mmap2(100, A, PAGE, **LIBC)
    recording.leave(100, "mprotect").mmap2(100, A, PAGE, "[stack]")
    trace = load(recording)
    assert operations(trace, "addr", "prot")[1:] == [("MPROTECT", 100, A, 1)]
    assert trace.summary["left_out"] == {"PERF_RECORD_MMAP2 that maps nothing new": 2}


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/srv/data file", "disk"),
        ("/SYSV00000000 (deleted)", "shmem"),
        ("/memfd:x (deleted)", "shmem"),
        ("/dev/shm/PostgreSQL.1", "shmem"),
        ("/dev/zero (deleted)", "shmem"),
        ("/tmp/größe", "disk"),
    ],
)
def test_kinds_and_names_of_files(load, path, kind):
    trace = load(
        started().mmap(100, A, 10, flags=1, fd=3, mapped={"start": A, "length": PAGE, "path": path, "inode": 5})
    )
    assert trace.files == [(path.removesuffix(" (deleted)"), PAGE, kind)]


def test_a_private_mapping_of_dev_zero_is_anonymous(load):
    mapped = {"start": A, "length": PAGE, "path": "/dev/zero", "inode": 6}
    trace = load(started().mmap(100, A, PAGE, flags=2, fd=3, off=PAGE, mapped=mapped))
    assert operations(trace, "flags", "other", "arg")[1] == ("MMAP", 100, 0x32, 0, 0)
    assert trace.files == []


def test_one_path_with_two_inodes_is_two_files_and_a_deleted_one_the_same(load):
    recording = started()
    for inode, path in ((5, "/tmp/x"), (6, "/tmp/x"), (5, "/tmp/x (deleted)")):
        recording.mmap(100, A, PAGE, flags=1, fd=3, mapped={"start": A, "length": PAGE, "path": path, "inode": inode})
    trace = load(recording)
    assert trace.operations["other"].tolist() == [0, 1, 2, 1]
    assert [file.name for file in trace.files] == ["/tmp/x", "/tmp/x (fe:00 6)"]


def test_build_ids_instead_of_inodes(load):
    line = f"PERF_RECORD_MMAP2 100/100: [{A:#x}(0x1000) @ 0x2000 <0123456789abcdef>]: r-xp /usr/lib/libc.so.6"
    recording = started().enter(100, "mmap", addr=0, len=PAGE, prot=5, flags=2, fd=3, off=2 * PAGE)
    trace = load(recording.line(100, line).leave(100, "mmap", A))
    assert trace.files == [("/usr/lib/libc.so.6", 3 * PAGE, "disk")]


def test_a_file_mapping_without_mmap2_is_a_file_of_its_fd(load):
    recording = (
        started().mmap(100, A, PAGE, flags=1, fd=3).mmap(100, B, PAGE, flags=1, fd=4).mmap(100, C, PAGE, flags=1, fd=3)
    )
    trace = load(recording)
    assert trace.operations["other"].tolist() == [0, 1, 2, 1]
    assert trace.summary["assumed"] == {"mmap without PERF_RECORD_MMAP2: one file for each process and fd": 3}


def test_failed_calls_change_nothing(load):
    recording = started().mmap(100, (1 << 64) - 12, PAGE).call(100, "munmap", (1 << 64) - 22, addr=A + 1, len=PAGE)
    recording.enter(100, "execve", filename=1, argv=2, envp=3).leave(100, "execve", ENOENT)
    trace = load(recording)
    assert operations(trace) == [("SPAWN", 100)]
    assert trace.summary["left_out"] == {
        "mmap failed: ENOMEM": 1,
        "munmap failed: EINVAL": 1,
        "execve failed: ENOENT": 1,
    }


def test_simple_calls(load):
    recording = started()
    recording.call(100, "munmap", addr=A, len=PAGE)
    recording.call(100, "mlock", start=A, len=PAGE).call(100, "mlock2", start=B, len=PAGE, flags=1)
    recording.call(100, "munlock", start=A, len=PAGE).call(100, "mlockall", flags=3).call(100, "munlockall")
    recording.call(100, "remap_file_pages", start=A, size=PAGE, prot=0, pgoff=2, flags=0)
    for advice in (4, 8, 14, 77):
        recording.call(100, "madvise", start=A, len_in=PAGE, behavior=advice)
    recording.call(100, "mprotect", start=A, len=PAGE, prot=0x01000007)
    trace = load(recording)
    assert operations(trace, "addr", "length", "prot", "flags", "arg")[1:] == [
        ("MUNMAP", 100, A, PAGE, 0, 0, 0),
        ("MLOCK", 100, A, PAGE, 0, 0, 0),
        ("MLOCK", 100, B, PAGE, 0, 0, 0),
        ("MUNLOCK", 100, A, PAGE, 0, 0, 0),
        ("MLOCKALL", 100, 0, 0, 0, 3, 0),
        ("MUNLOCKALL", 100, 0, 0, 0, 0, 0),
        ("MADVISE", 100, A, PAGE, 0, 0, 4),
        ("MPROTECT", 100, A, PAGE, 7, 0, 0),
    ]
    left_out = {"remap_file_pages": 1, "madvise MADV_FREE": 1, "madvise MADV_HUGEPAGE": 1, "madvise MADV_77": 1}
    assert trace.summary["left_out"] == left_out
    assert trace.summary["assumed"] == {"PROT_GROWSDOWN or PROT_GROWSUP ignored": 1}


def test_mremap_moves_where_it_moved_and_stays_where_it_stayed(load):
    recording = started()
    for result, flags in ((B, 1), (A, 1), (B, 3), (B, 5)):
        recording.call(100, "mremap", result, addr=A, old_len=PAGE, new_len=2 * PAGE, flags=flags, new_addr=0)
    assert operations(load(recording), "addr", "length", "arg", "flags", "arg2")[1:] == [
        ("MREMAP", 100, A, PAGE, 2 * PAGE, 3, B),
        ("MREMAP", 100, A, PAGE, 2 * PAGE, 0, 0),
        ("MREMAP", 100, A, PAGE, 2 * PAGE, 3, B),
        ("MREMAP", 100, A, PAGE, 2 * PAGE, 7, B),
    ]


@pytest.mark.parametrize("old", [A, A + PAGE])
def test_mremap_makes_a_file_longer(load, old):
    recording = started().mmap(100, A, 2 * PAGE, flags=1, fd=3, off=PAGE, mapped=dict(start=A, length=2 * PAGE, **LIBC))
    recording.call(100, "mremap", B, addr=old, old_len=PAGE, new_len=8 * PAGE, flags=1, new_addr=0)
    assert load(recording).files[0].size == (9 if old == A else 10) * PAGE


def test_brk(load):
    recording = started().call(100, "brk", 0x555500000800, brk=0)
    recording.call(100, "brk", 0x555500000C00, brk=0x555500000C00)
    recording.call(100, "brk", 0x555500021000, brk=0x555500021000).call(100, "brk", 0x555500021000, brk=0)
    recording.call(100, "brk", 0x555500021000, brk=0x555600000000)
    recording.enter(100, "clone", clone_flags=0x01200011, newsp=0, ptid=0, ctid=0, tls=0).fork(100, 101)
    recording.call(101, "brk", 0x555500022000, brk=0x555500022000)
    recording.exec(101).call(101, "brk", 0x560000000000, brk=0)
    trace = load(recording)
    assert operations(trace, "addr") == [
        ("SPAWN", 100, 0),
        ("SETBRK", 100, 0x555500001000),
        ("BRK", 100, 0x555500001000),
        ("BRK", 100, 0x555500021000),
        ("FORK", 100, 0),
        ("BRK", 101, 0x555500022000),
        ("EXECVE", 101, 0),
        ("SETBRK", 101, 0x560000000000),
    ]
    assert trace.summary["left_out"]["brk failed: ENOMEM"] == 1


def test_shmat_and_shmdt(load):
    recording = started()
    for address, flags in ((A, 0), (B, 0o10000)):
        recording.enter(100, "shmat", shmid=3, shmaddr=0, shmflg=flags)
        recording.mmap2(100, address, 4 * PAGE, "/SYSV00000000 (deleted)", prot="rw-s", inode=3, device="00:01")
        recording.leave(100, "shmat", address)
    recording.enter(100, "fork").fork(100, 101).call(101, "shmdt", shmaddr=B).call(101, "shmdt", shmaddr=C)
    trace = load(recording)
    assert operations(trace, "addr", "length", "prot", "flags", "other")[1:] == [
        ("MMAP", 100, A, 4 * PAGE, 3, 0x11, 1),
        ("MMAP", 100, B, 4 * PAGE, 1, 0x11, 1),
        ("FORK", 100, 0, 0, 0, 0, 101),
        ("MUNMAP", 101, B, 4 * PAGE, 0, 0, 0),
    ]
    assert trace.files == [("/SYSV00000000", 4 * PAGE, "shmem")]
    assert trace.summary["left_out"]["shmdt of an unknown attach"] == 1


# --- Threads and processes ------------------------------------------------------------------------------------------


def test_threads_share_and_their_calls_interleave(load):
    recording = started().enter(100, "clone3", uargs=1, size=88).fork(100, (100, 101)).leave((100, 101), "clone3")
    recording.enter(100, "mmap", addr=0, len=PAGE, prot=3, flags=0x22, fd=0xFFFFFFFF, off=0)
    recording.enter((100, 101), "mmap", addr=0, len=2 * PAGE, prot=1, flags=0x2, fd=3, off=0)
    recording.mmap2((100, 101), B, 2 * PAGE, **LIBC).mmap2(100, A, PAGE)
    recording.leave((100, 101), "mmap", B).leave(100, "mmap", A)
    recording.fault((100, 101), A).exit((100, 101), "false").fault(100, A + 8, 7).exit(100)
    trace = load(recording)
    assert operations(trace, "addr", "length", "other") == [
        ("SPAWN", 100, 0, 0, 0),
        ("MMAP", 100, B, 2 * PAGE, 1),
        ("MMAP", 100, A, PAGE, 0),
        ("FAULT", 100, A, 0, 0),
        ("FAULT", 100, A + 8, 0, 0),
        ("EXIT", 100, 0, 0, 0),
    ]
    summary = trace.summary
    assert (summary["threads"], summary["processes"], summary["alive"]) == (1, 1, 0)
    assert summary["left_out"] == {"clone3 without exit": 1}


def test_a_range_handed_out_again_was_given_up_before(load):
    recording = started().enter(100, "clone3", uargs=1, size=88).fork(100, (100, 101)).leave(100, "clone3", 101)
    mremap = {"addr": A, "old_len": PAGE, "new_len": 9 * PAGE, "flags": 1, "new_addr": 0}
    recording.enter(100, "munmap", addr=A, len=4 * PAGE)
    recording.mmap((100, 101), A + PAGE, PAGE).mmap((100, 101), A, PAGE).leave(100, "munmap")
    recording.enter(100, "munmap", addr=B, len=PAGE).mmap((100, 101), C, PAGE).leave(100, "munmap")
    recording.enter(100, "mremap", **mremap).mmap((100, 101), A, PAGE).leave(100, "mremap", B)
    recording.enter(100, "mremap", **mremap).mmap((100, 101), A, PAGE).leave(100, "mremap", (1 << 64) - 12)
    recording.enter(100, "munmap", addr=A, len=PAGE)
    recording.call((100, 101), "mremap", A, addr=B, old_len=PAGE, new_len=PAGE, flags=3, new_addr=A).exit(100)
    assert operations(load(recording), "addr", "arg2")[1:] == [
        ("MUNMAP", 100, A, 0),
        ("MMAP", 100, A + PAGE, 0),
        ("MMAP", 100, A, 0),
        ("MMAP", 100, C, 0),
        ("MUNMAP", 100, B, 0),
        ("MREMAP", 100, A, B),
        ("MMAP", 100, A, 0),
        ("MMAP", 100, A, 0),
        ("MREMAP", 100, B, A),
        ("EXIT", 100, 0, 0),
    ]


@pytest.mark.parametrize("call", ["vfork", "clone3", "clone"])
@pytest.mark.parametrize("ending", ["exec", "exit"])
def test_a_vfork_child_borrows_until_exec_or_exit(load, call, ending):
    arguments = {
        "vfork": {},
        "clone3": {"uargs": 1, "size": 88},
        "clone": {"clone_flags": 0x4111, "newsp": 0, "a": 0, "b": 0, "c": 0},
    }[call]
    recording = started().enter(100, call, **arguments).fork(100, 101).leave(101, call).fault(101, A)
    recording.mmap(101, B, PAGE)
    if ending == "exec":
        # the parent's return may precede the child's exec
        recording.leave(100, call, 101).enter(101, "execve", filename=1, argv=2, envp=3).exec(101)
    else:
        recording.exit(101).leave(100, call, 101)
    recording.fault(101 if ending == "exec" else 100, C).exit(100)
    names = [("SPAWN", 100), ("FAULT", 100), ("MMAP", 100)]
    end = [("SPAWN", 101), ("FAULT", 101), ("EXIT", 100)] if ending == "exec" else [("FAULT", 100), ("EXIT", 100)]
    trace = load(recording)
    assert operations(trace) == names + end
    assert trace.summary["left_out"] == {}
    assert (trace.summary["forks"], trace.summary["alive"]) == (1, int(ending == "exec"))


def test_a_lender_may_die_or_execute_before_its_borrower(load):
    clone = {"clone_flags": 0x111, "newsp": 0, "a": 0, "b": 0, "c": 0}
    recording = started().enter(100, "clone", **clone).fork(100, 101).leave(100, "clone", 101)
    recording.exec(100).fault(100, A).fault(101, B).exit(100).fault(101, C).exit(101)
    assert operations(load(recording)) == [
        ("SPAWN", 100),
        ("SPAWN", 1 << 22),
        ("FAULT", 1 << 22),
        ("FAULT", 100),
        ("EXIT", 1 << 22),
        ("FAULT", 100),
        ("EXIT", 100),
    ]


@pytest.mark.parametrize("call", ["clone", "fork"])
def test_fork_copies(load, call):
    arguments = {"clone_flags": 0x01200011, "newsp": 0, "a": 0, "b": 0, "c": 0} if call == "clone" else {}
    recording = started().enter(100, call, **arguments).fork(100, 101)
    recording.event(100, "sched:sched_process_fork", "comm=prog pid=100 child_comm=prog child_pid=101")
    recording.fault(101, A, 7).leave(101, call).leave(100, call, 101).exit(101).exit(100)
    trace = load(recording)
    assert operations(trace, "other") == [
        ("SPAWN", 100, 0),
        ("FORK", 100, 101),
        ("FAULT", 101, 0),
        ("EXIT", 101, 0),
        ("EXIT", 100, 0),
    ]
    assert trace.summary["left_out"] == {}


def test_a_pid_that_comes_again_is_a_new_process(load):
    recording = started()
    for _ in range(3):
        recording.enter(100, "fork").fork(100, 101).leave(100, "fork", 101).fault(101, A).exit(101)
    children = [int(o["other"]) for o in load(recording).operations if o["op"] == Op.FORK]
    assert children == [101, 1 << 22, (1 << 22) + 1]


def test_exec_maps_what_stands_between_comm_and_sched_process_exec(load):
    vdso = {"start": C, "length": 2 * PAGE, "path": "[vdso]", "prot": "r-xp"}
    vvar = {"start": C + 4 * PAGE, "length": PAGE, "path": "[vvar]", "prot": "r--p"}
    stack = {"start": B, "length": 0x21000, "path": "[stack]", "offset": 0x7FFFFFFDE000}
    text = {"start": A, "length": 4 * PAGE, "prot": "r-xp", "offset": PAGE, "path": "/bin/prog", "inode": 9}
    bss = {"start": A + 4 * PAGE, "length": PAGE, "offset": A + 4 * PAGE}
    recording = Recording().exec(100, stack, text, bss, vdso, vvar)
    recording.fault(100, C + PAGE).fault(100, C + 3 * PAGE).fault(100, C + 4 * PAGE).enter(100, "fork").fork(100, 101)
    recording.fault(101, C).enter(101, "execve", filename=1, argv=2, envp=3).exec(101, text).fault(101, C)
    trace = load(recording)
    assert operations(trace, "addr", "length", "prot", "flags", "other", "arg") == [
        ("SPAWN", 100, 0, 0, 0, 0, 0, 0),
        ("MMAP", 100, B, 0x21000, 3, 0x132, 0, 0),
        ("MMAP", 100, A, 4 * PAGE, 5, 0x12, 1, PAGE),
        ("MMAP", 100, A + 4 * PAGE, PAGE, 3, 0x32, 0, 0),
        ("FAULT", 100, C + 3 * PAGE, 0, 0, 6, 0, 0),
        ("FORK", 100, 0, 0, 0, 0, 101, 0),
        ("EXECVE", 101, 0, 0, 0, 0, 0, 0),
        ("MMAP", 101, A, 4 * PAGE, 5, 0x12, 1, PAGE),
        ("FAULT", 101, C, 0, 0, 6, 0, 0),
    ]
    assert trace.summary["left_out"]["fault in vdso or vvar"] == 3
    assert trace.files == [("/bin/prog", 5 * PAGE, "disk")]


def test_the_stack_of_a_new_program_is_mapped_once(load):
    stack = [{"start": B - grown * PAGE, "length": (0x21 + grown) * PAGE, "path": "[stack]"} for grown in (0, 8)]
    recording = (
        started().mmap(100, A, PAGE, flags=1, fd=3, mapped={"start": A, "length": PAGE, **LIBC}).exec(100, *stack)
    )
    assert operations(load(recording), "addr")[2:] == [("EXECVE", 100, 0), ("MMAP", 100, B)]


def test_exec_by_a_thread_takes_the_leaders_tid_and_ends_the_others(load):
    recording = started().enter(100, "clone3", uargs=1, size=88).fork(100, (100, 101)).leave(100, "clone3", 101)
    recording.enter(100, "munlockall").enter((100, 101), "execve", filename=1, argv=2, envp=3)
    recording.event(100, "sched:sched_process_exit", "comm=prog pid=100 prio=120 group_dead=false")
    recording.exec(100, {"start": A, "length": PAGE}).fault(100, A).mmap(100, B, PAGE).exit(100)
    trace = load(recording)
    assert operations(trace) == [
        ("SPAWN", 100),
        ("EXECVE", 100),
        ("MMAP", 100),
        ("FAULT", 100),
        ("MMAP", 100),
        ("EXIT", 100),
    ]
    assert trace.summary["left_out"] == {"munlockall without exit": 1}


def test_the_last_thread_ends_the_process_where_group_dead_is_not_printed(load):
    recording = started().enter(100, "clone3", uargs=1, size=88).fork(100, (100, 101)).leave(100, "clone3", 101)
    recording.exit(100, None).fault((100, 101), A).exit((100, 101), None)
    assert operations(load(recording)) == [("SPAWN", 100), ("FAULT", 100), ("EXIT", 100)]


def test_a_forks_flags_missing(load):
    trace = load(started().fork(100, 101))
    assert operations(trace, "other")[1:] == [("FORK", 100, 101)]
    assert trace.summary["assumed"] == {"fork without its call, taken as fork": 1}


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

GOOD = started().mmap(100, A, PAGE).fault(100, A).exit(100)


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
        start = chance.randrange(len(lines))
        order = lines[:start] + chance.sample(lines[start:], chance.randrange(len(lines) - start + 1))
        damaged = bytearray(b"".join(order))
        for _ in range(chance.randrange(2) if damaged else 0):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        try:
            load(bytes(damaged))
        except TraceError as error:
            assert error.file


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
    for operations in (trace.operations, load_trace(tmp_path / "saved").operations):
        assert operations.dtype == OPERATION and operations.dtype.itemsize == 48
        with pytest.raises(ValueError):
            operations["op"] = 0


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
        (b'"version": 1', b'"version": 2'),
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
}


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
    assert summary["alive"] == summary["lost"] == 0 and summary["assumed"] == {}
    assert misplaced_faults(trace) == []
    trace.save(tmp_path / "saved")
    assert load_trace(tmp_path / "saved").digest == trace.digest
