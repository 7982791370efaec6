"""Cases: how files of them are read, what is compared, what is said of a difference; and the cases themselves."""
import gzip
import json
from functools import partial
from pathlib import Path

import pytest

from reference import twin_of
from rmapcore.cli import main
from rmapcore.errors import ArenaFull, CaseError, OutOfMemory
from rmapcore.schemes import choose, registry
from rmapcore.verify.case import Case, load, repeated, rounds
from rmapcore.verify.emulator import Emulator
from rmapcore.verify.expect import check
from rmapcore.verify.run import SHARING, run
from rmapcore.verify.state import KINDS, Area, Page, ProcessState, difference, expanded, golden_form
from rmapcore.verify.subject import Subject
from rmapcore.verify.universal import LAZY

SCHEMES = registry()
DATA = Path(__file__).parent.parent / "data" / "cases"
CASES = load(DATA / "cases.jsonl") + load(DATA / "more.jsonl")     # the latter: recorded on Linux 6.18.44
GOLDEN = {path.name.partition(".")[0]: path for path in sorted(DATA.glob("*.json.gz"))}
OTHERS = sorted(SCHEMES.keys() - {"anon_vma_chain"})

MAP = {"op": "mmap", "proc": "p0", "at": 0, "len": 4, "prot": "rw"}
WRITE = {"op": "write", "proc": "p0", "at": 0, "len": 4, "value": 7}


def line(*steps, **fields):
    return json.dumps({"id": "one", "steps": [MAP, *steps], **fields})


def step(op, **fields):
    return {"op": op, "proc": "p0", "at": 0, "len": 1} | fields


MALFORMED = [
    ("{", "column 2"),
    ("[]", "[] is not an object"),
    ('{"id": "a", "id": "b"}', "'id' is given twice"),
    ('{"steps": []}', "no 'id'"),
    (line(exp={}), "unknown field 'exp'"),
    (line(step("mmao")), "unknown op 'mmao'"),
    (line({"proc": "p0"}), "no 'op'"),
    (line(step("munmap", proc="p7")), "process 'p7' does not exist"),
    (line({"op": "exit", "proc": "p0"}, step("munmap")), "process 'p0' has exited"),
    (line(step("munmap", at=-1)), "'at' is -1"),
    (line(step("munmap", at="L+1")), "no earlier step names 'L'"),
    (line(step("munmap", at="L")), "'at' is 'L'"),
    (line(step("munmap", len=1.5)), "'len' is 1.5"),
    (line(step("munmap", len=True)), "'len' is True"),
    (line(step("munmap", length=1)), "unknown field 'length' (1)"),
    (line({"op": "munmap", "proc": "p0", "at": 0}), "no 'len'"),
    (line(step("mprotect", prot="rr")), "'prot' is 'rr'"),
    (line({**MAP, "file": "F0", "pgoff": 0}), "file 'F0'"),
    (line({**MAP, "flags": ["huge"]}), "['huge']"),
    (line({**MAP, "share": "both"}), "'both'"),
    (line(step("madvise", advice="MADV_FREE")), "'MADV_FREE'"),
    (line({**MAP, "at": None, "hint": True}), "'hint' is without an address"),
    (line({**MAP, "hint": True, "replace": True}), "or with 'replace'"),
    (line({**MAP, "where": "T-1"}), "'where' is said of an address"),
    (line({**MAP, "at": None, "where": "L+1"}), "'where' is 'L+1'"),
    (line({**MAP, "as": "T"}), "the top of what the kernel places"),
    (line(step("mlock", err="EWRONG")), "'EWRONG'"),
    (line(step("mlock", err="FAULT")), "'FAULT'"),
    (line(step("write", value=256)), "'value' is 256"),
    (line({"op": "loop", "count": 0, "stride": 1, "steps": [MAP]}), "'count' is 0"),
    (line({"op": "loop", "count": 2, "stride": 1, "steps": [{"op": "nothing"}]}), "step 1 has an unknown op 'nothing'"),
    (line({"op": "fork", "proc": "p0", "child": "p0"}), "'p0' exists already"),
    (line({"op": "pin_read", "proc": "p0", "as": "P", "value": 1}), "nothing is pinned as 'P'"),
    (line({"op": "check", "expect": {"areas": {}}}), "unknown field 'areas'"),
    (line(expect={"vmas": {"p0": [[0, 1, "rw", "anon"]]}}), "'rw'"),
    (line(expect={"vmas": {"p0": [[3, 3, "rw-p", "anon"]]}}), "3 to 3 is no range"),
    (line(expect={"vmas": {"p0": [[0, 1, "rw-p", "F0"]]}}), "'F0'"),
    (line(expect={"pages": {"p0": [[0, 1, "huge"]]}}), "'huge'"),
    (line(expect={"pages": {"p0": [["N+0", "N+1", "anon"]]}}), "no step names the place 'N'"),
    (line(expect={"pages": {"p1": []}}), "process 'p1' does not exist"),
    (line(expect={"frames": [["p0", 0, "A", 0, True]]}), "remembered as 'A'"),
    (line(expect={"rss": {"p0": {"size": 1}}}), "'size'"),
    (line(expect={"flags": {"p0": [[0, ["xx"], []]]}}), "['xx']"),
    (line(expect={"same": [["p0", 1]]}), "'p0' is not [process, page]"),
    (line(expect={"objects": {"vma": "1"}}), "'1'"),
    (line(repeat={"count": [3, 2], "stride": 1}), "[3, 2]"),
    (line(files={"F0": -1}), "'F0' is -1"),
    (line(needs="swap"), "'swap'"),
    (line() + "\n" + line(), "also in line 2"),
    (line(step("munmap", at="L+" + "9" * 5000)), "'at' is 'L+999"),
    ('{"id": "a", "steps": [' + "9" * 5000 + "]}", "not JSON that can be read"),
    ('{"id": "a\\nb", "steps": []}', "'id' is 'a\\nb', which is not a text of one line"),
    ('{"id": "\\ud800", "steps": []}', "which is not a text of one line"),
]


@pytest.mark.parametrize(("text", "said"), MALFORMED, ids=[said for _, said in MALFORMED])
def test_malformed_cases_are_one_error_with_file_line_and_value(tmp_path, text, said):
    path = tmp_path / "x.jsonl"
    path.write_text(line().replace("one", "first") + "\n" + text + "\n")
    with pytest.raises(CaseError) as caught:
        load(path)
    assert said in str(caught.value) and "\n" not in str(caught.value)
    assert (caught.value.file, caught.value.line) == (str(path), 3 if "also" in said else 2)


@pytest.mark.parametrize(("name", "content", "said"), [
    ("x.json", b'{"steps": [], "snaps": [{"after": 3, "state": {}}]}', "'after' is 3"),
    ("x.json", b'{"steps": [], "snaps": [{"after": 0, "state": {"p0": {"vmas": [[0, 1]], "pages": []}}}]}', "[0, 1]"),
    ("x.json", b'{"steps": [], "snaps": [{"after": 0, "state": {"p0": {"vmas": [], "pages": [[0, 0, "a", 1, 0]]}}}]}',
     "[0, 0, 'a', 1, 0]"),
    ("x.json", b'{"steps": [],\n"snaps": [}', ":2: is not JSON at column 11"),
    ("x.json.gz", gzip.compress(b"{}", mtime=0)[:-4], "damaged"),
    ("x.json.gz", b"\x1f\x8bno", "damaged"),
    ("x.json", b"\xff", "not UTF-8 at byte 0"),
    ("x.jsonl", b"\n", "holds no case"),
    ("x.txt", b"", "neither"),
])
def test_damaged_files(tmp_path, name, content, said):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(CaseError, match=r"x\.(json|txt)") as caught:
        load(path)
    assert said in str(caught.value)


# states

def state_of(recorded):
    """A state with frame and slot numbers of its own, from a recorded one."""
    state = {}
    for name, facts in recorded.items():
        pages = {}
        for page, (code, mapcount, number) in expanded(facts["pages"]).items():
            kind = KINDS[code]
            there = kind not in ("zero", "guard")
            pages["", page] = Page(kind, (number + 7) * 3 if there and kind != "swapped" else None,
                                   number + 100 if kind == "swapped" else None, mapcount)
        areas = [Area(*row[:4], row[4] if len(row) > 4 else None) for row in facts["vmas"]]
        state[name] = ProcessState(areas, pages, {})
    return state


@pytest.mark.parametrize("name", GOLDEN)
def test_golden_form_is_the_recorded_form(name):
    (case,) = load(GOLDEN[name])
    assert case.snaps
    for recorded in case.snaps.values():
        assert golden_form(state_of(recorded)) == recorded


def one(runs, areas=()):
    return {"p0": {"vmas": [list(area) for area in areas], "pages": runs}}


@pytest.mark.parametrize(("here", "there", "texts"), [
    (one([[0, 3, "a", 1, 0]]), one([[0, 1, "a", 1, 0], [1, 1, "a", 2, 1], [2, 1, "a", 1, 2]]),
     ["p0 page 1: anon mapcount 1 here, anon mapcount 2 recorded"]),
    # a page too many shifts all classes behind it, and is still one difference
    (one([[0, 9, "a", 1, 0]]), one([[1, 8, "a", 1, 0]]), ["p0 page 0: anon mapcount 1 here, none recorded"]),
    (one([[0, 2, "a", 2, 0], [2, 2, "a", 2, 0]]), one([[0, 2, "a", 2, 0], [2, 1, "a", 2, 1], [3, 1, "a", 2, 0]]),
     ["p0 page 2: in one frame with p0 page 0 here only", "p0 page 3: in one frame with p0 page 1 here only"]),
    (one([[0, 1, "w", 0, 0], [1, 1, "w", 0, 1]]), one([[0, 1, "w", 0, 0], [1, 1, "w", 0, 0]]),
     ["p0 page 1: in one slot with p0 page 0 recorded only"]),
    (one([[0, 2, "z", 0, -1]]), one([[0, 2, "w", 0, 0]]), ["p0 pages 0-1: zero here, swapped recorded"]),
    (one([]), {"p0": one([])["p0"], "p1": one([])["p0"]}, ["p1 is alive recorded only"]),
    (one([], [(0, 4, "rw-s", "F0", 0)]), one([], [(0, 4, "rw-s", "F0", 1)]),
     ["p0 areas: 0-4 rw-s F0 from 0 here, 0-4 rw-s F0 from 1 recorded"]),
])
def test_differences_are_told_page_by_page(here, there, texts):
    assert difference(here, there) == texts


def test_borders_between_equal_areas_are_not_universal():
    split = one([], [(0, 2, "rw-p", "anon"), (2, 4, "rw-p", "anon"), (4, 6, "rw-s", "F0", 1), (6, 8, "rw-s", "F0", 3)])
    whole = one([], [(0, 4, "rw-p", "anon"), (4, 8, "rw-s", "F0", 1)])
    shifted = one([], [(0, 4, "rw-p", "anon"), (4, 6, "rw-s", "F0", 1), (6, 8, "rw-s", "F0", 4)])
    assert difference(split, whole) and not difference(split, whole, universal=True)
    assert difference(split, shifted, universal=True)


# expectations

SEEN = {
    "p0": ProcessState([Area(0, 4, "rw-p", "anon", None, frozenset({"ac", "lo"})), Area(0, 2, "rw-s", "shm", 0, place="L")],
                       {("", 0): Page("anon", 11, None, 2), ("", 1): Page("swapped", None, 5),
                        ("L", 0): Page("shmem", 12, None, 1)},
                       {"rss": 2, "anon": 1, "swap": 1, "locked": 0}),
    "p1": ProcessState([], {("", 0): Page("anon", 11, None, 2)}, {"rss": 1, "anon": 1, "swap": 0, "locked": 0}),
}
HOLDS = {
    "vmas": {"p0": [[0, 4, "rw-p", "anon"], ["L+0", "L+2", "rw-s", "shm"]]},
    "pages": {"p0": [[0, 1, "anon", 2], [1, 2, "swapped"], [2, 4, "none"], ["L+0", "L+1", "shmem", 1]]},
    "same": [[["p0", 0], ["p1", 0]]],
    "differ": [[["p0", 0], ["p0", 1], ["p0", "L+0"]]],
    "frames": [["p0", 0, "A", 1, True], ["p0", "L+0", "A", 1, False]],
    "rss": {"p0": {"rss": 2, "swap": 1}},
    "flags": {"p0": [[3, ["lo"], ["nr"]]]},
    "objects": {"vma": 2, "avc": 0},
}
FAILS = [
    ({"vmas": {"p0": [[0, 4, "rw-p", "anon"]]}}, "areas"),
    ({"vmas": {"p0": [[0, 4, "rw-p", "anon"], ["L+0", "L+2", "rw-s", "shm", 1]]}}, "areas"),
    ({"pages": {"p0": [[0, 1, "anon", 1]]}}, "p0 page 0 anon mapcount 2 here, anon mapcount 1 expected"),
    ({"pages": {"p0": [[0, 2, "anon"]]}}, "p0 page 1 swapped here, anon expected"),
    ({"pages": {"p0": [["L+0", "L+2", "shmem"]]}}, "p0 page L+1 none here, shmem expected"),
    ({"same": [[["p0", 0], ["p0", 1]]]}, "different frames"),
    ({"same": [[["p0", 0], ["p0", 3]]]}, "has no frame"),
    ({"differ": [[["p0", 0], ["p1", 0]]]}, "in one frame"),
    ({"frames": [["p0", 0, "A", 0, True]]}, "not in the frame"),
    ({"frames": [["p0", 0, "A", 1, False]]}, "should not be"),
    ({"frames": [["p0", 0, "A", 2, True]]}, "A holds 2 frames"),
    ({"rss": {"p0": {"locked": 1}}}, "p0 locked 0 pages here, 1 expected"),
    ({"flags": {"p0": [[3, ["nr"], []]]}}, "area flags ac lo here, nr expected"),
    ({"flags": {"p0": [[3, [], ["ac"]]]}}, "not ac"),
    ({"flags": {"p0": [[9, [], []]]}}, "in no area"),
    ({"objects": {"avc": 1}}, "0 avc here, 1 expected"),
    ({"pages": {"p2": []}}, "p2 expected, not alive"),
]
AROUND = {"remembered": {"A": [None, ("frame", 11)]}, "objects": {"vma": 2, "anon_vma": 1, "avc": 0},
          "origin": {"": 0, "L": 1000}.__getitem__}


def test_every_kind_of_expectation_that_holds():
    assert check(HOLDS, SEEN, **AROUND) == []


@pytest.mark.parametrize(("expect", "said"), FAILS, ids=[said for _, said in FAILS])
def test_every_kind_of_expectation_that_does_not_hold(expect, said):
    texts = check(expect, SEEN, **AROUND)
    assert len(texts) == 1 and said in texts[0]


# runs

class Counting(Subject):
    """Lets every step succeed, up to a certain number of them."""

    def __init__(self, files, most=99):
        super().__init__()
        self.steps, self.most = [], most

    def step(self, step):
        self.steps.append(step)
        return "ENOMEM" if len(self.steps) > self.most else None

    def observe(self):
        return {"p0": ProcessState([], {}, {})}

    def objects(self):
        return {"vma": 30 + sum(step["op"] == "mmap" for step in self.steps), "anon_vma": 7, "avc": 7}


LOOP = {"op": "loop", "count": 5, "stride": 8, "steps": [MAP, step("mremap", old=1, new=1, to=4, at=2)]}


def test_loops_shift_addresses_and_stop_at_the_first_error():
    shifts = [(first["at"], second["at"], second["to"]) for first, second in rounds(LOOP)]
    assert shifts == [(8 * n, 2 + 8 * n, 4 + 8 * n) for n in range(5)]
    subjects = []

    def make(files, most):
        subjects.append(Counting(files, most))
        return subjects[-1]

    assert run(Case("a", [LOOP]), partial(make, most=99)).outcome == "pass"
    verdict = run(Case("a", [LOOP]), partial(make, most=7))
    assert (verdict.outcome, verdict.step) == ("fail", 1) and "ENOMEM here, success expected" in verdict.reason
    assert run(Case("a", [{**LOOP, "err": "ENOMEM"}]), partial(make, most=7)).outcome == "pass"
    assert run(Case("a", [{**LOOP, "err": "ENOMEM"}]), partial(make, most=99)).outcome == "fail"
    assert [len(subject.steps) for subject in subjects] == [10, 8, 8, 10]


def test_repeated_steps_are_done_in_every_area_before_the_next_step():
    case = Case("a", [MAP, {"op": "fork", "proc": "p0", "child": "p1"}, WRITE], repeat={"count": [1, 3], "stride": 32},
                expect={"objects": {"vma": 1, "anon_vma": 0}})
    assert [(step["op"], step.get("at")) for step in repeated(case, 2)] == [
        ("mmap", 0), ("mmap", 32), ("fork", None), ("write", 0), ("write", 32)]
    assert run(case, Counting).outcome == "pass"
    wrong = run(Case("a", case.steps, repeat=case.repeat, expect={"objects": {"vma": 2}}), Counting)
    assert wrong.outcome == "fail" and "1 vma here, 2 expected" in wrong.reason


# the emulator as a subject

def bytes_case(*steps, files=None, err=None):
    return Case("a", [*steps] if err is None else [*steps[:-1], {**steps[-1], "err": err}], files or {})


SHARED_FILE = {**MAP, "len": 4, "share": "shared", "file": "F0", "pgoff": 2}
READ = {"op": "read", "proc": "p0", "at": 1, "len": 1}
CONTENTS = {
    "fresh memory is zero": bytes_case(MAP, {**READ, "len": 3, "value": 0}),
    "what was written": bytes_case(MAP, WRITE, {**WRITE, "at": 1, "len": 1, "value": 9}, {**READ, "value": 9}),
    "the last write counts": bytes_case(MAP, WRITE, {**WRITE, "value": 9}, {**READ, "value": 9}),
    "a file's bytes": bytes_case(SHARED_FILE, {**READ, "value": 4}, files={"F0": 6}),
    "a long file's bytes": bytes_case({**SHARED_FILE, "pgoff": 300}, {**READ, "value": 51}, files={"F0": 400}),
    "a memfd's bytes": bytes_case({**SHARED_FILE, "file": "M0"}, {**READ, "value": 4}, files={"M0": 6}),
    "a private copy's": bytes_case({**SHARED_FILE, "share": "private"}, WRITE, {**READ, "value": 7}, files={"F0": 6}),
    "the file keeps its own": bytes_case({**SHARED_FILE, "share": "private"}, WRITE, {**SHARED_FILE, "at": 8},
                                         {**READ, "at": 9, "value": 4}, files={"F0": 6}),
    "moved": bytes_case(SHARED_FILE, {"op": "mremap", "proc": "p0", "at": 1, "old": 2, "new": 2, "to": 20},
                        {**READ, "at": 20, "value": 4}, files={"F0": 6}),
    "cut off and grown again": bytes_case(SHARED_FILE, {"op": "truncate", "file": "F0", "pages": 3},
                                          {"op": "truncate", "file": "F0", "pages": 6}, {**READ, "value": 0},
                                          files={"F0": 6}),
    "beyond the end": bytes_case(SHARED_FILE, {**READ, "at": 0, "len": 4}, files={"F0": 4}, err="FAULT"),
    "a write that fails half-way": bytes_case(MAP, {**WRITE, "len": 5, "err": "FAULT"}, {**READ, "at": 3, "value": 7}),
}


@pytest.mark.parametrize("name", CONTENTS)
def test_contents_are_checked(name):
    case = CONTENTS[name]
    make = partial(Emulator, kernel="2.6.7", scheme="anon_vma")
    assert run(case, make).reason == ""
    last = case.steps[-1]
    if "value" in last:
        wrong = Case("a", [*case.steps[:-1], {**last, "value": last["value"] + 1}], case.files)
        assert f"read a byte other than {last['value'] + 1}" in run(wrong, make).reason


# the cases

@pytest.mark.parametrize("case", CASES, ids=[case.id for case in CASES])
def test_case(case):
    verdict = run(case, Emulator)
    if "ksm" in case.needs:
        assert (verdict.outcome, verdict.reason) == ("skipped", "KSM is not emulated")
    else:
        assert verdict.outcome == "pass", verdict.reason


@pytest.mark.parametrize("name", GOLDEN)
def test_golden_run(name):
    (case,) = load(GOLDEN[name])
    verdict = run(case, Emulator)
    assert verdict.outcome == "pass", verdict.reason


LEFT_OUT = {                           # why a scheme may be let off, beside areas that end elsewhere
    "anonmm": ("copied",), "anonmm_naive": ("copied",), "anon_vma_2_6_7": ("known fault",),
    "cow_context_2026_05": ("known fault",),
    "virtual_scan": ("cannot take one page out", "from those who have not locked it"),
}


@pytest.mark.parametrize("scheme", OTHERS)
def test_what_no_scheme_may_change(scheme):
    cases = [case for case in CASES if {"swap", "memcg"} & set(case.needs) or case.id.startswith(("merge/", "dontunmap/"))]
    cases += [load(GOLDEN[name])[0] for name in ("swap_6001_300", "reads_5001_300")]
    for case in cases:
        verdict = run(case, partial(Emulator, scheme=scheme), universal=True)
        if choose(scheme).sweeps and case.id in ("madvise/free", "drop/reclaim", "cold/free", "pageout/then_free"):
            assert (verdict.outcome, verdict.reason.partition(" to ")[0]) == ("skipped", "equal up")
            continue
        if case.id.startswith("free/shared_given_up"):         # whose entry a walk finds first is the scheme's affair
            assert verdict.outcome == "skipped" and ("finds first" in verdict.reason or choose(scheme).sweeps)
            continue
        assert verdict.outcome == "pass", f"{case.id}: {verdict.reason}"
        if SHARING in verdict.left_out and twin_of(scheme):        # of others nothing says what they may be let off
            assert any(why in verdict.left_out[SHARING] for why in LEFT_OUT[scheme])


AREAS = [(0, 4, "rw-p", "F0", 0), (4, 8, "rw-s", "F0", 4)]


@pytest.mark.parametrize(("here", "there", "same", "what"), [
    ([[0, 2, "z", 0, -1]], [], True, LAZY),
    ([[0, 1, "f", 2, 0], [4, 1, "f", 2, 0]], [[4, 1, "f", 1, 0]], True, LAZY),
    ([[0, 1, "f", 1, 0], [4, 1, "f", 2, 1]], [[4, 1, "f", 1, 0]], False, LAZY),      # another frame's mapcount
    ([[4, 1, "f", 1, 0]], [], False, None),                                           # of a shared area
    ([[0, 1, "a", 1, 0]], [], False, None),
    ([[0, 1, "z", 0, -1]], [[0, 1, "a", 1, 0]], False, None),
])
def test_pages_that_faults_bring_back_are_not_universal(here, there, same, what):
    left_out = {}
    assert (difference(one(here, AREAS), one(there, AREAS), universal=True, left_out=left_out) == []) is same
    assert set(left_out) == ({what} if what else set())
    assert difference(one(here, AREAS), one(there, AREAS))


@pytest.mark.parametrize(("here", "there", "same"), [
    ([[0, 2, "a", 1, 0]], [[0, 1, "a", 2, 0], [1, 1, "a", 2, 0]], True),             # two copies of what is shared
    ([[0, 1, "a", 2, 0], [1, 1, "a", 2, 0]], [[0, 2, "a", 1, 0]], False),            # shared where there are two
    ([[0, 1, "w", 0, 0]], [[0, 1, "a", 2, 0]], True),
    ([[4, 1, "f", 1, 0]], [], True),
    ([[0, 1, "a", 1, 0]], [], False),
])
def test_without_sharing(here, there, same):
    assert (difference(one(here, AREAS), one(there, AREAS), universal=True, sharing=False) == []) is same


# the command

CLI = ["verify", "--kernel", "2.6.7", "--scheme", "anon_vma"]


@pytest.fixture
def cases(tmp_path):
    def cases(*lines):
        path = tmp_path / "some.jsonl"
        path.write_text("".join(f"{text}\n" for text in lines))
        return str(path)
    return cases


def test_verify_says_what_passed_failed_and_was_left_out(cases, tmp_path, capsys):
    path = cases(line(WRITE, expect={"pages": {"p0": [[0, 4, "anon", 1]]}}),
                 line(WRITE, expect={"pages": {"p0": [[0, 4, "anon", 2]]}}).replace("one", "two"),
                 line({"op": "prctl", "proc": "p0", "memory_merge": 1}).replace("one", "three"),
                 line({**WRITE, "at": 2, "len": 2, "err": "FAULT"}, WRITE).replace("one", "four"))
    output = tmp_path / "out.json"
    assert main([*CLI, path, "--json", str(output)]) == 1
    records = json.loads(output.read_text())
    assert [(record["case"], record["emulator"], record["live"]) for record in records] == [
        ("one", "pass", None), ("two", "fail", None), ("three", "skipped", None), ("four", "fail", None)]
    assert all(record["file"] == path for record in records)
    assert "p0 pages 0-3 anon mapcount 1 here, anon mapcount 2 expected" in records[1]["reason"]
    assert records[3]["reason"].startswith("step 2 (write p0 at 2 len 2 value 7): success here, FAULT expected")
    out, err = capsys.readouterr()
    assert "two (anon_vma) FAILED" in out and "1  KSM is not emulated" in out and len(err.splitlines()) == 2
    assert main([*CLI, cases(line(WRITE))]) == 0


def test_bad_input_is_one_line_and_exit_2(cases, capsys):
    path = cases(line(WRITE))
    good = str(DATA / "cases.jsonl")
    for arguments, said in (([], "FILE"), ([good, path + "x"], "No such file"), ([good, "--scheme", "no"], "'no'"),
                            ([good, "--kernel", "1"], "'1'")):
        assert main([*(CLI[:1] if "--kernel" in arguments else CLI), *arguments]) == 2
        out, err = capsys.readouterr()
        assert out == "" and len(err.splitlines()) == 1 and said in err


def test_bad_lines_and_files_are_failures_and_the_others_run(cases, tmp_path, capsys):
    path = cases(line(WRITE), line(step("mmao")).replace("one", "two"), "{", line(WRITE).replace("one", "three"), line(WRITE))
    damaged = tmp_path / "damaged.json.gz"
    damaged.write_bytes(b"\x1f\x8bno")
    other = tmp_path / "other.jsonl"
    other.write_text(line(WRITE) + "\n")
    output = tmp_path / "out.json"
    assert main([*CLI, path, str(damaged), str(other), "--scheme", "pte_chain", "--json", str(output)]) == 2
    records = json.loads(output.read_text())
    assert [(record["file"], record["case"], record["scheme"], record["emulator"], record["live"]) for record in records] == [
        *((path, f"line {number}", None, "fail", None) for number in (2, 3, 5)),
        (str(damaged), "the whole file", None, "fail", None),
        *((path, name, scheme, "pass", None) for name in ("one", "three") for scheme in ("anon_vma", "pte_chain")),
        *((str(other), "one", scheme, "pass", None) for scheme in ("anon_vma", "pte_chain"))]
    out, err = capsys.readouterr()
    for at, said in ((2, "step 2 has an unknown op 'mmao'"), (3, "is not JSON at column 2"),
                     (5, "case 'one' is also in line 1")):
        assert f"rmapcore: {path}:{at}: {said}" in err and f"line {at} (cannot be used) FAILED" in out
    assert len(err.splitlines()) == 4 and "damaged.json.gz: the compressed file is damaged" in err
    rows = [row.split() for row in out.splitlines()]
    assert [" ".join(row[-4:]) for row in rows if row[1:3] == ["cannot", "be"] or row[1:2] == ["anon_vma"]] == [
        "3 0 3 0", "1 0 1 0", "2 2 0 0", "1 1 0 0"]


@pytest.mark.parametrize(("where", "raised", "said"), [
    ("step", KeyError("P1"), "step 2 (write p0 at 0 len 4 value 7): KeyError: 'P1' (test_verify.py:"),
    ("step", OutOfMemory("no frame is left"), "step 2 (write p0 at 0 len 4 value 7): OutOfMemory: no frame is left"),
    ("observe", IndexError("5\n6"), "step 3 (check): IndexError: 5 6 (test_verify.py:"),
    ("check", ZeroDivisionError("1/0"), "at the end: ZeroDivisionError: 1/0 (test_verify.py:"),
    ("close", OSError(16, "busy"), "at the end: OSError: [Errno 16] busy (test_verify.py:"),
    ("__init__", ArenaFull("areas"), "before step 1: ArenaFull: areas"),
])
def test_whatever_one_case_raises_fails_it_alone(where, raised, said):
    class Failing(Emulator):
        def step(self, step):
            return super().step(step) if step["op"] == "mmap" or where != "step" else self.fail()

        def fail(self, *_):
            raise raised

    if where != "step":
        setattr(Failing, where, Failing.fail)
    case = Case("one", [MAP, WRITE, {"op": "check", "expect": {}}])
    verdict = run(case, Failing)
    assert verdict.outcome == "fail" and verdict.reason.startswith(said) and "\n" not in verdict.reason


def test_a_case_too_large_for_the_machine_fails_alone(cases, capsys):
    path = cases(line(files={"M0": 1 << 18}), line(WRITE).replace("one", "two"))
    assert main([*CLI, path]) == 1
    out, _ = capsys.readouterr()
    assert "before step 1: OutOfMemory" in out and "two" not in out


def test_more_pins_than_are_emulated_are_no_error_of_the_kernel():
    pins = [{"op": "pin", "proc": "p0", "at": 0, "as": f"P{number}"} for number in range(9)]
    verdict = run(Case("many", [MAP, WRITE, *pins]), Emulator)
    assert (verdict.outcome, "QE13" in verdict.reason) == ("skipped", True)
