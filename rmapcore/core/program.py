"""Program: what a machine is to run, cut into phases. Workloads make one; a recording becomes one.

A program says the same to every scheme and architecture it is run on, so what differs between two runs of it is the
scheme's doing.
"""
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from rmapcore.operations import OPERATION, Op

AT_ONCE = 1 << 18              # operations: what is looked at of them stays in the cache


class Phase(NamedTuple):
    """A run of operations that is timed by itself.

    counts: what one page of this phase is: "faults", "copies" (entries that fork copied), "freed" (frames) or
    "entries" (of page tables, present or swapped, that were taken down); or how many pages or steps all of it are.
    """

    name: str
    operations: np.ndarray
    counts: str | int


@dataclass
class Program:
    """name, parameters, seed: where it came from.  phases: list of Phase, run in order.

    files: list of (name, size in bytes, kind); operations number them from 1.
    pages: frames in use at the peak when memory is unlimited, the zero page not counted.
    entries: page-table entries there are at the peak, upper tables included; a bound will do.
    peak: operations after which `pages` is first reached.
    facts: more about its origin, for the JSON.
    ram_pages: frames of RAM that it is meant for; 0: a little more than `pages`.
    warm: its files on disk are in the page cache when it starts, but for what its operations say.
    locked: frames that it has locked at the most, which reclaim leaves alone; found by a dry run, else 0.
    stack_limit: as in Machine, unless another is asked for.
    names: what its processes are called, by pid, as far as that is known.
    """

    name: str
    parameters: dict
    seed: int
    phases: list
    files: list
    pages: int = 0
    entries: int = 0
    peak: int = 0
    facts: dict = field(default_factory=dict)
    ram_pages: int = 0
    warm: bool = False
    locked: int = 0
    stack_limit: int | str = "8MiB"
    names: dict = field(default_factory=dict)

    @property
    def operations(self):
        """Those of all phases, one after the other; of one phase its own, which may be a mapped file."""
        if len(self.phases) == 1:
            return self.phases[0].operations
        return np.concatenate([phase.operations for phase in self.phases])

    @property
    def count(self):
        """Operations of all phases."""
        return sum(len(phase.operations) for phase in self.phases)


def make(op, count=1, **fields):
    """`count` operations of one kind; each field is a number or an array of that length."""
    made = np.zeros(count, OPERATION)
    made["op"] = op
    for name, values in fields.items():
        made[name] = values
    return made


def found(operations, wanted):
    """Numbers of those for which wanted(some of them) is true, looked for piece by piece: what is made on the way of a whole
    recording would take as much memory as a part of it."""
    return np.concatenate([np.zeros(0, np.int64), *(np.flatnonzero(wanted(operations[first:first + AT_ONCE])) + first
                                                    for first in range(0, len(operations), AT_ONCE))])


def by_kind(ops, statuses):
    """How operations ended: {kind: {"done", "failed", "errors": {status: count}}}, kinds in the order of `Op`.

    ops: the field "op" of those that ran.
    """
    kinds = {}
    ran = sum((np.bincount(ops[first:first + AT_ONCE], minlength=len(Op) + 1) for first in range(0, len(ops), AT_ONCE)),
              np.zeros(len(Op) + 1, np.int64))
    failing = found(statuses, lambda some: some != 0)
    failed = ops[failing]
    for op in Op:
        if ran[op]:
            errors, counts = np.unique(statuses[failing[failed == op]], return_counts=True)
            kinds[op.name] = {
                "done": int(ran[op] - counts.sum()),
                "failed": int(counts.sum()),
                "errors": dict(zip(errors.tolist(), counts.tolist(), strict=True)),
            }
    return kinds
