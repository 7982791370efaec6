"""A case that shows a difference, made smaller: delta debugging over its steps.

Steps are left out in ever smaller groups, whole processes first; then children act as their parents, what is moved or protected
is so from the start, and ranges get shorter. After each change the steps that have become meaningless (of a process that was
never born, at a place that was never named) go too, so every candidate is a case that can be run. A candidate is tried once at
most, and one that still differs takes over if it has fewer steps, or as many with shorter ranges, or fewer fields.

Which candidates are tried in which order depends on nothing but the case and the answers.
"""
import json
import time
from dataclasses import replace

from rmapcore.verify.case import ROOT, Names
from rmapcore.verify.fields import OPS, Malformed

SECONDS = 60.0
# what a step may do without
OPTIONAL = ("replace", "hint", "maymove", "flags", "onfault", "value", "dontunmap", "len_bytes", "at_off", "to_off")
SIZES = ("len", "old", "new")


def shrink(case, differs, seconds=SECONDS, progress=None):
    """The smallest case found that still differs; the case itself if nothing smaller does.

    differs(case): whether the candidate shows the difference; raises nothing for a case that can be run.
    seconds: how long it may take, about; what was found until then is returned.
    progress: None or called with (candidates tried, steps left).
    """
    search = Search(case, differs, time.monotonic() + seconds, progress)
    search.shorten()
    search.drop_processes()
    while search.changed():
        search.drop_steps()
        search.join_processes()
        search.begin_so()
        search.simplify()
    search.renumber()
    return search.result()


class Search:
    """The smallest case so far, and what was tried."""

    def __init__(self, case, differs, deadline, progress):
        self.case, self.differs, self.deadline, self.progress = case, differs, deadline, progress
        self.steps = list(case.steps)
        self.tried = {key(self.steps)}
        self.before = None

    def changed(self):
        """Whether anything got smaller since this was asked last, and there is time left."""
        before, self.before = self.before, extent(self.steps)
        return before != self.before and time.monotonic() < self.deadline

    def result(self):
        used = {step["file"] for step in self.steps if "file" in step}
        files = {name: pages for name, pages in self.case.files.items() if name in used}
        return replace(self.case, steps=self.steps, files=files)

    def better(self, steps):
        """Takes these steps over if they are fewer or simpler and still differ."""
        steps = repaired(steps, self.case.files)
        return extent(steps) < extent(self.steps) and self.take(steps)

    def take(self, steps):
        """Takes these steps over if they still differ and were not tried before."""
        known = key(steps)
        if known in self.tried or time.monotonic() >= self.deadline:
            return False
        self.tried.add(known)
        if self.progress:
            self.progress(len(self.tried) - 1, len(self.steps))
        if not self.differs(replace(self.case, steps=steps)):
            return False
        self.steps = steps
        return True

    def shorten(self):
        """What comes after the difference goes: steps from the end, in halves."""
        low, high = 0, len(self.steps)
        while low + 1 < high:
            middle = (low + high) // 2
            if self.better(self.steps[:middle]):
                high = len(self.steps)
            else:
                low = middle

    def drop_processes(self):
        """Each process with all that it did, and all that it bore."""
        for child in [step["child"] for step in reversed(self.steps) if step["op"] == "fork"]:
            self.better([step for step in self.steps if child not in (step.get("proc"), step.get("child"))])

    def drop_steps(self):
        """Groups of steps, from the end, each half as long as before; last each step alone."""
        size = max(len(self.steps) // 2, 1)
        while True:
            end = len(self.steps)
            while end > 0:
                start = max(end - size, 0)
                self.better(self.steps[:start] + self.steps[end:])
                end = min(start, len(self.steps))
            if size == 1:
                return
            size //= 2

    def join_processes(self):
        """A parent does what its child did, and the fork goes."""
        for fork in [step for step in reversed(self.steps) if step["op"] == "fork"]:
            child, parent = fork["child"], fork["proc"]
            self.better([renamed(step, child, parent) for step in self.steps
                         if step is not fork and not (step["op"] == "exit" and step["proc"] == child)])

    def begin_so(self):
        """What was before an mremap is where that moves it, what was mapped before an mprotect has its protection; it goes."""
        for last in [step for step in reversed(self.steps) if step["op"] in ("mremap", "mprotect")]:
            number = next((number for number, step in enumerate(self.steps) if step is last), None)
            if number is not None and isinstance(last["at"], int) and isinstance(last.get("to", 0), int):
                change = moved if last["op"] == "mremap" else protected
                self.better([*(change(step, last) for step in self.steps[:number]), *self.steps[number + 1:]])

    def simplify(self):
        """Each step alone: shorter ranges, fewer fields."""
        at = len(self.steps)
        while at > 0:
            at -= 1
            while at < len(self.steps) and any(self.better([*self.steps[:at], simpler, *self.steps[at + 1:]])
                                               for simpler in simpler_steps(self.steps[at])):
                pass

    def renumber(self):
        """The processes that are left are called p0, p1, ... in order of birth."""
        names = {ROOT: ROOT}
        for step in self.steps:
            if step["op"] == "fork":
                names[step["child"]] = f"p{len(names)}"
        self.take([{**step, **{field: names[step[field]] for field in ("proc", "child") if field in step}}
                   for step in self.steps])


def simpler_steps(step):
    """Steps that do a little less."""
    required = OPS[step["op"]][0].split()
    for field in OPTIONAL:
        if field in step and field not in required:
            yield {name: value for name, value in step.items() if name != field}
    if step.get("pgoff"):
        yield {**step, "pgoff": 0}
    sizes = {name: step[name] for name in SIZES if step.get(name, 0) > 1}
    if not sizes:
        return
    least = min(sizes.values())
    for less in dict.fromkeys((least - 1, least // 2, 1)):
        if less > 0:
            shorter = {name: pages - less for name, pages in sizes.items()}
            yield {**step, **shorter}
            if isinstance(step["at"], int):
                yield {**step, **shorter, "at": step["at"] + less}


def renamed(step, child, parent):
    return {**step, "proc": parent} if step.get("proc") == child else step


def moved(step, move):
    """A step with the addresses that a later mremap moves where it moves them."""
    changed = {key: step[key] + move["to"] - move["at"] for key in ("at", "to")
               if "to" in move and isinstance(step.get(key), int) and 0 <= step[key] - move["at"] < move["old"]}
    return {**step, **changed}


def protected(step, protect):
    """A step with the protection of a later mprotect if it maps where that begins."""
    if step["op"] == "mmap" and isinstance(step["at"], int) and 0 <= protect["at"] - step["at"] < step["len"]:
        return {**step, "prot": protect["prot"]}
    return step


def repaired(steps, files):
    """The steps that still mean something when others are gone."""
    names, kept = Names(files), []
    for step in steps:
        try:
            names.step("", step)
        except Malformed:
            continue
        kept.append(step)
    return kept


def extent(steps):
    """What is to become smaller: steps, then pages, then what is written."""
    return len(steps), sum(step.get(name, 0) for step in steps for name in SIZES), len(key(steps))


def key(steps):
    return json.dumps(steps)
