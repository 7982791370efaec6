"""Workloads after will-it-scale's tests: what a fault and a call cost when nothing is shared.

page_fault1    map anonymous memory, write every page, unmap it
page_fault2    the same with a private mapping of a file of the task's own: every page is copied
page_fault3    the same with a shared mapping of it
brk1, brk2     move the break up a page and down again; brk2 keeps one page, so that its area stays
mmap1, mmap2   map and unmap without a touch, anonymous memory or a file of the task's own (private)

The tests run until they are stopped; here each task does `iterations` and they take turns. Their variants with threads
differ in locks only, which cost nothing here.
"""
import numpy as np

from rmapcore.core.program import make
from rmapcore.linux.uapi import MAP_PRIVATE, MAP_SHARED
from rmapcore.operations import Op
from rmapcore.units import PAGE
from rmapcore.workloads.bricks import (
    BASE_VPN,
    LOW_VPN,
    anonymous,
    exits,
    forks,
    interleaved,
    mapped,
    need_room,
    phase,
    program,
    small_parent,
    touches,
)
from rmapcore.workloads.parameters import Parameter, Workload


def tasks_of(parameters):
    return np.arange(2, 2 + parameters["tasks"])


def run(name, parameters, seed, turn, counts, files=()):
    """A parent forks the tasks, each does its iterations in turn with the others, all exit. turn: operations of all."""
    pids = tasks_of(parameters)
    n = parameters["iterations"]
    phases = [
        phase("fork", len(pids), *small_parent(), forks(1, pids)),
        phase("iterations", counts, np.tile(turn, n)),
        phase("exit", len(pids) + 1, exits(np.append(pids, 1))),
    ]
    return program(name, parameters, seed, phases, files)


def unmaps(pids, pages):
    return make(Op.MUNMAP, len(pids), process=pids, addr=BASE_VPN * PAGE, length=pages * PAGE)


def mappings(name, parameters, archs, kind):
    """(MMAPs of the tasks, their files): kind is None for anonymous memory, or the flags of a file's mapping."""
    pids, pages = tasks_of(parameters), parameters["pages"]
    need_room(archs, "pages", pages)
    if kind is None:
        return anonymous(pids, BASE_VPN, pages, len(pids)), []
    numbers = np.arange(1, 1 + len(pids))
    files = [(f"{name}.{number}", pages * PAGE, "disk") for number in numbers]
    return mapped(pids, BASE_VPN, pages, numbers, 0, len(pids), flags=kind), files


def page_fault(name, kind, parameters, seed, archs):
    pids, pages = tasks_of(parameters), parameters["pages"]
    maps, files = mappings(name, parameters, archs, kind)
    turn = interleaved(maps, touches(pids, BASE_VPN, pages, len(pids)), unmaps(pids, pages))
    return run(name, parameters, seed, turn, "faults", files)


def page_fault1(parameters, seed, archs):
    return page_fault("page_fault1", None, parameters, seed, archs)


def page_fault2(parameters, seed, archs):
    return page_fault("page_fault2", MAP_PRIVATE, parameters, seed, archs)


def page_fault3(parameters, seed, archs):
    return page_fault("page_fault3", MAP_SHARED, parameters, seed, archs)


def mapping(name, kind, parameters, seed, archs):
    pids, pages = tasks_of(parameters), parameters["pages"]
    maps, files = mappings(name, parameters, archs, kind)
    counts = 2 * len(pids) * parameters["iterations"]
    return run(name, parameters, seed, interleaved(maps, unmaps(pids, pages)), counts, files)


def mmap1(parameters, seed, archs):
    return mapping("mmap1", None, parameters, seed, archs)


def mmap2(parameters, seed, archs):
    return mapping("mmap2", MAP_PRIVATE, parameters, seed, archs)


def brk(name, kept, parameters, seed, archs):
    """The heap begins at LOW_VPN."""
    pids, n = tasks_of(parameters), parameters["iterations"]

    def breaks(pages):
        return make(Op.BRK, len(pids), process=pids, addr=(LOW_VPN + pages) * PAGE)

    made = run(name, parameters, seed, interleaved(breaks(kept + 1), breaks(kept)), 2 * len(pids) * n)
    heaps = [make(Op.SETBRK, len(pids), process=pids, addr=LOW_VPN * PAGE), *([breaks(kept)] if kept else [])]
    made.phases.insert(1, phase("heap", len(pids), *heaps))
    return made


def brk1(parameters, seed, archs):
    return brk("brk1", 0, parameters, seed, archs)


def brk2(parameters, seed, archs):
    return brk("brk2", 1, parameters, seed, archs)


def parameters_of(iterations, pages=None):
    table = {
        "tasks": Parameter(4, int, "processes", 1, 30_000),
        "iterations": Parameter(iterations, int, "of each task", 1, 10_000_000),
    }
    if pages:
        table["pages"] = Parameter(pages, int, "of the mapping: 128 MiB in the original", 1)
    return table


WORKLOADS = {
    "page_fault1": Workload(page_fault1, "will-it-scale: map anonymous memory, write every page, unmap it",
                            parameters_of(5, 32_768)),
    "page_fault2": Workload(page_fault2, "will-it-scale: the same with a private mapping of a file", parameters_of(5, 32_768)),
    "page_fault3": Workload(page_fault3, "will-it-scale: the same with a shared mapping of a file", parameters_of(5, 32_768)),
    "brk1": Workload(brk1, "will-it-scale: the break up a page and down again, the heap empty in between",
                     parameters_of(100_000)),
    "brk2": Workload(brk2, "will-it-scale: the break up a page and down again, above one page that stays",
                     parameters_of(100_000)),
    "mmap1": Workload(mmap1, "will-it-scale: map and unmap anonymous memory untouched", parameters_of(100_000, 32_768)),
    "mmap2": Workload(mmap2, "will-it-scale: map and unmap a file untouched", parameters_of(100_000, 32_768)),
}
