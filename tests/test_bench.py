"""`rmapcore bench`: what it measures, prints and writes, and that its scenes are what they say."""
import json

import numpy as np
import pytest

import rmapcore
from rmapcore import bench
from rmapcore.cli import main

PAGE = 4096
PAGES = 700
SCHEMES = list(rmapcore.schemes())
FIELDS = ["name", "scheme", "pages", "order", "ours_ns", "ideal_ns", "kernel_ns", "ratio_to_ideal",
          "times_faster_than_kernel"]


@pytest.mark.parametrize("order", bench.ORDERS)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_scenes(scheme, order):
    one = bench.scene(scheme, PAGES, order)
    one.machine.check()
    ascending = [bool((np.diff(array.astype(np.int64)) > 0).all()) for array in (one.addresses, one.pfns)]
    assert ascending == {"sequential": [True, True], "frames_shuffled": [False, True],
                         "lru_shuffled": [False, False]}[order]
    assert sorted(one.addresses.tolist()) == list(range(one.address, one.address + PAGES * PAGE, PAGE))
    assert (one.machine.mappings(one.pfns)[2] == one.addresses).all()
    one.age()
    one.machine.check()
    assert one.ideal() == one.ideal() == PAGES
    one.machine.check()
    assert one.machine.reclaim(100).freed == 100
    present = one.process.pagemap(one.address, PAGES * PAGE)["present"]
    gone = one.address + PAGE * np.flatnonzero(present == 0)
    assert len(gone) >= 100 and set(gone.tolist()) == set(one.addresses[:len(gone)].tolist())
    assert one.machine.reclaim(PAGES - len(gone)).freed == PAGES - len(gone)
    one.machine.check()


@pytest.mark.parametrize("scheme", SCHEMES)
def test_touching_the_arenas_changes_nothing(scheme):
    machine, process, address = bench.empty(scheme, PAGES)
    machine.check()
    fresh = rmapcore.Machine(scheme, ram=machine.ram, swap=machine.swap)
    other = fresh.spawn()
    assert other.mmap(length=PAGES * PAGE) == address
    for one in (process, other):
        one.write(address, PAGES * PAGE)
        child = one.fork()
        child.write(address, PAGE)
        child.exit()
    assert machine.reclaim(500) == fresh.reclaim(500)
    for name in fresh._core.arenas:
        assert np.array(machine._core.view(name)).tobytes() == np.array(fresh._core.view(name)).tobytes()


def test_records():
    seen = []
    result = bench.bench(pages=PAGES, rounds=2, progress=lambda *step: seen.append(step))
    assert result.ok and result.problems == []
    records = json.loads(result.to_json())
    assert all(list(record) == FIELDS and record["pages"] == PAGES for record in records)
    assert [record["scheme"] for record in records] == SCHEMES * (len(records) // len(SCHEMES))
    kinds = list(dict.fromkeys((record["name"], record["order"]) for record in records))
    assert kinds == [(name, "sequential") for name in
                     ("fault_in", "lookup_sorted", "lookup_random", "scan", "fork", "exit")] + [
                    ("swapout", order) for order in bench.ORDERS]
    for record in records:
        assert record["ours_ns"] > 0
        assert record["kernel_ns"] is None and record["times_faster_than_kernel"] is None
        if record["name"] == "swapout":
            assert record["ratio_to_ideal"] == pytest.approx(record["ours_ns"] / record["ideal_ns"])
        else:
            assert record["ideal_ns"] is None and record["ratio_to_ideal"] is None
    done, totals, texts = zip(*seen, strict=True)
    assert list(done) == sorted(done) and max(done) < 2 * len(SCHEMES) and set(totals) == {2 * len(SCHEMES)}
    assert f"{SCHEMES[0]}, swapout" in texts


def test_medians_are_of_the_same_rounds():
    made = bench.record("swapout", "sequential", "s", 1000, [3e-6, 1e-6, 9e-6], [2e-6, 1e-6, 1e-6])
    assert made["ours_ns"] == pytest.approx(3) and made["ideal_ns"] == pytest.approx(1)
    assert made["ratio_to_ideal"] == pytest.approx(3)


def test_pages_left_undone_are_told(monkeypatch, capsys):
    monkeypatch.setattr(bench, "measurements", lambda scheme, pages, seed: iter(
        [("swapout", "sequential", pages - 3, 1e-6, 1e-6)]))
    assert main(["bench", "--scheme", "anonmm", "--pages", "50", "--rounds", "3"]) == 1
    out, err = capsys.readouterr()
    assert out.count("PROBLEM: swapout of anonmm, sequential: 47 of 50 pages") == 1
    assert "rmapcore: swapout of anonmm" in err


def test_command(tmp_path, capsys):
    path = tmp_path / "out.json"
    arguments = ["bench", "--pages", "300", "--rounds", "1", "--scheme", "pte_chain:line=32"]
    assert main([*arguments, "--json", str(path)]) == 0
    out, err = capsys.readouterr()
    assert "300 pages" in out and "lru_shuffled" in out and "pte_chain:line=32" in out and err == ""
    assert len(json.loads(path.read_text())) == 9
    assert main([*arguments, "--json", "-"]) == 0
    assert len(json.loads(capsys.readouterr().out)) == 9
    assert main(["bench", "--pages", "10", "--rounds", "1", "--scheme", "all", "--json", "-"]) == 0
    assert len(json.loads(capsys.readouterr().out)) == 9 * len(SCHEMES)


@pytest.mark.parametrize(("arguments", "says"), [
    (["--pages", "0"], "pages: '0'"),
    (["--pages", "-3"], "pages: '-3'"),
    (["--pages", "1e6"], "pages: '1e6'"),
    (["--pages", str(1 << 40)], "to 1,073,741,824"),
    (["--rounds", "0"], "rounds: '0'"),
    (["--seed", "x"], "--seed 'x'"),
    (["--scheme", "objrmap"], "'objrmap' is unknown"),
    (["--scheme", "anonmm", "--scheme", "anonmm"], "none twice"),
    (["--scheme", "pte_chain:line=7"], "7"),
    (["--json", "/nowhere/out.json"], "/nowhere"),
])
def test_bad_usage(arguments, says, capsys):
    assert main(["bench", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == "" and says in err and err.count("\n") == 1
