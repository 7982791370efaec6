"""What a recording says beside calls and faults: header, states, flags of clone, signals, and reads past the page cache."""
import pytest

from recordings import MIB, PAGE, Recording
from rmapcore import Machine, TraceError, load_trace
from rmapcore.operations import Op, Status
from rmapcore.studies.replaycheck import check_replay
from rmapcore.traces.states import ANON, FILE, AreaSeen, ProcessSeen, Run, State

MAIN, OTHER = (10, 10), (10, 11)


def loaded(tmp_path, recording, *before):
    path = tmp_path / "r.txt"
    path.write_text("".join(f"{line}\n" for line in (*before, *recording.lines)))
    return load_trace(path)


def ops(trace):
    return [(Op(one["op"]).name, int(one["process"]), int(one["other"])) for one in trace.operations]


def threaded():
    """Process 10 with threads 10 and 11 and a mapping at 1 MiB."""
    recording = Recording().exec(10)
    return recording.line(MAIN, "PERF_RECORD_FORK(10:11):(10:10)").mmap(MAIN, MIB, 64 * PAGE)


def test_the_header_is_kept(tmp_path):
    trace = loaded(tmp_path, Recording().exec(10), "# rmapcore recording: 2", "# kernel: 6.18.44", "# stack limit: 16384",
                   "# max_map_count: 100", "# no colon")
    assert trace.summary["recorded"] == {"rmapcore recording": "2", "kernel": "6.18.44", "stack limit": "16384",
                                         "max_map_count": "100"}
    assert trace.stack_limit == 16384 and trace.holds_signals


@pytest.mark.parametrize(("flags", "expected"), [
    (0x1200000, [("FORK", 10, 20), ("EXIT", 20, 0)]),          # clone3 as fork does it
    (0x4100, []),                                              # CLONE_VM, CLONE_VFORK: it borrows
])
def test_clone3_is_what_its_flags_say(tmp_path, flags, expected):
    recording = Recording().exec(10).enter(10, "clone3", uargs=0, size=88).line(10, "PERF_RECORD_FORK(20:20):(10:10)")
    recording.event(10, "task:task_newtask", f"pid=20 comm=a b clone_flags={flags:x} oom_score_adj=0").leave(10, "clone3", 20)
    recording.event(20, "sched:sched_process_exit", "comm=prog pid=20 prio=120 group_dead=true")
    assert ops(loaded(tmp_path, recording))[1:] == expected


def test_clone_that_shares_memory_without_its_call(tmp_path):
    recording = Recording().exec(10).line(10, "PERF_RECORD_FORK(20:20):(10:10)")
    recording.event(10, "task:task_newtask", "pid=20 comm=prog clone_flags=100 oom_score_adj=0").mmap(20, MIB, PAGE)
    assert ops(loaded(tmp_path, recording))[-1] == ("MMAP", 10, 0)


def test_a_fault_that_shows_that_the_fork_has_been(tmp_path):
    """Thread 11 writes two pages, and one of them again while 10 forks: it finds it protected, so the copy was before."""
    recording = threaded().fault(OTHER, MIB).fault(OTHER, MIB + PAGE)
    recording.enter(MAIN, "clone", clone_flags=0x1200011, newsp=0, parent_tidptr=0, child_tidptr=0, tls=0)
    recording.fault(OTHER, MIB + 2 * PAGE).fault(OTHER, MIB, 7).fault(OTHER, MIB + 3 * PAGE)
    recording.line(MAIN, "PERF_RECORD_FORK(20:20):(10:10)").leave(MAIN, "clone", 20)
    trace = loaded(tmp_path, recording)
    faults_and_fork = [(name, int(one["addr"]) // PAGE - 256) for (name, _, _), one in
                       zip(ops(trace), trace.operations, strict=True) if name in ("FAULT", "FORK")]
    assert faults_and_fork == [("FAULT", 0), ("FAULT", 1), ("FAULT", 2), ("FORK", -256), ("FAULT", 0), ("FAULT", 3)]
    machine = Machine("anon_vma_chain", kernel="6.18", ram=MIB, swap=0)
    assert trace.replay(machine)["failed"] == 0
    mapcounts = machine.processes[10].pagemap(MIB, 4 * PAGE)["mapcount"].tolist()
    assert mapcounts == [1, 2, 2, 1]


def test_a_fork_stays_where_it_is_without_such_a_fault(tmp_path):
    """The page was protected since the fork before: the fault may have been before the copy."""
    recording = threaded().fault(OTHER, MIB)
    for child in (20, 21):
        recording.enter(MAIN, "clone", clone_flags=0x1200011, newsp=0, parent_tidptr=0, child_tidptr=0, tls=0)
        if child == 21:
            recording.fault(OTHER, MIB, 7)
        recording.line(MAIN, f"PERF_RECORD_FORK({child}:{child}):(10:10)").leave(MAIN, "clone", child)
    assert [name for name, _, _ in ops(loaded(tmp_path, recording))[2:]] == ["FAULT", "FORK", "FAULT", "FORK"]


def test_a_fault_that_waits_for_a_fork_is_behind_it(tmp_path):
    """Of two threads' faults during a fork, those that show in the counts or by a call were before, the last one after."""
    third = (10, 12)
    recording = threaded().line(MAIN, "PERF_RECORD_FORK(10:12):(10:10)")

    def counted(who, pages):
        recording.event(who, "kmem:rss_stat", f"mm_id=5 curr=1 type=MM_ANONPAGES size={pages * PAGE}B")

    recording.fault(OTHER, MIB)
    counted(OTHER, 1)
    recording.enter(MAIN, "clone", clone_flags=0x1200011, newsp=0, parent_tidptr=0, child_tidptr=0, tls=0)
    recording.fault(OTHER, MIB + PAGE)
    counted(OTHER, 2)
    recording.fault(OTHER, MIB + 2 * PAGE).fault(third, MIB + 3 * PAGE).call(third, "msync", start=MIB, len=PAGE, flags=4)
    recording.event(MAIN, "kmem:rss_stat", f"mm_id=6 curr=0 type=MM_ANONPAGES size={PAGE}B")
    recording.line(MAIN, "PERF_RECORD_FORK(20:20):(10:10)")
    counted(OTHER, 3)
    recording.leave(MAIN, "clone", 20)
    trace = loaded(tmp_path, recording)
    told = [(name, int(one["addr"]) // PAGE - 256) for (name, _, _), one in zip(ops(trace), trace.operations, strict=True)]
    assert [one for one in told if one[0] in ("FAULT", "FORK")] == [
        ("FAULT", 0), ("FAULT", 1), ("FAULT", 3), ("FORK", -256), ("FAULT", 2)]
    machine = Machine("anon_vma_chain", kernel="6.18", ram=MIB, swap=0)
    assert trace.replay(machine)["failed"] == 0
    assert machine.processes[20].pagemap(MIB, 4 * PAGE)["present"].tolist() == [1, 1, 0, 1]


@pytest.mark.parametrize(("limits", "expected", "handled"), [(0, {-2: Status.SEGV}, [1, 0, 0]), (1, {}, [1, 1, 0])])
def test_what_a_replay_cannot_refuse_of_its_own_has_no_effect(tmp_path, limits, expected, handled):
    """SIGBUS: how long a file was is not known. SIGSEGV: nor is a limit of the stack that the program has set."""
    where = {"start": MIB, "length": 4 * PAGE, "path": "/f", "prot": "rw-s", "inode": 5}
    recording = Recording().exec(10).mmap(10, MIB, 4 * PAGE, flags=1, fd=3, mapped=where)
    recording.mmap(10, 8 * MIB, PAGE, flags=0x122)
    for _ in range(limits):
        recording.call(10, "prlimit64", process=0, resource=3, new_rlim=MIB, old_rlim=0)
    for address, signal in ((MIB + 2 * PAGE, 7), (8 * MIB - PAGE, 11), (MIB + PAGE, 0)):
        recording.fault(10, address)
        if signal:
            recording.event(10, "signal:signal_generate", f"sig={signal} errno=0 code=1 comm=prog pid=10 grp=0 res=0")
    trace = loaded(tmp_path, recording, "# rmapcore recording: 2", "# stack limit: 4096")
    assert trace.expected == {len(trace) + at: status for at, status in expected.items()}
    assert trace.operations["prot"][-3:].tolist() == handled and trace.stack_limit == ("unlimited" if limits else PAGE)
    machine = Machine("anon_vma_chain", kernel="6.18", ram=MIB, swap=0)
    statuses = trace.replay(machine)["statuses"]
    assert {at: status for at, status in enumerate(statuses) if status} == trace.expected and machine.processes[10].rss == 1


def test_signals_say_which_accesses_failed(tmp_path):
    recording = Recording().exec(10).mmap(10, MIB, PAGE).fault(10, MIB).fault(10, 5 * MIB, 4)
    recording.event(10, "signal:signal_generate", "sig=11 errno=0 code=1 comm=prog pid=10 grp=0 res=0")
    recording.event(10, "signal:signal_generate", "sig=11 errno=0 code=0 comm=prog pid=10 grp=0 res=0")     # kill(2)
    trace = loaded(tmp_path, recording, "# rmapcore recording: 2")
    assert trace.expected == {len(trace) - 1: Status.SEGV}
    trace.save(tmp_path / "t")
    assert load_trace(tmp_path / "t").expected == trace.expected


def test_a_cut_file_is_short_until_the_last_access_beyond_its_end(tmp_path):
    file = {"start": MIB, "length": 4 * PAGE, "path": "/x", "inode": 5, "prot": "rw-s"}
    recording = Recording().exec(10).mmap(10, MIB, 4 * PAGE, 3, 1, 3, 0, file).fault(10, MIB + 2 * PAGE)
    recording.call(10, "ftruncate", fd=3, length=PAGE).fault(10, MIB + 2 * PAGE, 4)
    recording.event(10, "signal:signal_generate", "sig=7 errno=0 code=2 comm=prog pid=10 grp=0 res=0").fault(10, MIB + PAGE, 4)
    trace = loaded(tmp_path, recording, "# rmapcore recording: 2")
    assert [(name, int(one["arg"])) for (name, _, _), one in zip(ops(trace), trace.operations, strict=True)
            if name == "TRUNCATE"] == [("TRUNCATE", PAGE), ("TRUNCATE", 4 * PAGE)]
    machine = Machine("anon_vma", kernel="6.18", ram=MIB, swap=0)
    assert trace.replay(machine)["statuses"].tolist() == [0, 0, 0, 0, Status.BUS, 0, 0]


@pytest.mark.parametrize(("faulted", "written"), [(False, True), (True, False)])
def test_a_read_that_brings_pages_without_a_fault(tmp_path, faulted, written):
    recording = Recording().exec(10).mmap(10, MIB, 8 * PAGE)
    recording.event(10, "kmem:rss_stat", "mm_id=5 curr=1 type=MM_ANONPAGES size=4096B")
    recording.enter(10, "pread64", fd=3, buf=MIB, count=4 * PAGE, pos=0)
    if faulted:
        recording.fault(10, MIB, 2, "kernel")
    for pages in (2, 3, 4, 5):
        recording.event(10, "kmem:rss_stat", f"mm_id=5 curr=1 type=MM_ANONPAGES size={pages * PAGE}B")
    trace = loaded(tmp_path, recording)
    writes = [(int(one["addr"]), int(one["length"])) for one in trace.operations if one["op"] == Op.WRITE]
    assert writes == ([(MIB, 4 * PAGE)] if written else [])


def test_what_came_without_a_trace_is_counted(tmp_path):
    """Four pages of process 10 have a fault, two have none; its child, which executes something, is known by its own line."""
    recording = Recording().exec(10).mmap(10, MIB, 8 * PAGE)
    for page in range(4):
        recording.fault(10, MIB + page * PAGE)
    recording.event(10, "kmem:rss_stat", f"mm_id=5 curr=1 type=MM_ANONPAGES size={6 * PAGE}B").enter(10, "fork")
    recording.event(10, "kmem:rss_stat", f"mm_id=6 curr=0 type=MM_ANONPAGES size={4 * PAGE}B")
    recording.line(10, "PERF_RECORD_FORK(20:20):(10:10)").leave(10, "fork", 20)
    recording.event(20, "kmem:rss_stat", "mm_id=6 curr=1 type=MM_FILEPAGES size=0B")
    recording.enter(20, "execve", filename=0, argv=0, envp=0)
    recording.event(20, "kmem:rss_stat", "mm_id=6 curr=0 type=MM_ANONPAGES size=0B").exec(20)          # what it had goes
    recording.event(10, "sched:sched_process_exit", "comm=prog pid=10 prio=120 group_dead=true")
    recording.event(10, "kmem:rss_stat", "mm_id=5 curr=1 type=MM_ANONPAGES size=0B")
    trace = loaded(tmp_path, recording)
    ends = [number for number, one in enumerate(trace.operations) if one["op"] in (Op.EXECVE, Op.EXIT)]
    assert trace.lives == [(ends[0], 20, 4, 0), (ends[1], 10, 6, 0)]
    result = check_replay(trace)
    assert result.to_dict()["counts"] == {"checked": 2, "right": 1, "pages": 10, "missing": 2, "not_recorded": 0}
    assert [problem for problem in result.problems if "2 of 10 pages" in problem]


def test_of_a_child_nothing_is_known_until_it_has_more_itself(tmp_path):
    """What fork gave it is not recorded: its counts are known once they have grown. mm 6 is taken again by the second child."""
    recording = Recording().exec(10).mmap(10, MIB, 8 * PAGE)
    for page in range(4):
        recording.fault(10, MIB + page * PAGE)
    recording.event(10, "kmem:rss_stat", f"mm_id=5 curr=1 type=MM_ANONPAGES size={4 * PAGE}B")
    for child, grows in ((20, True), (30, False)):
        recording.enter(10, "fork").line(10, f"PERF_RECORD_FORK({child}:{child}):(10:10)").leave(10, "fork", child)
        recording.event(child, "kmem:rss_stat", "mm_id=6 curr=1 type=MM_FILEPAGES size=0B")
        if grows:
            recording.fault(child, MIB + 6 * PAGE)
            recording.event(child, "kmem:rss_stat", f"mm_id=6 curr=1 type=MM_ANONPAGES size={5 * PAGE}B")
        recording.event(child, "sched:sched_process_exit", f"comm=prog pid={child} prio=120 group_dead=true")
    trace = loaded(tmp_path, recording)
    assert [life[1:] for life in trace.lives] == [(20, 5, 0), (10, 4, 0)]
    assert check_replay(trace).to_dict()["counts"] == {"checked": 2, "right": 2, "pages": 9, "missing": 0, "not_recorded": 0}


@pytest.mark.parametrize(("code", "pages", "read"), [
    (6, 16, (18, 14)),                         # a shared page written: its folio, pages 16 to 31 of the file, from 18 on mapped
    (4, 32, (18, 14)),                         # more than fault-around maps: pages 0 to 31
    (4, 16, None), (6, 8, None),
])
def test_a_fault_that_maps_a_large_folio(tmp_path, code, pages, read):
    """Page 18 of the file is at 1 MiB."""
    recording = Recording().exec(10)
    recording.mmap(10, MIB, 100 * PAGE, 3, 1, 3, 18 * PAGE, {"start": MIB, "length": 100 * PAGE, "path": "/x", "inode": 5,
                                                            "offset": 18 * PAGE, "prot": "rw-s"})
    recording.event(10, "kmem:rss_stat", "mm_id=5 curr=1 type=MM_FILEPAGES size=4096B").fault(10, MIB + 5 * PAGE, code)
    recording.event(10, "kmem:rss_stat", f"mm_id=5 curr=1 type=MM_FILEPAGES size={(1 + pages) * PAGE}B")
    reads = [(int(one["addr"]) // PAGE - 256 + 18, int(one["length"]) // PAGE)
             for one in loaded(tmp_path, recording).operations if one["op"] == Op.READ]
    assert reads == ([read] if read else [])


@pytest.mark.parametrize("sign", [
    ("vmscan:mm_vmscan_memcg_reclaim_end", "nr_reclaimed=32"), ("kmem:rss_stat", "mm_id=5 curr=1 type=MM_SWAPENTS size=4096B")])
@pytest.mark.parametrize("scheme", ["pte_chain", "anonmm", "anon_vma", "anon_vma_chain"])
def test_a_fault_that_finds_a_page_gone_has_it_swapped_out(tmp_path, sign, scheme):
    """Parent and child share a page; the child finds it gone, and so will the parent: the scheme has to find both."""
    recording = Recording().exec(10).mmap(10, MIB, PAGE).fault(10, MIB).enter(10, "fork")
    recording.line(10, "PERF_RECORD_FORK(20:20):(10:10)").leave(10, "fork", 20).fault(20, MIB + PAGE, 4).event(10, *sign)
    recording.fault(20, MIB, 4).fault(10, MIB, 4)
    trace = loaded(tmp_path, recording)
    assert trace.operations["prot"][trace.operations["op"] == Op.FAULT].tolist() == [0, 0, 2, 2] and trace.reclaimed
    machine = Machine(scheme, kernel="6.18", ram=MIB, swap=MIB)
    trace.replay(machine)
    machine.check()
    assert (machine.reclaimed.swapped, machine.counters["faults_swapin"]) == (1, 2)
    row = check_replay(trace, scheme).to_dict()
    assert (row["taken"], row["by_kind"]["anon"]) == (1, {"checked": 3, "right": 3})


STATE = State(3_732_700_000_001, processes=[
    ProcessSeen(10, 7, "a b", special=[(0x7FFF0, 2)], areas=[
        AreaSeen(MIB, MIB + 8 * PAGE, "rw-p", 0, "00:00", "0", "ac,rd,wr", ""),
        AreaSeen(2 * MIB, 2 * MIB + PAGE, "r--s", PAGE, "fe:00", "5", "rd", "/x y (deleted)")],
        runs=[Run(256, 3, ANON, 2, 5), Run(260, 1, ANON, 1, 0), Run(512, 1, FILE, 0, 0)])])


def test_states_are_kept_and_saved(tmp_path):
    recording = Recording().exec(10).mmap(10, MIB, 8 * PAGE)
    recording.mmap(10, 2 * MIB, PAGE, 1, 1, 3, PAGE, {"start": 2 * MIB, "length": PAGE, "path": "/x y", "offset": PAGE,
                                                      "prot": "r--s", "inode": 5, "device": "fe:00"})
    at = len(loaded(tmp_path, recording))
    recording.lines += STATE.lines()
    recording.call(10, "munmap", addr=MIB, len=PAGE)
    trace = loaded(tmp_path, recording)
    (state,) = trace.states
    assert (state.at, state.time) == (at, STATE.time)
    (process,) = state.processes
    assert (process.space, process.special, process.runs) == (10, [(0x7FFF0, 2)], STATE.processes[0].runs)
    assert [area.file for area in process.areas] == [0, 1]
    assert process.pages().tolist() == [(256, ANON, 2, 5), (257, ANON, 2, 6), (258, ANON, 2, 7), (260, ANON, 1, 0),
                                        (512, FILE, 0, 0)]
    trace.save(tmp_path / "saved")
    assert load_trace(tmp_path / "saved").states[0].to_list() == state.to_list()


@pytest.mark.parametrize("line", [
    "# state 1.5", "# process 10", "# process x 1 a", "# area 1-2", "# pages 100 1 anon 1", "# pages 100 1 other 1 0",
    "# pages 100 99999999999999 anon 1 0", "# pages 90 1 anon 1 0", "# special 1",
])
def test_states_that_cannot_be_read_are_refused(tmp_path, line):
    lines = ["# state 1.000000001", "# process 10 1 a", f"# area {MIB:x}-{MIB + PAGE:x} rw-p 0 00:00 0 rd ",
             "# pages 100 1 anon 1 0"]
    with pytest.raises(TraceError, match="the fields of a state cannot be read") as caught:
        loaded(tmp_path, Recording().exec(10), *lines, line)
    assert caught.value.line == 5


def test_states_of_tasks_without_a_name_and_of_files_with_odd_ones(tmp_path):
    """/proc/PID/maps has a line end as \\012, perf as ?; a renamed file has another path; a path may end with a blank."""
    recording = Recording().exec(10)
    paths = ("/a?b", "/old", "/c (deleted)", "/d ")
    for number, path in enumerate(paths):
        start = (1 + number) * MIB
        recording.mmap(10, start, PAGE, 1, 1, 3 + number, 0, {"start": start, "length": PAGE, "path": path, "prot": "r--s",
                                                              "inode": 5 + number})
    shown = ("/a\\012b", "/new", "/c (deleted) (deleted)", "/d ")
    recording.lines += State(10**9, processes=[ProcessSeen(10, 4, "", areas=[
        AreaSeen((1 + number) * MIB, (1 + number) * MIB + PAGE, "r--s", 0, "fe:00", str(5 + number), "rd", path)
        for number, path in enumerate(shown)])]).lines()
    (state,) = loaded(tmp_path, recording).states
    assert state.processes[0].name == "" and [area.file for area in state.processes[0].areas] == [1, 2, 3, 4]
