"""Machines in a given state, and what a walk of their pages costs.

A scene is made of operation arrays, as workloads are. Walks are those of `whomaps`: they change nothing, stop at mapcount
as 2.6.7's do, and count like those of reclaim.
"""
import numpy as np

from rmapcore.errors import RmapcoreError
from rmapcore.live import available_bytes
from rmapcore.machine import Machine
from rmapcore.operations import Op
from rmapcore.program import make
from rmapcore.pyx.replay import ENDED, ERROR, Replay
from rmapcore.units import DEFAULT_FLAGS, PAGE, PROTS, format_size

BASE_VPN = 0x40000                     # 1 GiB: free on every architecture
MAP_FIXED, MAP_SHARED = 0x10, 0x01
ANONYMOUS = DEFAULT_FLAGS | MAP_FIXED
SHARED = MAP_SHARED | MAP_FIXED
BUDGET = 1 << 18                       # pages a step of operations touches: some 50 ms
WALKS = 1 << 22                        # candidates that one call of whomaps may look at: Ctrl-C is heard in between
SPARE = 64                             # frames beyond those of the scene
PART_OF_MEMORY = 2                     # the 2nd part of what the host has available may be used
ROOM = 1 << 28                         # bytes that every host is taken to have
FRAME_BYTES = 64                       # of the host for a frame, its page cache or its slot


def machine(scheme, frames, file_rmap=None, arch="i386"):
    """A Machine with that many frames and no swap, where nothing is ever reclaimed."""
    return Machine(scheme, arch=arch, ram=(frames + SPARE) * PAGE, swap=0, file_rmap=file_rmap)


def room():
    """Bytes of the host's memory that a scene may take."""
    there = available_bytes()
    return ROOM if there is None else max(ROOM, there // PART_OF_MEMORY)


def needs(what, n_bytes):
    """RmapcoreError if a scene of that size would not fit."""
    if n_bytes > room():
        raise RmapcoreError(f"{what}: the machines take about {format_size(int(n_bytes))} of memory, and half of what is "
                            f"available is {format_size(room())}; choose smaller parameters")


def play(machine, operations, files=(), strict=True):
    """Runs operations, an array or several; files: File objects, numbered from 1. uint16 array: how each ended.

    strict: any failure raises; else calls may fail, as the statuses tell.
    """
    operations = np.concatenate(operations) if isinstance(operations, list) else operations
    statuses = np.zeros(len(operations), np.uint16)
    numbers = [0, *(file.number for file in files)]
    run = Replay(machine._engine, operations, numbers, statuses, strict=strict)

    def finish():
        while (reason := run.run(run.count, BUDGET)) != ENDED:
            if reason == ERROR:
                machine._raise(run.status)
    machine._engine.operation.run(finish)
    return statuses


def spawn(pids=1):
    pids = np.atleast_1d(pids)
    return make(Op.SPAWN, len(pids), process=pids)


def forks(children, parent=1):
    """Children with the pids after the parent's, youngest last."""
    return make(Op.FORK, children, process=parent, other=parent + 1 + np.arange(children))


def doubled(processes):
    """fork() called by all processes in turn until there are so many: 5 calls make 32."""
    pairs = []
    while (there := len(pairs) + 1) < processes:
        pairs += [(parent, there + parent) for parent in range(1, min(there, processes - there) + 1)]
    parent, child = np.array(pairs, np.int64).reshape(-1, 2).T
    return make(Op.FORK, len(pairs), process=parent, other=child)


def map_areas(vpns, pages, flags, pid=1, file=0, first_pages=0):
    """One area of `pages` pages at each of `vpns`, of a file from `first_pages` on."""
    return make(Op.MMAP, len(vpns), process=pid, addr=np.asarray(vpns) * PAGE, length=pages * PAGE, prot=PROTS["rw"],
                flags=flags, other=file, arg=np.asarray(first_pages) * PAGE)


def write(vpns, pages, pid=1):
    """Writes of `pages` pages at each of `vpns`."""
    vpns = np.atleast_1d(vpns)
    return make(Op.WRITE, len(vpns), process=pid, addr=vpns * PAGE, length=pages * PAGE)


def pfns(process, vpn, pages=1):
    """Frames of a range that is present."""
    return process.pagemap(vpn * PAGE, pages * PAGE)["pfn"]


def walk(machine, frames, most=1):
    """Counters of one walk of each frame.  most: candidates that a walk may look at, a guess; bounds a call's time."""
    before = machine.counters
    step = max(1, WALKS // max(most, 1))
    for first in range(0, len(frames), step):
        machine.whomaps(frames[first:first + step])
    return machine.counters.since(before)
