"""What a scheme gets wrong in a program, step by step: a subject of cases, and its walks held against its page tables.

    missed     a mapping that the walk of its page does not find
    twice      one that it finds a second time
    invented   one that it reports though it is not there
    left       one that reclaim leaves: other mappings of the page, or all, were to be found before, and nothing holds it
    a rule     of check(), violated
    raised     what a hook raised

A *kind* says what of a fault stays the same when its program gets smaller: what is wrong, whether the page has one mapping or
several, and where the mapping lies. It tells faults apart that hide one another, and knows nothing of how a scheme works.
"""
from typing import NamedTuple

import numpy as np

from rmapcore.errors import InconsistentState, RmapcoreError
from rmapcore.units import PAGE
from rmapcore.verify.emulator import LOCKED
from rmapcore.verify.lockstep import attempt
from rmapcore.verify.run import described
from rmapcore.verify.state import label
from rmapcore.verify.subject import Unsupported

WALKS = ("W1", "W2")                   # rules of check() that the comparison here has told in more detail

SENTENCES = {
    "missed": "the walk of frame {frame} misses {place} (mapcount {mapcount})",
    "twice": "the walk of frame {frame} reports {place} twice",
    "invented": "the walk of frame {frame} reports {place}, which is not there",
    "left": "the walk that unmaps frame {frame} leaves {place}",
}


class Kind(NamedTuple):
    """what: see above.  shared: the page has several mappings.  where: in place, moved, private file, file; "": of none."""

    what: str
    shared: bool = False
    where: str = ""

    def __str__(self):
        return ", ".join(filter(None, (self.what, self.where, "shared" if self.shared else "")))


class Fault(NamedTuple):
    """kind: Kind.  process: its name.  page: as cases name it; None: the program's own.  address: bytes; None: of no mapping.

    text: a sentence.
    """

    kind: Kind
    process: str = ""
    page: int | str | None = None
    address: int | None = None
    text: str = ""

    def to_dict(self):
        """For the JSON."""
        return {**self.kind._asdict(), "process": self.process, "page": self.page, "address": self.address, "text": self.text}


class Judge:
    """A program on its way through a subject with a machine. ended: why no step can follow; None: any may."""

    def __init__(self, subject):
        self.subject = subject
        self.ended = self.failure = None
        self.known = set()             # (what, frame, process, address) told before

    def step(self, step):
        """Performs a step; faults of an exception in it. failure: what it gave, as steps of cases do."""
        try:
            self.failure = attempt(self.subject.step, step)
        except Unsupported as error:
            self.ended = str(error)
        except Exception as error:
            self.ended = described(error)
            return [Fault(Kind(f"raised {type(error).__name__}"), text=self.ended)]
        return []

    def faults(self):
        """What walks get wrong now, and what they got wrong for the same mappings before is not told again."""
        machine = self.subject.machine
        try:
            _, missed, extra = machine.crosscheck().values()
        except Exception as error:
            self.ended = described(error)
            return [Fault(Kind(f"raised {type(error).__name__}"), text=self.ended)]
        if not missed and not extra:
            return []
        frames = np.flatnonzero(machine.frames["mapcount"])
        told, true = (places(frames, answer) for answer in (machine.whomaps(frames), machine.mappings(frames)))
        there = set(true)
        once, found = set(), []
        for place in told:
            if place not in there or place in once:
                found.append(("twice" if place in there else "invented", *place))
            once.add(place)
        found += [("missed", *place) for place in true if place not in once]
        return self.new(found)

    def missing(self):
        """Frames with mappings that walks do not find."""
        return {frame for what, frame, _, _ in self.known if what == "missed"}

    def reclaim(self, step):
        """Performs a step of reclaim; what was left of pages that could all be found before."""
        self.faults()
        lost = self.missing()
        faults = self.step(step)
        if self.ended or self.subject.pins:
            return faults
        held, there = set(), []
        for process in self.subject.processes.values():
            for area in process.maps():
                start = int(area["start"])
                records = process.pagemap(start, int(area["end"]) - start)
                used = np.flatnonzero(records["anon"] & records["present"])
                frames = records["pfn"][used].tolist()
                if area["flags"] & LOCKED:
                    held.update(frames)
                there += [(frame, process.pid, start + at * PAGE) for frame, at in zip(frames, used.tolist(), strict=True)]
        return faults + self.new([("left", *place) for place in there if place[0] and place[0] not in held | lost])

    def new(self, found):
        """Faults of what was not told before."""
        faults = []
        for one in found:
            if one not in self.known and not (one[0] == "missed" and ("left", *one[1:]) in self.known):
                self.known.add(one)
                faults.append(self.fault(*one))
        return faults

    def fault(self, what, frame, pid, address):
        name = next((name for name, process in self.subject.processes.items() if process.pid == pid), f"process {pid}")
        mapcount = int(self.subject.machine.frames["mapcount"][frame])
        page = self.page(address)
        return Fault(Kind(what, mapcount > 1, self.where(name, address)), name, page, address,
                     SENTENCES[what].format(frame=frame, place=told(name, page), mapcount=mapcount))

    def page(self, address):
        """The page at an address as cases name it; None: it is the program's own, of before the first step."""
        page = (address - self.subject.base) // PAGE
        named = self.subject.place_of(page, page + 1)
        return None if named is None else label(named[0], page - named[1])

    def where(self, name, address):
        """Where a mapping lies: of the page cache, or where its page was mapped first, or moved there."""
        process = self.subject.processes.get(name)
        if process is None:
            return "nowhere"
        areas = process.maps()
        areas = areas[(areas["start"] <= address) & (address < areas["end"])]
        if not len(areas):
            return "nowhere"
        if not process.pagemap(address, PAGE)["anon"][0]:
            return "file"
        area = areas[0]
        if area["file"]:
            return "private file"
        return "in place" if int(area["pgoff"]) in (0, int(area["start"]) // PAGE) else "moved"

    def violated(self):
        """The rule of check() that is violated, the walks aside."""
        try:
            self.subject.machine.check()
        except InconsistentState as error:
            return [] if error.rule in WALKS else [Fault(Kind(f"rule {error.rule}"), text=str(error))]
        except RmapcoreError as error:
            return [Fault(Kind("check"), text=str(error))]
        return []


def told(name, page):
    return f"{name} at its first page of heap" if page is None else f"{name} at page {page}"


def places(frames, answer):
    """[(frame, pid, address)] of an answer of whomaps or mappings."""
    offsets, pids, addresses = answer
    return list(zip(np.repeat(frames, np.diff(offsets)).tolist(), pids.tolist(), addresses.tolist(), strict=True))


def judged(case, make):
    """[(number of a step from 1, Fault)], the first of each kind, in the order in which they came up."""
    judge = Judge(make(case.files))
    found = {}
    for number, step in enumerate(case.steps, 1):
        faults = judge.reclaim(step) if step["op"] == "reclaim" else judge.step(step)
        if not faults:
            faults = judge.faults()
        for fault in faults:
            found.setdefault(fault.kind, (number, fault))
        if judge.ended:
            break
    if not found and not judge.ended:          # else a rule says what walks have said
        found |= {fault.kind: (len(case.steps), fault) for fault in judge.violated()}
    return list(found.values())


def at_the_end(case, make):
    """Faults that are there after the last step: those of walks, what it left if it was a reclaim, a rule, an exception."""
    judge = Judge(make(case.files))
    for number, step in enumerate(case.steps, 1):
        last = number == len(case.steps)
        faults = judge.reclaim(step) if last and step["op"] == "reclaim" else judge.step(step)
        if judge.ended:
            return faults if last else []
    judge.known = {one for one in judge.known if one[0] == "left"}
    return (faults + judge.faults() or judge.violated()) if case.steps else []
