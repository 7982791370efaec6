"""The importer and the calls that programs seldom make: what becomes an operation, and that all else is said by name."""

import pytest

import rmapcore
from recordings import LIBC, MIB, PAGE, A, B, C, operations, started
from rmapcore.studies.replaycheck import check_replay

MINUS_1 = (1 << 64) - 1
EINVAL = (1 << 64) - 22
EXECUTES = 0x400000
SHARED = {"start": A, "length": 4 * PAGE, "path": "/memfd:x (deleted)", "inode": 9, "prot": "rw-s"}


def shared(recording, pid=100, fd=3, **other):
    mapped = SHARED | other
    return recording.mmap(pid, mapped["start"], mapped["length"], flags=1, fd=fd, mapped=mapped)


def cuts(trace):
    """[(file, size)…] of the TRUNCATE operations."""
    return [(file, size) for name, _, file, size in operations(trace, "other", "arg") if name == "TRUNCATE"]


# --- files behind descriptors -----------------------------------------------------------------------------------------


def test_a_file_that_is_cut_loses_its_pages_and_is_as_long_again(load):
    """As long as it is mapped anywhere in the recording: what makes it grow is not all recorded."""
    recording = shared(started()).fault(100, A).fault(100, A + PAGE).call(100, "ftruncate", fd=3, length=100)
    shared(recording.fault(100, A + PAGE), start=B, length=8 * PAGE).call(100, "ftruncate", fd=3, length=MIB)
    trace = load(recording)
    assert cuts(trace) == [(1, 100), (1, 8 * PAGE)]
    machine = rmapcore.Machine()
    assert not machine.run(trace.operations, files=[machine.file(*trace.files[0])]).any()
    assert machine.process(100).rss == 2


@pytest.mark.parametrize(("closing", "known"), [
    (("close", {"fd": 3}), False),
    (("close", {"fd": 4}), True),
    (("close_range", {"fd": 2, "max_fd": 0xFFFFFFFF, "flags": 0}), False),
    (("close_range", {"fd": 4, "max_fd": MINUS_1, "flags": 0}), True),
    (("dup2", {"oldfd": 0, "newfd": 3}), False),
    (("dup3", {"oldfd": 0, "newfd": 3, "flags": 0}), False),
])
def test_a_descriptor_that_was_closed_may_be_any_file(load, closing, known):
    call, arguments = closing
    trace = load(shared(started()).call(100, call, **arguments).call(100, "ftruncate", fd=3, length=0))
    assert cuts(trace) == ([(1, 0), (1, 4 * PAGE)] if known else [])
    assert trace.summary["assumed"] == ({} if known else {"ftruncate of a file that is not known to be mapped": 1})
    assert trace.summary["left_out"] == {}


def test_a_descriptor_is_free_before_its_close_has_returned(load):
    recording = shared(started()).enter((100, 101), "close", fd=3).call(100, "ftruncate", fd=3, length=0)
    assert cuts(load(recording.leave((100, 101), "close"))) == []


def test_descriptors_of_copies_children_and_programs(load):
    recording = shared(started()).call(100, "dup2", 7, oldfd=3, newfd=7).enter(100, "fork").fork(100, 101)
    recording.call(101, "close", fd=3).leave(100, "fork", 101).call(100, "ftruncate", fd=3, length=PAGE)
    recording.call(101, "ftruncate", fd=7, length=0).exec(101).call(101, "ftruncate", fd=7, length=0)
    assert cuts(load(recording)) == [(1, PAGE), (1, 4 * PAGE), (1, 0), (1, 4 * PAGE)]


def test_what_fallocate_takes_from_a_mapped_file(load):
    recording = shared(started())
    for page in range(4):
        recording.fault(100, A + page * PAGE)
    for fd, mode in ((3, 0), (3, 1), (3, 0x41), (4, 3), (3, 3), (3, 0x11), (3, 0x100)):
        recording.call(100, "fallocate", fd=fd, mode=mode, offset=PAGE - 1, len=2 * PAGE)
    trace = load(recording)
    assert trace.summary["left_out"] == {"fallocate mode 0x100": 1}
    assert trace.summary["assumed"] == {"fallocate of a file that is not known to be mapped": 1}
    assert operations(trace, "other", "addr", "length")[6:] == [("PUNCH_HOLE", 0, 1, PAGE - 1, 2 * PAGE)] * 2
    for kernel, there in (("6.18", [1, 0, 1, 1]), ("2.6.7", [1, 1, 1, 1])):
        machine = rmapcore.Machine(kernel=kernel)
        assert not machine.run(trace.operations_for(kernel), files=[machine.file(*trace.files[0])]).any()
        assert machine.process(100).pagemap(A, 4 * PAGE)["present"].tolist() == there


@pytest.mark.parametrize("mode", [0x8, 0x20])
def test_what_fallocate_moves_leaves_all_areas(load, mode):
    """FALLOC_FL_COLLAPSE_RANGE and _INSERT_RANGE."""
    recording = shared(started()).fault(100, A).fault(100, A + 3 * PAGE)
    trace = load(recording.call(100, "fallocate", fd=3, mode=mode, offset=2 * PAGE, len=PAGE))
    assert cuts(trace) == [(1, 2 * PAGE), (1, 4 * PAGE)] and not trace.summary["left_out"]


# --- what a process is ------------------------------------------------------------------------------------------------


def test_what_may_be_read_may_be_executed_where_the_personality_says_so(load):
    """Of the thread that said it and of what it creates, up to an execve."""
    recording = started().call(100, "brk", A, brk=0).call(100, "personality", personality=EXECUTES)
    recording.call(100, "personality", EXECUTES, personality=0xFFFFFFFF).mmap(100, B, PAGE, prot=1).mmap(100, B, PAGE, prot=2)
    recording.mmap(100, B, PAGE, prot=1, flags=2, fd=3, mapped=dict(start=B, length=PAGE, **LIBC) | {"prot": "r--p"})
    recording.call(100, "mprotect", start=B, len=PAGE, prot=3).call(100, "brk", A + 0x1800, brk=A + 0x1800)
    recording.call(100, "brk", A + 0x1900, brk=A + 0x1900)
    recording.enter(100, "fork").fork(100, 101).leave(100, "fork", 101).call(100, "personality", EXECUTES, personality=0)
    recording.mmap(100, C, PAGE, prot=1).mmap(101, C, PAGE, prot=1).exec(101).mmap(101, C, PAGE, prot=1)
    assert operations(load(recording), "addr", "length", "prot")[2:] == [
        ("MMAP", 100, B, PAGE, 5), ("MMAP", 100, B, PAGE, 2), ("MMAP", 100, B, PAGE, 1), ("MPROTECT", 100, B, PAGE, 7),
        ("BRK", 100, A + 0x1800, 0, 0), ("MPROTECT", 100, A, 2 * PAGE, 7), ("BRK", 100, A + 0x1900, 0, 0),
        ("FORK", 100, 0, 0, 0), ("MMAP", 100, C, PAGE, 1), ("MMAP", 101, C, PAGE, 5), ("EXECVE", 101, 0, 0, 0),
        ("MMAP", 101, C, PAGE, 1),
    ]  # fmt: skip


def test_names_of_areas_are_known_by_their_place(load):
    recording = started().mmap(100, A, 4 * PAGE)
    for start, name in ((A, B), (A + PAGE, C), (A + 2 * PAGE, B), (A, 0)):
        recording.call(100, "prctl", option=0x53564D61, arg2=0, arg3=start, arg4=PAGE, arg5=name)
    trace = load(recording.call(100, "prctl", EINVAL, option=23, arg2=99, arg3=0, arg4=0, arg5=0))
    assert operations(trace, "addr", "length", "arg")[2:] == [
        ("NAME_AREA", 100, A, PAGE, 1), ("NAME_AREA", 100, A + PAGE, PAGE, 2), ("NAME_AREA", 100, A + 2 * PAGE, PAGE, 1),
        ("NAME_AREA", 100, A, PAGE, 0),
    ]  # fmt: skip
    assert trace.summary["left_out"] == {}
    for kernel, areas in (("6.18", 4), ("2.6.7", 1)):
        machine = rmapcore.Machine(kernel=kernel)
        assert not machine.run(trace.operations_for(kernel)).any() and len(machine.process(100).maps()) == areas


# --- areas and pages --------------------------------------------------------------------------------------------------


def test_the_ring_of_asynchronous_input_and_output_is_an_area(load):
    ring = {"start": A, "length": 3 * PAGE, "path": "/[aio] (deleted)", "inode": 8, "prot": "rw-s"}
    recording = started().enter(100, "io_setup", nr_events=128, ctxp=B).mmap2(100, **ring).leave(100, "io_setup")
    trace = load(recording.call(100, "io_destroy", ctx=A).call(100, "io_setup", nr_events=1, ctxp=B))
    assert operations(trace, "addr", "length", "prot", "flags", "other")[1:] == [
        ("MMAP", 100, A, 3 * PAGE, 3, 0x11, 1), ("MUNMAP", 100, A, 3 * PAGE, 0, 0, 0)
    ]  # fmt: skip
    assert trace.files == [("/[aio]", 3 * PAGE, "shmem")]
    assert trace.summary["left_out"] == {"io_setup: what it did is not known": 1}


def test_a_page_that_get_mempolicy_brings_in(load):
    recording = started().mmap(100, A, 4 * PAGE)
    for flags in (0, 1, 2, 3):
        recording.call(100, "get_mempolicy", policy=B, nmask=0, maxnode=0, addr=A + flags * PAGE + 5, flags=flags)
    assert operations(load(recording), "addr", "length")[2:] == [("READ", 100, A + 3 * PAGE, PAGE)]


def test_a_shadow_stack_is_taken_as_ordinary_memory(load):
    trace = load(started().call(100, "map_shadow_stack", A, addr=0, size=PAGE + 8, flags=1))
    assert operations(trace, "addr", "length", "prot", "flags")[1:] == [("MMAP", 100, A, 2 * PAGE, 3, 0x32)]


def test_execveat_executes_as_execve_does(load):
    recording = started().enter(100, "execveat", fd=3, filename=B, argv=B, envp=B, flags=0x1000)
    recording.line(100, "PERF_RECORD_COMM exec: prog:100/100").mmap2(100, A, PAGE)
    recording.event(100, "sched:sched_process_exec", "filename=/x pid=100 old_pid=100")
    recording.leave(100, "execveat").mmap(100, B, PAGE)
    trace = load(recording)
    assert operations(trace, "addr") == [("SPAWN", 100, 0), ("EXECVE", 100, 0), ("MMAP", 100, A), ("MMAP", 100, B)]
    assert trace.summary["left_out"] == {}


def test_execveat_by_a_thread(load):
    recording = started().enter(100, "clone3", uargs=1, size=88).fork(100, (100, 101)).leave(100, "clone3", 101)
    recording.enter((100, 101), "execveat", fd=3, filename=B, argv=B, envp=B, flags=0).exec(100)
    assert load(recording).summary["left_out"] == {}


# --- what is said by name ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("call", "arguments", "said"), [
    ("truncate", {"path": B, "length": 0}, "truncate: what it did is not known"),
    ("swapoff", {"specialfile": B}, "swapoff: what it did is not known"),
    ("userfaultfd", {"flags": 1}, "userfaultfd: what it did is not known"),
    ("set_mempolicy_home_node", {"start": A, "len": PAGE, "home_node": 0, "flags": 0},
     "set_mempolicy_home_node: what it did is not known"),
    ("io_destroy", {"ctx": A}, "io_destroy: what it did is not known"),
    ("prctl", {"option": 41, "arg2": 1, "arg3": 0, "arg4": 0, "arg5": 0}, "prctl PR_SET_THP_DISABLE"),
    ("prctl", {"option": 35, "arg2": 1, "arg3": 0, "arg4": 0, "arg5": 0}, "prctl PR_SET_MM"),
    ("prctl", {"option": 65, "arg2": 1, "arg3": 0, "arg4": 0, "arg5": 0}, None),
    ("prctl", {"option": 9999, "arg2": 1, "arg3": 0, "arg4": 0, "arg5": 0}, "prctl option 9999"),
    ("prctl", {"option": 0x53564D61, "arg2": 1, "arg3": 0, "arg4": 0, "arg5": 0}, "prctl PR_SET_VMA"),
    ("arch_prctl", {"option": 0x1002, "arg2": B}, None),
    ("arch_prctl", {"option": 0x5001, "arg2": 1}, "arch_prctl ARCH_SHSTK_ENABLE"),
    ("arch_prctl", {"option": 0x7001, "arg2": 1}, "arch_prctl option 0x7001"),
    ("personality", {"personality": 0x40000}, None),
    ("personality", {"personality": 0x10000000}, "personality 0x10000000"),
    ("prlimit64", {"process": 0, "resource": 3, "new_rlim": 0, "old_rlim": B}, None),
    ("prlimit64", {"process": 0, "resource": 7, "new_rlim": B, "old_rlim": 0}, None),
    ("process_madvise", {"pidfd": 3, "vec": B, "vlen": 1, "behavior": 21, "flags": 0}, "process_madvise MADV_PAGEOUT"),
    ("process_madvise", {"pidfd": 3, "vec": B, "vlen": 1, "behavior": 77, "flags": 0}, "process_madvise MADV_77"),
    ("process_mrelease", {"pidfd": 3, "flags": 0}, None),
    ("shmctl", {"shmid": 3, "cmd": 0, "buf": 0}, None),
    ("shmctl", {"shmid": 3, "cmd": 11, "buf": 0}, "shmctl SHM_LOCK"),
    ("mmap", {"addr": 0, "len": PAGE, "prot": 3, "flags": 0x200022, "fd": MINUS_1, "off": 0}, "mmap flags 0x200000"),
    ("mmap", {"addr": 0, "len": PAGE, "prot": 3, "flags": 0x24, "fd": MINUS_1, "off": 0}, "mmap type 0x4"),
    ("mmap", {"addr": 0, "len": PAGE, "prot": 0x13, "flags": 0x22, "fd": MINUS_1, "off": 0}, "mmap prot 0x10"),
    ("mprotect", {"start": A, "len": PAGE, "prot": 0x41}, "mprotect prot 0x40"),
    ("mremap", {"addr": A, "old_len": PAGE, "new_len": PAGE, "flags": 9, "new_addr": 0}, "mremap flags 0x8"),
    ("madvise", {"start": A, "len_in": PAGE, "behavior": 77}, "madvise MADV_77"),
    ("mlock2", {"start": A, "len": PAGE, "flags": 2}, "mlock2 flags 0x2"),
    ("mlockall", {"flags": 9}, "mlockall flags 0x8"),
    ("mseal", {"start": A, "len": PAGE, "flags": 1}, "mseal flags 0x1"),
    ("remap_file_pages", {"start": A, "size": PAGE, "prot": 0, "pgoff": 0, "flags": 1}, "remap_file_pages flags 0x1"),
    ("shmat", {"shmid": 1, "shmaddr": 0, "shmflg": 0x100000}, "shmat flags 0x100000"),
    ("mbind", {"start": A, "len": PAGE, "mode": 9, "nmask": 0, "maxnode": 0, "flags": 0}, "mbind with policy 9"),
    ("fallocate", {"fd": 3, "mode": 0x200, "offset": 0, "len": 1}, "fallocate mode 0x200"),
    ("map_shadow_stack", {"addr": 0, "size": PAGE, "flags": 4}, "map_shadow_stack flags 0x4"),
])
def test_what_no_operation_says_is_said_by_name(load, call, arguments, said):
    """An argument that no kernel up to 6.18 knows, too: a recording of a later one cannot pass for complete."""
    left_out = dict(load(started().call(100, call, **arguments)).summary["left_out"])
    left_out.pop("shmat without PERF_RECORD_MMAP2", None)
    assert left_out == ({said: 1} if said else {})


def test_a_call_that_is_not_in_the_list_is_said_by_name(load):
    recording = started().call(100, "unmap_everything", start=A)
    assert load(recording).summary["left_out"] == {
        "event syscalls:sys_enter_unmap_everything": 1, "event syscalls:sys_exit_unmap_everything": 1
    }


# --- writeback --------------------------------------------------------------------------------------------------------

DATA = {"path": "/data", "inode": 20}
WHOLE = (0, 1, 0, 0)
MS_ASYNC, MS_SYNC = 1, 4


def written_back(trace):
    """[(process, file, offset, length)…] of the WRITEBACK operations."""
    return [rest for name, *rest in map(tuple, operations(trace, "other", "addr", "length")) if name == "WRITEBACK"]


@pytest.mark.parametrize(("call", "arguments", "ranges"), [
    ("msync", {"start": A, "len": PAGE + 1, "flags": MS_SYNC}, [(0, 1, 0, 2 * PAGE)]),
    ("msync", {"start": A + 3 * PAGE, "len": B - A, "flags": MS_SYNC}, [(0, 1, 3 * PAGE, PAGE), (0, 1, 8 * PAGE, 3 * PAGE)]),
    ("msync", {"start": A, "len": MIB, "flags": MS_ASYNC}, []),
    ("msync", {"start": A, "len": 0, "flags": MS_SYNC}, []),
    ("msync", {"start": C, "len": PAGE, "flags": MS_SYNC}, []),                    # a private mapping of it
    ("fsync", {"fd": 3}, [WHOLE]),
    ("fdatasync", {"fd": 3}, [WHOLE]),
    ("sync_file_range", {"fd": 3, "offset": 5, "nbytes": PAGE, "flags": 7}, [(0, 1, 5, PAGE)]),
    ("sync_file_range", {"fd": 3, "offset": PAGE, "nbytes": 0, "flags": 2}, [(0, 1, PAGE, 0)]),
    ("sync_file_range", {"fd": 3, "offset": 0, "nbytes": 0, "flags": 5}, []),       # it waits only
    ("sync", {}, [(0, 0, 0, 0)]),
    ("syncfs", {"fd": 9}, [(0, 0, 0, 0)]),
])
def test_calls_that_write_back(load, call, arguments, ranges):
    recording = shared(started(), **DATA)
    recording.mmap(100, B, 4 * PAGE, flags=1, fd=4, off=8 * PAGE, mapped=SHARED | DATA | {"start": B, "offset": 8 * PAGE})
    recording.mmap(100, C, PAGE, flags=2, fd=3, mapped=DATA | {"start": C, "length": PAGE, "prot": "rw-p"})
    recording.mmap(100, C + MIB, PAGE, flags=2, fd=5, mapped={"start": C + MIB, "length": PAGE, "path": "/other", "inode": 21})
    shared(recording, start=C + 2 * MIB, fd=6, path="/third", inode=22)
    trace = load(recording.call(100, call, **arguments))
    assert [tuple(one) for one in written_back(trace)] == ranges
    assert trace.summary["left_out"] == {}
    assert trace.summary["assumed"] == ({"syncfs taken for sync: of every file system": 1} if call == "syncfs" else {})


@pytest.mark.parametrize("call", ["fsync", "fdatasync", "sync_file_range"])
def test_a_file_that_nobody_has_mapped_is_not_written_back(load, call):
    trace = load(shared(started(), **DATA).call(100, call, fd=4, offset=0, nbytes=0, flags=2))
    assert written_back(trace) == []
    assert trace.summary["assumed"] == {f"{call} of a file that is not known to be mapped": 1}


def test_what_mremap_moved_is_still_shared(load):
    recording = shared(started(), **DATA)
    recording.call(100, "mremap", B, addr=A, old_len=4 * PAGE, new_len=4 * PAGE, flags=1, new_addr=0)
    trace = load(recording.call(100, "msync", start=B + PAGE, len=PAGE, flags=MS_SYNC))
    assert [tuple(one) for one in written_back(trace)] == [(0, 1, PAGE, PAGE)]


def test_faults_again_after_writeback(load):
    recording = shared(started(), **DATA).fault(100, A, 6).call(100, "msync", start=A, len=PAGE, flags=MS_SYNC)
    checked = check_replay(load(recording.fault(100, A, 7)))
    assert (checked.to_dict()["faults"]["right"], checked.to_dict()["faults"]["checked"]) == (2, 2)
