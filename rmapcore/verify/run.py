"""A case on a subject: its steps in order, every error against the one expected, every expectation and recorded state.

The verdict names the first step after which something differs. A step whose error is not the expected one ends the run:
what follows builds on it.
"""
import os
import traceback
from contextlib import closing
from dataclasses import dataclass, field

from rmapcore.errors import RmapcoreError
from rmapcore.verify.case import repeated, rounds
from rmapcore.verify.expect import check, counts, identity
from rmapcore.verify.fields import split_place
from rmapcore.verify.page_tables import with_tables
from rmapcore.verify.state import difference, golden_form
from rmapcore.verify.subject import VALUE, Unsupported

PASS, FAIL, SKIPPED = "pass", "fail", "skipped"
SHARING = "mapcounts, shared frames and swapping"


@dataclass
class Verdict:
    """How a case went. reason: why it is not a pass.  step: number of the first step that differs; None: at no step.

    trail: what was seen on the way, [(steps done, error or None, recorded form of the state or None)], if asked for.
    left_out: what a pass is not about -> why.
    """

    outcome: str
    reason: str = ""
    step: int | None = None
    trail: list = field(default_factory=list)
    left_out: dict = field(default_factory=dict)


class Mismatch(Exception):
    """Something is not as expected."""


def run(case, make_subject, trail=False, every=None, universal=False):
    """Runs a case on make_subject(files); a Verdict.

    trail: keep what is seen.  every: look at the state after so many steps, beside the recorded ones.
    universal: compare only what no kernel and no scheme may change.
    Whatever is raised meanwhile is a failure of this case, so that others can still run.
    """
    runner = Runner(case, trail, every, universal)
    try:
        with closing(make_subject(case.files)) as subject:
            for need in case.needs:
                reason = subject.lacks(need)
                if reason:
                    raise Unsupported(reason)
            runner.run(subject)
            if case.repeat and not universal:
                runner.count_objects(make_subject)
    except Unsupported as error:
        return Verdict(SKIPPED, str(error), trail=runner.trail)
    except Mismatch as error:
        return Verdict(FAIL, str(error), runner.number, runner.trail)
    except Exception as error:
        return Verdict(FAIL, f"{runner.where()}: {described(error)}", runner.number, runner.trail)
    reason = "; ".join(f"{what} left out: {why}" for what, why in runner.left_out.items())
    return Verdict(PASS, reason, trail=runner.trail, left_out=runner.left_out)


class Runner:
    """One run of a case. number: of the step that was done last, from 1; None once all are done."""

    def __init__(self, case, trail, every, universal):
        self.case = case
        self.subject = None
        self.keep = trail
        self.every = every
        self.universal = universal
        self.trail = []
        self.remembered = {}
        self.left_out = {}             # what is not compared -> why
        self.number = 0
        self.step = None

    def where(self):
        if self.step:
            return f"step {self.number} ({step_text(self.step)})"
        return "at the end" if self.number or not self.case.steps else "before step 1"

    def run(self, subject):
        self.subject = subject
        steps = self.case.steps
        self.compare(0)
        for self.number, self.step in enumerate(steps, 1):
            error = self.perform(self.step)
            if self.keep:
                self.trail.append((self.number, error, None))
            self.compare(self.number)
        self.number, self.step = (len(steps), steps[-1]) if steps else (0, None)
        expect = {key: value for key, value in self.case.expect.items() if not (key == "objects" and self.case.repeat)}
        if expect or self.keep:
            self.expectation(expect, "at the end")
        self.step = None
        self.subject.check()
        self.sharing()

    def compare(self, done):
        """The state against the recorded one, if there is one."""
        recorded = self.case.snaps.get(done)
        if recorded is None and not (self.every and done and done % self.every == 0):
            return
        observed = self.subject.observe()
        state = golden_form(observed)
        if self.keep:
            self.trail.append((done, None, with_tables(state, observed)))
        if recorded is not None:
            texts = difference(state, recorded, universal=self.universal, sharing=self.sharing(),
                               left_out=self.left_out)
            if texts:
                since = max((after for after in self.case.snaps if after < done), default=0)
                first = f"steps {since + 1} to {done}" if since + 1 < done else self.where()
                raise Mismatch(f"{first}: {'; '.join(texts)}")

    def sharing(self):
        """Whether mapcounts and shared frames can be compared."""
        reason = self.subject.no_sharing()
        if reason:
            self.left_out[SHARING] = reason
        return reason is None

    def perform(self, step):
        """One step of the case; the error it gave, after comparing it with the one expected."""
        op = step["op"]
        if op == "check":
            self.expectation(step["expect"], self.where())
            return None
        if op == "remember":
            self.remember(step)
            return None
        error = self.act(step)
        wanted = step.get("err")
        if error != wanted:
            self.complain(step, error, wanted)
        if "where" in step and step["where"] != self.subject.where and not self.universal:
            raise Mismatch(f"{self.where()}: at {self.subject.where} here, at {step['where']} expected")
        return error

    def act(self, step):
        """The error that a step or loop gives. Ends the run where other kernels or schemes may go on otherwise."""
        if step["op"] == "loop":
            return self.loop(step)
        error = self.subject.step(step)
        reason = self.subject.parted() if self.universal else None
        if reason:
            raise Unsupported(f"equal up to {self.where()}: {reason}")
        return error

    def complain(self, step, error, wanted):
        if error == VALUE:
            text = f"read a byte other than {step['value']}"
        else:
            text = f"{error or 'success'} here, {wanted or 'success'} expected"
        inner = "" if step is self.step else f": {step_text(step)}"
        text = f"{self.where()}{inner}: {text}"
        if self.universal and step["op"] == "mremap" and "EFAULT" in (error, wanted):
            raise Unsupported(f"equal up to {text}: whether it meets a border between areas depends on the scheme")
        raise Mismatch(text)

    def loop(self, loop):
        """The steps over and over, up to the first error, which is the loop's own unless the step expects it."""
        for steps in rounds(loop):
            for step in steps:
                if step["op"] in ("check", "remember"):
                    self.perform(step)
                    continue
                error = self.act(step)
                if error is None and "err" not in step:
                    continue
                if error != step.get("err") and error != loop.get("err"):
                    self.complain(step, error, step.get("err"))
                if error is not None:
                    return loop.get("err")
        return None

    def remember(self, step):
        process = self.subject.observe()[step["proc"]]
        place, page = split_place(step["at"])
        self.remembered[step["as"]] = [identity(process.pages.get((place, page + at))) for at in range(step.get("len", 1))]

    def expectation(self, expect, where):
        state = self.subject.observe()
        if self.keep:
            self.trail.append((self.number, None, with_tables(golden_form(state), state)))
        objects = self.subject.objects() if "objects" in expect else None
        if objects is None:
            expect = self.uncounted(expect)
        texts = check(expect, state, self.remembered, objects, self.subject.origin, self.universal, self.sharing(),
                      self.subject.objects_within, self.left_out)
        if texts:
            raise Mismatch(f"{where}: {'; '.join(texts)}")

    def uncounted(self, expect):
        """An expectation without its counts of objects, which cannot be told here."""
        if "objects" in expect:
            self.left_out["numbers of objects"] = "they cannot be counted"
        return {key: value for key, value in expect.items() if key != "objects"}

    def count_objects(self, make_subject):
        """The steps in a and in b areas: what the objects differ by, for each area."""
        few, many = self.case.repeat["count"]
        totals = []
        for count in (few, many):
            with closing(make_subject(self.case.files)) as subject:
                for step in repeated(self.case, count):
                    if step["op"] in ("check", "remember"):
                        continue
                    error = subject.step(step)
                    if error != step.get("err"):
                        raise Mismatch(f"in {count} areas: {step_text(step)}: {error or 'success'} here, "
                                         f"{step.get('err', 'success')} expected")
                totals.append(subject.objects())
        if None in totals:
            self.uncounted(self.case.expect)
            return
        objects = {key: (totals[1][key] - totals[0][key]) / (many - few) for key in totals[0]}
        texts = list(counts(self.case.expect.get("objects", {}), objects, self.subject.objects_within))
        if texts:
            raise Mismatch(f"for each of {many - few} areas: {'; '.join(texts)}")


def described(error):
    """An exception in one line; one that nobody foresaw with its place, and with who raised it in a scheme from outside."""
    text = f"{type(error).__name__}: {error}"
    if not isinstance(error, RmapcoreError):
        place = traceback.extract_tb(error.__traceback__)[-1]
        text += f" ({', '.join([f'{os.path.basename(place.filename)}:{place.lineno}', *getattr(error, '__notes__', ())])})"
    return " ".join(text.split())


def step_text(step):
    """A step in a few words."""
    words = [step["op"], *([step["proc"]] if "proc" in step else ())]
    for key, value in step.items():
        if key in ("op", "proc", "err", "steps", "expect"):
            continue
        if value is True:
            words.append(key)
        elif key in ("child", "advice", "file", "share"):
            words.append(str(value))
        elif value is not False:
            words.append(f"{key} {value!r}" if isinstance(value, str) else f"{key} {value}")
    return " ".join(words)
