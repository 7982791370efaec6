"""Numbers of kernel objects that a program's memory takes, on two subjects.

What a subject counts includes the areas that its processes have of their own. Those depend on births and deaths only, so
the same program without all other steps takes exactly what is to be left out; this holds for anon_vmas and their links too,
whose numbers depend on who was born of whom.
"""
from contextlib import closing

from rmapcore.verify.fields import OBJECTS
from rmapcore.verify.lockstep import Difference

LIFE = ("fork", "exit", "exec")        # what changes the processes' own areas
KIND = "objects"                       # of a Difference


def differing_objects(case, makers, names=("emulator", "kernel")):
    """A Difference at the end of a case if its memory takes other numbers of objects on one subject than on the other.

    makers: two functions of the case's files that make a subject. None if all is equal, or where one cannot count.
    """
    counts = []
    for maker in makers:
        *_, whole = done(case.steps, case.files, maker)
        *_, own = done([step for step in case.steps if step["op"] in LIFE], case.files, maker)
        if whole is None or own is None:
            return None
        counts.append({kind: whole[kind] - own[kind] for kind in OBJECTS})
    if counts[0] == counts[1]:
        return None
    texts = [f"{counts[0][kind]} {kind} {names[0]}, {counts[1][kind]} {names[1]}"
             for kind in OBJECTS if counts[0][kind] != counts[1][kind]]
    given, state, _ = done(case.steps, case.files, makers[1])
    errors, wheres = map(list, zip(*given, strict=True))
    return Difference(len(case.steps), KIND, f"objects at the end: {'; '.join(texts)}", errors, state, wheres)


def done(steps, files, maker):
    """([(what each step gave, where the kernel put it)], the state at the end, the objects then)."""
    with closing(maker(files)) as subject:
        given = [(subject.step(step), subject.where) for step in steps]
        return given, subject.observe(), subject.objects()
