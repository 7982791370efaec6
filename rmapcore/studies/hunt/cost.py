"""What a walk costs under a scheme, against every other sound scheme that a kernel had, on the same program.

The cost of a walk is what it looks at: chain blocks and tree nodes, address spaces, look-ups of areas, areas, entries. Pages
are matched by where they are mapped. A walk is dear by a factor if it costs so many times what the dearest of the others costs.
"""
from functools import partial

import numpy as np

from rmapcore.schemes import SCHEMES, walking
from rmapcore.studies.hunt.judge import Fault, Judge, Kind, places, told
from rmapcore.verify.emulator import Emulator

LOOKED_AT = ("nodes_visited", "mms_tried", "vma_lookups", "vmas_tried", "ptes_tried")
FACTOR = 4


def others(scheme):
    """Names of the schemes that one is compared with."""
    return [name for name in walking() if name != scheme and name in SCHEMES
            and SCHEMES[name].merged and not SCHEMES[name].defects]


def performed(case, make):
    """The Judge of a program whose steps have all been performed; None if it ends before."""
    judge = Judge(make(case.files))
    for step in case.steps:
        judge.step(step)
        if judge.ended:
            return None
    return judge


def walks(judge):
    """{(pid, address) of its first mapping: (frame, {counter: so much})} of every page that is mapped."""
    machine = judge.subject.machine
    frames = np.flatnonzero(machine.frames["mapcount"])
    first = {}
    for frame, pid, address in places(frames, machine.mappings(frames)):
        first.setdefault(frame, (pid, address))
    found, before = {}, machine.counters
    for frame, place in first.items():
        machine.whomaps([frame])
        after = machine.counters
        found[place] = frame, {name: after[name] - before[name] for name in LOOKED_AT}
        before = after
    return found


def dear(case, make, names, kernel, factor):
    """[Fault], and the largest ratio: of the pages whose walks are dear by this factor at the end of a program."""
    judge = performed(case, make)
    if judge is None:
        return [], 0.0
    own = {place: (frame, looked) for place, (frame, looked) in walks(judge).items() if sum(looked.values()) >= factor}
    most = dict.fromkeys(own, 1)
    for name in names:
        if not own:
            return [], 0.0
        other = performed(case, partial(Emulator, kernel=kernel, scheme=name))
        theirs = {} if other is None else walks(other)
        for place in list(own):
            cost = sum(theirs[place][1].values()) if place in theirs else float("inf")
            most[place] = max(most[place], cost)
            if sum(own[place][1].values()) < factor * most[place]:
                del own[place]
    ratios = {place: sum(looked.values()) / most[place] for place, (_, looked) in own.items()}
    return [fault(judge, place, *own[place], ratio)
            for place, ratio in sorted(ratios.items(), key=lambda item: -item[1])], max(ratios.values(), default=0.0)


def fault(judge, place, frame, looked, ratio):
    """kind: what most of the walk's cost is."""
    name = next(name for name, process in judge.subject.processes.items() if process.pid == place[0])
    page = judge.page(place[1])
    mapcount = int(judge.subject.machine.frames["mapcount"][frame])
    most = max(LOOKED_AT, key=lambda counter: looked[counter])
    shown = ", ".join(f"{counter} {count:,}" for counter, count in looked.items() if count)
    return Fault(Kind("dear", mapcount > 1, most), name, page, place[1],
                 f"the walk of frame {frame}, {told(name, page)}, of {mapcount} mappings: {shown}; "
                 f"{ratio:.1f} times the dearest of the others")
