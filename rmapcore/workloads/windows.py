"""Workloads with many areas on one file: what lists of areas collapse on, and trees do not (2003 and 2004).

rmap_test                Andrew Morton's program, 5 April 2003: windows of one file, apart in the file, in one parent and
                         its children; options -l, -r and -h
test_mmap2, test_mmap3   Ingo Molnar's, March 2004: every page of a shared segment is mapped by an area of its own, in
                         descending order, so that nothing merges; five forks make 32 processes
thousand_by_thousand     Morton's worst case, 20 February 2003: as many processes as windows, all on one file
big_sga                  Andrea Arcangeli's, 8 March 2004: tasks that share one large segment, all of it touched
"""
import numpy as np

from rmapcore.core.program import make
from rmapcore.operations import Op
from rmapcore.units import PAGE
from rmapcore.workloads.bricks import (
    BASE_VPN,
    LOW_VPN,
    exits,
    forks,
    interleaved,
    mapped,
    need_room,
    phase,
    program,
    reclaim,
    touches,
)
from rmapcore.workloads.parameters import Parameter, Workload


def windows_of_a_file(n, pages):
    """Where n windows of so many pages are, in memory one behind the other, in the file a page apart: (vpns, file pages)."""
    number = np.arange(n, dtype=np.int64)
    return BASE_VPN + number * pages, number * (pages + 1)


def rmap_test(parameters, seed, archs):
    n, s, t, passes = (parameters[name] for name in ("n", "s", "t", "i"))
    need_room(archs, "n and s", n * s)
    vpns, file_pages = windows_of_a_file(n, s)
    children = np.arange(2, 2 + t)
    rng = np.random.default_rng(seed)
    work = []
    for _ in range(passes):
        for child in children:
            if parameters["mode"] == "random":
                pages = rng.integers(0, n * s, parameters["V"] * s)
                work.append(touches(child, BASE_VPN + pages, 1, len(pages)))
            elif parameters["mode"] == "half" and child == children[0]:
                work.append(touches(child, vpns[:max(n // 2, 1)], s, max(n // 2, 1)))
            else:
                work.append(touches(child, vpns, s, n))
    phases = [
        phase("map", "faults", make(Op.SPAWN, process=1), mapped(1, vpns, s, 1, file_pages, n)),
        phase("fill", "faults", touches(1, vpns, s, n)),
        phase("fork", "copies", forks(1, children)),
        phase("touch", sum(int(part["length"].sum()) for part in work) // PAGE, *work),
        reclaim(n * s),
        phase("exit", "entries", exits(np.append(children, 1))),
    ]
    return program("rmap_test", parameters, seed, phases, [("rmap-test", (n * s + n - 1) * PAGE, "disk")])


def remapped_segment(name, parameters, seed, archs):
    """test_mmap2 and test_mmap3, which differ in size."""
    pages = parameters["pages"]
    need_room(archs, "pages", 2 * pages)
    window = pages * 9 // 10
    if window < 1:
        raise ValueError(f"pages: {pages} leave no page to remap: nine tenths are")
    number = np.arange(window)
    vpns = BASE_VPN + number
    rounds = [forks(np.arange(1, 1 + (1 << step)), np.arange(1 + (1 << step), 1 + (2 << step)))
              for step in range(parameters["forks"])]
    phases = [
        phase("fill", "faults", make(Op.SPAWN, process=1), mapped(1, BASE_VPN + window, pages, 1, 0),
              touches(1, BASE_VPN + window, pages),
              make(Op.MUNMAP, process=1, addr=(BASE_VPN + window) * PAGE, length=pages * PAGE)),
        phase("map", "faults", mapped(1, BASE_VPN, window, 1, 0),
              interleaved(mapped(1, vpns, 1, 1, window - number, window), touches(1, vpns, 1, window))),
        phase("fork", "copies", *rounds),
        reclaim(pages),
        phase("exit", "entries", exits(np.arange(1, 1 + (1 << parameters["forks"]))[::-1])),
    ]
    return program(name, parameters, seed, phases, [("shm", pages * PAGE, "shmem")])


def test_mmap2(parameters, seed, archs):
    return remapped_segment("test_mmap2", parameters, seed, archs)


def test_mmap3(parameters, seed, archs):
    return remapped_segment("test_mmap3", parameters, seed, archs)


def thousand_by_thousand(parameters, seed, archs):
    n, s, processes = (parameters[name] for name in ("windows", "pages", "processes"))
    need_room(archs, "windows and pages", n * s)
    vpns, file_pages = windows_of_a_file(n, s)
    children = np.arange(2, 1 + processes)
    phases = [
        phase("map", "faults", make(Op.SPAWN, process=1), mapped(1, vpns, s, 1, file_pages, n)),
        phase("fill", "faults", touches(1, vpns, s, n)),
        phase("fork", "copies", forks(1, children)),
        reclaim(n * s),
        phase("exit", "entries", exits(np.append(children, 1))),
    ]
    return program("thousand_by_thousand", parameters, seed, phases, [("file", n * (s + 1) * PAGE, "disk")])


def big_sga(parameters, seed, archs):
    pages, tasks = parameters["pages"], parameters["tasks"]
    need_room(archs, "pages", pages, LOW_VPN)
    pids = np.arange(1, 1 + tasks)
    phases = [
        phase("map", "faults", make(Op.SPAWN, tasks, process=pids), mapped(pids, LOW_VPN, pages, 1, 0, tasks)),
        phase("touch", "faults", touches(pids, LOW_VPN, pages, tasks)),
        reclaim(pages),
        phase("exit", "entries", exits(pids)),
    ]
    return program("big_sga", parameters, seed, phases, [("sga", pages * PAGE, "shmem")])


def segment(pages):
    """Parameters of test_mmap2 and test_mmap3."""
    return {
        "pages": Parameter(pages, int, "of the shared segment; nine tenths of them are mapped page by page", 2, 65_000),
        "forks": Parameter(5, int, "times that every process forks", 0, 12),
    }


WORKLOADS = {
    "rmap_test": Workload(
        rmap_test, "windows of one file, in a parent and its children, who write them all (Morton, April 2003)",
        {
            "n": Parameter(100, int, "windows, a page apart in the file", 1, 65_000),
            "s": Parameter(600, int, "pages of a window", 1),
            "t": Parameter(100, int, "children", 0, 30_000),
            "i": Parameter(1, int, "passes of every child (10 in the published run)", 0, 1000),
            "mode": Parameter("linear", ("linear", "random", "half"),
                              "-l: all windows in order; -r: V x s random pages; -h: the first child only the first half"),
            "V": Parameter(2, int, "windows that a random pass would fill", 1),
        },
    ),
    "test_mmap2": Workload(
        test_mmap2, "every page of a shared segment an area of its own, in descending order, 32 processes (Molnar, 2004)",
        segment(2000),
    ),
    "test_mmap3": Workload(
        test_mmap3, "the same with ten times the areas: 18,000 in each process", segment(20_000),
    ),
    "thousand_by_thousand": Workload(
        thousand_by_thousand, "a thousand processes with a thousand windows of one file each (Morton, February 2003)",
        {
            "processes": Parameter(1000, int, "a parent and its children", 1, 30_000),
            "windows": Parameter(1000, int, "areas of each process", 1, 65_000),
            "pages": Parameter(1, int, "of a window", 1),
        },
    ),
    "big_sga": Workload(
        big_sga, "tasks that share one large segment and touch all of it (Arcangeli, March 2004)",
        {
            "tasks": Parameter(100, int, "processes", 1, 30_000),
            "pages": Parameter(707_789, int, "of the segment: 2.7 GiB", 1),
        },
    ),
}
