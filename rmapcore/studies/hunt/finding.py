"""A program that shows a fault, as small as it gets: what it does in a few words, and whether two show the same."""
from dataclasses import dataclass, replace

from rmapcore.lab.layout import figure
from rmapcore.studies.hunt.judge import Judge
from rmapcore.units import PAGE
from rmapcore.verify.c_program import source
from rmapcore.verify.python_program import Writer
from rmapcore.verify.run import step_text
from rmapcore.verify.script import line, observed_case
from rmapcore.verify.subject import Unsupported

TOUCHES = ("read", "write", "mlock", "fill", "pin")
PRESENT = ("populate", "locked")       # flags of an mmap that bring its pages in at once
UNFOUND = ("missed", "left")           # kinds of a mapping that a walk does not come to
COMES, COMES_NOT = "the walk comes to the address space, not to the page", "the walk does not come to the address space"


@dataclass
class Finding:
    """kind: a Kind, or what stands in its place.  case: the program.  faults: all there are at its end, of this kind first.

    number: of the random program that it was made from.  words: the calls in words, those that do the same in the same ones.
    walk: how far the walk comes that does not find its first fault's mapping, a sentence; "": there is no such walk.
    times: how many programs that were made smaller came to these calls, or to these and others.
    ratio: with --cost, how many times what the others take. failed: numbers of steps that fail.  seen: what another scheme,
    which loses nothing, shows at the end, as a file of cases has it.
    """

    kind: tuple
    case: object
    faults: list
    number: int
    words: tuple
    walk: str = ""
    times: int = 1
    ratio: float | None = None
    failed: tuple = ()
    seen: str = ""

    @property
    def wrong(self):
        """What is wrong in the walk: findings of one are told together, whatever the calls and the place."""
        return self.kind if self.kind.what == "dear" else (self.kind.what, self.kind.shared, self.walk)

    @property
    def extent(self):
        """What is to be small."""
        pages = sum(step.get(size, 0) for step in self.case.steps for size in ("len", "old", "new"))
        return len(self.words), pages, self.number

    def includes(self, other):
        """Whether the other program shows this kind of fault too, by calls that are all here in their order."""
        words = iter(self.words)
        return any(fault.kind == self.kind for fault in other.faults) and all(word in words for word in other.words)

    def sentence(self):
        """What is wrong at the end, in one line."""
        fault = self.faults[0]
        others = len(self.faults) - 1
        return fault.text + (f", and {others} more" if others else "")

    def calls(self):
        """The calls, a line each."""
        return [step_text(step) for step in self.case.steps]

    def python(self, scheme, kernel):
        """The program in Python, which ends with the walk of the page and what the page tables have."""
        fault = self.faults[0]
        heap = any(step["op"] == "brk" for step in self.case.steps) or (fault.page is None and fault.address is not None)
        described = replace(self.case, description=self.sentence())
        return Writer(described, scheme, kernel, heap).program(self.failed, self.question(fault))

    def question(self, fault):
        if fault.address is None:
            return ["machine.check()"]
        return [f"address = {fault.address:#x}", f'frame = {fault.process}.pagemap(address, 1)["pfn"]',
                'print("found through the scheme:", *machine.whomaps(frame)[1:])',
                'print("in the page tables:      ", *machine.mappings(frame)[1:])', "print(machine.crosscheck())"]

    def c(self):
        """The program in C, for the live kernel."""
        return source(replace(self.case, description=self.sentence()))

    def to_dict(self, scheme, kernel):
        """For the JSON."""
        ratio = None if self.ratio is None else float(figure(self.ratio).replace(",", ""))
        return {"kind": str(self.kind), "walk": self.walk, "what": self.sentence(), "calls": self.calls(),
                "program": self.number, "times": self.times, "ratio": ratio,
                "faults": [fault.to_dict() for fault in self.faults], "python": self.python(scheme, kernel),
                "case": self.seen, "c": self.c()}


def finding(case, kind, faults, make, reference, number):
    """The Finding of a case that shows faults at its end, of this kind among them.

    make, reference: functions of a case's files that make a subject, the latter of a scheme that loses nothing.
    """
    faults = sorted(faults, key=lambda fault: fault.kind != kind)
    words, failed, subject = spelled(case, make)
    case = replace(case, needs=needed(case))
    walk = came(subject, faults[0]) if kind.what in UNFOUND else ""
    return Finding(kind, case, faults, number, words, walk, failed=failed, seen=seen(case, reference, faults[0].text))


def came(subject, fault):
    """How far the walk of a fault's page comes towards its mapping; "" for one of no process of the program's."""
    process, machine = subject.processes.get(fault.process), subject.machine
    if process is None:
        return ""
    frame = int(process.pagemap(fault.address, PAGE)["pfn"][0])
    own = {("process", process.pid), *machine.structure()["process", process.pid]["links"]["areas"]}
    here = any(step.get("asked") in own or step.get("entry", (0,))[0] == process.pid for step in machine.walk(frame)["steps"])
    return COMES if here else COMES_NOT


def needed(case):
    """What of its needs a live kernel still has for a program."""
    reclaims = any(step["op"] == "reclaim" for step in case.steps)
    swaps = reclaims or any(step.get("advice") == "pageout" for step in case.steps)
    return tuple(need for need in case.needs if {"swap": swaps, "memcg": reclaims}[need])


def spelled(case, make):
    """(words, numbers of steps that fail, the subject at the end): the calls, with how many areas more or less each makes."""
    judge, words, failed = Judge(make(case.files)), [], []
    for number, step in enumerate(case.steps, 1):
        before = areas(judge.subject, step)
        judge.step(step)
        if judge.failure:
            failed.append(number)
        if judge.ended:
            return (*words, word(step)), tuple(failed), judge.subject
        change = areas(judge.subject, step) - before if step["op"] not in ("exit", "exec") else 0
        words.append(word(step) + (f" {'+' if change > 0 else '-'}" if change and step["op"] == "mremap" else ""))
        if step["op"] == "mmap" and not set(PRESENT).isdisjoint(step.get("flags", ())):
            words.append("touch")
    return tuple(words), tuple(failed), judge.subject


def areas(subject, step):
    process = subject.processes.get(step.get("proc"))
    return len(process.maps()) if process else 0


def word(step):
    op = step["op"]
    if op in TOUCHES or step.get("advice", "").startswith("populate"):
        return "touch"
    if op == "madvise":
        return "reclaim" if step["advice"] == "pageout" else step["advice"]
    if op == "brk":
        return "mmap"
    if op == "mremap":
        return "grow" if step["new"] > step["old"] else "shrink" if step["new"] < step["old"] else "mremap"
    return op


def seen(case, reference, text):
    """The line of a file of cases: the program, and what must be there at its end, as a scheme that loses nothing has it."""
    subject = reference(case.files)
    errors, wheres = [], []
    try:
        for step in case.steps:
            errors.append(subject.step(step))
            wheres.append(subject.where)
        return line(observed_case(case, errors, wheres, subject.observe(), text))
    except Unsupported as error:
        return line({"id": case.id, "source": case.source, "description": f"{text}; {error}", "needs": list(case.needs),
                     "files": case.files, "steps": case.steps})


def added(findings, new):
    """The findings with another one: it is passed over if it does what one of them does, and takes the place of those that do
    what it does and more."""
    for known in findings:
        if new.includes(known) and (new.words != known.words or known.extent <= new.extent):
            known.times += 1
            return findings, False
    longer = [known for known in findings if known.includes(new)]
    new.times += sum(known.times for known in longer)
    return [*(known for known in findings if known not in longer), new], not longer
