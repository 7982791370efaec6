"""The tests' random programs: what the maker makes for a seed, and what earlier makers made."""
import hashlib
import json

import pytest

from programs import TWINS, program, recorded
from programs.recorded import lines
from programs.run import STEPS

ARCHES = ("i386", "i386-pae", "x86_64")
SEEDS = (*range(10), 1000, 5000)
DIGESTS = {"2.6.7": "929997020513c3df", "6.18": "f7523f3146058620"}
NOT_MADE = {"2.6.7": {"pin", "release", "mbind", "mseal"}, "6.18": set()}


@pytest.fixture(scope="module", params=TWINS)
def made(request):
    return request.param, [program(seed, 300, arch, request.param) for arch in ARCHES for seed in SEEDS]


def test_the_same_programs_for_a_seed(made):
    """A change of the maker changes the digest, on purpose: record first those programs of the old one that found something."""
    kernel, programs = made
    assert hashlib.sha256("".join(map(repr, programs)).encode()).hexdigest()[:16] == DIGESTS[kernel]


def test_every_call_occurs(made):
    kernel, programs = made
    assert {step[0] for program in programs for step in program} == STEPS.keys() - NOT_MADE[kernel]


def test_recorded_programs_are_what_was_made():
    """The digests of the two makers that were before this one, for the seeds that are recorded."""
    found = [recorded(seed, 250, arch, kernel) for kernel, arch, seed in sorted(lines())]
    assert len(found) == 205
    assert hashlib.sha256(json.dumps(found).encode()).hexdigest()[:16] == "09c3f1822620656c"
