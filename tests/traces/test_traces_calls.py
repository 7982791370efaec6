"""The importer of recordings: every rule of translation on a small recording, for calls, threads and processes."""

import numpy as np
import pytest

import rmapcore
from recordings import ENOENT, LIBC, MIB, PAGE, A, B, C, Recording, operations, started
from rmapcore.kernels import find as find_kernel
from rmapcore.operations import OPERATION, Op

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
        (0x28, 0x38),  # MAP_DROPPABLE
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
    assert trace.summary["left_out"] == {}
    trace = load(recording.mmap2(100, B, PAGE, **LIBC))              # of no call that is recorded
    assert trace.summary["left_out"] == {"PERF_RECORD_MMAP2 outside of the calls that map": 1}


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


def test_a_private_mapping_of_dev_zero_keeps_its_file_and_offset(load):
    mapped = {"start": A, "length": PAGE, "path": "/dev/zero", "inode": 6}
    trace = load(started().mmap(100, A, PAGE, flags=2, fd=3, off=PAGE, mapped=mapped))
    assert operations(trace, "flags", "other", "arg")[1] == ("MMAP", 100, 0x12, 1, PAGE)
    assert trace.files == [("/dev/zero", 0, "zero")]


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
    recording.call(100, "pkey_mprotect", start=A, len=PAGE, prot=1, pkey=(1 << 64) - 1)
    recording.call(100, "pkey_mprotect", start=A, len=PAGE, prot=3, pkey=2)
    trace = load(recording)
    assert operations(trace, "addr", "length", "prot", "flags", "arg")[1:] == [
        ("MUNMAP", 100, A, PAGE, 0, 0, 0),
        ("MLOCK", 100, A, PAGE, 0, 0, 0),
        ("MLOCK", 100, B, PAGE, 0, 1, 0),
        ("MUNLOCK", 100, A, PAGE, 0, 0, 0),
        ("MLOCKALL", 100, 0, 0, 0, 3, 0),
        ("MUNLOCKALL", 100, 0, 0, 0, 0, 0),
        ("REMAP_FILE_PAGES", 100, A, PAGE, 0, 0, 2),
        ("MADVISE", 100, A, PAGE, 0, 0, 4),
        ("MADVISE", 100, A, PAGE, 0, 0, 8),
        ("MADVISE", 100, A, PAGE, 0, 0, 14),
        ("MPROTECT", 100, A, PAGE, 7, 0x01000000, 0),
        ("MPROTECT", 100, A, PAGE, 1, 0, 0),
        ("MPROTECT", 100, A, PAGE, 3, 0, 3),
    ]
    assert trace.summary["assumed"] == {}
    assert trace.summary["left_out"] == {"madvise MADV_77": 1}
    assert np.array_equal(trace.operations_for("6.18"), trace.operations)
    old = trace.operations_for("2.6.7")
    assert [(o["length"], o["arg"]) for o in old if o["op"] == Op.MADVISE] == [(PAGE, 4), (0, 0), (0, 0)]
    assert len(old) == len(trace.operations)


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
    recording.call(100, "madvise", start=C, len_in=PAGE, behavior=16)
    recording.fault(100, C + PAGE).fault(100, C + 3 * PAGE).fault(100, C + 4 * PAGE).enter(100, "fork").fork(100, 101)
    recording.fault(101, C).enter(101, "execve", filename=1, argv=2, envp=3).exec(101, text).fault(101, C)
    trace = load(recording)
    who_and_when = [(int(o["arg2"]), int(o["arg"])) for o in trace.operations if o["op"] == Op.FAULT]
    assert who_and_when == [(100, 3732_676842_000), (101, 3732_676952_000)]
    assert operations(trace, "addr", "length", "prot", "flags", "other") == [
        ("SPAWN", 100, 0, 0, 0, 0, 0),
        ("MMAP", 100, B, 0x21000, 3, 0x132, 0),
        ("WRITE", 100, B + 0x20000, PAGE, 0, 0, 0),
        ("MMAP", 100, A, 4 * PAGE, 5, 0x12, 1),
        ("MMAP", 100, A + 4 * PAGE, PAGE, 3, 0x32, 0),
        ("FAULT", 100, C + 3 * PAGE, 0, 0, 6, 0),
        ("FORK", 100, 0, 0, 0, 0, 101),
        ("EXECVE", 101, 0, 0, 0, 0, 0),
        ("MMAP", 101, A, 4 * PAGE, 5, 0x12, 1),
        ("FAULT", 101, C, 0, 0, 6, 0),
    ]
    assert [o["arg"] for o in trace.operations if o["op"] == Op.MMAP] == [0, PAGE, 0, PAGE]
    assert trace.summary["left_out"]["fault in vdso or vvar"] == 3
    assert trace.summary["left_out"]["madvise of vdso or vvar"] == 1
    assert trace.files == [("/bin/prog", 5 * PAGE, "disk")]


def test_the_stack_of_a_new_program_is_mapped_once(load):
    stack = [{"start": B - grown * PAGE, "length": (0x21 + grown) * PAGE, "path": "[stack]"} for grown in (0, 8)]
    recording = (
        started().mmap(100, A, PAGE, flags=1, fd=3, mapped={"start": A, "length": PAGE, **LIBC}).exec(100, *stack)
    )
    assert operations(load(recording), "addr")[2:] == [
        ("EXECVE", 100, 0), ("MMAP", 100, B), ("WRITE", 100, B + 0x20000)
    ]  # fmt: skip


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


def test_mlock2_that_2_6_7_does_not_have_is_mlock_to_it():
    operations = np.zeros(2, OPERATION)
    operations["op"], operations["flags"] = (Op.MLOCK, Op.MLOCKALL), 1
    for kernel, flags in (("2.6.7", [0, 1]), ("6.18", [1, 1])):
        assert find_kernel(kernel).taken(operations)["flags"].tolist() == flags
    assert operations["flags"].tolist() == [1, 1]


def test_policies_and_seals(load):
    recording = started().mmap(100, A, 4 * PAGE, flags=0x32)
    recording.call(100, "mbind", start=A, len=PAGE, mode=0x8002, nmask=0x7FFE0000, maxnode=64, flags=0)
    recording.call(100, "mbind", start=A, len=PAGE, mode=4, nmask=0, maxnode=0, flags=0)
    recording.call(100, "mseal", start=A + PAGE, len=PAGE, flags=0)
    trace = load(recording)
    assert operations(trace, "addr", "length", "arg")[2:] == [("MBIND", 100, A, PAGE, 2), ("MSEAL", 100, A + PAGE, PAGE, 0)]
    assert trace.summary["left_out"] == {"mbind with policy 4": 1}
    for kernel, areas in (("6.18", 3), ("2.6.7", 1)):
        machine = rmapcore.Machine(kernel=kernel)
        assert not machine.run(trace.operations_for(kernel)).any() and len(machine.process(100).maps()) == areas


def test_calls_that_fail_at_a_hole_have_done_what_was_before_it(load):
    """mlock is not among them: it fails with the same error where it may lock no more, and then does nothing; unless the
    recording says that it may lock all."""
    recording = started().mmap(100, A, 2 * PAGE, flags=0x32).mmap(100, A + 4 * PAGE, PAGE, flags=0x32)
    recording.fault(100, A).fault(100, A + 4 * PAGE)
    for call, fields in (("mprotect", {"len": 3 * PAGE, "prot": 1}), ("madvise", {"len_in": 5 * PAGE, "behavior": 4}),
                         ("munlock", {"len": 3 * PAGE}), ("mlock", {"len": 3 * PAGE})):
        recording.call(100, call, (1 << 64) - 12, start=A, **fields)
    recording.call(100, "mprotect", (1 << 64) - 13, start=A, len=PAGE, prot=3)
    trace = load(recording)
    assert [name for name, *_ in operations(trace)][-3:] == ["MPROTECT", "MADVISE", "MUNLOCK"]
    assert trace.summary["left_out"] == {"mlock failed: ENOMEM": 1, "mprotect failed: EACCES": 1}
    machine = rmapcore.Machine(kernel="6.18")
    machine.run(trace.operations)
    process = machine.process(100)
    assert process.rss == 0 and [int(area["prot"]) for area in process.maps()] == [1, 3]


def test_calls_that_have_done_a_part_before_they_failed(load):
    """mlock may lock all here, so it met a hole. Advice on pages stopped at an area that it is not for."""
    recording = started().mmap(100, A, 4 * PAGE, flags=0x32).mmap(100, A + 2 * PAGE, PAGE, prot=1, flags=0x32)
    recording.mmap(100, B, 2 * PAGE, flags=0x32).call(100, "mlock", (1 << 64) - 12, start=B, len=3 * PAGE)
    for advice in (23, 14):                    # MADV_POPULATE_WRITE, MADV_HUGEPAGE
        recording.call(100, "madvise", (1 << 64) - 22, start=A, len_in=4 * PAGE, behavior=advice)
    trace = load(b"# mlock limit: unlimited\n" + recording.text())
    assert [name for name, *_ in operations(trace)][-2:] == ["MLOCK", "MADVISE"]
    assert trace.summary["left_out"] == {"madvise failed: EINVAL": 1}
    machine = rmapcore.Machine(kernel="6.18")
    statuses = machine.run(trace.operations)
    assert trace.expected == {at: status for at, status in enumerate(statuses.tolist()) if status}
    process = machine.process(100)
    assert [bool(area["flags"] & 0x2000) for area in process.maps()] == [False, False, False, True]
    assert process.pagemap(A, 4 * PAGE)["present"].tolist() == [1, 1, 0, 0]
