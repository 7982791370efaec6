"""docs/rules/6.18/inherited.md: every rule has a row, what a row names is there, a case fails where its rule is broken.

The rule is broken in the twin (tests/mutations.py). test_twin_cases.py runs the cases where nothing is broken, and
`rmapcore verify --live` on a kernel.
"""
import re
import signal
from functools import partial
from pathlib import Path

import pytest

from mutations import MUTATIONS, mutate
from rmapcore.verify.case import load
from rmapcore.verify.emulator import Emulator
from rmapcore.verify.run import PASS, run
from twin_subject import Twin

ROOT = Path(__file__).resolve().parents[2]
RULES = ROOT / "docs" / "rules"
ID = r"Q?[A-P]\d+[a-z]?"
HEADING = re.compile(rf"^## ({ID})\. ", re.MULTILINE)
ROW = re.compile(rf"^\| ({ID})((?: [^|]*)?) \| ([^|]+) \| ([^|]+) \| ([^|]*) \|$", re.MULTILINE)
VERDICT = re.compile(r"same|different: Q[A-K]\d+[a-z]?(?:, Q[A-K]\d+[a-z]?)*|not in 6\.18|emulation only")
SECONDS = 20                               # a broken rule may make the twin run on


def cases():
    return {case.id: case for path in sorted((ROOT / "tests" / "data" / "cases").glob("*.jsonl")) for case in load(path)}


def rows(text):
    """{first column: (rule, what 6.18 does, names of cases, paths of tests, the last column)}."""
    found = {}
    for rule, part, _, verdict, shown in ROW.findall(text):
        assert rule + part not in found, f"{rule + part} has two rows"
        found[rule + part] = rule, verdict, re.findall(r"`([\w/]+)`", shown), re.findall(r"tests/\S+\.py", shown), shown
    return found


@pytest.fixture(scope="module")
def text():
    return (RULES / "6.18" / "inherited.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def known():
    return cases()


TABLE = rows((RULES / "6.18" / "inherited.md").read_text(encoding="utf-8"))
SHOWN = {name: row for name, row in TABLE.items() if row[2]}


class Unchecked(Twin):
    """A twin whose own invariants a broken rule may break: what counts is what the case says."""

    def check(self):
        """Nothing."""


def test_every_line_is_a_row(text):
    lines = [line for line in text.splitlines() if line.startswith("| ") and not line.startswith("| rule |")]
    assert len(lines) == len(TABLE)


def test_every_rule_has_a_row():
    there = {name for folder in ("machine", "2.6.7", "schemes") for path in (RULES / folder).glob("*.md")
             for name in HEADING.findall(path.read_text(encoding="utf-8"))}
    assert len(there) > 80
    assert {row[0] for row in TABLE.values()} == there


def test_rows_say_what_holds_and_how_it_was_shown(known):
    for name, (_, verdict, shown, tests, column) in TABLE.items():
        assert VERDICT.fullmatch(verdict), name
        if verdict in ("not in 6.18", "emulation only"):
            assert not column.strip(), name
        else:
            assert shown or tests or column == "UNVERIFIED", name
        assert all(case in known for case in shown), (name, shown)
        assert all((ROOT / test).is_file() for test in tests), (name, tests)


def test_rules_that_are_different_are_there():
    there = {name for path in (RULES / "6.18").glob("*.md") for name in HEADING.findall(path.read_text(encoding="utf-8"))}
    named = {rule for _, verdict, *_ in TABLE.values() for rule in re.findall(rf"\b{ID}\b", verdict)}
    assert named <= there


def test_what_a_case_shows_can_be_broken():
    assert MUTATIONS.keys() == SHOWN.keys()


@pytest.mark.parametrize("name", SHOWN)
def test_a_case_fails_where_the_rule_is_broken(name, known, monkeypatch):
    """A twin that breaks down over it, or runs on, fails too."""
    mutate(monkeypatch, name)
    passed = [case for case in SHOWN[name][2] if outcome(known[case], Unchecked) == PASS]
    assert not passed


@pytest.mark.parametrize("name", [name for name, row in SHOWN.items() if row[1].startswith("different")])
def test_a_case_of_a_different_rule_tells_the_kernels_apart(name, known):
    passed = [case for case in SHOWN[name][2] if outcome(known[case], partial(Emulator, kernel="2.6.7")) == PASS]
    assert not passed


def outcome(case, subject):
    def late(*_):
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(SECONDS)
    try:
        return run(case, subject).outcome
    except Exception as error:             # of whatever kind: the twin is broken on purpose
        return repr(error)
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def test_a_case_passes_where_it_is_not(known):
    assert outcome(known["merge/adopted_after"], Unchecked) == PASS


def test_a_row_is_read():
    line = "| E1 the order | of these | different: QE1, QE2 | `mmap/errors`, tests/linux/test_lists.py |"
    assert rows(line) == {"E1 the order": ("E1", "different: QE1, QE2", ["mmap/errors"], ["tests/linux/test_lists.py"],
                                           "`mmap/errors`, tests/linux/test_lists.py")}
