"""The twin against the live kernel: the cases, which the engine runs in test_verify.py; and random cases, beside the engine."""
import json
from pathlib import Path

import pytest
import zstandard

import differential
from reference import SCHEMES
from rmapcore.verify.case import Case, load
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


def scheme_of(profile, seed):
    """Every profile with a few schemes, every scheme before those of 2026 with a few profiles."""
    schemes = [name for name in SCHEMES if not name.startswith(("anon_vma_lazy", "cow_context"))]
    return schemes[(list(PROFILES).index(profile) + 5 * seed) % len(schemes)]


@pytest.mark.parametrize("profile", PROFILES)
def test_random_cases_beside_the_engine(profile):
    for seed in range(3):
        beside_engine(program(seed, profile, 200), scheme_of(profile, seed), 50)
    beside_engine(program(3, profile, 200), "cow_context", 50)
    beside_engine(program(4, profile, 200), "anon_vma_lazy", 50)


def recorded_cases():
    """Those of profiles that have changed since, as they were."""
    lines = zstandard.ZstdDecompressor().decompress((DATA.parent / "random_cases.jsonl.zst").read_bytes()).decode()
    return [Case(**json.loads(line)) for line in lines.splitlines()]


@pytest.mark.parametrize("case", recorded_cases(), ids=lambda case: case.id)
def test_recorded_random_cases_beside_the_engine(case):
    profile, seed, _ = case.id.removeprefix("random/").split("_")
    beside_engine(case, scheme_of(profile, int(seed)), 50)


@pytest.mark.long
@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("profile", PROFILES)
def test_many_random_cases_beside_the_engine(profile, scheme):
    for seed in range(100, 120):
        beside_engine(program(seed, profile, 300, 12), scheme, 50)
