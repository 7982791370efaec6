"""Where in the order of operations a fork took effect.

    fork of a thread:   enters ................ copies the areas ............... PERF_RECORD_FORK
    another thread:              fault                            fault

The line of a fork stands where it is over, and faults that others have had in the meantime stand before it. One that came after
the copy shows itself: it writes to a page that its process had made writable since the fork before, and finds it protected.
From the first such fault on, the fork has been.
"""
import numpy as np

from rmapcore.operations import Op

FAULT_PRESENT, FAULT_WRITE = 1, 2
BOTH = FAULT_PRESENT | FAULT_WRITE


def order_forks(operations, windows):
    """Moves FORK operations forward, in place.

    windows: [(first, number of the FORK, tid of the forking thread)], ascending; from `first` on it was in its call.
    """
    told = [(first, at, tid) for first, at, tid in windows if at - first > 0]
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
