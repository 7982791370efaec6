"""Groups of walks and runs of faults against one at a time (rules N): the same operations leave the same bytes.

`one_by_one` of the engine makes a machine take every frame and every fault by itself. All arenas are compared byte for
byte: lists, free lists, counters, and whatever else a machine remembers.
"""
import numpy as np
import pytest

import programs
import rmapcore
from differential import check
from rmapcore.pyx.look import probe

PAGE = 4096
ARCHES = ("i386", "i386-pae", "x86_64")
SCHEMES = list(rmapcore.schemes())


def pair(scheme, **options):
    """Two equal machines, the second of which takes everything by itself."""
    machines = [rmapcore.Machine(scheme, **options) for _ in range(2)]
    machines[1]._engine.one_by_one = True
    return machines


def bytes_of(machine):
    return {name: np.array(machine._core.view(name)).tobytes() for name in machine._core.arenas}


def assert_equal(machines):
    here, there = (bytes_of(machine) for machine in machines)
    assert [name for name in here if here[name] != there[name]] == []
    assert dict(machines[0].counters) == dict(machines[1].counters)


@pytest.mark.parametrize(("make", "seed"), [(programs.recorded, 5000 + number) for number in range(12)] +
                         [(programs.program, number) for number in range(4)])
@pytest.mark.parametrize("arch", ARCHES)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_random_programs(scheme, arch, make, seed):
    ram, swap = ((40, 300), (64, 120), (200, 400), (28, 90))[seed % 4]
    machines = pair(scheme, arch=arch, ram=ram * PAGE, swap=swap * PAGE, track_contents=seed % 2 == 0)
    states = [programs.State() for _ in machines]
    for number, step in enumerate(make(seed, 300, arch), 1):
        outcomes = [programs.run_step(machine, state, step) for machine, state in zip(machines, states, strict=True)]
        assert outcomes[0] == outcomes[1], step
        if number % 50 == 0:
            assert_equal(machines)
    assert_equal(machines)


def family(machine, rng, later=False):
    """A parent with a few thousand pages, some shared, some rewritten, some locked, some of a file, in random order. later: of
    a kernel that has MADV_FREE.
    """
    pages = 3000
    parent = machine.spawn()
    at = parent.mmap(length=pages * PAGE)
    numbers = rng.permutation(pages)
    parent.touch(at + PAGE * numbers[:2000], True)
    parent.write(at, pages * PAGE)
    file = machine.file("f", 200 * PAGE)
    mapped = parent.mmap(0, 200 * PAGE, 3, 1, file)
    parent.touch(mapped + PAGE * rng.permutation(200), False)
    child = parent.fork()
    child.touch(at + PAGE * rng.permutation(pages)[:900], True)
    grandchild = child.fork()
    parent.mlock(at + 700 * PAGE, 40 * PAGE)
    parent.madvise(at + 900 * PAGE, 60 * PAGE, "sequential")
    parent.munmap(at + 1500 * PAGE, 300 * PAGE)
    if later:
        grandchild.write(at + 2000 * PAGE, 400 * PAGE)
        grandchild.madvise(at + 2000 * PAGE, 200 * PAGE, "free")
        grandchild.write(at + 2000 * PAGE, 100 * PAGE)
    return parent, child, grandchild, at, pages


@pytest.mark.parametrize("swap", [0, 1500, 9000])
@pytest.mark.parametrize(("kernel", "arch"), [*(("2.6.7", arch) for arch in ARCHES), ("6.18", "x86_64")])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_families(scheme, kernel, arch, swap):
    machines = pair(scheme, kernel=kernel, arch=arch, ram=9000 * PAGE, swap=swap * PAGE, track_contents=True)
    rngs = [np.random.default_rng(11) for _ in machines]
    families = [family(machine, rng, kernel != "2.6.7") for machine, rng in zip(machines, rngs, strict=True)]
    assert_equal(machines)
    for target in (1, 31, 500, 33, 900):
        results = [machine.reclaim(target) for machine in machines]
        assert results[0] == results[1]
        assert_equal(machines)
    for machine, (parent, child, grandchild, at, pages), rng in zip(machines, families, rngs, strict=True):
        child.exit()                           # pages of a dead member of the family: anonmm moves them
        machine.reclaim(700)
        parent.touch(at + PAGE * rng.permutation(1500), True)
        grandchild.read(at, pages * PAGE)      # swap-ins: frames in the swap cache
        machine.reclaim(4000)
    assert_equal(machines)
    pfns = [np.flatnonzero(machine.frames["mapcount"]) for machine in machines]
    for machine, found in zip(machines, pfns, strict=True):
        order = np.random.default_rng(5).permutation(found)
        machine.whomaps(order)
        probe.referenced(machine._engine, order)
        probe.unmap_frames(machine._engine, order[:300])
        probe.aged(machine._engine, 2000)
        check(machine)
    assert_equal(machines)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_what_whomaps_finds(scheme):
    machines = pair(scheme, ram=9000 * PAGE, swap=2000 * PAGE)
    answers = []
    for machine in machines:
        family(machine, np.random.default_rng(3))
        pfns = np.random.default_rng(4).integers(0, 9000, 5000)
        answers.append(machine.whomaps(pfns))
        for found, truth in zip(answers[-1], machine.mappings(pfns), strict=True):
            assert sorted(found.tolist()) == sorted(truth.tolist())
    for one, other in zip(*answers, strict=True):
        assert (one == other).all()
    assert len(answers[0][1]) > 1000
