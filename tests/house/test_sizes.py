"""bench/sizes.py at sizes of some pages: what it counts is exact, and its table says which axis grows by what."""
import pytest

import sizes


def steps(axis, scheme, size, part=1):
    return {row["phase"]: row["steps"] for row in sizes.AXES[axis][0](scheme, size, part)}


def test_steps_of_a_family(monkeypatch):
    """Each of two forks copies an entry of each page, after reading it, and makes an area and an anonmm; exits end these."""
    monkeypatch.setattr(sizes, "MIB", 300)
    found = steps("processes", "anonmm", 2)
    assert found["fill"] == 1 and found["exit"] * 450 == pytest.approx(450 + 6)
    assert found["fork"] * 300 == pytest.approx(2 * 300 + 2 * 2)


def test_steps_that_grow(monkeypatch):
    """anon_vma looks through all areas that were cut from one; anon_vma_chain makes an object of each ancestor in each fork."""
    monkeypatch.setattr(sizes, "AREA_PAGES", 64)
    few, many = (steps("areas", "anon_vma", count)["swapout"] for count in (4, 64))
    assert many > 8 * few and steps("areas", "anonmm", 64)["swapout"] == steps("areas", "anonmm", 4)["swapout"]
    few, many = (steps("generations", "anon_vma_chain", count)["fork"] for count in (10, 40))
    assert many - few == pytest.approx((40 - 10) / 2, abs=1)


def test_the_table(capsys, tmp_path, monkeypatch):
    monkeypatch.setitem(sizes.AXES, "children", (sizes.of_children, (3, 6), ("pte_chain",)))
    sizes.main(["--axis", "children", "--json", str(tmp_path / "j")])
    head, fill, fork, exit = capsys.readouterr().out.split("\n\n")[1].splitlines()
    assert head.split() == ["children", "3", "6", "times", "steps"]
    assert fill.split()[:3] == ["pte_chain", "fill", "page"] and fork.split()[:3] == ["pte_chain", "fork", "entry"]
    assert exit.split()[-1] == "1.00"
