"""One program on two subjects in lockstep: every step's error, and every few steps all that is seen."""
from contextlib import ExitStack
from dataclasses import dataclass, field

from rmapcore.errors import RmapcoreError
from rmapcore.verify.page_tables import differing_tables
from rmapcore.verify.run import described, step_text
from rmapcore.verify.state import difference, golden_form, label, process_order

MOST_TEXTS = 4                         # of area flags, that are told


@dataclass
class Difference:
    """step: number of the step after which it was seen, from 1.  text: what differs.

    kind: for errors the call and both, else "address", "areas", "pages", "page tables" or "objects".  errors: what the steps
    gave on the second subject.  state: its state then.  wheres: the pages that it chose, None where it had nothing to choose.
    """

    step: int
    kind: str
    text: str
    errors: list = field(default_factory=list)
    state: dict = field(default_factory=dict)
    wheres: list = field(default_factory=list)


def lockstep(case, makers, names=("emulator", "kernel"), every=1, universal=False, parted=None):
    """The first Difference between two subjects that perform a case; None if there is none.

    makers: two functions of the case's files that make a subject.  every: look at the states after so many steps, and at
    the end.  universal: leave out what kernels and schemes may decide differently.
    parted(step, errors, subjects): whether the two may differ from here on without either being wrong; asked after each step.
    Raises Unsupported for what one of them cannot do.
    """
    with ExitStack() as stack:
        subjects = []
        for maker in makers:
            subjects.append(maker(case.files))
            stack.callback(subjects[-1].close)
        errors, wheres = [], []
        for number, step in enumerate(case.steps, 1):
            given = [attempt(subject.step, step) for subject in subjects]
            errors.append(given[1])
            wheres.append(subjects[1].where)
            where = f"step {number} ({step_text(step)})"
            if parted and parted(step, given, subjects):
                return None
            if given[0] != given[1]:
                text = f"{where}: {shown(given[0])} {names[0]}, {shown(given[1])} {names[1]}"
                kind = f"{step['op']} {shown(given[0])} {shown(given[1])}"
                return Difference(number, kind, text, errors, subjects[1].observe(), wheres)
            chosen = [subject.where for subject in subjects]
            if chosen[0] != chosen[1]:
                text = f"{where}: at {chosen[0]} {names[0]}, at {chosen[1]} {names[1]}"
                return Difference(number, "address", text, errors, subjects[1].observe(), wheres)
            if number % every and number < len(case.steps):
                continue
            texts, state = looked(subjects, names, universal)
            if texts:
                kinds = [kind for kind in ("areas", "page tables") if any(f" {kind[:-1]}" in text for text in texts)]
                kind = kinds[0] if kinds else "pages"
                return Difference(number, kind, f"{where}: {'; '.join(texts)}", errors, state, wheres)
    return None


def attempt(perform, step):
    """What a step gives; a failure of the subject itself as text."""
    try:
        return perform(step)
    except RmapcoreError as error:
        return described(error)


def shown(error):
    return error or "success"


def looked(subjects, names, universal):
    """(texts that say how the two states differ, the second state)."""
    here, there = (subject.observe() for subject in subjects)
    sharing = not any(subject.no_sharing() for subject in subjects)
    texts = difference(golden_form(here), golden_form(there), names, universal, sharing)
    if not universal and not texts:
        texts = differing_flags(here, there, names)
        texts += differing_tables(*({name: one.tables for name, one in seen.items()} for seen in (here, there)), names)
    problem = None if texts else attempt(lambda _: subjects[0].check(), None)
    return texts + ([problem] if problem else []), there


def differing_flags(here, there, names):
    """Texts for areas that are the same, flags aside."""
    texts = []
    for name in sorted(here, key=process_order):
        for mine, other in zip(here[name].areas, there[name].areas, strict=True):
            if mine.flags != other.flags:
                shown = [" ".join(sorted(area.flags)) or "no flags" for area in (mine, other)]
                texts.append(f"{name} area {label(mine.place, mine.start)}-{mine.end}: "
                             f"{shown[0]} {names[0]}, {shown[1]} {names[1]}")
    return texts[:MOST_TEXTS]
