"""Machine.profile(): the twin's walks, sums that are the counters, and a machine that is no other for it."""
from collections import Counter

import numpy as np
import pytest

import differential
import programs
import rmapcore
from rmapcore.core.profile import KEYS, MEASURES, VALUES
from rmapcore.linux.uapi import MAP_PRIVATE
from rmapcore.schemes import registry

PAGE = 4096
WITH_TWIN = [(scheme, kernel) for scheme in differential.KNOWN for kernel in rmapcore.kernels()]


def sums(rows):
    return {name: int(rows[name].sum()) for name in rmapcore.Machine(ram="1MiB", swap="1MiB").counters}


def is_complete(machine):
    profile, counters = machine.profile(), dict(machine.counters)
    for what in KEYS:
        assert sums(profile.by(what)) == counters, what
        assert int(profile.by(what)["rmap_bytes"].sum()) == int(machine._core.view("head")[0]["rmap_bytes"])
    walks = sum(measures["ptes_tried"].walks for side in profile.distributions().values() for measures in side.values())
    assert walks == counters["rmap_walks"]


@pytest.mark.parametrize(("scheme", "kernel"), WITH_TWIN)
def test_the_twin_sees_the_same_walks(scheme, kernel):
    options = {"kernel": kernel, "ram": 40 * PAGE, "swap": 300 * PAGE}
    machine, twin = rmapcore.Machine(scheme, track_contents=True, **options), differential.twin_of(scheme, **options)
    profile = machine.profile()
    steps = programs.program(WITH_TWIN.index((scheme, kernel)), 150, kernel="2.6.7" if kernel == "2.6.7" else "6.18")
    differential.run([machine, twin], steps, 75,
                     lambda machines, number: [list(differential.observe(m)) for m in machines])
    expected = {}
    for side, purpose, *measured, _ in twin.walks:
        for name, value in zip(MEASURES, measured, strict=True):
            expected.setdefault((side, purpose, name), Counter())[value] += 1
    found = {(side, purpose, name): Counter(dict(zip(d.values.tolist(), d.counts.tolist(), strict=True)))
             for side, purposes in profile.distributions().items() for purpose, measures in purposes.items()
             for name, d in measures.items()}
    assert found == expected
    is_complete(machine)
    whose = Counter(pid for *_, pid in twin.walks if pid is not None)
    rows = Counter()                           # a process that has called exec has two
    for row in profile.by("process"):
        rows[int(row["process"])] += int(row["rmap_walks"])
    empty = sum(pid is None for *_, pid in twin.walks)     # that had no candidate are work of whoever reclaims
    assert (rows - whose).total() == empty and not whose - rows
    longest = profile.longest
    for side, purposes in profile.distributions().items():
        for purpose, measures in purposes.items():
            mine = longest[(longest["side"] == side) & (longest["purpose"] == purpose)]["ptes_tried"].tolist()
            all_walks = sorted((walk[2] for walk in twin.walks if walk[:2] == (side, purpose)), reverse=True)
            assert mine == all_walks[:10]
            assert measures["ptes_tried"].most == all_walks[0]


def family(machine):
    """A parent with 20 children, some of whose pages are their own, in memory that is short."""
    parent = machine.spawn("parent")
    start = parent.mmap(length=4 << 20)
    parent.write(start, 4 << 20)
    library = machine.file("libc.so", 1 << 20)
    text = parent.mmap(length=1 << 20, prot="rx", flags=MAP_PRIVATE, file=library)
    parent.read(text, 1 << 20)
    children = [parent.fork() for _ in range(20)]
    for number, child in enumerate(children):
        child.write(start + number * 2 * PAGE, 16 * PAGE)
    machine.reclaim(300)
    for child in children[::2]:
        child.read(start, 1 << 20)
        child.munmap(start + (2 << 20), 1 << 20)
    children[1].mremap(start, 1 << 20, 1 << 20)
    children[3].execve()
    for child in children[:10]:
        child.exit()
    machine.reclaim(300)
    machine.check()
    machine.whomaps(np.arange(1, 500))
    return parent, start


@pytest.mark.parametrize("kernel", list(rmapcore.kernels()))
@pytest.mark.parametrize("scheme", list(registry()))
def test_rows_sum_to_the_counters_and_nothing_is_different(scheme, kernel):
    def make():
        return rmapcore.Machine(scheme, kernel=kernel, ram="8MiB", swap="64MiB")

    plain, machine = make(), make()
    machine.profile()
    if registry()[scheme].defects:
        pytest.skip("check() says what it loses")
    family(plain)
    family(machine)
    assert dict(machine.counters) == dict(plain.counters)
    for name in plain._core.arenas:
        assert np.array_equal(machine._core.view(name), plain._core.view(name)), name
    is_complete(machine)


def test_whose_work_it_is():
    machine = rmapcore.Machine("anon_vma_chain", kernel="6.18", ram="8MiB", swap="64MiB")
    profile = machine.profile()
    parent, start = family(machine)
    calls = {row["call"]: row for row in profile.by("call")}
    assert calls["fork"]["operations"] == 20
    assert calls["fork"]["rmap_dups"] == machine.counters["rmap_dups"] > 0
    assert calls["fork"]["rmap_bytes"] > 0 > calls["exit"]["rmap_bytes"]
    assert calls["reclaim"]["rmap_walks"] > calls["unknown"]["rmap_walks"] > 0         # those of whomaps
    top = profile.by("area")[0]
    assert (top["process"], top["start"], top["what"]) == (parent.pid, start, "[anon]")
    files = {row["what"]: row for row in profile.by("file")}
    assert files["libc.so"]["ptes_tried"] > 0
    generations = profile.by("generation")
    assert sorted(generations["generation"]) == [0, 1]
    programs_seen = {row["name"] for row in profile.by("program")}
    assert "parent" in programs_seen
    long = profile.longest[0]
    assert long["ptes_tried"] == 21 and long["process"] == parent.pid and long["start"] <= long["address"] < long["end"]


def test_phases():
    machine = rmapcore.Machine("anonmm", ram="8MiB", swap="64MiB")
    profile = machine.profile()
    profile.phase("all")
    family(machine)
    profile.phase("after")
    phases = profile.by("phase")
    assert phases["phase"].tolist() == ["all", "after"]
    assert phases["rmap_walks"].tolist() == [machine.counters["rmap_walks"], 0]


def test_batches_are_work_of_their_processes():
    machine = rmapcore.Machine("pte_chain", kernel="6.18", ram="8MiB", swap="8MiB")
    profile = machine.profile()
    process = machine.spawn("p")
    start = process.mmap(length=1 << 20)
    process.touch(start + PAGE * np.arange(256), write=True)
    child = process.fork()
    process.touch(start + PAGE * np.arange(256), write=np.arange(256) % 2 == 0, process=np.where(
        np.arange(256) < 128, process.pid, child.pid).astype(np.uint32))
    rows = {int(row["process"]): row for row in profile.by("process")}
    assert rows[process.pid]["faults_zero"] == 256
    assert rows[process.pid]["faults_cow"] == rows[child.pid]["faults_cow"] == 64
    is_complete(machine)


def test_distributions():
    assert (np.diff(VALUES.astype(object)) > 0).all() and VALUES[-1] == (1 << 64) - 1
    assert VALUES[:4096].tolist() == list(range(4096))
    assert (np.diff(VALUES[4096:].astype(float)) / VALUES[4096:-1].astype(float) < 0.008).all()
    profile = rmapcore.Machine(ram="1MiB", swap="1MiB").profile()
    none = profile.distribution("unmap")
    assert none.walks == 0 and none.percentile(50) is None and none.summary()["max"] is None
    for wrong in (("swapin",), ("unmap", "steps"), ("unmap", "ptes_tried", "left")):
        with pytest.raises(rmapcore.UnknownName):
            profile.distribution(*wrong)
    with pytest.raises(rmapcore.UnknownName, match="what"):
        profile.by("moon")
    assert len(profile.longest) == 0


def test_percentiles():
    machine = rmapcore.Machine("anon_vma", ram="8MiB", swap="8MiB")
    profile = machine.profile()
    parent = machine.spawn()
    start = parent.mmap(length=100 * PAGE)
    parent.write(start, 100 * PAGE)
    for number in range(9):
        parent.fork().write(start, 10 * PAGE * (number + 1))
    machine.whomaps(np.flatnonzero(machine.frames["mapcount"] > 0)[1:])
    walks = profile.distribution("query", "ptes_found")
    found = sorted(machine.frames["mapcount"][np.flatnonzero(machine.frames["mapcount"] > 0)[1:]].tolist())
    for percent in (0, 1, 50, 90, 99, 99.9, 100):
        assert walks.percentile(percent) == found[max(1, -(-len(found) * percent // 100).__int__()) - 1]
    assert walks.mean == pytest.approx(np.mean(found))
    with pytest.raises(ValueError, match="percent"):
        walks.percentile(101)
