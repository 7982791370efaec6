"""What a case written down expects of a state, and where two subjects part."""
import pytest

from rmapcore.verify.script import expectation
from rmapcore.verify.state import Area, Page, ProcessState
from rmapcore.verify.verification import parted


def process(pages, flags=()):
    """A process with an area of four anonymous pages at L0, some of which are there."""
    return ProcessState([Area(0, 4, "rw-p", "anon", flags=frozenset(flags), place="L0")],
                        {("L0", at): page for at, page in pages.items()}, {})


@pytest.mark.parametrize(("pages", "same", "differ"), [
    ({}, None, None),
    ({0: Page("anon", 7, mapcount=1)}, None, None),                         # one frame differs from nothing
    ({0: Page("anon", 7, mapcount=1), 1: Page("anon", 8, mapcount=1)}, None, [[["p0", "L0+0"], ["p0", "L0+1"]]]),
    ({0: Page("anon", 7, mapcount=2), 3: Page("anon", 7, mapcount=2)}, [[["p0", "L0+0"], ["p0", "L0+3"]]], None),
    ({0: Page("zero", 0), 1: Page("guard"), 2: Page("anon", mapcount=1)}, None, None),      # of no frame that is known
    ({0: Page("swapped", slot=3), 1: Page("swapped", slot=3)}, [[["p0", "L0+0"], ["p0", "L0+1"]]], None),
])
def test_who_shares_and_who_does_not(pages, same, differ):
    expected = expectation({"p0": process(pages)})
    assert (expected.get("same"), expected.get("differ")) == (same, differ)


def test_areas_pages_and_flags_are_expected():
    expected = expectation({"p0": process({1: Page("anon", 7, mapcount=1), 2: Page("swapped", slot=3)}, ["lo", "gd"])})
    assert expected["vmas"] == {"p0": [["L0+0", "L0+4", "rw-p", "anon"]]}
    assert expected["pages"] == {"p0": [["L0+0", "L0+1", "none"], ["L0+1", "L0+2", "anon", 1], ["L0+2", "L0+3", "swapped"],
                                        ["L0+3", "L0+4", "none"]]}
    assert expected["flags"] == {"p0": [["L0+0", ["gd", "lo"], []]]}


def seen(tables):
    """What a trail has of one process, whose areas and pages are none."""
    return {"p0": {"vmas": [], "pages": [], "tables": tables}}


@pytest.mark.parametrize(("here", "there", "universal", "said"), [
    ([(1, None, None)], [(1, None, None)], True, None),
    ([(1, None, None), (2, "EINVAL", None)], [(1, None, None), (2, None, None)], True, "step 2: EINVAL emulated, success live"),
    ([(1, None, None)], [(1, "ENOMEM", None)], True, "step 1: success emulated, ENOMEM live"),
    ([(1, None, seen(3))], [(1, None, seen(3))], False, None),
    ([(1, None, seen(3)), (2, None, None)], [(1, None, seen(4)), (2, None, None)], True, None),
])
def test_where_two_subjects_part(here, there, universal, said):
    assert parted(here, there, universal, True) == said


def test_page_tables_part_them_where_the_scheme_decides_too():
    assert parted([(1, None, seen(3))], [(1, None, seen(4))], False, True).startswith("after step 1: ")
