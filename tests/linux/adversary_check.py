"""One recording of many small programs that ran one after the other, taken apart by program, and what a check says of each."""
import dataclasses

import numpy as np

from rmapcore.operations import Op
from rmapcore.traces.trace import Trace

PRESENT = 1                                    # of a fault's error code


def parts(trace):
    """Traces of the driver and one program alone, in the order in which it forked them.

    Who is born from one fork of the driver until its next belongs to the program of that fork.
    """
    operations, ops = trace.operations, trace.operations["op"]
    driver = operations["process"][operations["process"] > 0][0]           # what was in the page cache comes before
    forks = np.flatnonzero((ops == Op.FORK) & (operations["process"] == driver))
    births = np.flatnonzero(np.isin(ops, (Op.FORK, Op.SPAWN)))
    born = np.where(ops == Op.FORK, operations["other"], operations["process"])[births]
    owners = np.searchsorted(forks, births, "right")
    for number in range(1, len(forks) + 1):
        yield part(trace, int(driver), set(born[owners == number].tolist()))


def part(trace, driver, spaces):
    """A Trace with the operations and states of these address spaces alone, and what the driver did until it forked them.

    Its forks of others are not there, so the faults are not that come from them.
    """
    operations = trace.operations
    wanted = [driver, *spaces]
    kept = np.isin(operations["process"], [0, *wanted])
    kept &= (operations["op"] != Op.FAULT) | (operations["process"] != driver) | (operations["flags"] & PRESENT == 0)
    kept &= (operations["op"] != Op.FORK) | np.isin(operations["other"], wanted)
    before = np.concatenate([[0], np.cumsum(kept)])
    states = [dataclasses.replace(state, at=int(before[state.at]),
                                  processes=[one for one in state.processes if one.space in spaces])
              for state in trace.states]
    expected = {int(before[number]): status for number, status in trace.expected.items() if kept[number]}
    lives = [(int(before[at]), space, *counts) for at, space, *counts in trace.lives if space in spaces]
    return Trace(operations[kept], trace.files, trace.summary, trace.source, None, states, expected, lives)


def wrong(found):
    """{what: (wrong, of all)} of a CheckedReplay, as far as something is wrong."""
    counts = {"faults": found["faults"], "anonymous faults": found["by_kind"]["anon"], "statuses": found["statuses"],
              "areas": found["areas"], "page tables": found["page_tables"],
              **{f"{kind} pages": found["pages"][kind] for kind in ("anon", "file", "shmem")}}
    return {what: (count["checked"] - count["right"], count["checked"]) for what, count in counts.items()
            if count["right"] < count["checked"]}
