"""The workloads of 2026 against closed forms: what walks look at, entries tried, bytes. Walks are those of whomaps."""
import numpy as np
import pytest

import differential
import rmapcore
from rmapcore.workloads import build

PAGE, BASE = 4096, 0x40000
FAITHFUL, REPAIRED, CHAIN = "cow_context_2026_05", "cow_context", "anon_vma_chain"
KEYS = ("mms_tried", "vma_lookups", "vmas_tried", "ptes_tried", "ptes_found")


def before_reclaim(name, scheme, seed=0, until="reclaim", **parameters):
    """A machine after the phases in front of one."""
    made = build(name, parameters, seed, ("x86_64",))
    machine = rmapcore.Machine(scheme, "6.18", ram="64MiB", swap="64MiB")
    for part in made.phases:
        if part.name == until:
            return machine
        machine.run(part.operations)
    raise AssertionError(until)


def walked(machine, pfns):
    """What walks of these frames count, as KEYS, and how many mappings they miss."""
    before = machine.counters
    told = differential.who(machine, pfns, "whomaps")
    after = machine.counters
    missed = sum(len(set(there) - set(found)) for found, there in
                 zip(told, differential.who(machine, pfns, "mappings"), strict=True))
    return tuple(after[key] - before[key] for key in KEYS), missed


def frames_of(machine, pid, vpns):
    process = machine.processes[pid]
    return [int(process.pagemap(int(vpn) * PAGE, PAGE)["pfn"][0]) for vpn in vpns]


def mapped(machine):
    return np.flatnonzero(machine.frames["mapcount"]).tolist()


def object_bytes(machine):
    """(now, at the most) of all that is neither page nor area."""
    kinds = [entry for name, entry in machine.memory()["structures"].items()
             if name.startswith(("cow_context", "maple", "remap", "anon_vma"))]
    return sum(entry["bytes"] for entry in kinds), sum(entry["bytes_peak"] for entry in kinds)


@pytest.mark.parametrize("n", [5, 20, 60])
def test_one_area_each(n):
    for scheme in (REPAIRED, FAITHFUL):
        machine = before_reclaim("one_area_each", scheme, areas=n)
        for k in (1, 2, n):
            (contexts, lookups, there, tried, found), missed = walked(machine, frames_of(machine, 1, [BASE + 2 * (k - 1)]))
            assert (contexts, lookups - there, tried, found, missed) == (n + 2 - k, n - k, 2, 2, 0)
        (contexts, lookups, there, *_), missed = walked(machine, mapped(machine))
        assert (contexts, lookups - there, missed) == (n * (n + 3) // 2, n * (n - 1) // 2, 0)
        assert object_bytes(machine) == (96 * (n + 1), 96 * (n + 1))
    machine = before_reclaim("one_area_each", CHAIN, areas=n)
    assert walked(machine, mapped(machine)) == ((0, 0, 2 * n, 2 * n, 2 * n), 0)
    assert object_bytes(machine) == (400 * n, 632 * n - 232)


@pytest.mark.parametrize("n", [5, 20])
def test_one_area_each_unmapped_by_the_prototype(n):
    """Hole 9: all but the last child's entries stay behind."""
    left = {}
    for scheme in (FAITHFUL, REPAIRED, CHAIN):
        machine = before_reclaim("one_area_each", scheme, areas=n)
        machine.reclaim(n)
        machine.reclaim(n)
        left[scheme] = sum(process.rss for process in machine.processes.values())
    assert left == {FAITHFUL: n - 1, REPAIRED: 0, CHAIN: 0}


def test_one_area_each_written():
    machine = before_reclaim("one_area_each", REPAIRED, areas=20, writes="own")
    (contexts, _, _, tried, found), missed = walked(machine, mapped(machine))
    assert (contexts, tried, found, missed) == (40, 40, 40, 0)


@pytest.mark.parametrize(("width", "root", "whole", "size"), [
    (1, ((486, 640), (486, 486)), ((800, 976), (800, 800)), (480, 14_800)),
    (2, ((2088, 4165), (2088, 3593)), ((4960, 7675), (4960, 6965)), (2976, 114_800)),
    (3, ((7193, 17240), (7193, 16379)), ((19360, 32855), (19360, 31863)), (11_616, 475_920)),
])
def test_fork_tree(width, root, whole, size):
    """(mappings, entries tried) of the pages that the first process maps, and of all."""
    for number, scheme in enumerate((REPAIRED, CHAIN)):
        machine = before_reclaim("fork_tree", scheme, seed=1, depth=4, width=width)
        for pfns, expected in (
                (frames_of(machine, 1, [BASE + 32 * i + page for i in range(10) for page in range(16)]), root[number]),
                (mapped(machine), whole[number])):
            (contexts, _, _, tried, found), missed = walked(machine, pfns)
            assert (found, tried, missed) == (*expected, 0)
            assert contexts == (tried if scheme == REPAIRED else 0)
        assert object_bytes(machine)[0] == size[number]


@pytest.mark.parametrize("n", [1, 20, 300])
def test_parent_writes_first(n):
    expected = {FAITHFUL: (n, 0, n), REPAIRED: (2 * n, n, 0), CHAIN: (2 * n, n, 0)}
    for scheme, old in expected.items():
        machine = before_reclaim("parent_writes_first", scheme, pages=n)
        pages = [frames_of(machine, pid, BASE + np.arange(n)) for pid in (2, 1)]
        (*_, tried, found), missed = walked(machine, pages[0])
        assert (tried, found, missed) == old
        (*_, tried, found), missed = walked(machine, pages[1])
        assert (tried, found, missed) == (n, n, 0)


@pytest.mark.parametrize("n", [2, 20, 33])
@pytest.mark.parametrize("order", ["up", "down"])
def test_one_origin(n, order):
    capacity = 1 << (n - 1).bit_length()
    for scheme in (FAITHFUL, REPAIRED):
        machine = before_reclaim("one_origin", scheme, until="fork", areas=n, order=order)
        places = BASE + 64 + 64 * np.arange(n)
        for rank in (1, n):
            (_, lookups, _, _, found), missed = walked(machine, frames_of(machine, 1, places[rank - 1] + np.arange(16)))
            if scheme == REPAIRED:
                assert (lookups, found, missed) == (16 * (1 + rank), 16, 0)
            else:
                assert (lookups, found, missed) == (16, 0, 16)
        machine = before_reclaim("one_origin", scheme, areas=n, order=order)
        total = walked(machine, mapped(machine))[1]
        assert total == (16 * (n - 1) if scheme == FAITHFUL and order == "down" else 0)
        if not total:
            for rank in (1, n):
                (_, lookups, there, tried, found), _ = walked(machine, frames_of(machine, 1, places[rank - 1] + np.arange(16)))
                assert (lookups, lookups - there, tried, found) == (16 * (n + 2 + rank), 32, 16 * (n + rank), 32)
        assert object_bytes(machine)[0] == 2 * (96 + 256 + 8 + 8 * capacity)
    machine = before_reclaim("one_origin", CHAIN, areas=n, order=order)
    assert walked(machine, mapped(machine)) == ((0, 0, 32 * n, 32 * n, 32 * n), 0)
    assert object_bytes(machine)[0] == 400 * n
