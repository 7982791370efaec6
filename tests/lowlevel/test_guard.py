"""Kernels that are called directly hold the machine themselves, each in its way (pyx/base/guard.pxd)."""
import threading

import numpy as np
import pytest

import rmapcore
from rmapcore.operations import OPERATION
from rmapcore.pyx.look import query
from rmapcore.pyx.look.check import violation as check
from rmapcore.pyx.run import batch, replay

PAGE = 4096
OP_BRK = 6
READERS = {
    "maps": lambda e, at: query.maps(e, 1), "pagemap": lambda e, at: query.pagemap(e, 1, at // PAGE, 2),
    "stamps": lambda e, at: query.stamps(e, 1, at // PAGE, 2), "mappings": lambda e, at: query.mappings(e, [1]),
    "tabled": lambda e, at: query.tabled(e, 1), "translate": lambda e, at: batch.translate(e, 1, at),
}
STEPS = {
    "stamped_pages": lambda e, at: query.stamped_pages(e, 1), "whomaps": lambda e, at: query.whomaps(e, [1]),
    "verify": lambda e, at: query.crosscheck(e), "violation": lambda e, at: check.violation(e),
    "create_file": lambda e, at: replay.create_file(e, PAGE, 0),
    "Replay": lambda e, at: replay.Replay(e, np.zeros(1, OPERATION), [0]).run(1, 1),
    "call": lambda e, at: replay.call(e, OP_BRK, process=1),
}
OPERATIONS = {
    "touch": lambda e, at: batch.touch(e, 1, np.array([at], np.uint64), True),
    "access": lambda e, at: replay.access(e, 1, at, PAGE, True),
}
USES = {**READERS, **STEPS, **OPERATIONS}


@pytest.fixture
def scene():
    """Kernel and address of two written pages."""
    machine = rmapcore.Machine(ram="1MiB", swap=0, track_contents=True)
    process = machine.spawn()
    at = process.mmap(length=2 * PAGE)
    process.write(at, 2 * PAGE)
    return machine._engine, at


def refused_elsewhere(use):
    """Whether use() is refused in another thread."""
    outcome = []

    def run():
        try:
            use()
            outcome.append(False)
        except rmapcore.MachineBusy:
            outcome.append(True)
    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return outcome[0]


@pytest.mark.parametrize("name", USES)
def test_kernels_refuse_a_second_thread(scene, name):
    engine, at = scene
    use = USES[name]
    for hold in (engine.alone, engine.operation, engine.step):
        with hold:
            assert refused_elsewhere(lambda: use(engine, at))
        assert not refused_elsewhere(lambda: use(engine, at))


@pytest.mark.parametrize("name", USES)
def test_kernels_within_a_hold_of_their_own_thread(scene, name):
    engine, at = scene
    use = USES[name]
    with engine.alone:
        use(engine, at)
    with engine.operation:
        if name in OPERATIONS:
            with pytest.raises(rmapcore.MachineBusy):
                use(engine, at)
        else:
            use(engine, at)
    with engine.step:
        if name in READERS:
            use(engine, at)
        else:
            with pytest.raises(rmapcore.MachineBusy):
                use(engine, at)


def test_ways_to_hold_within_one_another(scene):
    engine, _ = scene
    ways = {"alone": engine.alone, "operation": engine.operation, "step": engine.step}
    passes = {(outer, inner): True for outer in ways for inner in ways}
    for outer in ways:
        for inner in ways:
            try:
                with ways[outer], ways[inner]:
                    assert refused_elsewhere(lambda: engine.alone.run(int))
            except rmapcore.MachineBusy:
                passes[outer, inner] = False
            assert not refused_elsewhere(lambda: engine.operation.run(int))
    assert {pair for pair, passed in passes.items() if not passed} == {
        ("operation", "operation"), ("step", "operation"), ("step", "step")}


def test_run_gives_the_result_and_the_exception(scene):
    engine, _ = scene
    assert engine.alone.run(divmod, 7, 2) == (3, 1)
    with pytest.raises(ZeroDivisionError):
        engine.operation.run(divmod, 7, 0)
    assert not refused_elsewhere(lambda: engine.operation.run(int))
