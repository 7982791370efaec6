"""Random programs of a few hundred operations, 12 processes, RAM of a few dozen frames: every scheme against its own twin
in everything, and all schemes against each other in what programs see.
"""
import pytest

import differential
import programs
import rmapcore
from differential import against_twin, sizes
from rmapcore.schemes import FILE_SIDES, registry, walking

SCHEMES = registry()
PAGE = 4096
ARCHES = ("i386", "i386-pae", "x86_64")
PAIRS = [(scheme, None) for scheme in SCHEMES] + [
    (scheme, side) for scheme, spec in SCHEMES.items() for side in FILE_SIDES
    if side != spec.files and (side != "none" or scheme not in walking())]


def against_each_other(make, arch, seed, n_ops, every):
    """Programs whose calls succeed alike see the same memory under every scheme.

    Without truncate: it takes a private copy beyond the new end if it is present, but leaves it if it is swapped (rule H4),
    so what a program sees there depends on what reclaim happened to do before, and that differs by scheme.
    """
    machines = [rmapcore.Machine(scheme, track_contents=True, arch=arch, **sizes(seed))
                for scheme in differential.SOUND]
    states = [programs.State() for _ in machines]
    steps = [step for step in make(seed, n_ops, arch) if step[0] != "truncate"]
    for number, step in enumerate(steps, 1):
        outcomes = [programs.run_step(machine, state, step) for machine, state in zip(machines, states, strict=True)]
        calls = {differential.call_of(step, outcome) for outcome in outcomes}
        if len(calls) > 1 or None in calls:    # an area that one scheme could not merge, or memory that ran out
            return number
        if number % every == 0:
            views = [differential.seen(machine) for machine in machines]
            assert all(view == views[0] for view in views), f"after {number} steps"
            for machine in machines:
                machine.check()
    return n_ops


def programs_of(n_recorded, n_new):
    """Parameters: so many programs that have been run since the machine and its twin were made, and so many others."""
    return pytest.mark.parametrize(("make", "seed"), [(programs.recorded, seed) for seed in range(n_recorded)] +
                                   [(programs.program, seed) for seed in range(n_new)])


@programs_of(16, 3)
@pytest.mark.parametrize("arch", ARCHES)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_machine_and_twin(scheme, arch, make, seed):
    against_twin(make, scheme, None, arch, seed, 250, 25)


@programs_of(3, 1)
@pytest.mark.parametrize("arch", ARCHES)
@pytest.mark.parametrize(("scheme", "file_rmap"), PAIRS[len(SCHEMES):])
def test_other_file_sides(scheme, file_rmap, arch, make, seed):
    against_twin(make, scheme, file_rmap, arch, seed, 250, 25)


@programs_of(2, 1)
@pytest.mark.parametrize(("scheme", "file_rmap"), [(scheme, side) for scheme, side in PAIRS if scheme in differential.SOUND])
def test_kernel_6_18(scheme, file_rmap, make, seed):
    """Its own programs; the architectures take turns, and so do programs that were recorded."""
    number = PAIRS.index((scheme, file_rmap)) + seed
    arch, of = ARCHES[(number + seed) % 3], 7 * number + seed
    if make is programs.recorded:
        known = programs.kept("6.18")
        of, arch = known[(2 * number + seed) % len(known)]
    against_twin(make, scheme, file_rmap, arch, of, 200, 20, "6.18")


@pytest.mark.parametrize("scheme", rmapcore.schemes())
def test_reclaims_of_hundreds_of_pages(scheme):
    """Random programs ask for thirty pages at most; these reclaims have many rounds."""
    at = 0x40000000
    options = {"ram": 1200 * PAGE, "swap": 2000 * PAGE}
    machines = [rmapcore.Machine(scheme, track_contents=True, **options), differential.twin_of(scheme, **options)]
    steps = [("spawn", 0), ("mmap", 0, at, 600 * PAGE, 3, 0x32, None, 0), ("write", 0, at, 500 * PAGE), ("fork", 0),
             ("fork", 1), ("write", 1, at, 100 * PAGE), ("read", 2, at, 500 * PAGE), ("reclaim", 0, 150),
             ("read", 1, at, 80 * PAGE), ("write", 0, at + 300 * PAGE, 250 * PAGE), ("reclaim", 0, 300), ("exit", 0),
             ("reclaim", 0, 100)]

    def compare(machines, number):
        one, other = (differential.observe(machine) for machine in machines)
        assert one == other, f"after {number} steps: {differential.difference(one, other)}"

    differential.run(machines, steps, 1, compare)
    for machine in machines:
        machine.check()


@pytest.mark.parametrize(("make", "n"), [(programs.recorded, 30), (programs.program, 10)])
@pytest.mark.parametrize("arch", ARCHES)
def test_schemes_agree(arch, make, n):
    steps = [against_each_other(make, arch, seed, 250, 10) for seed in range(n)]
    assert sum(steps) > n * 100                # most programs run far before a call differs


@pytest.mark.long
@pytest.mark.parametrize("block", range(20))
@pytest.mark.parametrize("arch", ARCHES)
@pytest.mark.parametrize(("scheme", "file_rmap"), PAIRS)
@pytest.mark.parametrize("kernel", ["2.6.7", "6.18"])
def test_a_thousand_programs(kernel, scheme, file_rmap, arch, block):
    for seed in range(1000 + 50 * block, 1050 + 50 * block):
        against_twin(programs.program, scheme, file_rmap, arch, seed, 300, 50, kernel)


@pytest.mark.long
@pytest.mark.parametrize("arch", ARCHES)
def test_a_thousand_programs_agree(arch):
    for seed in range(1000, 2000):
        against_each_other(programs.program, arch, seed, 300, 30)
