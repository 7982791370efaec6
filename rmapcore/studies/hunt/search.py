"""The search: random programs in rounds, and of each round some that show a fault are made smaller.

    look        a program on the scheme, judged after every step: the kinds of faults, each with the step that shows it first
    reduce      the program up to that step, made as small as it gets while the kind stays

A round's programs are looked at first, then it is decided which to reduce: all of a kind that is new, few of one of which many
were reduced without anything new. What comes of it depends on nothing but the seed and how many programs there were.
"""
import time
from collections import Counter
from dataclasses import dataclass, replace
from functools import partial

from rmapcore.schemes import newest
from rmapcore.studies.hunt.cost import dear
from rmapcore.studies.hunt.finding import added, finding
from rmapcore.studies.hunt.judge import at_the_end, judged
from rmapcore.verify.emulator import Emulator
from rmapcore.verify.programs import hunted_program
from rmapcore.verify.shrink import shrink

ROUND = 32                             # programs
AT_ONCE = 3                            # programs of a kind that are reduced in a round,
TIRED = 24                             # and one, once so many in a row have brought nothing new
SECONDS = 300.0                        # that one program may take


@dataclass(frozen=True)
class Losses:
    """What is looked for: programs on which the scheme misses a mapping or reports one twice. scheme: its text, or a Choice."""

    scheme: object
    kernel: str
    seed: int

    @property
    def make(self):
        return partial(Emulator, kernel=self.kernel, scheme=self.scheme)

    @property
    def reference(self):
        return partial(Emulator, kernel=self.kernel, scheme=newest())

    def program(self, number):
        return hunted_program(f"{self.seed}.{number}")

    def look(self, number):
        """[(kind, number of the step that shows it)] of a program."""
        return [(fault.kind, step) for step, fault in judged(self.program(number), self.make)]

    def reduce(self, candidate):
        """The Finding of (number of a program, kind, number of a step); None if the steps up to there alone do not show it."""
        number, kind, step = candidate
        case = self.program(number)
        case = replace(case, steps=case.steps[:step])

        def differs(smaller):
            return any(fault.kind == kind for fault in at_the_end(smaller, self.make))

        if not differs(case):
            return None
        small = shrink(case, differs, SECONDS)
        return finding(small, kind, at_the_end(small, self.make), self.make, self.reference, number)


@dataclass(frozen=True)
class Costs(Losses):
    """Programs whose walks are dear by a factor. others: names of the schemes that they are compared with."""

    factor: float
    others: tuple

    def dear(self, case):
        return dear(case, self.make, self.others, self.kernel, self.factor)

    def look(self, number):
        case = self.program(number)
        steps = len(case.steps) - 1    # without the last reclaim, after which no page is mapped
        found, _ = self.dear(replace(case, steps=case.steps[:steps]))
        return [(kind, steps) for kind in dict.fromkeys(fault.kind for fault in found)]

    def reduce(self, candidate):
        number, kind, step = candidate
        case = self.program(number)
        small = shrink(replace(case, steps=case.steps[:step]), lambda smaller: any(
            fault.kind == kind for fault in self.dear(smaller)[0]), SECONDS)
        faults, ratio = self.dear(small)
        return replace(finding(small, kind, faults, self.make, self.reference, number), ratio=ratio)


class Search:
    """A hunt under way. findings: list of Finding.  programs: looked at.  reduced: made smaller.  kinds: how many programs
    had a fault of each."""

    def __init__(self, target, run, seconds, programs, report):
        self.target, self.run, self.most, self.report = target, run, programs, report
        self.begun = time.monotonic()
        self.seconds = seconds
        self.findings, self.kinds = [], Counter()
        self.programs = self.reduced = 0
        self.vain = Counter()          # kind -> how many in a row have brought nothing new

    def over(self):
        return self.seconds is not None and time.monotonic() - self.begun >= self.seconds

    def all(self):
        """Rounds until there is no time left, or no program."""
        while not self.over() and (self.most is None or self.programs < self.most):
            self.round()

    def round(self):
        first = self.programs
        numbers = range(first, first + ROUND if self.most is None else min(first + ROUND, self.most))
        candidates = []
        for number, kinds in zip(numbers, self.run(self.target.look, numbers), strict=True):
            self.programs += 1
            candidates += [(number, kind, step) for kind, step in kinds]
            self.kinds.update(kind for kind, _ in kinds)
            self.tell()
            if self.over() and self.findings:
                return
        chosen = self.chosen(candidates)
        for (_, kind, _), found in zip(chosen, self.run(self.target.reduce, chosen), strict=True):
            self.reduced += 1
            new = False
            if found is not None:
                self.findings, new = added(self.findings, found)
            self.vain[kind] = 0 if new else self.vain[kind] + 1
            self.tell()
            if self.over():
                return

    def chosen(self, candidates):
        """Which of a round's programs are reduced, for which kind."""
        counts, chosen = Counter(), []
        for candidate in candidates:
            kind = candidate[1]
            if counts[kind] < (1 if self.vain[kind] >= TIRED else AT_ONCE):
                counts[kind] += 1
                chosen.append(candidate)
        return chosen

    def tell(self):
        done, total = 0, 1
        if self.seconds is not None:
            done, total = min(time.monotonic() - self.begun, self.seconds), self.seconds
        elif self.most is not None:
            done, total = self.programs, self.most
        self.report(done, total, f"{self.programs:,} programs, {self.reduced:,} reduced, {len(self.findings):,} found")
