"""The twin against the live kernel: the cases, which the engine runs in test_verify.py; and random cases, beside the engine."""
from pathlib import Path

import pytest

import differential
from reference import SCHEMES
from rmapcore.verify.case import load
from rmapcore.verify.emulator import Emulator
from rmapcore.verify.programs import PROFILES, program
from rmapcore.verify.run import FAIL, run
from twin_subject import Twin

DATA = Path(__file__).parent.parent / "data" / "cases"
# without counts of objects: thousands of areas are not for the twin
CASES = [case for path in sorted(DATA.glob("*.jsonl")) for case in load(path) if not case.repeat]
GOLDEN = sorted(DATA.glob("*.json.gz"))


@pytest.mark.parametrize("case", CASES, ids=[case.id for case in CASES])
def test_case(case):
    verdict = run(case, Twin)
    assert verdict.outcome != FAIL, verdict.reason


@pytest.mark.parametrize("path", GOLDEN, ids=[path.name.partition(".")[0] for path in GOLDEN])
def test_recorded_run(path):
    (case,) = load(path)
    verdict = run(case, Twin)
    assert verdict.outcome != FAIL, verdict.reason


def beside_engine(case, scheme, every):
    """Every step's error is the same, and every so often everything that can be seen of the two machines."""
    subjects = Emulator(case.files, scheme=scheme), Twin(case.files, scheme=scheme)
    for number, step in enumerate(case.steps, 1):
        errors = [subject.step(step) for subject in subjects]
        assert errors[0] == errors[1], f"step {number} {step}: {errors}"
        if number % every == 0 or number == len(case.steps):
            one, other = (differential.observe(subject.machine) for subject in subjects)
            assert one == other, f"after {number} steps: {differential.difference(one, other)}"


@pytest.mark.parametrize("number", range(len(PROFILES)))
def test_random_cases_beside_the_engine(number):
    """Every profile with a few schemes, every scheme with a few profiles."""
    schemes = list(SCHEMES)
    for seed in range(3):
        scheme = schemes[(number + 5 * seed) % len(schemes)]
        beside_engine(program(seed, list(PROFILES)[number], 200), scheme, 50)


@pytest.mark.long
@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("profile", PROFILES)
def test_many_random_cases_beside_the_engine(profile, scheme):
    for seed in range(100, 120):
        beside_engine(program(seed, profile, 300, 12), scheme, 50)
