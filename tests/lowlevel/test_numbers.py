"""Numbers of frames, processes and pins that there are not, given to kernels: told, and nothing outside of an arena is read."""
import numpy as np
import pytest

import rmapcore
from rmapcore.pyx.engine import pins
from rmapcore.pyx.look import query
from rmapcore.pyx.run import batch, replay

PAGE = 4096
NOBODY = (1 << 32) - 1
ESRCH = 3


@pytest.fixture
def machine():
    made = rmapcore.Machine(ram=64 * PAGE, swap=0)
    process = made.spawn()
    process.write(process.mmap(length=PAGE))
    return made


@pytest.mark.parametrize("pfns", [[-1], [64], [2**31], [2**70], [1.5], ["1"], [None], [[1, 2], [3, 4]], [True], 1])
def test_frames(machine, pfns):
    for look in (query.whomaps, query.mappings):
        with pytest.raises(ValueError, match="frame numbers must be whole numbers below 64, in a row"):
            look(machine._engine, pfns)


def test_frames_in_any_array(machine):
    for pfns in ([1], np.array([1, 7], np.uint8)[::2], np.array([1], ">i8"), np.array([])):
        answers = [look(machine._engine, pfns) for look in (query.whomaps, query.mappings)]
        assert all(len(offsets) == len(pfns) + 1 and len(pids) == len(pfns) for offsets, pids, _ in answers)


def test_processes(machine):
    for use in (lambda: batch.touch(machine._engine, NOBODY, np.zeros(1, np.uint64), True),
                lambda: batch.touch(machine._engine, 1, np.zeros(1, np.uint64), True, np.full(1, NOBODY, np.uint32)),
                lambda: batch.translate(machine._engine, NOBODY, 0),
                lambda: replay.access(machine._engine, NOBODY, 0, 1, True)):
        with pytest.raises(ProcessLookupError):
            use()
    assert replay.mm_facts(machine._engine, NOBODY)[:2] == (0, 0)
    assert pins.pin(machine._engine, NOBODY, 0) == (ESRCH, 0)


@pytest.mark.parametrize("pfn", [1, 63, 64, 1 << 31])
def test_pins(machine, pfn):
    with pytest.raises(ValueError, match=f"frame {pfn} is not pinned"):
        pins.unpin(machine._engine, pfn)
