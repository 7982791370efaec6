"""Locks on N processors: the kernel beside SimPy, a library for such simulations, where that is installed.

A million holds of one mutex and as many pieces of work by eight processes on as many processors. SimPy's resources are locks
alone, so its side does less: no readers, no tries, no processors to share.
"""
import numpy as np
import pytest

from rmapcore.core.lockrules import ANON_VMA, W, rules_of
from rmapcore.core.locks import EVENT, OPERATION
from rmapcore.core.processors import simulate

ACTORS, WORK, HELD = 8, 1000, 200
COSTS = {"switch": 0, "slice": 1 << 40, "handoff": 1 << 40}


def operations_of(count):
    """So many operations, taken in turn by the actors, each with one hold at its end."""
    operations, events = np.zeros(count, OPERATION), np.zeros(count, EVENT)
    operations["process"] = 1 + np.arange(count) % ACTORS
    operations["ns"] = WORK + HELD
    events["operation"], events["lock"], events["mode"], events["object"] = np.arange(count), ANON_VMA, W, 1
    events["at"], events["hold"], events["count"] = WORK, HELD, 1
    return operations, events


def in_simpy(simpy, count):
    world = simpy.Environment()
    lock = simpy.Resource(world)

    def process(share):
        for _ in range(share):
            yield world.timeout(WORK)
            with lock.request() as mine:
                yield mine
                yield world.timeout(HELD)

    for _ in range(ACTORS):
        world.process(process(count // ACTORS))
    world.run()
    return world.now


def test_kernel(benchmark):
    operations, events = operations_of(1_000_000)
    found = benchmark.pedantic(simulate, (operations, events, rules_of("6.18"), COSTS, ACTORS), rounds=3)
    assert found.time == WORK + 1_000_000 * HELD


def test_simpy(benchmark):
    simpy = pytest.importorskip("simpy")
    count = 40_000
    operations, events = operations_of(count)
    now = benchmark.pedantic(in_simpy, (simpy, count), rounds=1)
    assert now == simulate(operations, events, rules_of("6.18"), COSTS, ACTORS).time
