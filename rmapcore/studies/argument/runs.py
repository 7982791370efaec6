"""What both arguments are made of: one program under one scheme, parameters of a study, and what does not hold in its rows."""
import gc
from contextlib import contextmanager

from rmapcore.errors import UnknownName
from rmapcore.lab.experiment import Experiment
from rmapcore.linux.proc import ask_for_memory
from rmapcore.machine import MOST_ROOM, Machine
from rmapcore.units import PAGE


def values_of(name, known, given):
    """Values of all parameters of a study. UnknownName, ValueError for those that there are not, or cannot be."""
    values = {key: parameter.default for key, parameter in known.items()}
    for key, value in given.items():
        if key not in known:
            raise UnknownName(f"{name} has no parameter {key!r}; it has {', '.join(known)}")
        values[key] = known[key].parse(key, value)
    return values


@contextmanager
def cell(program, scheme, kernel, arch, file_rmap, points):
    """An Experiment of one program under one scheme, on a machine with room for all of it; let go of in the end, as a machine's
    arenas are as large as it was.
    """
    ask_for_memory(program.name, program.pages)
    room = program.pages * 21 // 20 + 2
    machine = Machine(scheme, kernel, arch, room * PAGE, 2 * room * PAGE, file_rmap, True,
                      stack_limit=program.stack_limit, **MOST_ROOM)
    yield Experiment(program, machine, points)
    del machine
    gc.collect()


def find_problems(rows, name_of, group_of):
    """What does not hold, as lines. name_of: of a row's cell.  group_of: rows of which programs must have seen the same."""
    first = {}
    for row in rows:
        name = name_of(row)
        if row["error"]:
            yield f"{name}: {row['error']}"
            continue
        for what in ("missed", "extra"):
            if row[what]:
                yield f"{name}: the reverse map {what} {row[what]:,} entries"
        if row["digest"] != first.setdefault(group_of(row), row["digest"]):
            yield f"{name}: programs saw other contents than under the first scheme"
