"""Workloads that show a known fault of history: the faulty scheme misses pages and compare exits 1, others find all."""
import numpy as np
import pytest

from differential import KNOWN, SOUND
from rmapcore.cli import main
from rmapcore.operations import Op
from rmapcore.units import PAGE
from rmapcore.workloads import build
from rmapcore.workloads.bricks import BASE_VPN

FAULTS = {"moved_border": ("anon_vma_2_6_7", {"pages": 20}, 19), "reused_twice": ("anon_vma_chain_degree", {"families": 3}, 3),
          "moved_or_left": ("cow_context_2026_05", {"pages": 5}, 6 * 5)}


def test_the_faults_are_known():
    assert {scheme for scheme, *_ in FAULTS.values()} <= set(KNOWN) - set(SOUND)


@pytest.mark.parametrize("name", FAULTS)
def test_the_faulty_scheme_loses_pages(name, capsys):
    faulty, parameters, lost = FAULTS[name]
    words = [f"--set={key}={value}" for key, value in parameters.items()]
    assert main(["compare", name, "--scheme", "anon_vma", "--scheme", faulty, *words]) == 1
    err = capsys.readouterr().err
    assert err.startswith(f"rmapcore: {faulty} on x86_64: the reverse map missed ") and err.count("\n") == 1
    assert int(err.split()[-2].replace(",", "")) >= lost         # at each point that was checked
    for scheme in SOUND:
        assert main(["compare", name, "--scheme", scheme, *words]) == 0


@pytest.mark.parametrize("name", FAULTS)
def test_no_step_leaves_the_room_that_is_asked_for(name):
    """On i386: from BASE_VPN on, and below 3 GiB. An argument of 0 is no address."""
    made = build(name, FAULTS[name][1], 0, ("i386",))
    steps = np.concatenate([phase.operations for phase in made.phases])
    places = np.concatenate([steps["addr"], steps["arg2"][steps["op"] == Op.MREMAP]])
    places = places[places > 0]
    assert len(places) and places.min() >= BASE_VPN * PAGE and places.max() < 3 << 30


@pytest.mark.parametrize(("name", "faulty"), [(name, fault[0]) for name, fault in FAULTS.items()])
def test_at_its_usual_size(name, faulty, capsys):
    assert main(["compare", name]) == 0
    assert main(["compare", name, "--scheme", faulty]) == 1
