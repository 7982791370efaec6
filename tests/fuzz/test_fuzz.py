"""The fuzzers run, each a moment, and what one finds is told. Long runs are for fuzz itself, best under sanitizers."""
import importlib
import random
import sys
import types

import pytest

from fuzz import FUZZERS
from fuzz.__main__ import run

EXECUTIONS = {"calls": 2, "readers": 12, "machinefiles": 6, "operations": 4, "junk": 1, "hooks": 15, "interrupts": 1,
              "threads": 1}


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")      # zipfile's, interrupted
@pytest.mark.parametrize("name", EXECUTIONS)
def test_each_runs(name, tmp_path):
    fuzzer = importlib.import_module(f"fuzz.{name}").Fuzzer(tmp_path)
    for number in range(EXECUTIONS[name]):
        fuzzer.one(random.Random(f"{name} {number}"))
    assert fuzzer.counts()


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
