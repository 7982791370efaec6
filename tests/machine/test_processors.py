"""Locks on N processors: closed forms, and the twin's waits on random programs."""
import random
from collections import Counter

import numpy as np
import pytest

import rmapcore
from reference.processors import Hold, Operation, Processors
from rmapcore.core.lockrules import CLASSES, MODES, rules_of
from rmapcore.core.locks import EVENT, OPERATION
from rmapcore.core.processors import MOST_CPUS, actors_of, simulate
from rmapcore.core.program import make
from rmapcore.operations import Op

COSTS = {"switch": 0, "slice": 10**18, "handoff": 10**18}
SPINS = ("page_table", "chain", "anonmm")


def program(operations):
    """The arrays of a list of the twin's Operations; an actor is the process of that number, a lock "class:object"."""
    rows, events = np.zeros(len(operations), OPERATION), []
    for row, operation in zip(rows, operations, strict=True):
        row["process"], row["call"], row["ns"] = operation.actor, Op.MUNMAP, operation.ns
        row["child"] = operation.births[0] if operation.births else 0
    for number, operation in enumerate(operations):
        for hold in operation.holds:
            name, _, of = hold.lock.partition(":")
            mode = MODES.index(("w" if hold.writes else "r") + (" try" if hold.tries else ""))
            events.append((number, CLASSES.index(name), mode, int(of), hold.at, hold.hold, 1, hold.count))
    return rows, np.array(events, EVENT) if events else np.zeros(0, EVENT)


def run(operations, cpus, **costs):
    rows, events = program(operations)
    return simulate(rows, events, rules_of("6.18"), {**COSTS, **costs}, cpus,
                    begins=np.array([operation.begins for operation in operations], np.uint64),
                    phase=np.array([operation.phase for operation in operations], np.uint32))


def alone(actor, ns, lock="anon_vma:1", **more):
    """An operation that holds a lock all through."""
    return Operation(actor, ns, [Hold(0, ns, lock, **more)])


def test_two_processors_one_mutex():
    """Nothing is won: n operations of h ns that hold it all through take n h, whatever the processors."""
    for cpus in (1, 2, 4):
        found = run([alone(1 + number % 4, 100) for number in range(12)], cpus)
        assert found.time == found.busy == 1200
        lock, = found.locks
        assert lock["acquisitions"] == 12
    found = run([alone(1, 100), alone(2, 100)], 2)
    assert found.waits.tolist() == [("anon_vma", 1, 0, 100, 2, 1, 1)]
    lock, = found.locks
    assert (lock["waits"], lock["wait"], lock["longest"], lock["who"], lock["whom"]) == (1, 100, 100, 2, 1)


def test_a_part_that_is_locked_is_what_is_left():
    """Work w outside, h inside, n actors on n processors: the last begins its hold after (n - 1) h: w + n h in all."""
    w, h = 1000, 100
    for n in (2, 5, 11):
        found = run([Operation(1 + number, w + h, [Hold(w, h, "i_mmap:1")]) for number in range(n)], n)
        assert found.time == w + n * h
        assert found.locks["wait"].sum() == h * n * (n - 1) // 2


def test_readers_do_not_wait_for_readers():
    found = run([alone(1 + number, 100, writes=False) for number in range(8)], 8)
    assert found.time == 100 and len(found.waits) == 0 and found.locks["waits"].tolist() == [0]


def test_a_writer_waits_for_all_readers():
    readers = [alone(number, 100 * number, writes=False) for number in range(1, 5)]
    writer = Operation(9, 60, [Hold(10, 50, "anon_vma:1")])
    found = run([*readers, writer], 5)
    assert found.time == 400 + 50
    assert [(wait["wait"], wait["who"], wait["whom"]) for wait in found.waits] == [(390, 9, 4)]


def test_a_reader_does_not_pass_a_writer_that_waits():
    late = Operation(3, 130, [Hold(20, 100, "anon_vma:1", writes=False)])
    found = run([alone(1, 100, writes=False), Operation(2, 60, [Hold(10, 50, "anon_vma:1")]), late], 3)
    assert [(wait["who"], wait["whom"], wait["wait"]) for wait in found.waits] == [(2, 1, 90), (3, 2, 130)]
    assert found.time == 260


def test_a_try_goes_without():
    """It loses the work under the lock, and does the rest."""
    reclaim = Operation(2, 300, [Hold(100, 150, "folio:5", tries=True), Hold(100, 150, "anon_vma:1", writes=False, tries=True),
                                 Hold(100, 10, "page_table:7")])
    found = run([alone(1, 1000), reclaim], 2)
    locks = {row["lock"]: row for row in found.locks}
    assert found.time == 1000 and len(found.waits) == 0
    assert locks["anon_vma"]["failed"] == 1 and locks["anon_vma"]["acquisitions"] == 1
    assert locks["folio"]["failed"] == 0 and locks["page_table"]["acquisitions"] == 0
    assert found.busy == 1000 + 150


@pytest.mark.parametrize("n", [1, 2, 3, 16])
def test_independent_processes_scale(n):
    operations = [Operation(actor, 100, [Hold(10, 80, f"anon_vma:{actor}")]) for actor in range(1, 49) for _ in range(5)]
    found = run(operations, n)
    assert found.time == 48 * 5 * 100 // n and found.busy == 48 * 5 * 100
    assert found.locks["waits"].sum() == 0 or n < 48


def test_phases_births_and_times():
    fork = Operation(1, 100, births=(2,))
    found = run([fork, Operation(2, 50), Operation(1, 500)], 2)
    assert found.time == 600
    first, last = Operation(1, 100), Operation(2, 50, phase=1)
    assert run([first, last], 2).time == 150
    assert run([Operation(1, 100, begins=1000), Operation(2, 50, begins=1020)], 1).time == 1150


def test_an_area_that_is_marked_is_waited_for():
    """A fault tries for its area's lock; the model lets it wait until the mark goes, for in the kernel it waits for mmap."""
    call = Operation(1, 100, [Hold(0, 100, "mmap:1"), Hold(0, 100, "vma:7")])
    fault = Operation(2, 60, [Hold(10, 50, "vma:7", writes=False, tries=True)])
    found = run([call, fault], 2)
    assert found.time == 150 and found.waits["wait"].tolist() == [90]


def test_who_holds_a_lock_takes_it_again():
    operation = Operation(1, 100, [Hold(0, 90, "anon_vma:1"), Hold(10, 20, "anon_vma:1"),
                                   Hold(40, 10, "anon_vma:1", writes=False)])
    assert run([operation], 1).time == 100


def test_who_waits_for_long_sleeps():
    """On one processor with a switch of 10: who waits gives way to the one that holds it, and pays to come back."""
    operations = [Operation(1, 100, [Hold(50, 50, "anon_vma:1")]), Operation(2, 100, [Hold(50, 50, "anon_vma:1")])]
    assert run(operations, 1, switch=10).time == 200
    assert run([*operations, Operation(3, 500)], 2, switch=10).busy == 700 + 10
    spinning = [Operation(actor, 100, [Hold(50, 50, "page_table:1")]) for actor in (1, 2)]
    assert run([*spinning, Operation(3, 500)], 2, switch=10).busy == 700


def test_a_slice():
    operations = [Operation(actor, 100) for actor in (1, 2) for _ in range(4)]
    whole, cut = run(operations, 1), run(operations, 1, slice=200)
    assert whole.time == cut.time == 800


def test_circles_are_told():
    one = Operation(1, 100, [Hold(0, 100, "anon_vma:1"), Hold(50, 10, "anon_vma:2")])
    other = Operation(2, 100, [Hold(0, 100, "anon_vma:2"), Hold(50, 10, "anon_vma:1")])
    with pytest.raises(rmapcore.RmapcoreError, match="in a circle"):
        run([one, other], 2)


def test_arguments():
    rows, events = program([Operation(1, 100), Operation(1, 100)])
    rules = rules_of("6.18")
    for wrong in ({"cpus": 0}, {"cpus": MOST_CPUS + 1}, {"cpus": 1, "begins": [1]}, {"cpus": 1, "begins": [0.5, 1]},
                  {"cpus": 1, "begins": [-1, 1]}, {"cpus": 1, "phase": [1, 0]}):
        with pytest.raises(ValueError):
            simulate(rows, events, rules, COSTS, **wrong)
    with pytest.raises(TypeError):
        simulate(rows, events, rules, COSTS, 1.5)


def test_actors():
    rows = np.zeros(6, OPERATION)
    rows["process"] = 5, 3, 5, 9, 3, 9
    rows["child"] = 0, 9, 0, 0, 0, 0
    order, bounds, born, pids = actors_of(rows, np.array([0, 0, 7, 0, 0, 0], np.uint64))
    assert pids.tolist() == [5, 3, 5, 9] and born.tolist() == [-1, -1, -1, 1]
    assert np.split(order, bounds[1:-1].astype(int))[1].tolist() == [1, 4] and bounds.tolist() == [0, 1, 3, 4, 6]


# --- the twin ---------------------------------------------------------------------------------------------------------


def random_operation(chance, actor, born):
    """Locks one in another, in an order that all keep, some tried, some one after the other."""
    holds, at = [], chance.randrange(20)
    for _ in range(chance.randrange(4)):
        ns = chance.randrange(10, 100)
        inner, left = [], ns
        for lock in ("mmap", "i_mmap", "anon_vma", "page_table"):
            if chance.random() < 0.5:
                begin = at + (ns - left) // 2
                inner.append(Hold(begin, left, f"{lock}:{chance.randrange(1, 3)}", chance.random() < 0.6,
                                  chance.random() < 0.2, chance.randrange(1, 3)))
                left -= chance.randrange(0, left // 2 + 1)
        holds += inner
        at += ns + chance.randrange(0, 10)
    return Operation(actor, at + chance.randrange(20), holds, births=born)


@pytest.mark.parametrize("seed", range(60))
def test_the_twin_waits_as_long(seed):
    chance = random.Random(seed)
    operations, unborn = [], list(range(4, 8))
    alive = [1, 2, 3]
    for number in range(80):
        actor = chance.choice(alive)
        born = (unborn.pop(0),) if unborn and chance.random() < 0.1 else ()
        operation = random_operation(chance, actor, born)
        alive += born
        if seed % 3 == 1:
            operation.begins = number * 40
        if seed % 3 == 2:
            operation.phase = number // 30
        operations.append(operation)
    cpus = chance.randrange(1, 6)
    switch, slice_, handoff = chance.choice((0, 7)), chance.choice((50, 10**18)), chance.choice((0, 60, 300, 10**18))
    twin = Processors(operations, cpus, {name for operation in operations for name in (hold.lock for hold in operation.holds)
                                         if name.startswith(SPINS)}, switch, slice_, handoff)
    time = twin.run()
    found = run(operations, cpus, switch=switch, slice=slice_, handoff=handoff)
    assert [(int(w["start"]), int(w["wait"]), int(w["who"]), int(w["whom"]), f"{w['lock']}:{w['object']}")
            for w in found.waits] == twin.waits
    assert found.time == time
    for row in found.locks:
        lock = twin.locks[f"{row['lock']}:{row['object']}"]
        assert (row["acquisitions"], row["failed"], row["slept"]) == (lock.acquired, lock.failed, lock.slept)


def locks_of(operations, files=()):
    machine = rmapcore.Machine("anon_vma_chain", kernel="6.18", ram="8MiB", swap="8MiB")
    locks = machine.locks(dict.fromkeys(rmapcore.core.locks.COSTS, 0) | {"rmap_dups": 1, "rmap_removes": 2, "scanned_ptes": 3})
    made = [machine.file(f"file{number}", size) for number, size in enumerate(files)]
    assert not machine.run(np.concatenate(operations), made).any()
    return machine, locks


def rows(locks, lock):
    """[(call, object, mode, at, ns, acquisitions, steps)] of a class."""
    calls = locks.operations["call"]
    return [(Op(calls[event["operation"]]).name, int(event["object"]), MODES[event["mode"]],
             *(int(event[name]) for name in ("at", "hold", "count", "steps")))
            for event in locks.events if event["lock"] == CLASSES.index(lock)]


def table(pid, number):
    return pid << 36 | number + 1


def test_page_tables_of_fork_and_exit():
    """Of n entries that fork reads (3 ns) and copies (1 ns), or exit reads and drops (2 ns): an area over two tables holds
    both, one after the other."""
    start, n = 510 * 4096, 5                   # two pages in the first table, three in the second
    _, locks = locks_of([make(Op.SPAWN, process=1), make(Op.MMAP, process=1, addr=start, length=n * 4096, prot=3, flags=0x32),
                         make(Op.WRITE, process=1, addr=start, length=n * 4096), make(Op.FORK, process=1, other=2),
                         make(Op.EXIT, process=2)])
    assert [row for row in rows(locks, "page_table") if row[0] != "WRITE"] == [
        *(("FORK", table(pid, 0), "w", 0, 2 * 4, 1, 1 + 2 * 2) for pid in (2, 1)),
        *(("FORK", table(pid, 1), "w", 2 * 4, 3 * 4, 1, 1 + 3 * 2) for pid in (2, 1)),
        ("EXIT", table(2, 0), "w", 0, 2 * 5, 1, 1 + 2 * 2), ("EXIT", table(2, 1), "w", 2 * 5, 3 * 5, 1, 1 + 3 * 2)]
    assert locks.breach() is None


def test_page_tables_of_walks():
    """A page of c processes is looked for in c tables, each of them held while its entry is looked at."""
    c, start = 4, 0x400 * 4096
    machine, locks = locks_of([make(Op.SPAWN, process=1), make(Op.MMAP, process=1, addr=start, length=4096, prot=3, flags=0x32),
                               make(Op.WRITE, process=1, addr=start, length=4096),
                               *(make(Op.FORK, process=1, other=number) for number in range(2, c + 1)),
                               make(Op.RECLAIM, arg=1), make(Op.RECLAIM, arg=1)])
    walks = Counter(row[1] for row in rows(locks, "page_table") if row[0] == "RECLAIM")
    assert set(walks) == {table(pid, 2) for pid in range(1, c + 1)}
    assert walks.total() == machine.counters["lock_page_table"]


def test_a_truncated_file_is_held_while_its_pages_go():
    """i_mmap, shared, around the page tables of m areas; a writer waits for all of it, and what grows takes nothing."""
    m, pages = 3, 4
    at = [(0x400 + 0x200 * number) * 4096 for number in range(m)]
    steps = [make(Op.SPAWN, process=1)]
    for address in at:
        steps += [make(Op.MMAP, process=1, addr=address, length=pages * 4096, prot=3, flags=0x11, other=1),
                  make(Op.READ, process=1, addr=address, length=pages * 4096)]
    steps += [make(Op.SPAWN, process=2), make(Op.TRUNCATE, process=2, other=1),
              make(Op.TRUNCATE, process=2, other=1, arg=8192)]
    _, locks = locks_of(steps, [pages * 4096])
    cuts = [row for row in rows(locks, "i_mmap") if row[0] == "TRUNCATE"]
    (_, file, mode, begin, hold, count, steps_), = cuts
    assert (mode, hold, count, steps_) == ("r", m * pages * (3 + 2), 1, 1 + m * pages * 2) and file
    assert [row for row in rows(locks, "page_table") if row[0] == "TRUNCATE"] == [
        ("TRUNCATE", table(1, number), "w", begin + place * pages * 5, pages * 5, 1, 1 + pages * 2)
        for place, number in enumerate((4, 3, 2))]       # the newest area first


def test_a_walk_waits_for_the_table_that_is_emptied():
    """Reclaim meets exit in one of its tables, and reads on when exit has let go of it."""
    leaves = Operation(1, 100, [Hold(0, 100, "mmap:1"), Hold(10, 60, "page_table:5")])
    walk = Operation(2, 50, [Hold(0, 50, "anon_vma:1", writes=False), Hold(20, 10, "page_table:5"),
                             Hold(30, 10, "page_table:6")])
    found = run([leaves, walk], 2)
    assert found.waits.tolist() == [("page_table", 5, 20, 50, 2, 1, 1)]
    assert found.time == 100
