"""The tool itself: which tests are asked, and how a source holds many mutants. It runs itself only where somebody calls it."""
import subprocess
from pathlib import Path

import pytest

from mutation import make, rooms, switch

ROOT = Path(__file__).resolve().parents[2]

TEXT = '''
def f(a, b):
    c = a + b
    if a < b and b != 7:
        c += sum(x for x in range(a, b + 1))
    return c
'''


def test_there_are_tests_for_every_source():
    named = {test.partition("::")[0] for lists in rooms.TESTS.values() for tests in lists for test in tests}
    assert [test for test in named | set(rooms.WIDE) if not (ROOT / test).exists()] == []
    if not (ROOT / ".git").exists():
        pytest.skip("not a clone")
    listed = subprocess.run(["git", "ls-files", "pyx", "rmapcore"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    texts = {name: (ROOT / name).read_text() for name in listed.split() if name.endswith((".py", ".pyx", ".pxi", ".pxd"))}
    for room in rooms.ROOMS:
        for path, text in rooms.sources(room, texts).items():
            assert not any(make.mutants(path, text)) or rooms.tests_of(path), path
    inside = {path for room in rooms.ROOMS for path in rooms.sources(room, texts)}
    assert [path for path in texts if path not in inside and not path.startswith(rooms.LEFT_OUT)] == []


def test_a_number_chooses_the_mutant():
    mutants = dict(enumerate(make.mutants("f.py", TEXT), 1))
    text, held = switch.switched(TEXT, mutants)
    assert held == mutants.keys() and len(held) > 10

    def found(text, number):
        names = {switch.NAME: number}
        exec(text, names)
        try:
            return [names["f"](a, b) for a, b in ((1, 5), (5, 1), (2, 7), (3, 3))]
        except Exception as error:
            return type(error)
    assert found(text, 0) == found(TEXT, 0)
    for number, mutant in mutants.items():
        assert found(text, number) == found(mutant.applied(TEXT), 0), mutant.diff
