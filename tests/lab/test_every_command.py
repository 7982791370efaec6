"""All commands x {pipe, closed streams, full disk, another user, bad input}: how they end, and what they must say.

A row is (arguments, streams, status, said): streams as zygote.py has them, said on either stream, or nothing on both: None.
"""
import json
import os
import re
import shlex
import tempfile
from pathlib import Path

import pytest

import rmapcore
from recordings import GOOD
from zygote import zygote

NOBODY = 65534
CASE = {"id": "a", "steps": [{"op": "munmap", "proc": "p0", "at": 0, "len": 1}]}
COMPARE = "compare swapout --pages 64 --scheme anonmm"
REPLAY = "replay r --scheme anonmm"
REPRODUCE = "reproduce 8 --set children=5"
HUNT = "hunt anonmm --programs 1 --jobs 1"
CAPTURE = "capture --tool strace -o c -- true"
BENCH = "bench --pages 64 --rounds 1 --scheme anonmm"
EXPLAIN = "explain case.jsonl --scheme anonmm"
SHORT = [COMPARE, REPLAY, "replay r --check", REPRODUCE, "verify case.jsonl", HUNT, EXPLAIN, "diff a.json b.json", "schemes",
         "workloads"]
DISK = "/dev/full: No space left on device"

PIPE = [
    ("compare - --scheme anonmm", {"stdin": "r"}, 0, "-\nrecording:  "),
    ("replay - --scheme anonmm", {"stdin": "r"}, 0, "-\nrecording:  "),
    ("replay /dev/stdin --check", {"stdin": "r"}, 0, "/dev/stdin\nrecording:  "),
    ("verify /dev/stdin", {"stdin": "case.jsonl"}, 0, "/dev/stdin "),
    ("verify - case.jsonl", {"stdin": "case.jsonl"}, 0, " -  "),
    ("explain - --scheme anonmm", {"stdin": "r"}, 0, "digraph"),
    ("diff /dev/stdin b.json", {"stdin": "a.json"}, 0, "forks.count"),
    ("diff - b.json", {"stdin": "a.json"}, 0, "forks.count"),
    *[(command, {"stdout": "gone"}, 141, None) for command in SHORT],
    (CAPTURE, {"stdout": "gone"}, 0, "c: "),
]
CLOSED = [
    *[(command, {"stdout": "closed"}, 0, None) for command in SHORT],
    *[(command, {"stdout": "closed", "stderr": "closed", "stdin": "closed"}, 0, None) for command in SHORT],
    *[(f"{command} --json -", {"stdout": "closed"}, 0, None) for command in SHORT],
    ("compare nosuch", {"stdout": "closed"}, 2, "neither a file nor a workload"),
    ("compare - --scheme anonmm", {"stdin": "closed"}, 2, "rmapcore: -: the file is empty"),
    (CAPTURE, {"stdout": "closed", "stderr": "closed"}, 0, None),
    (f"{BENCH} --json -", {"stdout": "closed", "stderr": "closed"}, 0, None),
]
FULL = [
    *[(command, {"stdout": "full"}, 2, "rmapcore: No space left on device\n") for command in SHORT],
    *[(f"{command} --json /dev/full", {}, 2, DISK) for command in SHORT],
    *[(command, {"stderr": "full"}, 0, "") for command in SHORT],
    (f"{COMPARE} --json /dev/full", {}, 2, " anonmm "),        # what was finished is shown all the same
    (f"{COMPARE} --flame /dev/full", {}, 2, "\n anonmm "),
    (f"{COMPARE} --trace-events /dev/full", {}, 2, "\n anonmm "),
    (f"{REPLAY} --flame /dev/full --json /dev/full", {}, 2, "\n MMAP "),
    (f"{COMPARE} --report full.html", {}, 2, "\n anonmm "),
    ("diff a.json b.json --report full.html", {}, 2, "forks.count"),
    (f"{EXPLAIN} -o full.dot", {}, 2, "no page is mapped"),
    (f"{EXPLAIN} -o full.dot --json -", {}, 2, '"program"'),
    ("verify case.jsonl --json /dev/full", {}, 2, "case.jsonl "),
    ("diff a.json b.json --json /dev/full", {}, 2, "forks.count"),
    (CAPTURE, {"stderr": "full"}, 0, None),
    ("capture --tool strace --json /dev/full -o c -- true", {}, 2, "c: "),
    ("capture --tool strace -o /dev/full -- true", {}, 2, DISK),
]
OTHER = [
    ("schemes --json /dev/stdout", {}, 0, "anonmm"),
    ("schemes --json j", {}, 2, "rmapcore: j: Permission denied"),
    ("workloads --json j", {}, 2, "rmapcore: j: Permission denied"),
    (f"{COMPARE} --json j", {}, 2, "rmapcore: .: Permission denied"),
    (f"{COMPARE} --report j.html", {}, 2, "Permission denied"),
    (f"{COMPARE} --flame j", {}, 2, "Permission denied"),
    ("compare secret", {}, 2, "rmapcore: secret: Permission denied"),
    ("replay secret --scheme anonmm", {}, 2, "rmapcore: secret: Permission denied"),
    ("replay secret --check", {}, 2, "rmapcore: secret: Permission denied"),
    (f"{REPLAY} --trace-events j", {}, 2, "Permission denied"),
    (f"{REPRODUCE} --json j", {}, 2, "Permission denied"),
    ("verify secret", {}, 2, "rmapcore: secret: Permission denied"),
    ("verify case.jsonl --random 1 --steps 5 --directory ./", {}, 2, "rmapcore: .: Permission denied"),
    (f"{HUNT} --directory .", {}, 2, "rmapcore: .: Permission denied"),
    ("capture -o j -- true", {}, 2, "Permission denied"),
    ("capture -o /dev/null --pid 1", {}, 2, "process 1: reading its memory is not allowed; run as its user or as root"),
    (f"{BENCH} --json j", {}, 2, "Permission denied"),
    ("bench --trace secret", {}, 2, "rmapcore: secret: Permission denied"),
    ("bench --against secret", {}, 2, "rmapcore: secret: Permission denied"),
    ("explain secret --scheme anonmm", {}, 2, "rmapcore: secret: Permission denied"),
    (f"{EXPLAIN} -o j.dot", {}, 2, "Permission denied"),
    ("diff a.json secret", {}, 2, "rmapcore: secret: Permission denied"),
    ("diff a.json b.json --report j.html", {}, 2, "Permission denied"),
]
BAD = [
    ("compare bad", {}, 2, "rmapcore: bad:1: "),
    ("compare .", {}, 2, "rmapcore: .: "),
    ("compare swapout --cpus none", {}, 2, "--cpus 'none'"),
    (f"{COMPARE} --cpus 2 --cost ptes_trie=5", {}, 2, "did you mean ptes_tried or "),
    (f"{COMPARE} --cpus 2 --cost zzz=5", {}, 2, "docs/locks.md"),
    (f"{COMPARE} --report x.pdf", {}, 2, "the name must end in .html, .png, .svg"),
    ("replay bad --check", {}, 2, "rmapcore: bad:1: "),
    ("replay bad --scheme anonmm", {}, 2, "rmapcore: bad:1: "),
    ("reproduce 99", {}, 2, "'99'"),
    ("reproduce 8 --set children=-1", {}, 2, "children"),
    ("verify bad", {}, 2, "rmapcore: bad"),
    ("verify nosuch", {}, 2, "rmapcore: nosuch: No such file or directory"),
    ("hunt nosuch", {}, 2, "'nosuch'"),
    ("hunt anonmm --cost x", {}, 2, "--cost 'x'"),
    ("capture -o c", {}, 2, "command"),
    ("capture -o c -- ./nosuch", {}, 2, "nosuch"),
    ("bench --pages x", {}, 2, "'x'"),
    ("bench --against bad", {}, 2, "rmapcore: bad: this is no JSON"),
    ("explain bad --scheme anonmm", {}, 2, "rmapcore: bad"),
    (f"{EXPLAIN} --at 9", {}, 2, "9"),
    ("diff bad a.json", {}, 2, "rmapcore: bad: this is no JSON"),
    ("diff a.json b.json --report x.pdf", {}, 2, "the name must end in "),
    ("schemes more", {}, 2, "more"),
    ("workloads --json", {}, 2, "--json"),
]


@pytest.fixture(scope="module")
def place():
    """A folder that others can look into, and write nothing in."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "r").write_bytes(GOOD.text())
        (folder / "bad").write_bytes(b"nothing of the kind\n")
        (folder / "case.jsonl").write_text(json.dumps(CASE))
        (folder / "secret").touch(0)
        for name in ("full.dot", "full.html"):
            (folder / name).symlink_to("/dev/full")
        rmapcore.compare("swapout", ["anonmm", "anon_vma"], pages=64, processes=3).save(folder / "a.json")
        rmapcore.compare("swapout", "anonmm", pages=64, processes=4).save(folder / "b.json")
        yield folder


@pytest.fixture(scope="module")
def ask():
    with zygote() as function:
        yield function


def check(ask, place, row, **more):
    arguments, streams, status, said = row
    answer = ask(arguments=shlex.split(arguments), folder=str(place), **streams, **more)
    text = answer["out"] + answer["err"]
    assert answer["status"] == status, text
    assert text == "" if said is None else said in text
    if status == 2:
        assert len(re.findall("^rmapcore( [a-z]+)?: ", answer["err"], re.MULTILINE)) == 1 and answer["err"].endswith("\n")


def rows(table):
    return pytest.mark.parametrize("row", table, ids=[" ".join([row[0], *row[1].values()]) for row in table])


@rows(PIPE)
def test_pipe(row, ask, place):
    check(ask, place, row)


@rows(CLOSED)
def test_closed(row, ask, place):
    check(ask, place, row)


@rows(FULL)
def test_full_disk(row, ask, place):
    check(ask, place, row)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes another user")
@rows(OTHER)
def test_another_user(row, ask, place):
    check(ask, place, row, user=NOBODY)


@rows(BAD)
def test_bad_input(row, ask, place):
    check(ask, place, row)
