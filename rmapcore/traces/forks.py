"""Where in the order of operations a fork took effect.

    fork of a thread:   enters ................ copies the areas ............... PERF_RECORD_FORK
    another thread:              fault                            fault

The line of a fork stands where it is over, and faults that others have had in the meantime stand before it. Two things show
that one of them came after the copy:

* It writes to a page that its process had made writable since the fork before, and finds it protected. From the first such
  fault on, the fork has been.
* Its thread does nothing more until the fork is over: it waits for the area, which the fork holds. A fault that was served
  shows in the counts of pages, or in what the thread does next; where a recording has no counts, nothing is concluded.
"""
import numpy as np

from rmapcore.operations import FAULT_PRESENT, FAULT_WRITE, Op

BOTH = FAULT_PRESENT | FAULT_WRITE


def order_forks(operations, windows):
    """Moves FORK operations forward, in place.

    windows: [(first, number of the FORK, tid of the forking thread, shown)], ascending; from `first` on it was in its call.
    shown: {tid of another thread: number of the operation before which it last did something that is no fault}.
    """
    told = [(first, wait_for_fork(operations, first, at, shown), tid) for first, at, tid, shown in windows if at > first]
    if not told:
        return
    spaces = np.unique(operations["process"][[at for _, at, _ in told]])
    index = np.flatnonzero((operations["op"] == Op.FAULT) & np.isin(operations["process"], spaces))
    faults = operations[index]
    order = np.lexsort((index, faults["addr"] >> np.uint64(12), faults["process"]))
    index, faults = index[order], faults[order]
    same = (faults["process"][1:] == faults["process"][:-1]) & (faults["addr"][1:] >> np.uint64(12)
                                                               == faults["addr"][:-1] >> np.uint64(12))
    before = np.full(len(operations), -1)
    before[index[1:][same]] = index[:-1][same]
    forks = np.flatnonzero((operations["op"] == Op.FORK) & np.isin(operations["process"], spaces))
    for first, at, tid in told:
        space = int(operations["process"][at])
        own = forks[(forks < at) & (operations["process"][forks] == space)]
        last = own[-1] if len(own) else -1
        for number in range(first, at):
            one = operations[number]
            if (one["op"] != Op.FAULT or one["process"] != space or one["arg2"] == tid or int(one["flags"]) & BOTH != BOTH):
                continue
            earlier = before[number]
            if earlier > last and operations["flags"][earlier] & FAULT_WRITE:
                operations[number:at + 1] = operations[[at, *range(number, at)]]
                forks[forks == at] = number
                break


def wait_for_fork(operations, first, at, shown):
    """Moves the faults that waited for the FORK at number `at` behind it; its new number."""
    last = {}                                  # of each thread, its last fault
    for number in range(first, at):
        one = operations[number]
        if one["op"] == Op.FAULT and one["process"] == operations["process"][at]:
            last[int(one["arg2"])] = number
    waited = sorted(number for tid, number in last.items() if tid in shown and number >= shown[tid])
    if waited:
        served = [number for number in range(first, at) if number not in waited]
        operations[first:at + 1] = operations[[*served, at, *waited]]
    return at - len(waited)
