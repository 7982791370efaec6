"""Random programs for the emulator and the live kernel: what they hold, and how a difference is shrunk and written out."""
import hashlib
import json
import shutil
import subprocess
from functools import partial

import pytest

from rmapcore.units import ADVICE
from rmapcore.verify import run_random
from rmapcore.verify.case import LIMITS, Case, load, validate
from rmapcore.verify.emulator import Emulator
from rmapcore.verify.fields import OPS
from rmapcore.verify.lockstep import lockstep
from rmapcore.verify.objects import differing_objects
from rmapcore.verify.programs import PROFILES, program
from rmapcore.verify.run import FAIL, PASS, SKIPPED, run
from rmapcore.verify.run_random import programs, verify_random
from rmapcore.verify.shrink import extent, shrink

NOT_MADE = {"prctl", "uffd_register", "fill", "ksm_scan", "remember", "loop", "check"}       # KSM, userfaultfd; the runner's
DIGEST = "41a4acf2ddcba670"            # of the programs of `made`


@pytest.fixture(scope="module")
def made():
    """Some programs of every profile."""
    return {(profile, seed): program(seed, profile, 150, 4 + 8 * (seed % 2)) for profile in PROFILES for seed in range(4)}


def all_steps(made):
    return [step for case in made.values() for step in case.steps]


def test_the_same_bytes_for_a_seed_on_every_machine(made):
    """A change of the generator changes the digest, on purpose."""
    for (profile, seed), case in made.items():
        assert program(seed, profile, 150, 4 + 8 * (seed % 2)) == case
    assert program(1, "mixed") != program(2, "mixed")
    text = json.dumps([case.steps for case in made.values()])
    assert hashlib.sha256(text.encode()).hexdigest()[:16] == DIGEST


@pytest.mark.parametrize("profile", PROFILES)
def test_programs_are_cases(made, profile):
    for (name, _), case in made.items():
        if name == profile:
            validate(case, LIMITS)
            assert len(case.steps) >= 150


def test_at_most_so_many_live_at_once(made):
    for (_, seed), case in made.items():
        living = most = 1
        for step in case.steps:
            living += {"fork": 1, "exit": -1}.get(step["op"], 0)
            most = max(most, living)
        assert most <= 4 + 8 * (seed % 2)


def test_every_call_and_advice_occurs(made):
    steps = all_steps(made)
    assert {step["op"] for step in steps} == OPS.keys() - NOT_MADE
    assert {step["advice"] for step in steps if "advice" in step} == ADVICE.keys()
    assert {flag for step in steps if step["op"] == "mmap" for flag in step.get("flags", ())} == {
        "noreserve", "populate", "locked", "growsdown", "droppable", "stack", "32bit"}
    assert {step.get("grows") for step in steps if step["op"] == "mprotect"} == {None, "down", "up"}
    assert {step["prot"] for step in steps if step["op"] == "mprotect"} >= {"", "r", "rw", "rwx", "rx", "w"}
    assert {step["policy"] for step in steps if step["op"] == "mbind"} == {"default", "bind", "interleave"}


def test_every_way_to_move_occurs(made):
    moves = [step for step in all_steps(made) if step["op"] == "mremap"]
    assert any(step.get("dontunmap") for step in moves)
    assert any(step["old"] == 0 for step in moves)
    assert any("to" not in step and step["new"] > step["old"] > 0 for step in moves)
    assert any("to" not in step and 0 < step["new"] < step["old"] for step in moves)
    assert any(step.get("to") is not None and step["new"] != step["old"] for step in moves)


def test_only_some_profiles_read_file_and_shared_memory(made):
    """Which pages a read maps around the one it needs is not certain on a live kernel."""
    for (profile, _), case in made.items():
        if PROFILES[profile].kinds.keys() == {"anon"}:
            assert not case.files and not any("share" in step for step in case.steps)
    assert [name for name, profile in PROFILES.items() if profile.reads_all] == ["reads"]


def test_profiles_come_in_turn_as_far_as_needs_are_met():
    lacking = list(programs(20, 7, lambda need: f"no {need} here"))
    assert not any(case.needs for case in lacking)
    plain = [name for name, profile in PROFILES.items() if not profile.needs]
    assert [case.id.split("/")[1].split("_")[0] for case in lacking[:len(plain)]] == plain
    assert {need for case in programs(len(PROFILES), 7) for need in case.needs} == {"swap", "memcg"}
    assert len({case.id for case in lacking}) == 20


# --- shrinking --------------------------------------------------------------------------------------------------------


class Faulty(Emulator):
    """Forgets DONTNEED in processes that were forked, as a planted fault."""

    def step(self, step):
        if step.get("advice") == "dontneed" and step["proc"] != "p0":
            return None
        return super().step(step)


def differs(case):
    return lockstep(case, (Faulty, Emulator)) is not None


def planted():
    """A program that shows the planted fault."""
    return next(case for case in (program(seed, "anon", 60) for seed in range(40)) if differs(case))


def test_shrinks_to_a_handful_of_steps():
    case = planted()
    tried = []
    small = shrink(case, differs, progress=lambda n, left: tried.append((n, left)))
    assert differs(small)
    assert len(small.steps) <= 5 and small.steps[-1]["advice"] == "dontneed"
    assert all(step["len"] == 1 for step in small.steps if "len" in step)
    assert [n for n, _ in tried] == list(range(1, len(tried) + 1))
    assert [left for _, left in tried] == sorted((left for _, left in tried), reverse=True)


def test_shrinks_alike_each_time():
    def sees(case):
        return any(step["op"] == "fork" for step in case.steps) and case.steps[-1].get("len", 0) % 2 == 1

    case = next(case for case in (program(seed, "move", 120) for seed in range(40)) if sees(case))
    assert shrink(case, sees).steps == shrink(case, sees).steps


def test_shrinking_ends_in_time_and_keeps_the_case_if_nothing_smaller_differs():
    case = program(3, "mixed", 60)
    assert shrink(case, lambda _: True, seconds=0).steps == case.steps
    assert shrink(case, lambda _: False).steps == case.steps


def test_whatever_shrinking_tries_can_be_run():
    def sees(case):
        validate(case, LIMITS)
        return sum(step["op"] == "pin_read" for step in case.steps) and any("L0" in str(step.get("at"))
                                                                            for step in case.steps)

    case = next(case for case in (program(seed, "all", 200) for seed in range(200)) if sees(case))
    small = shrink(case, sees)
    assert sees(small) and extent(small.steps) < extent(case.steps)
    assert {step["op"] for step in small.steps} >= {"pin", "pin_read"}
    assert any(step.get("as") == "L0" for step in small.steps)


# --- what is written --------------------------------------------------------------------------------------------------


class Emulated:
    """Stands for a machine whose kernel does what the emulator does."""

    def lacks(self, need):
        return None

    def subject_of(self, case, live, objects=False):
        return Emulator


def test_a_difference_is_written_as_a_case_and_as_a_program(tmp_path, monkeypatch):
    """The emulator is a faulty one."""
    monkeypatch.setattr("rmapcore.verify.run_random.Emulator", Faulty)
    monkeypatch.setattr("rmapcore.verify.run_random.programs", lambda *_: [planted()])
    shown = []
    [record] = verify_random(1, machine=Emulated(), directory=tmp_path, progress=lambda *what: shown.append(what))
    assert record["emulator"] == FAIL and record["live"] == PASS
    script, text = sorted(tmp_path.iterdir(), reverse=True)
    assert str(script) in record["reason"] and str(text) in record["reason"]
    assert shown and all(done <= total for done, total, _ in shown)
    [case] = load(script)
    assert len(case.steps) <= 5
    assert run(case, Emulator).outcome == PASS
    assert run(case, Faulty).outcome == FAIL
    compiler = shutil.which("cc")
    if compiler:
        command = [compiler, "-Wall", "-Wextra", "-Werror", "-o", tmp_path / "shows", text]
        assert subprocess.run(command, capture_output=True, text=True).stderr == ""


def test_nothing_is_written_without_a_difference(tmp_path):
    records = verify_random(3, seed=5, machine=Emulated(), directory=tmp_path)
    assert [(record["emulator"], record["live"], record["reason"]) for record in records] == [(PASS, PASS, "")] * 3
    assert list(tmp_path.iterdir()) == []


# --- schemes ----------------------------------------------------------------------------------------------------------


def test_schemes_show_the_same_whatever_their_areas_borders_are(tmp_path):
    records = verify_random(4, seed=2, schemes=("anon_vma_chain", "anonmm", "pte_chain"), directory=tmp_path)
    assert [record["scheme"] for record in records] == ["anon_vma_chain", "anonmm", "pte_chain"] * 4
    assert {(record["emulator"], record["live"], record["reason"]) for record in records} == {(PASS, None, "")}


def test_a_scheme_that_loses_what_it_must_not_is_seen(monkeypatch):
    class Forgetful(Emulator):
        def step(self, step):
            if self.machine.scheme == "anonmm" and step.get("advice") == "dontneed":
                return None
            return super().step(step)

    monkeypatch.setattr("rmapcore.verify.run_random.Emulator", Forgetful)
    monkeypatch.setattr("rmapcore.verify.run_random.programs", lambda *_: [program(1, "anon", 200)])
    assert [record["emulator"] for record in verify_random(1, schemes=("anonmm", "anon_vma"))] == [PASS, FAIL, PASS]


def test_schemes_that_sweep_are_left_out_where_pages_are_asked_for(monkeypatch):
    monkeypatch.setattr("rmapcore.verify.run_random.programs", lambda *_: [program(1, "swap", 20)])
    reference, other = verify_random(1, schemes=("virtual_scan",))
    assert reference["emulator"] == PASS
    assert other["emulator"] == SKIPPED and "sweeps" in other["reason"]


def test_zero_pages_that_a_fork_left_to_faults_count_for_no_difference():
    """Two areas of one make one area with a scheme that has no anon_vmas, and so the zero page of the one is copied."""
    steps = [{"op": "mmap", "proc": "p0", "at": 10, "len": 1, "prot": "rw"},
             {"op": "write", "proc": "p0", "at": 10},
             {"op": "fork", "proc": "p0", "child": "p1"},
             {"op": "mmap", "proc": "p1", "at": 11, "len": 1, "prot": "rw"},
             {"op": "read", "proc": "p1", "at": 11},
             {"op": "fork", "proc": "p1", "child": "p2"}]
    case = Case("zero", steps)
    makers = (partial(Emulator, scheme="anonmm"), Emulator)
    assert lockstep(case, makers).kind == "areas"
    assert lockstep(case, makers, universal=True) is None
    case = Case("written", [*steps, {"op": "write", "proc": "p1", "at": 11}])

    class Other(Emulator):
        def step(self, step):
            return None if step.get("at") == 11 and step["op"] == "write" else super().step(step)

    assert lockstep(case, (Other, Emulator), universal=True).kind == "pages"


def test_numbers_of_objects_are_compared():
    case = program(1, "tree", 150)
    assert differing_objects(case, (Emulator, Emulator)) is None
    found = differing_objects(case, (partial(Emulator, scheme="anon_vma_chain_2010"), Emulator))
    assert found.kind == "objects" and "anon_vma" in found.text
    assert found.step == len(case.steps) == len(found.errors)


def test_what_one_program_raises_fails_it_alone(monkeypatch):
    class Failing(Emulator):
        def observe(self):
            if self.machine.scheme == "pte_chain":
                raise KeyError("P1")
            return super().observe()

    monkeypatch.setattr(run_random, "Emulator", Failing)
    records = verify_random(2, schemes=("pte_chain", "anon_vma"))
    assert [record["emulator"] for record in records] == [PASS, FAIL, PASS] * 2
    assert "KeyError: 'P1' (test_verify_random.py:" in records[1]["reason"]


# --- addresses --------------------------------------------------------------------------------------------------------


class Misplacing(Emulator):
    """Leaves a page free above every second mapping that it places, as a planted fault."""

    def step(self, step):
        if step["op"] == "mmap" and step["at"] is None and len(self.places) % 2:
            self.processes[step["proc"]].mmap(0, 4096, 0, 0x22)
        return super().step(step)


def test_addresses_that_the_kernel_chose_are_compared():
    found = lockstep(program(4, "place", 200), (Misplacing, Emulator))
    assert found.kind == "address"
    assert "at T-" in found.text and found.wheres[-1].startswith("T-")

    def misplaced(case):
        found = lockstep(case, (Misplacing, Emulator))
        return found is not None and found.kind == "address"

    small = shrink(program(4, "place", 200), misplaced)
    assert len(small.steps) == 2


def test_what_is_written_of_a_misplaced_mapping_says_where_it_should_be(tmp_path, monkeypatch):
    monkeypatch.setattr("rmapcore.verify.run_random.Emulator", Misplacing)
    monkeypatch.setattr("rmapcore.verify.run_random.programs", lambda *_: [program(1, "place", 200)])
    verify_random(1, machine=Emulated(), directory=tmp_path)
    [case] = load(next(tmp_path.glob("*.jsonl")))
    assert case.steps[-1]["where"].startswith("T-")
    assert run(case, Emulator).outcome == PASS
    verdict = run(case, Misplacing)
    assert verdict.outcome == FAIL and f"at {case.steps[-1]['where']} expected" in verdict.reason


def test_place_makes_every_way_to_be_placed():
    steps = [step for seed in range(8) for step in program(seed, "place", 300).steps if step["op"] in ("mmap", "mremap")]
    hints = [step for step in steps if step.get("hint")]
    assert any(step["op"] == "mmap" and step["at"] is None and "growsdown" in step.get("flags", ()) for step in steps)
    assert any(step.get("at_off") for step in hints) and any(step["at"] == 1 << 36 for step in hints)
    assert any(step["op"] == "mremap" for step in hints)
    assert any(step.get("maymove") and step["new"] > step["old"] for step in steps)
    assert any(step.get("dontunmap") and "to" not in step for step in steps)
    emulator, chosen = Emulator({}), []
    for step in program(3, "place", 300).steps:
        if "file" not in step:
            emulator.step(step)
            chosen.append(emulator.where)
    assert {type(where) for where in chosen} == {int, str, type(None)}


def test_longer_programs():
    short, long = (next(programs(1, 7, steps=steps)) for steps in (200, 900))
    assert len(short.steps) < 220 and 900 <= len(long.steps) < 920
    [record] = verify_random(1, seed=7, schemes=("anonmm",), steps=30)[:1]
    assert record["case"].endswith("_30")
