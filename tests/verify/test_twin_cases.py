"""The twin against the live kernel: the cases, which the engine runs in test_verify.py."""
from pathlib import Path

import pytest

from rmapcore.verify import emulator
from rmapcore.verify.case import load
from rmapcore.verify.run import FAIL, run
from twin_subject import Twin, TwinMachine

DATA = Path(__file__).parent.parent / "data" / "cases"
# without counts of objects: thousands of areas are not for the twin
CASES = [case for path in sorted(DATA.glob("*.jsonl")) for case in load(path) if not case.repeat]
GOLDEN = sorted(DATA.glob("*.json.gz"))


@pytest.fixture(autouse=True)
def twins(monkeypatch):
    monkeypatch.setattr(emulator, "Machine", TwinMachine)


@pytest.mark.parametrize("case", CASES, ids=[case.id for case in CASES])
def test_case(case):
    verdict = run(case, Twin)
    assert verdict.outcome != FAIL, verdict.reason


@pytest.mark.parametrize("path", GOLDEN, ids=[path.name.partition(".")[0] for path in GOLDEN])
def test_recorded_run(path):
    (case,) = load(path)
    verdict = run(case, Twin)
    assert verdict.outcome != FAIL, verdict.reason
