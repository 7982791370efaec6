"""The running kernel as a subject of cases. What needs root, swap or a compiler is skipped elsewhere, with the reason."""
import os
import platform
import shutil
import signal
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from program_output import parsed
from rmapcore.cli import main
from rmapcore.linux import agent as live_agent
from rmapcore.linux import proc
from rmapcore.linux.agent import AgentError
from rmapcore.linux.frames import Frames
from rmapcore.linux.swapdevice import temporary_swap
from rmapcore.verify import live_machine, verification
from rmapcore.verify.c_program import source
from rmapcore.verify.case import Case, load
from rmapcore.verify.emulator import Emulator
from rmapcore.verify.live import BASE, Live, touched
from rmapcore.verify.live_machine import LiveMachine
from rmapcore.verify.live_objects import NoCounts, slab_cost
from rmapcore.verify.objects import differing_objects
from rmapcore.verify.programs import PROFILES
from rmapcore.verify.run import FAIL, SKIPPED, run
from rmapcore.verify.run_live import live_kernel, verify_here
from rmapcore.verify.run_random import verify_random
from rmapcore.verify.state import difference, golden_form
from rmapcore.verify.subject import VALUE, Unsupported

PAGE = 4096
SECONDS = 60                           # that something which must happen may take
DATA = Path(__file__).parent.parent / "data" / "cases"
CASES = {case.id: case for case in load(DATA / "cases.jsonl")}
OTHER_KERNEL = not platform.release().startswith("6.18.")          # compare then what no kernel may change


@pytest.fixture(scope="module")
def machine():
    try:
        return LiveMachine()
    except Unsupported as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def seeing(machine):
    """A machine that shows frames."""
    if machine.no_frames:
        pytest.skip(f"frames cannot be seen: {machine.no_frames}")
    return machine


@pytest.fixture
def no_trace():
    """No process, control group or file is left."""
    before = traces()
    yield
    deadline = time.monotonic() + SECONDS
    while traces() - before:
        assert time.monotonic() < deadline, traces() - before
        time.sleep(0.02)


def traces():
    places = ("/tmp", "/var/tmp", "/sys/fs/cgroup/memory")
    return {path for place in places for path in Path(place).glob(f"rmapcore-{os.getpid()}-*")} | agents()


def agents():
    """Running test processes of this session."""
    found = set()
    for link in Path("/proc").glob("[0-9]*/exe"):
        try:
            if "memfd:agent" in os.readlink(link) and os.getsid(int(link.parent.name)) == os.getsid(0):
                found.add(link.parent)
        except OSError:
            continue
    return found


def step(op, proc="p0", **fields):
    return {"op": op, "proc": proc} | fields


MAP = step("mmap", at=0, len=4, prot="rw")
WRITE = step("write", at=0, len=4, value=7)
FORK = step("fork", child="p1")


def seen(subject):
    return golden_form(subject.observe())


# --- steps ------------------------------------------------------------------------------------------------------------


def test_a_fork_and_a_write(seeing, no_trace):
    with Live(machine=seeing) as subject:
        assert seen(subject) == {"p0": {"vmas": [], "pages": []}}
        assert [subject.step(one) for one in (MAP, WRITE, FORK, step("write", "p1", at=1))] == [None] * 4
        area = [[0, 4, "rw-p", "anon"]]
        assert seen(subject) == {"p0": {"vmas": area, "pages": [[0, 1, "a", 2, 0], [1, 1, "a", 1, 1], [2, 2, "a", 2, 2]]},
                              "p1": {"vmas": area, "pages": [[0, 1, "a", 2, 0], [1, 1, "a", 1, 4], [2, 2, "a", 2, 2]]}}
        assert subject.step(step("exit")) is None
        assert seen(subject)["p1"]["pages"] == [[0, 4, "a", 1, 0]]
        assert subject.step(step("exec", "p1")) is None
        assert seen(subject) == {"p1": {"vmas": [], "pages": []}}


def test_errors_are_those_of_the_kernel(machine):
    with Live({"F0": 2}, machine=machine) as subject:
        for one, error in (
                (MAP, None), (MAP, "EEXIST"), (step("munmap", at=0, at_off=1, len=1), "EINVAL"),
                (step("read", at=0, len=5), "FAULT"), (step("write", at=4), "FAULT"), (step("read", at=0, value=0), None),
                (step("read", at=0, len=4, value=1), VALUE), (step("mprotect", at=0, len=1, prot=""), None),
                (step("read", at=0), "FAULT"), (step("mprotect", at=1, len=9, prot="r"), "ENOMEM"),
                (step("mremap", at=0, old=1, new=2), "ENOMEM"), (step("mremap", at=9, old=1, new=2), "EFAULT"),
                (step("mmap", at=8, len=3, prot="r", share="shared", file="F0", pgoff=0), None),
                (step("read", at=8, value=1), None), (step("read", at=9, value=2), None), (step("read", at=10), "FAULT"),
                (step("write", at=8), "FAULT"), (step("fill", at=8, len=1, value=3), "FAULT"),
                (step("fill", at=1, len=1, value=3), "FAULT"), (step("mlock", at=20, len=1), "ENOMEM"),
                (step("madvise", at=1, len=1, advice="willneed"), None)):
            assert subject.step(one) == error, one


def test_pages_before_a_failing_one_are_touched(seeing):
    with Live(machine=seeing) as subject:
        subject.step(MAP)
        subject.step(step("mprotect", at=2, len=1, prot="r"))
        assert subject.step(WRITE) == "FAULT" and subject.step(step("read", at=1, len=9)) == "FAULT"
        assert seen(subject)["p0"]["pages"] == [[0, 2, "a", 1, 0], [2, 2, "z", 0, -1]]


def test_places_and_pins(seeing):
    with Live(machine=seeing) as subject:
        subject.step(step("mmap", at=None, len=2, prot="rw", share="shared", **{"as": "L"}))
        assert subject.step(step("write", at="L+1", value=5)) is None
        assert seen(subject)["p0"] == {"vmas": [["L+0", "L+2", "rw-s", "shm", 0]], "pages": [["L+1", 1, "s", 1, 0]]}
        assert subject.step(step("pin", at="L+1", **{"as": "P"})) is None and subject.step(FORK) is None
        assert subject.step(step("pin", at="L+2", **{"as": "Q"})) == "FAULT"
        assert subject.step(step("write", "p1", at="L+1", value=6)) is None
        assert subject.step(step("pin_read", value=6, **{"as": "P"})) is None
        assert subject.step(step("pin_read", value=6, **{"as": "P"})) == "EBADF"


@pytest.mark.parametrize(("address", "length", "pages"), [
    (BASE, 4 * PAGE, 4), (BASE + 1, 4 * PAGE, 5), (BASE + 4095, 1, 1), (BASE, 0, 0)])
def test_touched(address, length, pages):
    found = touched(address, length).tolist()
    assert len(found) == pages and all(at // PAGE - address // PAGE == number for number, at in enumerate(found))


# --- cases ------------------------------------------------------------------------------------------------------------


def test_cases(machine, no_trace):
    """All that the kernel of the cases did, this one does; those that count objects are below."""
    wrong = {}
    for case in CASES.values():
        verdict = None if case.repeat else run(case, machine.subject_of(case, Live), universal=OTHER_KERNEL)
        if verdict and verdict.outcome != "pass" and not (verdict.outcome == "skipped" and case.needs):
            wrong[case.id] = verdict.reason
    assert not wrong


@pytest.mark.parametrize("name", ["tree_7001_500", "reads_5001_300"])
def test_recorded_runs(machine, name):
    [case] = load(DATA / f"{name}.json.gz")
    case = replace(case, steps=case.steps[:150], snaps={after: state for after, state in case.snaps.items() if after <= 150})
    for _ in range(3):                 # a page that is locked at that moment is left out by the kernel
        verdict = run(case, machine.subject_of(case, Live), universal=OTHER_KERNEL)
        if verdict.outcome == "pass":
            return
    pytest.fail(verdict.reason)


@pytest.mark.parametrize("name", ["objects/fork", "objects/reuse_inactive"])
def test_objects_are_counted_exactly(machine, name):
    if machine.counter is None:
        pytest.skip(machine.no_counts)
    case = replace(CASES[name], repeat={"count": [20, 220], "stride": 32})
    verdict = run(case, machine.subject_of(case, Live), universal=OTHER_KERNEL)
    assert verdict.outcome == "pass", verdict.reason


def test_slabs_agree(machine):
    case = CASES["objects/fork"]
    try:
        cost = slab_cost(case, lambda files: Live(files, machine), (50, 1050))
    except NoCounts as error:
        pytest.skip(str(error))
    assert cost == pytest.approx(case.expect["objects"], rel=0.2)         # other programs run too


def test_with_swap(seeing, no_trace):
    try:
        swap = temporary_swap(64 << 20, on_disk=True)
        with swap:
            wrong = {case.id: verdict.reason for case in CASES.values() if "swap" in case.needs
                     and (verdict := run(case, seeing.subject_of(case, Live))).outcome == "fail"}
    except OSError as error:
        pytest.skip(str(error))
    assert not wrong


def test_without_swap_cases_say_so(machine, monkeypatch):
    monkeypatch.setattr(live_machine, "swap_is_on", lambda: False)
    case = CASES["madvise/pageout_then_dontneed"]
    verdict = run(case, machine.subject_of(case, Live))
    assert (verdict.outcome, verdict.reason) == ("skipped", live_machine.NO_SWAP)


def test_objects_of_a_program(machine):
    """The emulator takes as many as the kernel; a scheme without links takes others."""
    if machine.counter is None or OTHER_KERNEL:
        pytest.skip(machine.no_counts or "recorded with another kernel")
    case = Case("made", [MAP, WRITE, FORK, step("mprotect", "p1", at=1, len=2, prot="r"), step("fork", "p1", child="p2"),
                         step("exit", "p1"), step("fork", "p2", child="p3"), step("munmap", "p3", at=0, len=2)])
    maker = machine.subject_of(case, Live, objects=True)
    assert differing_objects(case, (Emulator, maker)) is None
    found = differing_objects(case, (partial(Emulator, scheme="anon_vma"), maker))
    assert (found.kind, found.step) == ("objects", 8) and "avc emulator" in found.text


# --- without root -----------------------------------------------------------------------------------------------------


def test_without_frames_the_rest_is_seen(machine, monkeypatch):
    steps = [MAP, step("read", at=0, len=2), step("write", at=2), FORK, step("madvise", at=3, len=1, advice="guard_install")]
    with Live(machine=machine) as subject:
        full = [subject.step(one) for one in steps] and subject.observe()
        if subject.frames.readable:
            subject.frames.close()
            subject.frames.fds, subject.frames.reason = [], "no frames"
        assert subject.no_sharing()
        bare = subject.observe()
    assert [page.kind for page in bare["p0"].pages.values()] == ["zero", "zero", "anon", "guard"]
    assert {page.frame for page in bare["p0"].pages.values()} == {None}
    assert not difference(golden_form(bare), golden_form(full), sharing=False)


def test_what_is_not_seen_is_said(monkeypatch):
    def refused(*_):
        raise PermissionError(13, "Permission denied", "/proc/kpagecount")
    with monkeypatch.context() as patch:
        patch.setattr(proc.os, "open", refused)
        frames = Frames()
    assert not frames.readable and frames.reason == "/proc/kpagecount: Permission denied"
    try:
        machine = LiveMachine()
    except Unsupported as error:
        pytest.skip(str(error))
    machine.no_frames, machine.no_counts = "no frames", "no perf"
    told = machine.unseen()
    assert any("mapcounts" in text and "no frames" in text and ("run as root" in text) == bool(os.getuid()) for text in told)
    assert any("no perf" in text for text in told)


@pytest.mark.parametrize(("name", "value", "reason"), [
    ("machine", lambda: "aarch64", "aarch64"), ("release", lambda: "5.4.0", None)])
def test_other_machines(monkeypatch, capsys, tmp_path, name, value, reason):
    monkeypatch.setattr(platform, name, value)
    if reason:
        assert reason in live_machine.obstacle()
        _, refused, notes = live_kernel()
        verdict = run(CASES["cow/child_writes"], refused(None))
        assert verdict.outcome == "skipped" and reason in verdict.reason and reason in notes[0]
    else:
        assert "5.4.0" in LiveMachine().unseen()[0]


# --- what goes wrong --------------------------------------------------------------------------------------------------


def test_an_agent_that_is_killed(machine, no_trace):
    with Live(machine=machine) as subject:
        subject.step(FORK)
        os.kill(subject.agents["p1"].pid, signal.SIGKILL)
        with pytest.raises(AgentError, match="has ended"):
            subject.step(step("mmap", "p1", at=0, len=1, prot="r"))
        assert subject.step(MAP) is None


def test_broken_off(machine, no_trace):
    with pytest.raises(KeyboardInterrupt), Live({"F0": 1, "M0": 1}, machine=machine) as subject:
        subject.step(FORK)
        raise KeyboardInterrupt


def test_files_are_on_a_disk(machine, monkeypatch):
    """On a tmpfs they would be shared memory."""
    monkeypatch.setattr(live_machine, "file_system", lambda path: "tmpfs")
    with pytest.raises(Unsupported, match="on a disk: set TMPDIR"):
        Live({"F0": 1}, machine)
    verdict = run(Case("made", [], {"F0": 1}), machine.subject_of(Case("made", []), Live))
    assert verdict.outcome == "skipped" and "TMPDIR" in verdict.reason


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_the_caller_ends(machine, number):
    code = ("from rmapcore.verify.live import Live\nimport time\nlive = Live()\n"
            "live.step({'op': 'fork', 'proc': 'p0', 'child': 'p1'})\nprint(flush=True)\ntime.sleep(600)\n")
    before = agents()
    with subprocess.Popen([sys.executable, "-P", "-c", code], stdout=subprocess.PIPE) as caller:
        caller.stdout.readline()
        assert len(agents() - before) >= 3
        caller.send_signal(number)
        caller.wait(SECONDS)
    deadline = time.monotonic() + SECONDS
    while agents() - before:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_the_caller_keeps_its_processors(machine):
    before = os.sched_getaffinity(0)
    with Live(machine=machine):
        assert len(os.sched_getaffinity(0)) == 1
    assert os.sched_getaffinity(0) == before


def test_the_program_is_what_its_comments_say():
    """The first bytes of each line are the code; the last call of all ends the process."""
    assert live_agent.PROGRAM[-2:] == b"\x0f\x05" and len(live_agent.PROGRAM) == 116
    assert live_agent.image()[:4] == b"\x7fELF" and live_agent.image().endswith(live_agent.PROGRAM)


@pytest.mark.parametrize("wrong", [0, 1])
def test_page_tables_are_vmpte(machine, monkeypatch, wrong):
    """Every case of tables is equal to the live kernel; an emulator that is wrong by one table is found out."""
    class Off(Emulator):
        def observe(self):
            return {name: state._replace(tables=state.tables + wrong) for name, state in super().observe().items()}

    monkeypatch.setattr(verification, "Emulator", Off)
    cases = [case for case in load(DATA / "more.jsonl") if case.id.startswith("tables/") and not case.needs]
    monkeypatch.setattr(verification, "load_all", lambda paths, limits: ([("", case) for case in cases], []))
    found = verification.verify([""], live=lambda case: machine.subject_of(case, Live))
    assert len(found.problems) == (len(cases) if wrong else 0), found.problems
    assert all("page tables: " in problem and " emulated, " in problem for problem in found.problems)


def test_page_tables_of_places_beside_the_program_are_not_compared(machine):
    elsewhere = step("mmap", at=None, len=2, prot="rw", **{"as": "L"})
    for steps, told in (([MAP, WRITE], 3), ([MAP, step("mlockall", flags=["current"]), FORK], 3), ([elsewhere], None),
                        ([step("brk", to=400)], 0), ([step("brk", to=600)], None)):
        with closing(Emulator({})) as emulator, Live(machine=machine) as subject:
            for one in steps:
                assert emulator.step(one) is subject.step(one) is None
            for state in (*emulator.observe().values(), *subject.observe().values()):
                assert state.tables == told


# --- C programs -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler")

    def compiled(case):
        path = tmp_path_factory.mktemp("program") / "case.c"
        path.write_text(source(case))
        done = subprocess.run([compiler, "-Wall", "-o", path.with_suffix(""), path], capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, "")
        return subprocess.run([path.with_suffix("")], capture_output=True, text=True, timeout=SECONDS, check=True).stdout
    return compiled


@pytest.mark.parametrize("name", ["cow/vmsplice_unmap_in_child_mprotect", "ltp/brk_pages", "dontunmap/simple",
                                  "fork/pte_copy_with_anon_vma"])
def test_c_programs_show_the_same(seeing, compiled, name):
    case = CASES[name]
    state, complaints = parsed(compiled(case))
    with closing(seeing.subject_of(case, Live)(case.files)) as subject:
        for one in case.steps:
            if one["op"] not in ("check", "remember"):
                subject.step(one)
        assert not complaints and not difference(state, seen(subject), ("C", "live"))


def test_a_c_program_tells_what_is_not_as_expected(machine, compiled):
    loop = {"op": "loop", "count": 3, "stride": 10, "err": "EEXIST", "steps": [
        step("mmap", at=20, len=1, prot=""), step("mmap", at=20, len=2, prot="r", replace=True)]}
    case = Case("made", [MAP, {**WRITE, "err": "EFAULT"}, step("read", at=0, value=9), loop, step("munmap", at=0, len=1)])
    state, complaints = parsed(compiled(case))
    assert [line.partition(": ")[2] for line in complaints][:2] == [
        "success instead of Bad address", "a byte that is not the one expected"]
    assert state["p0"]["vmas"] == [[1, 4, "rw-p", "anon"], *([at, at + 2, "r--p", "anon"] for at in (20, 30, 40))]
    assert state["p0"]["pages"][0][:3] == [1, 3, "a"]


@pytest.mark.parametrize("name", ["pin/failed", "pin/of_another", "pin/same_name_in_two"])
def test_a_c_program_holds_the_pins_that_the_case_holds(machine, compiled, name):
    (case,) = (case for case in load(DATA / "more.jsonl") if case.id == name)
    assert parsed(compiled(case))[1] == []


def test_a_c_program_of_many_pins(machine, compiled):
    pins = [step(op, **more, **{"as": f"P{number}"}) for op, more in (("pin", {"at": 0}), ("pin_read", {"value": 7}))
            for number in range(60)]
    assert parsed(compiled(Case("many", [MAP, WRITE, *pins, step("exec"), {**pins[-1], "err": "EBADF"}])))[1] == []


def test_too_many_processes_for_a_c_program():
    steps = [step("fork", child=f"p{number}") for number in range(1, 202)]
    with pytest.raises(ValueError, match="202 processes"):
        source(Case("many", steps))


# --- random programs --------------------------------------------------------------------------------------------------


def test_a_short_program_of_each_profile(machine, tmp_path):
    """Of each that this machine allows; `rmapcore verify --live --random N` is the long form."""
    profiles = [profile for profile in PROFILES.values() if not any(map(machine.lacks, profile.needs))]
    records = verify_random(len(profiles), seed=1, machine=machine, directory=tmp_path, steps=60)
    skipped = {record["reason"] for record in records if record["live"] == SKIPPED}
    if len(skipped) == 1 and all(record["live"] == SKIPPED for record in records):
        pytest.skip(skipped.pop())
    assert [record["reason"] for record in records if FAIL in (record["emulator"], record["live"])] == []


# --- the command ------------------------------------------------------------------------------------------------------


def test_the_command(machine, tmp_path, capsys):
    path = tmp_path / "some.jsonl"
    lines = (DATA / "cases.jsonl").read_text().splitlines()
    path.write_text("".join(f"{line}\n" for line in lines if '"cow/child_writes"' in line or '"ksm/merge"' in line))
    result = verify_here([path], live=True)
    assert [(record["emulator"], record["live"]) for record in result.records][:1] == [("pass", "pass")]
    assert main(["verify", "--live", str(path)]) == 0
    assert "live passed" in capsys.readouterr().out


def test_bad_use(capsys):
    for arguments, said in ((["--swap", "x"], "--live"), ([], "--random"), (["--random", "-1"], "--random")):
        assert main(["verify", *arguments]) == 2
        out, err = capsys.readouterr()
        assert out == "" and len(err.splitlines()) == 1 and said in err
