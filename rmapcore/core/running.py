"""Running operations: the one loop that takes a machine through them, a slice at a time.

Machine.run, every experiment and every check of a recording go through `advance`; a single call does the same inside of
pyx/run/replay.pyx. Between two slices Ctrl-C is heard; where they end changes nothing in the machine.
"""
import time

import numpy as np

from rmapcore.operations import MOST_FOLIO_ORDER, NOT_CACHED, OPERATION, Op, Status, Why
from rmapcore.pyx.base import records
from rmapcore.pyx.run import batch, replay

for prefix, numbers in (("OP_", Op), ("GONE_", Why)):
    assert {name.removeprefix(prefix): code for name, code in vars(records).items()
            if name.startswith(prefix) and isinstance(code, int)} == numbers.__members__
assert Status.__members__ == replay.STATUSES and records.OPERATION == OPERATION
assert (records.MOST_FOLIO_ORDER, records.NOT_CACHED) == (MOST_FOLIO_ORDER, NOT_CACHED)


def advance(operations, stop, came_back):
    """Takes a Replay up to its operation number `stop`.

    came_back(operations, reason) is called whenever a slice ends before that, for one of the reasons of pyx.run.replay; it
    raises for ERROR.
    """
    while (reason := operations.run(stop, batch.SLICE)) != replay.ENDED:
        came_back(operations, reason)


class Run:
    """A packed array of operations on its way through a machine. The caller holds the machine (Machine.hold).

    machine: Machine.  operations: array of OPERATION.  files: list of File, which operations number from 1; None: they use
    the machine's own numbers.  statuses: uint16 array, written where operations have run; None: a new one.
    strict: a call that fails ends the run with its exception; else only OutOfMemory and ArenaFull do.
    Called if given: before_end(pid), before a living process exits or becomes another; paused(), after each slice;
    differs(), before a recorded fault whose page-table entry is not what was recorded, for the first `told` of those;
    all faults are then checked, and found, a uint16 array like statuses, gets what was there (pyx/look/found.pxd).
    """

    def __init__(self, machine, operations, files=None, statuses=None, strict=False, before_end=None, paused=None,
                 found=None, differs=None, told=0):
        operations = np.asarray(operations)
        if operations.dtype != OPERATION or operations.ndim != 1:
            raise TypeError(f"operations must be an array of rmapcore.OPERATION in one dimension, not {operations.ndim} of "
                            f"{operations.dtype}")
        self.statuses = np.zeros(len(operations), np.uint16) if statuses is None else statuses
        self.seconds = 0.0             # spent in the kernels
        self._machine = machine
        self._replay = replay.Replay(machine._engine, operations, machine._numbers(files), self.statuses,
                                     fold=before_end is not None, strict=strict, found=found)
        self._replay.stops = told
        self._answers = {replay.FOLD: lambda: before_end(self.process), replay.DIFFERENCE: differs}
        self._paused = paused
        self._resumed = 0.0

    @property
    def done(self):
        """Operations done, failed ones included; the number of the one that is next, or in which the run has paused."""
        return self._replay.index

    @property
    def process(self):
        """Pid of the next operation."""
        return self._replay.process

    @property
    def address(self):
        """Address of the next operation, bytes."""
        return int(self._replay.address)

    def to(self, stop):
        """Runs up to operation number `stop`, whence another call goes on."""
        self._resumed = time.perf_counter()
        try:
            advance(self._replay, stop, self._came_back)
        finally:
            self.seconds += time.perf_counter() - self._resumed
        self._machine._raise(Status.OK)

    def _came_back(self, operations, reason):
        """Not counted in seconds."""
        self.seconds += time.perf_counter() - self._resumed
        try:
            self._machine._raise(operations.status if reason == replay.ERROR else Status.OK, operations.index)
            if reason in self._answers:
                self._answers[reason]()
            if self._paused:
                self._paused()
        finally:
            self._resumed = time.perf_counter()
