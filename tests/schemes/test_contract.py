"""The contract test: schemes that keep it pass, and broken ones are told. Everything follows from the arguments."""
from pathlib import Path

import pytest

import rmapcore
from everyone import Everyone
from rmapcore.schemes import newest, registry

FILE = Path(__file__).parent.parent / "everyone.py"
SCHEMES = registry()


@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_scheme(scheme):
    """Known faults are found, and are no problem."""
    found = rmapcore.check_scheme(scheme, programs=6, seed=3)
    assert found.ok, found.problems
    assert found.programs + sum("sweeps" in note for note in found.notes) == 6 and found.frames > 1000
    assert bool(SCHEMES[scheme].defects) or not any("(frame" in note for note in found.notes)


def test_known_faults_are_findable():
    assert any("(frame" in note for note in rmapcore.check_scheme("anon_vma_2_6_7", programs=4).notes)


@pytest.mark.parametrize("scheme", [f"{FILE}:Everyone", f"{FILE}:Patient:tries=2", Everyone, Everyone()])
def test_schemes_of_somebody_elses(scheme):
    found = rmapcore.check_scheme(scheme, programs=4)
    assert found.ok and found.steps == 800 and ("Everyone" in repr(found) or "Patient" in repr(found))


def test_the_same_for_the_same_arguments():
    one, other, third = (rmapcore.check_scheme("anonmm", programs=2, seed=seed) for seed in (1, 1, 2))
    assert one == other and one.frames != third.frames


def broken(base, hook, answer=None):
    """A class of `base` with one hook that does nothing, or says what it is told."""
    def __init__(self):
        rmapcore.Prototype.__init__(self, SCHEMES[base].load()())

    return type("Broken", (rmapcore.Prototype,), {"__init__": __init__, hook: lambda self, *arguments: answer,
                                                  "file_rmap": SCHEMES[base].files})


@pytest.mark.parametrize(("base", "hook", "answer"), [
    ("pte_chain", "pages_forked", None), ("pte_chain", "page_moved", None), ("anonmm", "mm_fork", None),
    ("anonmm", "may_move", True), ("anonmm", "page_moved", None), ("anon_vma", "area_fork", None),
    ("anon_vma", "area_split", None), ("anon_vma_chain", "anon_prepare", None),
])
def test_a_hook_that_does_nothing_breaks_the_contract(base, hook, answer):
    found = rmapcore.check_scheme(broken(base, hook, answer), programs=8)
    assert not found.ok and "step" in found.problems[0]


def test_what_loses_pages_as_it_says_is_noted():
    found = rmapcore.check_scheme(f"{FILE}:Forgetful", programs=4)
    assert found.ok and any("W1" in note for note in found.notes) and any("missed" in note for note in found.notes)


def test_state_outside_of_declared_arrays_is_told():
    class Diary(Everyone):
        def __init__(self):
            super().__init__()
            self.mms = []

        def mm_exec(self, mm):
            super().mm_exec(mm)
            self.mms.append(mm)

    found = rmapcore.check_scheme(Diary, programs=1)
    assert "keeps 'mms' outside of its declared arrays" in found.problems[0]


def test_contents_that_differ_are_told():
    """A copy that goes on otherwise: it forgets what its array holds."""
    class Amnesic(Everyone):
        def restored(self):
            self.children[:] = 0

    found = rmapcore.check_scheme(Amnesic, programs=1)
    assert any("a copy holds something else" in problem for problem in found.problems)


def test_bad_arguments():
    for arguments, said in ((("nobody",), "'nobody' is unknown"), ((newest(), -1), "programs: -1"),
                            (("anonmm:x=1",), "no option 'x'")):
        with pytest.raises(ValueError, match=said):
            rmapcore.check_scheme(*arguments)
    with pytest.raises(TypeError, match="programs: True"):
        rmapcore.check_scheme(newest(), True)


def test_an_exception_in_a_hook_comes_out():
    class Fails(Everyone):
        def mm_fork(self, child, parent):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        rmapcore.check_scheme(Fails, programs=2)
