"""The makers of the tests' random programs: what they made when they found something, they still make."""
import hashlib

import pytest

from programs import MAKERS, program
from programs.run import STEPS

ARCHES = ("i386", "i386-pae", "x86_64")
SEEDS = (*range(10), 1000, 5000)
DIGESTS = {"2.6.7": "42180a6b08f4d8bf", "6.18": "56b47e8a60738c98"}
NOT_MADE = {"2.6.7": {"pin", "release", "mbind", "mseal"}, "6.18": set()}


@pytest.fixture(scope="module", params=MAKERS)
def made(request):
    return request.param, [program(seed, 300, 12, arch, request.param) for arch in ARCHES for seed in SEEDS]


def test_the_same_programs_for_a_seed(made):
    """A change of a maker changes the digest, on purpose: look first what the old seeds have found."""
    kernel, programs = made
    assert hashlib.sha256("".join(map(repr, programs)).encode()).hexdigest()[:16] == DIGESTS[kernel]


def test_every_call_occurs(made):
    kernel, programs = made
    assert {step[0] for program in programs for step in program} == STEPS.keys() - NOT_MADE[kernel]
