"""Workloads after stress-ng, vm-scalability and will-it-scale, and the shell forker: the totals of their recipes."""
import numpy as np
import pytest
from test_recipes import SMALL, file_frames, stand_at

import rmapcore
from differential import SOUND
from rmapcore.operations import Op
from rmapcore.workloads import build


def operations_of(name, **parameters):
    made = build(name, parameters, 0, ("x86_64",))
    return np.concatenate([phase.operations for phase in made.phases])


def row(name, scheme, **parameters):
    return rmapcore.compare(name, schemes=[scheme], **parameters).to_dict()["results"][0]


@pytest.mark.parametrize(("windows", "pages", "children"), [(64, 16, 16), (9, 4, 3), (3, 5, 2)])
def test_stress_rmap(windows, pages, children):
    """Page p of the file is in min(p + 1, pages, file pages - p) windows; a child maps each of them."""
    machine = stand_at("stress_rmap", "reclaim", windows=windows, pages=pages, children=children, passes=1)
    frames = file_frames(machine)
    count = windows + pages - 1
    number = np.arange(count)
    expected = np.minimum.reduce([number + 1, np.full(count, min(windows, pages)), count - number]) * children
    mapcounts = frames["mapcount"][np.argsort(frames["index"])]
    assert mapcounts.tolist() == expected.tolist()
    if (windows, pages, children) == (64, 16, 16):
        assert count == 79 and mapcounts.max() == 256 and round(mapcounts.mean(), 1) == 207.4
        assert mapcounts.sum() == 1024 * 16


@pytest.mark.parametrize("scheme", SOUND)
def test_stress_mremap_copies_nothing(scheme):
    """Nothing is shared: also schemes that copy what they cannot move have nothing to copy."""
    result = row("stress_mremap", scheme, halvings=8, rounds=4)
    assert result["counters"]["pages_copied_mremap"] == 0
    assert result["calls"]["by_kind"]["MREMAP"] == {"done": 64, "failed": 0, "errors": {}}
    assert result["pages"] == 256


def test_stress_mremap_moves_and_stays():
    machine = stand_at("stress_mremap", "reclaim", halvings=8, rounds=4)
    assert [int(area["end"] - area["start"]) for area in machine.processes[1].maps()] == [256 * 4096]
    steps = operations_of("stress_mremap", halvings=8, rounds=4)
    flags = steps["flags"][steps["op"] == Op.MREMAP]
    assert set(flags.tolist()) == {1, 3}


def test_stress_vma_splits_and_merges():
    """Most kinds of calls succeed and fail; a page mapped again merges with its neighbours."""
    result = row("stress_vma", "anon_vma", operations=5000)
    kinds = result["calls"]["by_kind"]
    assert all(kinds[name]["done"] and kinds[name]["failed"] for name in ("MPROTECT", "MADVISE", "MLOCK", "READ", "WRITE"))
    assert all(kinds[name]["failed"] == 0 for name in ("MMAP", "MUNMAP"))
    assert result["counters"]["vma_splits"] > 200 and result["counters"]["vma_merges"] > 100


@pytest.mark.parametrize("alive", [1, 4, 100])
def test_stress_fork(alive):
    structures = row("stress_fork", "anonmm", pages=30, children=20, alive=alive)["memory"]["structures"]
    assert structures["anonmm"]["peak"] == 1 + min(alive, 20)


def test_stress_mmapfork():
    result = row("stress_mmapfork", "pte_chain", pages=6400, children=32)
    assert result["pages"] == 3200 and result["phase_pages"]["populate"] == result["phase_pages"]["dontneed"] == 3200
    assert result["final"]["processes"] == 0


def test_stress_mmapmany():
    """Every step makes two areas that share one anon_vma; without a gap the next one merges with what is left."""
    for gap, areas, lists in ((1, 60, 30), (0, 31, 1)):
        structures = stand_at("stress_mmapmany", "reclaim", scheme="anon_vma", maps=30, gap=gap).memory()["structures"]
        assert structures["vm_area_struct"]["live"] == areas and structures["anon_vma"]["live"] == lists


def mapcounts_before(name, before, **parameters):
    frames = stand_at(name, before, **parameters).frames
    return frames["mapcount"][frames["mapcount"] > 0][1 if frames["mapcount"][0] else 0:].tolist()


def test_anon_cow():
    """The parent's pages have all tasks as mappers, and in the end the parent alone."""
    assert mapcounts_before("anon_cow_seq", "rewrite", pages=800, tasks=4) == [5] * 100
    assert mapcounts_before("anon_cow_seq", "reclaim", pages=800, tasks=4) == [1] * 500
    counts = mapcounts_before("anon_cow_rand", "reclaim", pages=800, tasks=4)
    assert sum(counts) == 500 and 100 < len(counts) < 500


@pytest.mark.parametrize(("name", "areas"), [("shm_xread", 5), ("shm_pread", 4)])
def test_shm_read(name, areas):
    machine = stand_at(name, "reclaim", pages=300, tasks=4)
    assert file_frames(machine)["mapcount"].tolist() == [4] * 150
    assert machine.memory()["structures"]["vm_area_struct"]["live"] == areas


@pytest.mark.parametrize("name", ["lru_file_mmap_read", "lru_file_mmap_read_rand", "lru_shm"])
def test_lru_reclaims_by_itself(name):
    result = rmapcore.compare(name, schemes=["anon_vma"], pages=300, tasks=3, times=5)
    data = result.to_dict()
    assert result.ok and data["machine"]["ram"] == 300 * 4096
    assert data["results"][0]["reclaim"]["freed"] >= data["results"][0]["pages"] - 300 > 0
    assert data["results"][0]["pages"] > 900
    roomy = rmapcore.compare(name, schemes=["anon_vma"], ram="16MiB", pages=300, tasks=3, times=5).to_dict()
    assert roomy["results"][0]["reclaim"]["freed"] == 0 and roomy["machine"]["ram"] == 16 << 20


def test_truncate():
    machine = stand_at("truncate", "exit", pages=90, tasks=3)
    assert len(file_frames(machine)) == 0 and len(machine.processes) == 4
    assert row("truncate", "anonmm", pages=90, tasks=3)["phase_pages"] == {"read": 90, "truncate": 90, "exit": 3}


def test_small_allocs_merge():
    machine = stand_at("small_allocs", "exit", pages=200, tasks=5)
    assert [len(process.maps()) for process in machine.processes.values()] == [0] + [1] * 5
    assert [process.rss for process in machine.processes.values()] == [0] + [40] * 5


@pytest.mark.parametrize("name", ["fork", "fork_sleep"])
def test_fork(name):
    peak = row(name, "anonmm", children=30)["memory"]["structures"]["anonmm"]["peak"]
    assert peak == {"fork": 2, "fork_sleep": 31}[name]


@pytest.mark.parametrize(("name", "counter"), [
    ("page_fault1", "faults_zero"), ("page_fault2", "faults_file"), ("page_fault3", "faults_file")])
def test_page_faults(name, counter):
    """Three iterations of five tasks with four pages each."""
    result = row(name, "pte_chain", tasks=5, iterations=3, pages=4)
    assert result["counters"][counter] >= 60
    assert result["phase_pages"]["iterations"] == 60
    assert result["counters"]["pages_copied_cow"] == (60 if name == "page_fault2" else 0)


def test_brk():
    """brk1 makes and drops its area every time; brk2 has one area all the time."""
    for name, splits in (("brk1", 0), ("brk2", 20)):
        result = row(name, "anon_vma", tasks=4, iterations=5)
        assert result["calls"]["failed"] == 0
        assert result["counters"]["vma_splits"] <= splits
        machine = stand_at(name, "exit", tasks=4, iterations=5)
        assert [len(process.maps()) for process in machine.processes.values()] == [1] + [1 + (name == "brk2")] * 4


def test_mappings_without_a_touch():
    for name in ("mmap1", "mmap2"):
        result = row(name, "anon_vma", tasks=3, iterations=4, pages=50)
        assert result["calls"]["by_kind"]["MMAP"]["done"] == 3 * 4 + 1
        assert result["phase_pages"]["iterations"] == 24
        assert result["memory"]["structures"]["vm_area_struct"]["peak"] <= 5


def test_shell_forker():
    """Every iteration of every loop: three forks, two programs, libc mapped by all that run."""
    operations = operations_of("shell_forker", loops=10, iterations=500)
    assert np.count_nonzero(operations["op"] == Op.FORK) == 10 + 15_000
    assert np.count_nonzero(operations["op"] == Op.EXECVE) == 1 + 10_000
    result = row("shell_forker", "anonmm", **SMALL["shell_forker"])
    assert result["memory"]["structures"]["anonmm"]["peak"] == 1 + 3 * 4
