"""Cases: what some processes do and what must be seen of it, read from files and checked field by field.

A file of single cases (.jsonl) holds one object a line; a golden file (.json, .json.gz) holds one long run with the
complete observable state recorded every few steps. Steps stay the dicts they are in the file; `fields` knows them.

All pages are numbers relative to the window, a place at the same address in every process, or "NAME+page" relative to a
place that an earlier step named. A case that could never run (an unknown process, a name used before it is given, a file
that is not there) is refused when it is read, so that what fails later is a finding.
"""
import gzip
import json
import os
import zlib
from dataclasses import dataclass, field
from io import BytesIO
from typing import NamedTuple

from rmapcore.core.files import content_of
from rmapcore.errors import CaseError
from rmapcore.units import PAGE
from rmapcore.verify.fields import (
    HEAP,
    MAPPED_SHARE,
    MOST_NESTED,
    MOST_TOUCHED,
    REPEATED,
    TOP,
    Malformed,
    chosen_by_kernel,
    expectation,
    has_fields,
    holds,
    mapping,
    name,
    page_number,
    show,
    split_place,
    step_fields,
    steps,
    text,
    whole,
)

NAMED = {HEAP: "the heap", TOP: "the top of what the kernel places"}
ROOT = "p0"                            # the process that every case begins with
TOUCHES = ("read", "write", "fill", "remember")
MAPS = ("mmap", "mremap")
CODES = frozenset("afszkwg")           # of a run of pages in a recorded state
GZIP = b"\x1f\x8b"


class Limits(NamedTuple):
    """What a file may cost.  text: bytes that compressed text may unfold into.  work: of a case, steps with all rounds of its
    loops, and pages that they touch."""

    text: int = 1 << 28
    work: int = 1 << 26


LIMITS = Limits()


@dataclass(frozen=True)
class Case:
    """One case.

    id: its name.  steps: dicts, as in the file.  files: name -> pages; names with M are memfds, the others files on disk.
    needs: what a machine must have for it ("swap", "memcg", "ksm").  expect: what must hold at the end.
    repeat: None, or {"count": [a, b], "stride": pages}.  snaps: number of steps done -> recorded state of all processes.
    recorded: what the kernel said that the case was taken from: "pass", "fail", "skipped", or "".
    file, line: where it was read; line None for a whole file.
    """

    id: str
    steps: list
    files: dict = field(default_factory=dict)
    needs: tuple = ()
    expect: dict = field(default_factory=dict)
    repeat: dict | None = None
    snaps: dict = field(default_factory=dict)
    source: str = ""
    description: str = ""
    recorded: str = ""
    file: str | None = None
    line: int | None = None


def load_all(paths, limits=LIMITS):
    """([(path, Case)], [CaseError]) of several files in order: what of them can be used, and why the rest cannot. OSError."""
    cases, refused = [], []
    for path in map(os.fspath, paths):
        try:
            cases += [(path, case) for case in load(path, refused, limits)]
        except CaseError as error:
            refused.append(error)
    return cases, refused


def load(path, refused=None, limits=LIMITS):
    """The cases of a file, in order. CaseError with file and line for what cannot be used; OSError.

    Standard input ("-") and pipes, whose names say nothing, hold cases a line.
    refused: None, or a list that takes the errors of single lines; the others are read all the same.
    """
    path = os.fspath(path)
    content = content_of(path)
    if content.startswith(GZIP):
        try:
            with gzip.open(BytesIO(content)) as stream:
                content = stream.read(limits.text + 1)
            if len(content) > limits.text:
                raise CaseError(f"the compressed text is longer than {limits.text:,} bytes (max_text allows more)", path)
        except (OSError, EOFError, zlib.error) as error:
            raise CaseError(f"the compressed file is damaged: {error}", path) from None
    kind = path.removesuffix(".gz")
    if kind.endswith(".jsonl") or not os.path.isfile(path):
        return lines(path, content, refused, limits)
    if kind.endswith(".json"):
        return [golden(path, content, limits)]
    raise CaseError("is neither a file of cases (.jsonl) nor a recorded run (.json, .json.gz)", path)


def lines(path, content, refused, limits):
    """The cases of a .jsonl file, one a line; empty lines are passed over. refused: see `load`."""
    found = [(number, line) for number, line in enumerate(content.split(b"\n"), 1) if line.strip()]
    if not found:
        raise CaseError("holds no case", path)
    cases = {}
    for number, line in found:
        try:
            case = checked(path, number, single, parsed(path, number, line), limits)
            if case.id in cases:
                raise CaseError(f"case {show(case.id)} is also in line {cases[case.id].line}", path, number)
            cases[case.id] = case
        except CaseError as error:
            if refused is None:
                raise
            refused.append(error)
    return list(cases.values())


def golden(path, content, limits):
    """The run of a golden file."""
    return checked(path, None, recorded_run, parsed(path, None, content), limits)


def parsed(path, line, content):
    """JSON; CaseError says where it is broken. A name given twice in one object is an error, not the last one's value."""
    def pairs(items):
        keys = [key for key, _ in items]
        if len(set(keys)) < len(keys):
            raise Malformed(f"the field {show(next(key for key in keys if keys.count(key) > 1))} is given twice")
        return dict(items)

    try:
        return json.loads(content.decode("utf-8"), object_pairs_hook=pairs)
    except UnicodeDecodeError as error:
        raise CaseError(f"is not UTF-8 at byte {error.start}", path, line) from None
    except json.JSONDecodeError as error:
        at = line or error.lineno
        near = error.doc[error.pos:error.pos + 20].split("\n")[0]
        raise CaseError(f"is not JSON at column {error.colno}: {error.msg} ({show(near)})", path, at) from None
    except ValueError as error:        # a number of more digits than Python converts
        raise CaseError(f"is not JSON that can be read: {error}", path, line) from None
    except RecursionError:
        raise CaseError("is nested too deeply", path, line) from None
    except Malformed as error:
        raise CaseError(str(error), path, line) from None


def checked(path, line, make, data, limits):
    try:
        return make(data, path, line, limits)
    except Malformed as error:
        raise CaseError(str(error), path, line) from None


def single(data, path, line, limits):
    """A Case from the object of one line."""
    has_fields("the case", data, "id steps", "source description needs files repeat expect live")
    holds("'id'", data["id"], text)
    for key in ("source", "description", "live"):
        holds(f"{key!r}", data.get(key, ""), text)
    needs = data.get("needs", [])
    if not isinstance(needs, list) or not all(isinstance(need, str) for need in needs):
        raise Malformed(f"'needs' is {show(needs)}, which is not a list of names")
    repeat = data.get("repeat")
    if repeat is not None:
        has_fields("'repeat'", repeat, "count stride", "")
        count = repeat["count"]
        if (not isinstance(count, list) or len(count) != 2 or any(page_number(value) for value in count)
                or not 0 < count[0] < count[1]):
            raise Malformed(f"'repeat': 'count' is {show(count)}, which is not two rising numbers")
        holds("'repeat': 'stride'", repeat["stride"], whole(1, 1 << 32, "a number of pages"))
    case = Case(id=data["id"], steps=data["steps"], files=data.get("files", {}), needs=tuple(needs),
                expect=data.get("expect", {}), repeat=repeat, source=data.get("source", ""),
                description=data.get("description", ""), recorded=data.get("live", ""), file=path, line=line)
    validate(case, limits)
    return case


def recorded_run(data, path, line, limits):
    """A Case from the object of a golden file."""
    has_fields("the run", data, "steps snaps", "meta files")
    holds("'meta'", data.get("meta", {}), mapping)
    snaps = data["snaps"]
    if not isinstance(snaps, list):
        raise Malformed(f"'snaps' is {show(snaps)}, which is not a list")
    base = os.path.basename(path).removesuffix(".gz").removesuffix(".json")
    case = Case(id=str(data.get("meta", {}).get("name", base)), steps=data["steps"], files=data.get("files", {}),
                snaps={}, source=str(data.get("meta", {}).get("profile", "")), file=path, line=line)
    validate(case, limits)
    for number, snap in enumerate(snaps, 1):
        what = f"snap {number}"
        has_fields(what, snap, "after state", "")
        holds(f"{what}: 'after'", snap["after"], whole(0, len(case.steps), "a number of steps"))
        if snap["after"] in case.snaps:
            raise Malformed(f"{what}: 'after' is {snap['after']}, as in an earlier one")
        recorded_state(what, snap["state"], case.files)
        case.snaps[snap["after"]] = snap["state"]
    return case


def recorded_state(what, state, files):
    """Malformed unless a recorded state is one: {process: {"vmas": [...], "pages": [runs]}}."""
    holds(f"{what}: 'state'", state, mapping)
    for process, facts in state.items():
        where = f"{what}: {process}"
        has_fields(where, facts, "vmas pages", "")
        for key in ("vmas", "pages"):
            if not isinstance(facts[key], list):
                raise Malformed(f"{where}: {key!r} is {show(facts[key])}, which is not a list")
        for row in facts["vmas"]:
            good = (isinstance(row, list) and len(row) in (4, 5) and all(type(value) is int for value in row[:2] + row[4:])
                    and isinstance(row[2], str) and row[3] in ("anon", "shm", *files) and row[0] < row[1])
            if not good:
                raise Malformed(f"{where}: {show(row)} is not [start, end, protection, kind, offset]")
        for run in facts["pages"]:
            good = (isinstance(run, list) and len(run) == 5 and run[2] in CODES
                    and all(type(run[at]) is int for at in (0, 1, 3, 4)) and run[1] > 0)
            if not good:
                raise Malformed(f"{where}: {show(run)} is not [first, count, code, mapcount, class]")


class Names:
    """What a case has named so far: who may act, which places and frames there are. One walk through the steps in order."""

    def __init__(self, files):
        self.files = files
        self.living = {ROOT}
        self.known = {ROOT}
        self.places = set()
        self.frames = set()
        self.pins = set()

    def step(self, what, step):
        """Checks one step, and takes up what it names."""
        op = step["op"]
        what = f"{what} ({op})"
        if "proc" in step and step["proc"] not in self.living:
            raise Malformed(f"{what}: process {show(step['proc'])} "
                            f"{'has exited' if step['proc'] in self.known else 'does not exist'}")
        for key in ("at", "to"):
            if isinstance(step.get(key), str):
                self.place(f"{what}: {key!r}", split_place(step[key])[0], step[key])
        if step.get("hint") and (step.get("at" if op == "mmap" else "to") is None or step.get("replace")):
            raise Malformed(f"{what}: 'hint' is without an address, or with 'replace'")
        if "where" in step and not chosen_by_kernel(step):
            raise Malformed(f"{what}: 'where' is said of an address that the kernel has no choice of")
        if "file" in step and step["file"] not in self.files:
            raise Malformed(f"{what}: file {show(step['file'])} is not among the files of the case")
        if op == "fork":
            if step["child"] in self.living:
                raise Malformed(f"{what}: process {show(step['child'])} exists already")
            if "err" not in step:
                self.living.add(step["child"])
                self.known.add(step["child"])
        elif op == "exit":
            self.living.discard(step["proc"])
        elif op == "limit" and self.known != {ROOT}:
            raise Malformed(f"{what}: there are other processes; the first sets a limit for all of them before they are born")
        elif op == "brk":
            self.places.add(HEAP)
        elif op in ("mmap", "mremap") and "as" in step:
            if step["as"] in (HEAP, TOP):
                raise Malformed(f"{what}: 'as' is {show(step['as'])}, which is the name of {NAMED[step['as']]}")
            self.places.add(step["as"])
        elif op == "remember":
            self.frames.add(step["as"])
        elif op == "pin":
            self.pins.add(step["as"])
        elif op == "pin_read" and step["as"] not in self.pins:
            raise Malformed(f"{what}: nothing is pinned as {show(step['as'])}")
        elif op == "check":
            self.expectation(what, step["expect"])
        elif op == "loop":
            self.loop(what, step)

    def loop(self, what, step):
        """Twice shows what any number of rounds would."""
        for _ in range(min(step["count"], 2)):
            for number, inner in enumerate(step["steps"], 1):
                self.step(f"{what}, step {number}", inner)

    def place(self, what, named, value):
        if named not in self.places:
            raise Malformed(f"{what} is {show(value)}, and no earlier step names {named!r}")

    def expectation(self, what, expect):
        mentioned = expectation(what, expect, self.files)
        for process in sorted(mentioned["process"] - self.known):
            raise Malformed(f"{what}: process {show(process)} does not exist")
        for named in sorted(mentioned["frames"] - self.frames):
            raise Malformed(f"{what}: no frames are remembered as {show(named)}")
        for named in sorted(mentioned["place"] - self.places):
            raise Malformed(f"{what}: no step names the place {show(named)}")


def validate(case, limits):
    """Malformed for a case that could not be run or compared: unknown fields, values, processes, names."""
    holds("'files'", case.files, mapping)
    for file, pages in case.files.items():
        holds("'files': the name", file, name)
        most = 0 if file.startswith("Z") else MOST_TOUCHED
        holds(f"'files': {file!r}", pages, whole(0, most, "a number of pages"))
        if file in ("anon", "shm"):
            raise Malformed(f"'files': a file cannot be named {file!r}")
    holds("'steps'", case.steps, lambda value: None if value == [] else steps(value))
    names = Names(case.files)
    for number, step in enumerate(case.steps, 1):
        fields_of(f"step {number}", step)
        names.step(f"step {number}", step)
    times = case.repeat["count"][1] if case.repeat else 1
    if (work := times * sum(map(work_of, case.steps))) > limits.work:
        raise Malformed(f"'steps' come to {work:,} with all rounds and the pages that they touch, more than {limits.work:,} "
                        "(max_work allows more)")
    names.expectation("'expect'", case.expect)


def fields_of(what, step, nested=0):
    """step_fields of a step and of those inside it."""
    step_fields(what, step)
    if step["op"] == "loop" and nested == MOST_NESTED:
        raise Malformed(f"{what} is a loop in {MOST_NESTED} others, the most there may be")
    pages = pages_of(step)
    if step["op"] in TOUCHES and pages > MOST_TOUCHED:
        raise Malformed(f"{what} ({step['op']}) is about {pages:,} pages, more than {MOST_TOUCHED:,}")
    for number, inner in enumerate(step["steps"] if step["op"] == "loop" else (), 1):
        fields_of(f"{what} (loop), step {number}", inner, nested + 1)


def pages_of(step):
    """How many pages a step is about."""
    return -(-step["len_bytes"] // PAGE) if "len_bytes" in step else step.get("len", step.get("new", 1))


def work_of(step):
    """How long a step takes, in steps and pages touched."""
    if step["op"] == "loop":
        return step["count"] * sum(map(work_of, step["steps"]))
    if step["op"] in TOUCHES:
        return 1 + pages_of(step)
    return 1 + (pages_of(step) // MAPPED_SHARE if step["op"] in MAPS and "err" not in step else 0)


def shifted(step, pages):
    """A step with every address moved up by so many pages."""
    if not pages:
        return step
    changed = {key: moved(step[key], pages) for key in ("at", "to") if step.get(key) is not None}
    if step["op"] == "loop":
        changed["steps"] = [shifted(inner, pages) for inner in step["steps"]]
    return {**step, **changed}


def moved(at, pages):
    named, page = split_place(at)
    return f"{named}+{page + pages}" if named else page + pages


def rounds(step):
    """The rounds of a loop: lists of steps, shifted."""
    for number in range(step["count"]):
        yield [shifted(inner, number * step["stride"]) for inner in step["steps"]]


def repeated(case, count):
    """The steps of a case with `repeat` for so many areas: each memory step in every area before the next step."""
    stride = case.repeat["stride"]
    for step in case.steps:
        for number in range(count if step["op"] in REPEATED else 1):
            yield shifted(step, number * stride)
