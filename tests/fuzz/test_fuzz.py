"""The fuzzers run, each a moment, and what one finds is told. Long runs are for fuzz itself, best under sanitizers."""
import importlib
import random
import re
import subprocess
import sys
import types
from pathlib import Path

import pytest

from fuzz import FUZZERS
from fuzz.__main__ import run
from fuzz.machinefiles import SCHEMES

TESTS = Path(__file__).resolve().parent.parent

EXECUTIONS = {"calls": 2, "readers": 12, "machinefiles": 6, "operations": 4, "junk": 1, "hooks": 15, "interrupts": 1,
              "threads": 1}


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")      # zipfile's, interrupted
@pytest.mark.parametrize("name", EXECUTIONS)
def test_each_runs(name, tmp_path):
    fuzzer = importlib.import_module(f"fuzz.{name}").Fuzzer(tmp_path)
    for number in range(EXECUTIONS[name]):
        fuzzer.one(random.Random(f"{name} {number}"))
    assert fuzzer.counts()


OWN = [(scheme, "x86_64", "own") for scheme in SCHEMES if scheme not in ("virtual_scan", "anon_vma")]


@pytest.mark.parametrize("which", [("anon_vma", "x86_64"), ("anon_vma", "i386-pae"), *OWN], ids="-".join)
def test_every_field_of_a_saved_machine(which):
    """Each number of a file becomes the largest, the length of its array, and 1: in a process of its own, which may crash."""
    done = subprocess.run([sys.executable, "-m", "fuzz.fields", *which], cwd=TESTS, capture_output=True, text=True)
    assert done.returncode == 0, f"{done.stdout[-200:]}\n{done.stderr[-3000:]}"
    assert "'InconsistentState'" in done.stdout


@pytest.mark.parametrize(("name", "seed", "most"), [("readers", 1, 2500), ("readers", 2, 2500), ("machinefiles", 1, 1000),
                                                    ("operations", 1, 500), ("calls", 1, 400)])
def test_many_in_a_process_of_their_own(name, seed, most):
    """Nothing comes out but what is declared, and memory has a bound."""
    command = [sys.executable, "-m", "fuzz", name, "--seconds", "1e9", "--seed", str(seed), "--most", str(most)]
    done = subprocess.run(command, cwd=TESTS, capture_output=True, text=True)
    assert done.returncode == 0, f"{done.stdout[-500:]}\n{done.stderr[-3000:]}"
    (executions, mebibytes), = re.findall(r"([\d,]+) executions, \d+ s, 0 findings, (\d+) MiB", done.stdout)
    assert int(executions.replace(",", "")) == most and int(mebibytes) < 512


def test_all_are_there():
    assert {*EXECUTIONS, "growing"} == {*FUZZERS}      # which needs the live kernel


def test_what_is_found_is_told_and_can_be_done_again(monkeypatch, capsys):
    class Fuzzer:
        drawn = []

        def __init__(self, folder):
            pass

        def counts(self):
            return {}

        def one(self, rng):
            self.drawn.append(rng.random())
            assert len(self.drawn) % 3, "the third one is bad"

    monkeypatch.setitem(sys.modules, "fuzz.broken", types.SimpleNamespace(Fuzzer=Fuzzer))
    options = types.SimpleNamespace(name="broken", seconds=60, seed=5, first=10, most=4)
    assert run(options) == (4, 1)
    told = capsys.readouterr()
    assert "broken --seed 5 --first 12 --most 1" in told.err and "the third one is bad" in told.err
    assert "broken: 4 executions" in told.out
    assert run(types.SimpleNamespace(**vars(options) | {"first": 12, "most": 1})) == (1, 0)
    assert Fuzzer.drawn[2] == Fuzzer.drawn[4]
