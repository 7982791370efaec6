"""docs/rules/2.6.7/functions.md is complete: every file; every function has a rule and a mark with its reason."""
import re
from collections import Counter
from pathlib import Path

import pytest

RULES = Path(__file__).resolve().parents[2] / "docs" / "rules"
FILES = ("mmap", "mremap", "mprotect", "mlock", "madvise", "fremap", "memory", "rmap", "prio_tree", "vmscan", "swap_state",
         "swapfile", "swap")
MARK = re.compile(r"(same|UNVERIFIED|outside|\*Departure\*: \w.+)(\W.*)?")
ID = r"[A-P]\d+[a-z]?"


def rows(text):
    """(file, functions, rules, mark) of each."""
    for section in text.split("\n## ")[1:]:
        title, _, body = section.partition("\n")
        for line in body.splitlines():
            if line.startswith("| ") and not line.startswith("| function "):
                functions, rules, mark = (cell.strip() for cell in line.strip("|").split("|"))
                yield title, functions.split(", "), rules.split(", "), mark


@pytest.fixture(scope="module")
def table():
    return list(rows((RULES / "2.6.7" / "functions.md").read_text(encoding="utf-8")))


@pytest.fixture(scope="module")
def known():
    texts = [path.read_text(encoding="utf-8") for path in RULES.rglob("*.md")]
    return {name for text in texts for name in re.findall(rf"^## ({ID})\. ", text, re.MULTILINE)}


def faults(row, known):
    _, functions, rules, mark = row
    yield from (f"no rule {rule}" for rule in rules if rule not in known)
    if not MARK.fullmatch(mark):
        yield f"no mark: {mark}"
    if not all(functions):
        yield "no function"


def test_every_function_has_a_rule_and_a_mark(table, known):
    assert not {tuple(row[1]): found for row in table if (found := list(faults(row, known)))}


def test_every_file_is_gone_through(table):
    assert {title for title, *_ in table} >= {f"mm/{name}.c" for name in FILES}


def test_no_function_has_two_rows(table):
    named = Counter((title, function) for title, functions, *_ in table for function in functions)
    assert not [twice for twice, n in named.items() if n > 1]


@pytest.mark.parametrize(("row", "fault"), [
    (("mm/mmap.c", ["f"], ["D8"], "same"), None),
    (("mm/mmap.c", ["f"], ["D8", "E1"], "*Departure*: it does less"), None),
    (("mm/mmap.c", ["f"], ["D8", "E99"], "same"), "no rule E99"),
    (("mm/mmap.c", ["f"], [""], "same"), "no rule "),
    (("mm/mmap.c", ["f"], ["D8"], "*Departure*"), "no mark: *Departure*"),
    (("mm/mmap.c", ["f"], ["D8"], "perhaps"), "no mark: perhaps"),
    (("mm/mmap.c", [""], ["D8"], "same"), "no function"),
])
def test_a_row_that_lacks_something_is_seen(known, row, fault):
    assert list(faults(row, known)) == ([fault] if fault else [])
