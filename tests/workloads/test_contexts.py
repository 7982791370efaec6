"""The workloads of 2026 against closed forms: what walks look at, entries tried, bytes. Walks are those of whomaps."""
import numpy as np
import pytest

import differential
import rmapcore
from rmapcore.operations import Op
from rmapcore.workloads import build

PAGE, BASE = 4096, 0x40000
FAITHFUL, REPAIRED, CHAIN, LAZY = "cow_context_2026_05", "cow_context", "anon_vma_chain", "anon_vma_lazy"
KEYS = ("mms_tried", "vma_lookups", "vmas_tried", "ptes_tried", "ptes_found")


def before_reclaim(name, scheme, seed=0, until="reclaim", kernel="6.18", ram="64MiB", **parameters):
    """A machine after the phases in front of one."""
    made = build(name, parameters, seed, ("x86_64",))
    machine = rmapcore.Machine(scheme, kernel, ram=ram, swap=ram)
    files = [machine.file(*file) for file in made.files]
    for part in made.phases:
        if part.name == until:
            return machine
        assert not machine.run(part.operations, files).any()
    raise AssertionError(until)


def areas_of(machine):
    return machine.memory()["structures"]["vm_area_struct"]["live"]


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
    for scheme, bytes_of in ((CHAIN, (400 * n, 632 * n - 232)), (LAZY, (232 * n, 104 * n + 64 * (3 * n - 1)))):
        machine = before_reclaim("one_area_each", scheme, areas=n)
        assert walked(machine, mapped(machine)) == ((0, 0, 2 * n, 2 * n, 2 * n), 0)
        assert object_bytes(machine) == bytes_of


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
    """Of a lazy child's own page the parent's area is tried too, unless the child has an anon_vma of its own."""
    n = 20
    for scheme, expected, size in ((REPAIRED, (2 * n, 2 * n, 2 * n), 96 * (n + 1)), (CHAIN, (0, 2 * n, 2 * n), 400 * n),
                                   (LAZY, (0, 3 * n, 2 * n), 232 * n), (f"{LAZY}:child_pages=own", (0, 2 * n, 2 * n), 400 * n)):
        machine = before_reclaim("one_area_each", scheme, areas=n, writes="own")
        (contexts, _, _, tried, found), missed = walked(machine, mapped(machine))
        assert ((contexts, tried, found), missed, object_bytes(machine)[0]) == (expected, 0, size)


@pytest.mark.parametrize(("width", "root", "whole", "size"), [
    (1, ((486, 640), *[(486, 486)] * 3), ((800, 976), (800, 800), (800, 960), (800, 800)), (480, 14_800, 13_120, 14_800)),
    (2, ((2088, 4165), *[(2088, 3593)] * 3), ((4960, 7675), (4960, 6965), (4960, 10_125), (4960, 6965)),
     (2976, 114_800, 87_920, 114_800)),
    (3, ((7193, 17240), *[(7193, 16379)] * 3), ((19360, 32855), (19360, 31863), (19360, 53703), (19360, 31863)),
     (11_616, 475_920, 339_840, 475_920)),
])
def test_fork_tree(width, root, whole, size):
    """(mappings, entries tried) of the pages that the first process maps, and of all."""
    for number, scheme in enumerate((REPAIRED, CHAIN, LAZY, f"{LAZY}:child_pages=own")):
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
    expected = {FAITHFUL: (n, 0, n), REPAIRED: (2 * n, n, 0), CHAIN: (2 * n, n, 0), LAZY: (2 * n, n, 0)}
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
    for scheme, size in ((CHAIN, 400), (LAZY, 232)):
        machine = before_reclaim("one_origin", scheme, areas=n, order=order)
        assert walked(machine, mapped(machine)) == ((0, 0, 32 * n, 32 * n, 32 * n), 0)
        assert object_bytes(machine)[0] == size * n


# --- areas that change before they are shared -------------------------------------------------------------------------


def calls_of(machine, operations):
    """Runs operations by the calls of Process, as the twin has them."""
    for operation in operations:
        of = {name: operation[name].item() for name in operation.dtype.names}
        process, where = machine.processes.get(of["process"]), (of["addr"], of["length"])
        match Op(of["op"]):
            case Op.SPAWN:
                machine.spawn()
            case Op.FORK:
                process.fork()
            case Op.MMAP:
                process.mmap(*where, of["prot"], of["flags"])
            case Op.MPROTECT:
                process.mprotect(*where, of["prot"])
            case Op.MREMAP:
                process.mremap(*where, of["arg"], of["flags"], of["arg2"])
            case Op.MUNMAP:
                process.munmap(*where)
            case Op.WRITE:
                process.write(*where)


@pytest.mark.parametrize("scheme", [CHAIN, REPAIRED, LAZY])
@pytest.mark.parametrize("moves", ["no", "yes"])
@pytest.mark.parametrize("seed", [0, 1])
def test_split_and_merge_beside_the_twin(scheme, moves, seed):
    """Nothing is missed after any step, and the slow machine has the same areas, walks and counts."""
    made = build("split_and_merge", {"steps": 40, "moves": moves}, seed, ("x86_64",))
    machine = rmapcore.Machine(scheme, "6.18", ram="16MiB", swap="16MiB", track_contents=True)
    twin = differential.twin_of(scheme, kernel="6.18", ram=16 << 20, swap=16 << 20)
    for part in made.phases[:4]:
        for operation in np.split(part.operations, len(part.operations)):
            calls_of(machine, operation)
            calls_of(twin, operation)
            found = machine.crosscheck()
            assert (found["missed"], found["extra"]) == (0, 0)
        assert differential.observe(machine) == differential.observe(twin)
        machine.check()


def test_split_and_merge_under_the_prototype():
    """Nothing is missed before the fork unless parts move; after it parents that write first are enough."""
    lost = {}
    for moves in ("no", "yes"):
        for until in ("fork", "reclaim"):
            machine = before_reclaim("split_and_merge", FAITHFUL, until=until, moves=moves)
            lost[moves, until] = machine.crosscheck()["missed"]
    assert lost["no", "fork"] == 0 < min(lost["no", "reclaim"], lost["yes", "fork"], lost["yes", "reclaim"])


def test_all_of_split_and_merge_happens():
    made = build("split_and_merge", {"moves": "yes"}, 0, ("x86_64",))
    operations = np.concatenate([made.phases[1].operations, made.phases[3].operations])
    counts = {op: np.count_nonzero(operations["op"] == op) for op in (Op.MPROTECT, Op.MUNMAP, Op.MREMAP)}
    assert 80 < counts[Op.MPROTECT] < 120 and 25 < counts[Op.MUNMAP] < 60 and 40 < counts[Op.MREMAP] < 80
    assert set(made.phases[3].operations["process"].tolist()) == {1, 2}


@pytest.mark.parametrize("n", [1, 3, 8])
def test_folio_in_pieces(n):
    """Of 16 pages in three areas all entries are found, before the middle moves and after; then 4 look-ups are in vain."""
    for scheme, size in ((REPAIRED, None), (CHAIN, 992), (LAZY, 488), (f"{LAZY}:adopt=0", 696)):
        for until, moved in (("move", False), ("reclaim", True)):
            machine = before_reclaim("folio_in_pieces", scheme, until=until, folios=n)
            (_, lookups, there, tried, found), missed = walked(machine, mapped(machine))
            assert (tried, found, missed) == (32 * n, 32 * n, 0)
            empty = 4 * moved * n if scheme == REPAIRED else 0
            assert (lookups, there) == ((32 * n + empty) * (scheme == REPAIRED), 32 * n)
            assert areas_of(machine) == 6 * n
        if size:
            assert object_bytes(machine)[0] == size * n
        elif n == 1:
            assert object_bytes(machine)[0] == 2 * 96 + 256


# --- private files ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "c"), [(1, 1), (10, 3), (33, 2)])
def test_private_libraries(n, c):
    """Copies of one page of n files have one index in 6.18, and their own in 7.3."""
    pages = [BASE + 64 * i + page for i in range(n) for page in range(8)]
    for scheme, size in ((CHAIN, 168 + 232 * c), (LAZY, 168 + 64 * c)):
        machine = before_reclaim("private_libraries", scheme, libraries=n, children=c)
        assert walked(machine, frames_of(machine, 1, pages)) == ((0, 0, *[8 * n * (c + 1)] * 3), 0)
        assert object_bytes(machine)[0] == size * n
    capacity = 1 << max(1, (n - 1).bit_length())
    for until in ("fork", "reclaim"):
        machine = before_reclaim("private_libraries", FAITHFUL, until=until, libraries=n, children=c)
        assert walked(machine, frames_of(machine, 1, pages))[1] == (8 * n if until == "fork" else 0)
        machine = before_reclaim("private_libraries", REPAIRED, until=until, libraries=n, children=c)
        forked = c if until == "reclaim" else 0
        for rank in {1, n}:
            (_, lookups, there, tried, found), missed = walked(machine, frames_of(machine, 1, pages[8 * rank - 8:8 * rank]))
            assert (lookups, lookups - there, tried, found, missed) == tuple(8 * one for one in (
                forked * (1 + n) + 1 + rank, forked + 1, forked * n + rank, forked + 1, 0))
        assert object_bytes(machine)[0] == (forked + 1) * (96 + 256 + (8 + 8 * capacity if n > 1 else 0))
        machine = before_reclaim("private_libraries", REPAIRED, until=until, kernel="7.3", libraries=n, children=c)
        (_, lookups, _, tried, found), missed = walked(machine, frames_of(machine, 1, pages))
        assert (lookups, tried, found, missed) == (*[8 * n * (forked + 1)] * 3, 0)
        assert object_bytes(machine)[0] == (forked + 1) * 96


# --- the phone --------------------------------------------------------------------------------------------------------


def objects_of(machine):
    return {name: entry["live"] for name, entry in machine.memory()["structures"].items()
            if name in ("anon_vma", "anon_vma_chain", "cow_context", "maple_node")}


def closed_form_of_zygote(scheme, a, n, b, g):
    if scheme == CHAIN:
        return {"anon_vma": a + n * (a + b) + g * (a + b), "anon_vma_chain": a + n * (2 * a + b) + g * (3 * a + 2 * b)}
    if scheme == LAZY:
        u = g * (a + b)
        return {"anon_vma": a + u, "anon_vma_chain": a + n * a + u + g * (2 * a + b)}
    return {"cow_context": 1 + n + g, "maple_node": 0}


@pytest.mark.parametrize(("a", "n", "b", "g"), [(20, 6, 8, 0), (20, 6, 8, 1), (7, 3, 5, 3), (300, 20, 100, 2)])
def test_zygote(a, n, b, g):
    for scheme in (CHAIN, LAZY, REPAIRED, FAITHFUL):
        machine = before_reclaim("zygote", scheme, areas=a, apps=n, own=b, forking=g)
        assert areas_of(machine) == a + (n + g) * (a + b)
        found = objects_of(machine)
        expected = closed_form_of_zygote(scheme, a, n, b, g)
        assert {name: found[name] for name in expected} == expected
        assert machine.crosscheck()["missed"] == 0


# --- one root ---------------------------------------------------------------------------------------------------------

LOCKS = ("lock_anonmm", "lock_anon_vma", "lock_anon_vma_held")


@pytest.mark.parametrize(("v", "c"), [(20, 2), (60, 5), (200, 8)])
def test_one_root(v, c):
    """Pieces of one area, and forks: locks of walks and of the exit of a child, what a walk looks at, and objects."""
    pieces = v * (c + 1)
    for scheme, locks, kinds, size in (
            (CHAIN, (0, v, pieces), (1 + v * c, v + 2 * v * c), 104 * (1 + v * c) + 64 * (v + 2 * v * c)),
            (LAZY, (0, v, pieces), (1, pieces), 104 + 64 * pieces),
            (f"{LAZY}:adopt=0", (0, v, pieces), (v, pieces), 104 * v + 64 * pieces)):
        machine = before_reclaim("one_root", scheme, areas=v, children=c)
        before = machine.counters
        assert walked(machine, mapped(machine)) == ((0, 0, pieces, pieces, pieces), 0)
        after = machine.counters
        assert tuple(after[lock] - before[lock] for lock in LOCKS) == locks
        found = objects_of(machine)
        assert (found["anon_vma"], found["anon_vma_chain"], object_bytes(machine)[0]) == (*kinds, size)
        machine.processes[2].exit()
        assert machine.counters["lock_anon_vma"] == after["lock_anon_vma"] + v
    machine = before_reclaim("one_root", REPAIRED, areas=v, children=c)
    assert walked(machine, mapped(machine)) == ((pieces,) * 5, 0) and object_bytes(machine)[0] == 96 * (c + 1)
    assert [machine.counters[lock] for lock in LOCKS] == [c, 0, 0]


def test_apps_that_fork_are_apps():
    with pytest.raises(ValueError, match="forking: 4 are more than the 3 apps"):
        build("zygote", {"apps": 3, "forking": 4}, 0, ("x86_64",))


@pytest.mark.long
@pytest.mark.parametrize("scheme", [CHAIN, LAZY, REPAIRED])
def test_zygote_of_a_phone(scheme):
    """As many areas, anon_vmas and avcs as a phone has with 24 apps; half a second and some 200 MiB a scheme."""
    machine = before_reclaim("zygote", scheme, ram="1GiB", areas=2602, apps=71, own=1100, forking=5)
    expected = closed_form_of_zygote(scheme, 2602, 71, 1100, 5)
    assert {name: objects_of(machine)[name] for name in expected} == expected
    (*_, tried, found), missed = walked(machine, mapped(machine))
    assert (tried, found, missed) == (2602 + 76 * 3702, 2602 + 76 * 3702, 0)      # one for each area


@pytest.mark.long
def test_a_broad_fork_tree():
    """1,365 processes: 4 children each."""
    for scheme in (CHAIN, LAZY, REPAIRED):
        machine = before_reclaim("fork_tree", scheme, ram="1GiB", depth=5, width=4)
        (contexts, _, _, tried, found), missed = walked(machine, mapped(machine))
        assert (found, missed) == (160 * 1365, 0) and tried >= found and (contexts == tried or scheme != REPAIRED)
