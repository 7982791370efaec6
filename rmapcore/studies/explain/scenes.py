"""A program run up to a point, and how its processes, addresses and indices are called in a picture."""
import os

import numpy as np

from rmapcore.core.structure import MOST_ENTRIES
from rmapcore.errors import CaseError, UnknownName
from rmapcore.kernels import nearest
from rmapcore.lab.compare import program_of, source_of
from rmapcore.lab.experiment import create_files
from rmapcore.machine import MOST_ROOM, Machine
from rmapcore.operations import Op
from rmapcore.traces import Trace
from rmapcore.units import PAGE
from rmapcore.verify.case import LIMITS, load, rounds
from rmapcore.verify.emulator import Emulator
from rmapcore.verify.fields import HEAP
from rmapcore.verify.subject import BELOW_PAGES, HEAPS_END, WINDOW_PAGES, Unsupported

CASES = (".jsonl", ".json", ".json.gz")
BEFORE = "2.6.7"                       # kernel of programs that name none
OF_CASES = "6.18"
ADDRESSES = 1 << 64
MACHINES = ("process", "area", "frame", "slot", "entry", "file")       # kinds of objects that no scheme has
SEED = 0                               # of what a workload draws


def scene(program, scheme, kernel, at, limits, parameters):
    """The Scene of a program, run."""
    if not isinstance(program, Trace):
        program = os.fsdecode(program)
        path, number = split(program)
        if path.endswith(CASES):
            if parameters:
                raise UnknownName(f"a case has no parameters: {', '.join(parameters)}")
            return CaseScene(case_of(path, number, limits or LIMITS), scheme, kernel or OF_CASES, at)
    source = source_of(program, parameters, lambda done, total, text: None, None)
    recorded = source.kernel if isinstance(source, Trace) else None
    kernel = kernel or (nearest(recorded) if recorded else BEFORE)
    return ProgramScene(source, parameters, scheme, kernel, at)


def split(text):
    """(path, ID or None) of FILE.jsonl:ID; a file of that very name wins."""
    path, colon, number = text.rpartition(":")
    return (path, number) if colon and path.endswith(CASES) and not os.path.exists(text) else (text, None)


def case_of(path, number, limits):
    """The case of a file, by its id where there are several."""
    cases = load(path, limits=limits)
    if number is None and len(cases) > 1:
        raise CaseError(f"holds {len(cases)} cases: say which, as {os.path.basename(path)}:{cases[0].id}", path)
    for case in cases:
        if number in (None, case.id):
            return case
    raise CaseError(f"holds no case {number!r}", path)


class Scene:
    """machine: Machine.  names: what processes are called, by pid.  name, at: of the program, and how many steps were done."""

    def __init__(self, machine, name, at, steps, done):
        self.machine, self.name, self.at = machine, name, at
        self.scheme = str(machine._choice)
        self.title = f"{name} after {at:,} of {steps:,} {done}: {self.scheme}, kernel {machine.kernel}"
        self.remarks = []              # lines about what is not drawn
        self.names = {process.pid: process.name or str(process.pid) for process in machine.processes.values()}

    def process(self, pid):
        """A process as it is called."""
        return self.names.get(pid, str(pid))

    def where(self, address):
        """An address as it is called."""
        return f"{address:#x}"

    def value(self, value):
        """A field of an object as it is shown."""
        if isinstance(value, bool) or not isinstance(value, int | list | tuple):
            return str(value)
        if isinstance(value, tuple):
            return " to ".join(map(self.value, value))
        if isinstance(value, list):
            return ", ".join(map(self.value, value))
        return f"{value:,}" if value < 1 << 16 else self.large(value)

    def large(self, value):
        """A number that is an address, an index, or a distance between such."""
        return f"{value - ADDRESSES:,}" if value >= ADDRESSES >> 1 else f"{value:#x}"

    def place(self, text):
        """(pid, address) of "PROCESS:PAGE". ValueError."""
        who, colon, where = text.partition(":")
        pids = [pid for pid, name in self.names.items() if who in (name, str(pid))]
        if not colon or not pids:
            raise ValueError(f"page {text!r} is not PROCESS:PAGE; processes are {', '.join(self.names.values()) or 'none'}")
        return pids[0], self.address(where, text)

    def address(self, where, text):
        """An address from how it is called."""
        try:
            address = int(where, 0)
        except ValueError:
            raise ValueError(f"page {text!r}: {where!r} is no address") from None
        if not 0 <= address < 1 << 47:
            raise ValueError(f"page {text!r}: {where!r} is beyond user space")
        return address // PAGE * PAGE

    def visible_objects(self, objects):
        """Those of the program's own."""
        return objects

    def called(self, name):
        """An object as it is called."""
        kind, number = name
        if kind == "process":
            return self.process(number)
        if kind == "entry":
            return f"{self.process(number[0])}:{self.where(number[1])}"
        if kind == "frame":
            return f"page {number}" if number else "the zero page"
        return f"{kind} {number}"

    def told(self, walk):
        """Lines of a walk, step by step."""
        if walk is None:
            yield "no page is mapped"
            return
        what = "a sweep that looks for" if self.machine.sweeps else "the walk of"
        yield f"{what} {self.called(('frame', walk['frame']))}:"
        for number, step in enumerate(walk["steps"], 1):
            if "asked" in step:
                yield f"{number:5}  {self.called(step['asked'])}"
            else:
                yield f"{number:5}      {self.called(('entry', step['entry']))}: {'found' if step['found'] else 'not it'}"
        for place in walk["missed"]:
            yield f"       MISSED: {self.called(('entry', place))}"
        yield ", ".join(f"{name} {count:,}" for name, count in walk["counters"].items())


class ProgramScene(Scene):
    """Of a workload or a recording."""

    def __init__(self, source, parameters, scheme, kernel, at):
        program = program_of(source, parameters, SEED, ("x86_64",), scheme, kernel, lambda done, total, text: None, {})
        operations = program.operations
        exits = np.flatnonzero(operations["op"] == Op.EXIT)
        if at is None:
            at = int(exits[0]) if len(exits) else len(operations)
            if program.pages > MOST_ENTRIES:
                raise ValueError(f"{program.name} has {program.pages:,} pages, and a picture is for {MOST_ENTRIES:,} at the "
                                 "most: take smaller parameters, or say at which operation")
        if at > len(operations):
            raise ValueError(f"at: {at:,} is more than the {len(operations):,} operations of {program.name}")
        pages = program.ram_pages or -(-program.pages * 21 // 20)
        machine = Machine(scheme, kernel, ram=max(pages, 2) * PAGE, swap=2 * program.pages * PAGE,
                          stack_limit=program.stack_limit, **MOST_ROOM)
        machine.run(operations, create_files(machine, program), at)
        machine.name(program.names)
        super().__init__(machine, program.name, at, len(operations), "operations")


class CaseScene(Scene):
    """Of a case, whose addresses are pages of its window."""

    def __init__(self, case, scheme, kernel, at):
        steps = case.steps
        at = len(steps) if at is None else at
        if at > len(steps):
            raise ValueError(f"at: {at:,} is more than the {len(steps):,} steps of {case.id}")
        self.subject = Emulator(case.files, kernel, scheme)
        try:
            for step in steps[:at]:
                self.perform(step)
        except Unsupported as error:
            raise CaseError(f"case {case.id}: {error}", case.file, case.line) from None
        super().__init__(self.subject.machine, case.id, at, len(steps), "steps")
        self.names = {process.pid: name for name, process in self.subject.processes.items()}

    def perform(self, step):
        if step["op"] == "loop":
            for steps in rounds(step):
                for inner in steps:
                    self.perform(inner)
        elif step["op"] not in ("check", "remember"):
            self.subject.step(step)

    def where(self, address):
        page = (address - self.subject.base) // PAGE
        if -BELOW_PAGES <= page < WINDOW_PAGES:
            return str(page)
        place = self.subject.place_of(page, page + 1)
        return f"{place[0]}+{page - place[1]}" if place and place[0] else f"{address:#x}"

    def large(self, value):
        for unit in (1, PAGE):         # an index in the window, or an address
            page = value // unit - self.subject.base // PAGE
            if -BELOW_PAGES <= page < WINDOW_PAGES:
                return str(page)
        return super().large(value)

    def address(self, where, text):
        named, plus, page = where.partition("+")
        if plus and named in self.subject.places and page.isdecimal():
            return self.subject.address(f"{named}+{page}")
        if where.removeprefix("-").isdecimal() and -BELOW_PAGES <= int(where) < WINDOW_PAGES:
            return self.subject.address(int(where))
        return super().address(where, text)

    def visible_objects(self, objects):
        """Without the heap that each process of a case has had before, unless the case moves its break."""
        if HEAP in self.subject.places:
            return objects
        self.remarks.append("Not drawn: the page of heap that each process of a case has beside.")
        own = {name for name, one in objects.items() if name[0] == "area" and one["fields"]["start"] < HEAPS_END}
        own |= {entry for name in own for entry in objects[name]["links"].get("entries", ())}
        kept = {one["links"]["maps"] for name, one in objects.items() if name[0] == "entry" and name not in own}
        own |= {name for name in objects if name[0] in ("frame", "slot") and name not in kept}
        return connected(objects, own)


def connected(objects, own):
    """The objects without those that are left out, and without what of the scheme only these led to."""
    near = {name: set() for name in objects}
    for name, one in objects.items():
        for to in one["links"].values():
            for other in set(to if isinstance(to, list) else [to]) & near.keys():
                near[name].add(other)
                near[other].add(name)
    kept = {name for name in objects if name[0] in MACHINES} - own
    for name in objects:
        group, whole = [name], {name}
        while group:                   # all that hangs together, but for processes, to which much of the scheme leads
            group = [other for one in group if one[0] != "process" and one not in own
                     for other in near[one] - whole if not whole.add(other)]
        found = {one[0] for one in whole - own if one[0] in MACHINES} - {"process"}
        if name[0] not in MACHINES and (found or not whole & own):
            kept.add(name)
    return {name: {"fields": one["fields"], "links": {key: left for key, to in one["links"].items()
                                                      if (left := without(to, own))}}
            for name, one in objects.items() if name in kept}


def without(to, own):
    """A link without those left out; None if nothing is left."""
    if isinstance(to, list):
        return [other for other in to if other not in own] or None
    return None if to in own else to
