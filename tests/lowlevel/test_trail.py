"""Walks that go along the trail of the one before (pyx/parts/trail.pxd): answers and counts are those of the tree."""
import contextlib
import random

import numpy as np
import pytest

import rmapcore
from rmapcore.pyx.look import probe

PAGE = 4096
PAGES = 48
TREES = ["anon_vma_chain", "anon_vma_chain_degree", "anon_vma_lazy"]


def family(scheme, children):
    """(machine, its family's processes, where, a stranger's frame): an area in pieces, of which children hold some."""
    rng = random.Random(1)
    machine = rmapcore.Machine(scheme, kernel="6.18", ram="64MiB", swap="4MiB")
    stranger = machine.spawn()
    other = stranger.mmap(length=PAGE)
    stranger.write(other)
    stranger.fork()
    parent = machine.spawn()
    start = parent.mmap(length=PAGES * PAGE)
    parent.write(start, PAGES * PAGE)
    for _ in range(3):
        parent.mprotect(start + rng.randrange(PAGES) * PAGE, PAGE, 1)
    processes = [parent]
    for _ in range(children):
        child = rng.choice(processes[:4]).fork()
        if rng.random() < 0.5:
            child.munmap(start + rng.randrange(PAGES) * PAGE, rng.randrange(1, 8) * PAGE)
        processes.append(child)
    return machine, processes, start, stranger.pagemap(other, PAGE)["pfn"]


def walked(machine, pfns):
    """(what whomaps gives, what it counts)."""
    before = dict(machine.counters)
    found = [part.tolist() for part in machine.whomaps(pfns)]
    return found, {name: count - before[name] for name, count in machine.counters.items()}


def alone(machine, pfn, strange):
    """The same of a page for which nothing is noted: the walk before was a stranger's."""
    machine.whomaps(strange)
    return walked(machine, np.array([pfn], np.uint32))


def change(rng, processes, place):
    """The trees do."""
    one, what = rng.choice(processes), rng.randrange(4)
    with contextlib.suppress(OSError):         # nothing is there
        if what == 0:
            one.munmap(place, PAGE)
        elif what == 1:
            one.mprotect(place, PAGE, 3)
        elif what == 2:
            one.madvise(place, PAGE, 4)
        else:
            processes.append(one.fork())


@pytest.mark.parametrize("children", [0, 1, 9, 300])
@pytest.mark.parametrize("scheme", TREES)
def test_walks_along_a_trail(scheme, children):
    rng = random.Random(children)
    machine, processes, start, strange = family(scheme, children)
    for _ in range(12):
        pagemap = processes[0].pagemap(start, PAGES * PAGE)
        pfns = pagemap["pfn"][pagemap["present"] == 1].astype(np.uint32)
        rng.shuffle(pfns)
        one_by_one = [alone(machine, pfn, strange) for pfn in pfns]
        found, counted = walked(machine, pfns)
        total = {name: sum(counts[name] for _, counts in one_by_one) for name in counted}
        assert counted == total
        assert found[1] == [pid for (_, pids, _), _ in one_by_one for pid in pids]
        assert found[2] == [address for (_, _, addresses), _ in one_by_one for address in addresses]
        assert machine.mappings(pfns)[0].tolist() == found[0]
        change(rng, processes, start + rng.randrange(PAGES) * PAGE)
    machine.check()


@pytest.mark.parametrize("scheme", TREES)
@pytest.mark.parametrize("children", [1, 9, 300])
def test_walks_by_turns(scheme, children):
    """Of pages for which the trees lead other ways: one trail for all. Answers and counts are as one after the other."""
    rng = random.Random(children)
    machine, processes, start, strange = family(scheme, children)
    pagemap = processes[0].pagemap(start, PAGES * PAGE)
    pfns = pagemap["pfn"][pagemap["present"] == 1].astype(np.uint32).tolist()
    for _ in range(60):
        some = rng.sample(pfns, rng.randrange(2, 9))
        most = rng.choice([1, 3, 1000])
        one_by_one, counted = [], []
        for pfn in some:
            machine.whomaps(strange)
            before = dict(machine.counters)
            one_by_one += probe.by_turns(machine._engine, [pfn], most)
            counted.append({name: count - before[name] for name, count in machine.counters.items()})
        machine.whomaps(strange)
        probe.by_turns(machine._engine, rng.sample(pfns, 1), rng.choice([1, 2, 4]))             # begins a trail, and leaves it
        before = dict(machine.counters)
        assert probe.by_turns(machine._engine, some, most) == one_by_one
        assert {name: count - before[name] for name, count in machine.counters.items()} == {
            name: sum(counts[name] for counts in counted) for name in before}
