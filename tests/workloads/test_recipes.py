"""The recipes of published programs: every workload under every scheme at a small size, and the totals that are known."""
import numpy as np
import pytest

import rmapcore
from differential import KNOWN, SOUND
from rmapcore.operations import Op
from rmapcore.workloads import WORKLOADS, build

PAGE = 4096
# a new workload needs an entry: parameters with which it runs in a moment
SMALL = {
    "swapout": {"pages": 200, "processes": 3},
    "cold_beside_hot": {},
    "rmap_test": {"n": 6, "s": 5, "t": 3, "i": 2},
    "test_mmap2": {"pages": 40, "forks": 2},
    "test_mmap3": {"pages": 30, "forks": 2},
    "thousand_by_thousand": {"processes": 5, "windows": 7},
    "big_sga": {"tasks": 3, "pages": 50},
    "rik_children": {"pages": 20, "children": 5, "rewritten": 0.5},
    "fork_then_mremap": {"pages": 30, "children": 3, "rewritten": 0.2},
    "malloc_in_child": {"pages": 6, "children": 4},
    "forrest": {"generations": 9, "live": 3, "pages": 3},
    "ten_thousand_shells": {"children": 9, "pages": 11},
    "mprotect_loop": {"loops": 30},
    "split_by_mprotect": {"pages": 20},
    "moved_border": {"pages": 20},
    "reused_twice": {"families": 3},
    "moved_or_left": {"pages": 5},
    "kernbench": {"jobs": 12, "compiles": 2},
    "sdet": {"scripts": 3, "commands": 4},
    "lat_proc": {"mode": "shell", "iterations": 3, "pages": 20},
    "shell_forker": {"loops": 3, "iterations": 4},
    "stress_rmap": {"windows": 9, "pages": 4, "children": 3, "passes": 2},
    "stress_mremap": {"halvings": 5, "rounds": 3},
    "stress_vma": {"arena": 12, "operations": 600},
    "stress_fork": {"pages": 9, "children": 7, "alive": 3},
    "stress_mmapfork": {"pages": 90, "children": 4},
    "stress_mmapmany": {"maps": 20},
    "anon_cow_seq": {"pages": 400, "tasks": 3},
    "anon_cow_rand": {"pages": 120, "tasks": 3},
    "anon_w_seq": {"pages": 200, "tasks": 3},
    "fork": {"children": 9},
    "fork_sleep": {"children": 9},
    "shm_xread": {"pages": 150, "tasks": 3},
    "shm_pread": {"pages": 150, "tasks": 3},
    "lru_file_mmap_read": {"pages": 60, "tasks": 3, "times": 4},
    "lru_file_mmap_read_rand": {"pages": 60, "tasks": 3, "times": 4},
    "lru_shm": {"pages": 60, "tasks": 3, "times": 4},
    "truncate": {"pages": 90, "tasks": 3},
    "small_allocs": {"pages": 100, "tasks": 3, "unit": 4},
    "page_fault1": {"pages": 20, "iterations": 3},
    "page_fault2": {"pages": 20, "iterations": 3},
    "page_fault3": {"pages": 20, "iterations": 3},
    "brk1": {"iterations": 5},
    "brk2": {"iterations": 5},
    "mmap1": {"pages": 20, "iterations": 3},
    "mmap2": {"pages": 20, "iterations": 3},
    "one_area_each": {"areas": 6},
    "fork_tree": {"depth": 2, "width": 2},
    "parent_writes_first": {"pages": 20},
    "one_origin": {"areas": 5},
    "one_root": {"areas": 9, "children": 3},
    "one_library": {"areas": 40, "workers": 3, "rounds": 2},
    "server_reclaim": {"pages": 40, "children": 3, "rounds": 2},
    "split_and_merge": {"steps": 20},
    "folio_in_pieces": {"folios": 3},
    "private_libraries": {"libraries": 4},
    "zygote": {"areas": 9, "apps": 3, "own": 5, "forking": 1},
}
OTHER_CONTENTS = {"brk2"}                          # on i386, where a heap may be executed
FAILING = {"stress_vma"}                           # calls of these may fail, as they do in the original
VARIANTS = [
    ("rmap_test", {"mode": "random"}), ("rmap_test", {"mode": "half"}), ("rmap_test", {"t": 0, "i": 0}),
    ("fork_then_mremap", {"order": "move_first"}), ("fork_then_mremap", {"moved": "one"}),
    ("fork_then_mremap", {"moved": "none", "children": 0}), ("rik_children", {"rewritten": 0}),
    ("forrest", {"live": 1}), ("lat_proc", {"mode": "fork"}), ("lat_proc", {"mode": "exec"}),
    ("kernbench", {"jobs": 3, "compiles": 1}), ("ten_thousand_shells", {"pages": 2}),
    ("stress_mmapmany", {"gap": 0}), ("stress_vma", {"processes": 5}), ("stress_fork", {"alive": 9}),
]
CASES = [(name, {}) for name in WORKLOADS] + VARIANTS


def program(name, **parameters):
    return build(name, {**SMALL[name], **parameters}, 0, ("i386", "x86_64"))


@pytest.mark.parametrize(("name", "parameters"), CASES)
def test_every_scheme_and_arch(name, parameters):
    """Equal contents, calls that end alike and well, a reverse map that finds everything."""
    result = rmapcore.compare(name, schemes=SOUND, arch=("x86_64", "i386", "i386-pae"), **{**SMALL[name], **parameters})
    assert result.ok, result.problems
    rows = result.to_dict()["results"]
    digests = {row["final"]["digest"] for row in rows}
    assert len(digests) == 1 + (name in OTHER_CONTENTS)
    assert all(row["calls"]["first_difference"] is None for row in rows)
    assert {bool(row["calls"]["failed"]) for row in rows} == {name in FAILING}
    assert not any(row["calls"]["by_kind"].get(call, {}).get("failed") for row in rows for call in ("SPAWN", "FORK", "EXIT"))
    assert all(row["check"]["frames"] > 0 for row in rows)
    assert all(row["final"]["processes"] == 0 for row in rows)
    assert all(row["phase_pages"] == rows[0]["phase_pages"] for row in rows if row["reclaim"] == rows[0]["reclaim"])


@pytest.mark.parametrize("name", WORKLOADS)
def test_the_same_parameters_make_the_same_bytes(name):
    one, other = program(name), program(name)
    assert [phase.operations.tobytes() for phase in one.phases] == [phase.operations.tobytes() for phase in other.phases]
    assert [phase.name for phase in one.phases] == [phase.name for phase in other.phases]


def test_seeds():
    def bytes_of(name, seed, **parameters):
        made = build(name, {**SMALL[name], **parameters}, seed, ("x86_64",))
        return b"".join(phase.operations.tobytes() for phase in made.phases)

    for name, parameters in (("rmap_test", {"mode": "random"}), ("sdet", {}), ("stress_rmap", {}), ("stress_mremap", {}),
                             ("stress_vma", {}), ("anon_cow_rand", {}), ("lru_file_mmap_read_rand", {})):
        assert bytes_of(name, 1, **parameters) == bytes_of(name, 1, **parameters) != bytes_of(name, 2, **parameters)


@pytest.mark.parametrize(("name", "parameters", "reason"), [
    ("rmap_test", {"n": 1000, "s": 600}, "n and s: 600,000 pages in one process are more than the 524,288 that i386"),
    ("big_sga", {"pages": 720_897}, "pages: 720,897 pages in one process are more than the 720,896 that i386"),
    ("test_mmap3", {"pages": 1}, "from 2 to"), ("split_by_mprotect", {"pages": 65_001}, "from 2 to 65,000"),
    ("fork_then_mremap", {"moved": "some"}, "one, all, none"), ("forrest", {"live": 0}, "live: 0"),
    ("stress_mremap", {"halvings": 19}, "from 1 to 18"),
    ("stress_mmapfork", {"pages": 7}, "7 are less than two for each of 32"),
    ("anon_cow_seq", {"pages": 5}, "5 are too few for 16 tasks: at least 32"), ("brk1", {"pages": 3}, "it has tasks"),
    ("small_allocs", {"pages": 11}, "at least 160"), ("stress_rmap", {"windows": 30_000, "pages": 60}, "windows and pages"),
])
def test_what_cannot_be_is_refused(name, parameters, reason):
    with pytest.raises(ValueError, match=reason):
        build(name, parameters, 0, ("x86_64", "i386"))


# --- totals -----------------------------------------------------------------------------------------------------------


def stand_at(name, before, arch="x86_64", scheme="anonmm", **parameters):
    """The machine and its operations as they are before a phase begins."""
    made = build(name, parameters, 0, (arch,))
    phases = [phase.name for phase in made.phases]
    operations = np.concatenate([phase.operations for phase in made.phases[:phases.index(before)]])
    machine = rmapcore.Machine(scheme, arch=arch, ram="4GiB" if arch == "x86_64" else "2GiB", swap=0)
    done = rmapcore.Trace(operations, made.files, {}, "test").replay(machine)
    assert done["failed"] == 0
    return machine


def file_frames(machine):
    return machine.frames[machine.frames["flags"] & 1 << 17 != 0]


@pytest.mark.parametrize(("n", "s", "t"), [(5, 7, 3), (100, 6, 100)])
def test_rmap_test(n, s, t):
    machine = stand_at("rmap_test", "reclaim", n=n, s=s, t=t)
    assert machine.memory()["structures"]["vm_area_struct"]["live"] == n * (t + 1)
    frames = file_frames(machine)
    assert len(frames) == n * s and set(frames["mapcount"].tolist()) == {t + 1}


@pytest.mark.long
def test_rmap_test_in_full():
    """60,000 pages, 10,100 areas, 101 mappings of each page, 6,060,000 entries in 23 MiB of page tables (i386)."""
    machine = stand_at("rmap_test", "reclaim", arch="i386")
    frames = file_frames(machine)
    assert len(frames) == 60_000 and frames["mapcount"].sum() == 6_060_000
    structures = machine.memory()["structures"]
    assert structures["vm_area_struct"]["live"] == 10_100
    assert 23 << 20 <= structures["page_table"]["bytes"] <= 25 << 20      # entries 23.1 MiB, half-filled tables at the ends


@pytest.mark.parametrize(("name", "pages", "forks"), [("test_mmap2", 2000, 5), ("test_mmap3", 400, 3)])
def test_remapped_segments(name, pages, forks):
    machine = stand_at(name, "reclaim", pages=pages, forks=forks)
    assert len(machine.processes) == 2**forks
    assert {len(process.maps()) for process in machine.processes.values()} == {pages * 9 // 10}
    mapcounts = file_frames(machine)["mapcount"]
    assert np.count_nonzero(mapcounts == 2**forks) == pages * 9 // 10 and np.count_nonzero(mapcounts == 0) == pages // 10


def test_thousand_by_thousand():
    machine = stand_at("thousand_by_thousand", "reclaim", processes=50, windows=40)
    assert machine.memory()["structures"]["vm_area_struct"]["live"] == 2000
    assert set(file_frames(machine)["mapcount"].tolist()) == {50}


def test_big_sga():
    machine = stand_at("big_sga", "reclaim", tasks=7, pages=300)
    assert [process.rss for process in machine.processes.values()] == [300] * 7


@pytest.mark.parametrize("rewritten", [0, 0.25, 1])
def test_rik_children(rewritten):
    machine = stand_at("rik_children", "reclaim", pages=40, children=30, rewritten=rewritten)
    counts = machine.frames["mapcount"][machine.frames["flags"] & 1 << 20 != 0].tolist()
    copied = round(40 * rewritten)
    assert sorted(counts) == sorted([1] * copied * 31 + [31] * (40 - copied))


@pytest.mark.parametrize("scheme", SOUND)
def test_copies_of_moved_pages(scheme):
    """A page that a child wrote is its own; of the others anonmm copies each, and no other scheme any."""
    if scheme not in KNOWN:
        pytest.skip(f"{scheme} has no twin: nothing says whether it copies")
    machine = stand_at("fork_then_mremap", "reclaim", scheme=scheme, pages=50, children=4, rewritten=0.3)
    expected = 4 * 35 if scheme.startswith("anonmm") else 0
    assert machine.counters["pages_copied_mremap"] == expected


@pytest.mark.parametrize("live", [1, 2, 3])
def test_forrest(live):
    made = build("forrest", {"generations": 12, "live": live, "pages": 2}, 0, ("x86_64",))
    operations = np.concatenate([phase.operations for phase in made.phases[:2]])
    alive, most = {1}, 0
    for op in operations:
        if op["op"] == Op.FORK:
            alive.add(int(op["other"]))
        elif op["op"] == Op.EXIT:
            alive.remove(int(op["process"]))
        most = max(most, len(alive))
    assert len(alive) == live and most == live + 1 and max(alive) == 13


def test_kernbench_runs_every_program():
    """Each job: sh, gcc, cc1, as; text of a binary is shared by all that run it, heaps by nobody once they called exec."""
    made = program("kernbench", jobs=12, compiles=2)
    operations = np.concatenate([phase.operations for phase in made.phases])
    counts = {op: np.count_nonzero(operations["op"] == op) for op in (Op.SPAWN, Op.FORK, Op.EXECVE, Op.EXIT)}
    assert counts == {Op.SPAWN: 1 + 12 * 2 * 3, Op.FORK: 12 * 2, Op.EXECVE: 1 + 12 * 2, Op.EXIT: 1 + 12 * 2 * 4}
    machine = stand_at("kernbench", "exit", jobs=12, compiles=1)
    assert list(machine.processes) == [1]


def test_split_by_mprotect():
    machine = stand_at("split_by_mprotect", "reclaim", scheme="anon_vma", pages=50)
    assert len(machine.processes[1].maps()) == 50
    assert machine.memory()["structures"]["anon_vma"]["live"] == 1
