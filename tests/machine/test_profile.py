"""Machine.profile(): the twin's walks, sums that are the counters, and a machine that is no other for it."""
from collections import Counter

import numpy as np
import pytest

import differential
import programs
import rmapcore
from rmapcore.core.memory import scheme_objects
from rmapcore.core.profile import KEYS, MEASURES, VALUES
from rmapcore.linux.uapi import MAP_PRIVATE, PROT_READ, PROT_WRITE
from rmapcore.schemes import registry

PAGE = 4096
WITH_TWIN = [(scheme, kernel) for scheme in differential.KNOWN for kernel in rmapcore.kernels()]


def sums(rows):
    return {name: int(rows[name].sum()) for name in rmapcore.Machine(ram="1MiB", swap="1MiB").counters}


def living(machine):
    return scheme_objects(machine.memory()["structures"])


def objects(rows):
    return {name: int(rows["objects"][name].sum()) for name in rows["objects"].dtype.names or ()}


def is_complete(machine):
    profile, counters = machine.profile(), dict(machine.counters)
    for what in KEYS:
        assert sums(profile.by(what)) == counters, what
        assert int(profile.by(what)["rmap_bytes"].sum()) == int(machine._core.view("head")[0]["rmap_bytes"])
        assert objects(profile.by(what)) == {name: item["live"] for name, item in living(machine).items()}, what
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
            for name, one in measures.items():
                assert profile.distribution(purpose, name, side).summary() == one.summary()


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


def measured(profile):
    return [(side, purpose, name, d.values.tolist(), d.counts.tolist(), d.most)
            for side, purposes in profile.distributions().items() for purpose, measures in purposes.items()
            for name, d in measures.items()]


@pytest.mark.parametrize("kernel", list(rmapcore.kernels()))
@pytest.mark.parametrize("scheme", list(registry()))
def test_walks_in_groups_are_those_of_one_at_a_time(scheme, kernel):
    def profile_of(alone):
        machine = rmapcore.Machine(scheme, kernel=kernel, ram="1MiB", swap="16MiB")
        machine._engine.one_by_one = alone
        profile = machine.profile()
        first = machine.spawn("first")
        second = machine.spawn("second")
        areas = [(process, process.mmap(length=80 * PAGE)) for process in (first, second, first, second)]
        child = first.fork()
        order = np.random.default_rng(5)
        for _ in range(30):
            for process, start in areas:
                pages = order.permutation(80)[:40].astype(np.uint64)
                process.touch(start + pages * np.uint64(PAGE), write=True)
            child.read(areas[2][1], 20 * PAGE)
            second.mprotect(areas[1][1], 30 * PAGE, PROT_READ)
            machine.reclaim(60)
            second.mprotect(areas[1][1], 30 * PAGE, PROT_READ | PROT_WRITE)
        is_complete(machine)
        return profile

    groups, alone = profile_of(False), profile_of(True)
    for what in KEYS:
        assert groups.by(what).tolist() == alone.by(what).tolist(), what
    assert groups.longest.tolist() == alone.longest.tolist()
    assert groups.long_walks.tolist() == alone.long_walks.tolist()
    assert measured(groups) == measured(alone)


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


def test_what_fork_makes_for_a_child_is_the_childs():
    machine = rmapcore.Machine("anon_vma_chain", kernel="6.18", ram="8MiB", swap="64MiB")
    profile = machine.profile()
    parent = machine.spawn("server")
    start = parent.mmap(length=1 << 20)
    parent.write(start, 1 << 20)
    children = [parent.fork() for _ in range(8)]
    profile.sample()
    held = {int(row["process"]): row["objects"] for row in profile.by("process")}
    assert held[parent.pid].tolist() == (1, 1)                             # its anon_vma, and a chain to it
    assert {held[child.pid].tolist() for child in children} == {(1, 2)}    # one of its own, and chains to both
    calls = {row["call"]: row["objects"]["anon_vma_chain"] for row in profile.by("call")}
    assert calls["fork"] == 16 and calls["write"] == 1
    for child in children:
        child.exit()
    profile.sample()
    held = {int(row["process"]): row["objects"] for row in profile.by("process")}
    assert held[children[0].pid].tolist() == (0, 0)
    cost = {(row["name"], row["object"]): row for row in profile.held}
    chains = cost["server", "anon_vma_chain"]
    assert (chains["most"], chains["operation"], chains["now"]) == (17, profile.series[0]["operation"], 1)
    assert chains["bytes"] == 17 * machine.memory()["structures"]["anon_vma_chain"]["size"]


def test_processes_in_calls():
    machine = rmapcore.Machine("anonmm", kernel="6.18", ram="8MiB", swap="64MiB")
    profile = machine.profile()
    parent, _ = family(machine)
    rows = {(int(row["process"]), row["call"]): row for row in profile.by("process_call")}
    assert rows[parent.pid, "fork"]["rmap_dups"] == machine.counters["rmap_dups"]
    assert rows[parent.pid, "reclaim"]["ptes_tried"] > 0                   # the call is reclaim, the pages are the parent's
    assert rows[0, "unknown"]["name"] == "unknown"


@pytest.mark.parametrize("scheme", ["anonmm", "anon_vma_chain"])
def test_the_walks_of_a_timeline_are_the_longest_of_all(scheme):
    machine = rmapcore.Machine(scheme, kernel="6.18", ram="16MiB", swap="64MiB")
    profile = machine.profile()
    parent = machine.spawn()
    start = parent.mmap(length=8 << 20)
    parent.write(start, 8 << 20)
    for number in range(12):
        parent.fork().write(start, (number + 1) << 18)
    for _ in range(6):
        machine.reclaim(300)
        for process in list(machine.processes.values()):
            process.read(start, 8 << 20)
    lengths = sorted((int(value) for measures in profile.distributions()["anon"].values()
                      for value, count in zip(measures["ptes_tried"].values, measures["ptes_tried"].counts, strict=True)
                      for _ in range(int(count))), reverse=True)
    walks = profile.long_walks
    assert len(lengths) > 4096 == len(walks)
    assert sorted(walks["ptes_tried"].tolist(), reverse=True) == lengths[:4096]
    assert (np.diff(walks["operation"].astype(np.int64)) >= 0).all()
    assert (np.diff(walks["begun"].astype(np.int64)) >= 0).all()
    assert ((walks["start"] == start) & (walks["end"] == start + (8 << 20))).all()
    assert ((walks["address"] >= walks["start"]) & (walks["address"] < walks["end"])).all()
    assert set(walks["process"].tolist()) <= {*machine.processes} and set(walks["purpose"].tolist()) == {"referenced", "unmap"}
    unmaps = walks[walks["purpose"] == "unmap"]                            # no page goes twice in one operation
    assert len(np.unique(unmaps[["operation", "process", "address"]])) == len(unmaps) > 10


def test_passes_of_reclaim_sum_to_what_reclaim_did():
    machine = rmapcore.Machine("anonmm", kernel="6.18", ram="1MiB", swap="64MiB")
    profile = machine.profile()
    process = machine.spawn()
    start = process.mmap(length=32 << 20)
    most = 0
    for _ in range(12):
        process.write(start, 32 << 20)
        passes = profile.passes
        most = max(most, int(passes["passes"].max()))
        for what in ("scanned", "freed"):
            assert int(passes[what].sum()) == machine.reclaimed[what] > 0
        assert int(passes["walks"].sum()) == machine.counters["rmap_walks"]
        assert int(passes["tried"].sum()) == machine.counters["ptes_tried"]
        assert (passes["first_op"] <= passes["last_op"]).all() and (passes["begun"] <= passes["last_begun"]).all()
        assert (passes["first_op"][1:] >= passes["last_op"][:-1]).all()
        assert set(passes["process"].tolist()) == {process.pid}
    assert most > 1 and 1 << 13 <= len(passes) <= 1 << 14


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
