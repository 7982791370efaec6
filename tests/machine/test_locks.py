"""Machine.locks(): what the twin takes, sums that are the counters, an order that holds, and nothing else is different."""
from collections import Counter

import numpy as np
import pytest

import differential
import programs
import rmapcore
from rmapcore.core.lockrules import CLASSES, MODES, rules_of
from rmapcore.core.locks import breach_of
from rmapcore.operations import Op
from rmapcore.schemes import registry

PAGE = 4096
WITH_TWIN = [(scheme, kernel) for scheme in differential.KNOWN for kernel in rmapcore.kernels()]
TOLD = ("anon_vma", "anonmm", "i_mmap")        # classes whose objects are told
COUNTED = (*TOLD, "chain")


def rows_of(locks, index):
    """Rows of the operations in which the twin's numbers of operations fall; -1: of none, as what a pin brings in."""
    operations = locks.operations
    rows = np.searchsorted(operations["index"], index, side="right") - 1
    several = np.isin(operations["call"][rows], (Op.READ, Op.WRITE))
    return np.where(several | (operations["index"][rows] == index), rows, -1)


def held(locks, lock):
    events = locks.events
    return events[events["lock"] == CLASSES.index(lock)]


def run_both(scheme, kernel, steps=200):
    options = {"kernel": kernel, "ram": 40 * PAGE, "swap": 300 * PAGE}
    machine, twin = rmapcore.Machine(scheme, track_contents=True, **options), differential.twin_of(scheme, **options)
    locks = machine.locks()
    program = programs.program(WITH_TWIN.index((scheme, kernel)), steps, kernel="2.6.7" if kernel == "2.6.7" else "6.18")
    differential.run([machine, twin], program, steps + 1, lambda machines, number: None)
    return machine, twin, locks


@pytest.mark.parametrize(("scheme", "kernel"), WITH_TWIN)
def test_the_twin_takes_the_same_locks(scheme, kernel):
    """Each operation takes as many locks of each class, of objects that are the twin's one by one."""
    machine, twin, locks = run_both(scheme, kernel)
    events = locks.events
    assert locks.lost == 0 and len(events)
    theirs = {}
    rows = rows_of(locks, [taken[0] for taken in twin.taken]).tolist()
    for row, (_, lock, of, count) in zip(rows, twin.taken, strict=True):
        if row < 0:
            continue
        theirs.setdefault((row, lock), Counter())[of.number if lock == "i_mmap" else id(of)] += count
    rows = rows_of(locks, [index for index, _ in twin.files_cut]).tolist()
    for row, (_, number) in zip(rows, twin.files_cut, strict=True):
        if row >= 0:
            theirs.setdefault((row, "i_mmap"), Counter())[number] += 1
    ours = {}
    for event in events[np.isin(events["lock"], [CLASSES.index(lock) for lock in COUNTED])]:
        key = int(event["operation"]), CLASSES[event["lock"]]
        ours.setdefault(key, Counter())[int(event["object"])] += int(event["count"])
    assert {key: found.total() for key, found in ours.items()} == {key: found.total() for key, found in theirs.items()}
    calls = locks.operations["call"]
    called = {}                                # ours -> theirs, as far as an operation has but one of a class
    for key, found in ours.items():
        if "cow" in scheme and calls[key[0]] != Op.FORK:
            continue                           # a context that goes may take its parents with it, each on its own parent's list
        if key[1] in TOLD and len(found) == len(theirs[key]) == 1 and 0 not in found:
            name = key[1], next(iter(found))
            assert called.setdefault(name, next(iter(theirs[key]))) == next(iter(theirs[key])), (key, name)
    for (row, lock), found in ours.items():
        if lock in TOLD and "cow" not in scheme and all((lock, name) in called for name in found):
            assert Counter({called[lock, name]: count for name, count in found.items()}) == theirs[row, lock]
    raw = locks._log.rows()[1]
    index = [taken[0] for taken in twin.tables_taken]
    whole = not rules_of(kernel).table_of      # the address space has one lock
    theirs = Counter((row, pid, 1 if whole else number + 1, outside) for row, (_, pid, number, outside)
                     in zip(rows_of(locks, index).tolist(), twin.tables_taken, strict=True) if row >= 0)
    walked, outside = ((raw["lock"] == which) & (raw["object"] > 0) for which in (0, 7))
    ours = Counter((int(one["operation"]), int(one["object"]) >> 36, int(one["object"]) & (1 << 36) - 1, int(one["lock"] == 7))
                   for one in raw[walked | outside] if one["why"] != 0)
    assert ours == theirs
    kinds = {lock for lock, _ in called}
    assert kinds >= {lock for lock, counter in (("anon_vma", "lock_anon_vma"), ("anonmm", "lock_anonmm"))
                     if machine.counters[counter]}


@pytest.mark.parametrize(("scheme", "kernel"), WITH_TWIN)
def test_the_twins_walks_are_as_long(scheme, kernel):
    _, twin, locks = run_both(scheme, kernel)
    raw = locks._log.rows()[1]
    walks = raw[raw["lock"] == 6]
    ours = [(int(walk["operation"]), ("query", "referenced", "unmap")[walk["why"]], int(walk["object"])) for walk in walks
            if walk["why"] <= 2]
    index = [walk[0] for walk in twin.walk_steps]
    theirs = [(row, "unmap" if purpose == "clean" else purpose, pfn)
              for row, (_, purpose, pfn, _) in zip(rows_of(locks, index).tolist(), twin.walk_steps, strict=True) if row >= 0]
    assert [one for one in ours if one[1] != "query"] == [one for one in theirs if one[1] != "query"]
    if any(name in scheme for name in ("chain", "anonmm", "cow")) and "anon_vma_chain" not in scheme:
        return                                 # objects that come and go in walks are steps, and the twin counts none
    steps = [int(walk["steps"]) - 1 for walk in walks if walk["why"] <= 2]
    assert steps == [walk[3] for walk in twin.walk_steps]


def family(machine):
    parent = machine.spawn("parent")
    start = parent.mmap(length=1 << 20)
    parent.write(start, 1 << 20)
    library = machine.file("libc.so", 1 << 18)
    text = parent.mmap(length=1 << 18, prot="rx", flags=2, file=library)
    parent.read(text, 1 << 18)
    parent.mprotect(start + 8 * PAGE, 4 * PAGE, "r")
    children = [parent.fork() for _ in range(6)]
    for number, child in enumerate(children):
        child.write(start + number * 20 * PAGE, 4 * PAGE)
        child.munmap(start + 40 * PAGE, 2 * PAGE)
    machine.reclaim(150)
    children[0].mremap(start + (128 * PAGE), 16 * PAGE, 16 * PAGE, 3, 0x7000_0000)
    children[1].execve()
    for child in children[2:]:
        child.exit()
    parent.madvise(start, 1 << 19, 4)
    machine.reclaim(100)


@pytest.mark.parametrize("kernel", list(rmapcore.kernels()))
@pytest.mark.parametrize("scheme", list(registry()))
def test_acquisitions_sum_to_the_counters_and_nothing_is_different(scheme, kernel):
    def make():
        return rmapcore.Machine(scheme, kernel=kernel, ram="4MiB", swap="32MiB")

    plain, machine = make(), make()
    locks = machine.locks()
    family(plain)
    family(machine)
    assert dict(machine.counters) == dict(plain.counters)
    for name in plain._core.arenas:
        assert np.array_equal(machine._core.view(name), plain._core.view(name)), name
    assert machine.profile().by("process")["rmap_walks"].sum() == machine.counters["rmap_walks"]
    for lock in COUNTED:
        assert held(locks, lock)["count"].sum() == machine.counters[f"lock_{lock}"], lock
    raw = locks._log.rows()[1]
    assert raw["count"][raw["lock"] == 0].sum() == machine.counters["lock_page_table"]
    assert locks.breach() is None
    if not registry()[scheme].defects:
        machine.check()
    operations = locks.operations
    events = locks.events
    assert np.all(events["at"] + events["hold"] <= operations["ns"][events["operation"]])
    assert [Op(call).name for call in operations["call"][:2]] == ["SPAWN", "MMAP"]
    forks = operations[operations["call"] == Op.FORK]
    assert len(forks) == 6 and sorted(forks["child"]) == [2, 3, 4, 5, 6, 7]
    if not machine.sweeps and machine.counters["lock_anon_vma"]:
        modes = {MODES[mode] for mode in held(locks, "anon_vma")["mode"]}
        assert modes == ({"w"} if kernel == "2.6.7" else {"w", "r", "r try"})


def test_what_w10_says():
    """Of v areas and c children a split takes 2, a fork 2v, an exit v, all on one root: the counts of the thread of 2025."""
    v, c = 20, 2
    machine = rmapcore.Machine("anon_vma_chain", kernel="6.18", ram="64MiB", swap="64MiB")
    parent = machine.spawn()
    start = parent.mmap(length=v * PAGE)
    parent.write(start, v * PAGE)
    locks = machine.locks()
    for number in range(0, v, 2):
        parent.mprotect(start + number * PAGE, PAGE, "r")
    children = [parent.fork() for _ in range(c)]
    children[0].exit()
    found = {row["call"]: row for row in locks.by("call") if row["lock"] == "anon_vma"}
    assert found["mprotect"]["acquisitions"] == 2 * (v - 1)
    assert found["fork"]["acquisitions"] == c * 2 * v
    assert found["exit"]["acquisitions"] == v
    roots = locks.by("object")
    assert len(roots[roots["lock"] == "anon_vma"]) == 1


def test_order():
    """A lock that stands further left is a breach, but by a try; one of the same class too, unless it is the same."""
    machine = rmapcore.Machine("anon_vma_chain", kernel="6.18", ram="4MiB", swap="4MiB")
    locks = machine.locks()
    parent = machine.spawn()
    start = parent.mmap(length=8 * PAGE)
    parent.write(start, 8 * PAGE)
    parent.fork()
    events, operations, rules = locks.events, locks.operations, rules_of("6.18")
    assert breach_of(events, operations, rules) is None
    row = int(np.flatnonzero(operations["call"] == Op.FORK)[0])

    def with_event(lock, mode, of, at=1, hold=1):
        one = np.zeros(1, events.dtype)
        one["operation"], one["lock"], one["mode"] = row, CLASSES.index(lock), MODES.index(mode)
        one["object"], one["at"], one["hold"] = of, at, hold
        place = np.flatnonzero(events["operation"] == row)[0] + 2
        return breach_of(np.insert(events, place, one), operations, rules)

    assert with_event("anon_vma", "w", 99) is None
    assert with_event("mmap", "w", 99).startswith("mmap of 99 is taken under mmap of 1, in fork ")
    assert with_event("folio", "w", 99).startswith("folio of 99 is taken under vma of ")
    assert with_event("folio", "w try", 99) is None
    root = held(locks, "anon_vma")
    mine = root[root["operation"] == row][0]
    place = np.flatnonzero((events["operation"] == row) & (events["lock"] == CLASSES.index("anon_vma")))[0] + 1
    two = np.insert(events, place, mine)
    assert breach_of(two, operations, rules) is None
    two["object"][place] += 1
    assert "is taken under anon_vma of" in breach_of(two, operations, rules)


def test_check_tells_a_breach(monkeypatch):
    machine = rmapcore.Machine("anon_vma_chain", kernel="6.18", ram="4MiB", swap="4MiB")
    locks = machine.locks()
    family(machine)
    machine.check()
    monkeypatch.setattr(type(locks), "breach", lambda self: "i_mmap of 1 is taken under anon_vma of 1, in fork 3")
    with pytest.raises(rmapcore.InconsistentState, match="K1") as raised:
        machine.check()
    assert "taken under" in str(raised.value)


def test_arguments():
    machine = rmapcore.Machine(ram="4MiB", swap="4MiB")
    for wrong, error in (({"nothing": 1}, rmapcore.UnknownName), ({"rmap_dups": -1}, ValueError),
                         ({"rmap_dups": 1.5}, TypeError)):
        with pytest.raises(error, match="cost"):
            machine.locks(wrong)
    locks = machine.locks({"rmap_dups": 1000})
    assert locks is machine.locks() and locks.costs["rmap_dups"] == 1000
    with pytest.raises(ValueError, match="kept already"):
        machine.locks({"rmap_dups": 1})
    with pytest.raises(rmapcore.UnknownName, match="what"):
        locks.by("colour")
    assert len(locks.events) == len(locks.operations) == 0 and len(locks.by("lock")) == 0
    assert locks.simulate(2).time == 0


def test_costs_are_lengths():
    def fork_of(costs):
        machine = rmapcore.Machine("anon_vma_chain", kernel="6.18", ram="4MiB", swap="4MiB")
        parent = machine.spawn()
        start = parent.mmap(length=64 * PAGE)
        parent.write(start, 64 * PAGE)
        locks = machine.locks({**dict.fromkeys(rmapcore.core.locks.COSTS, 0), **costs})
        parent.fork()
        return locks.operations[-1]["ns"]

    assert fork_of({"operation": 7}) == 7
    assert fork_of({"rmap_dups": 3}) == 64 * 3
    assert fork_of({"objects": 5}) == 3 * 5    # two avcs and an anon_vma
    assert fork_of({"areas": 11}) == 11
    assert fork_of({"lock_anon_vma": 13}) == 2 * 13
