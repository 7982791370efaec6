"""Workloads in which many wait for one lock, if they run on several processors (docs/locks.md).

one_root         an area cut into pieces, forked, looked at by reclaim, and left by all, under the lock of one root (the
                 counts that were asked for in August 2025 and July 2026)
one_library      programs that begin and end, on as many processors, while a library's tree has thousands of areas: all of it
                 under one i_mmap lock (after the execl runs of 2026, with 6,000 areas in the tree of libc)
server_reclaim   a preforking server whose children write and fork on while reclaim looks for pages that they all have

Sizes where the letters give none are ours.
"""
import numpy as np

from rmapcore.core.program import make
from rmapcore.linux.uapi import MAP_PRIVATE
from rmapcore.operations import Op
from rmapcore.units import PAGE, PROTS
from rmapcore.workloads.bricks import (
    BASE_VPN,
    exits,
    forks,
    interleaved,
    mapped,
    need_room,
    parent_with_pages,
    phase,
    program,
    touches,
)
from rmapcore.workloads.parameters import Parameter, Workload

PIECES = 4                             # areas that a program has of its library: text, and what the linker makes of the rest
PIECE_PAGES = 4
TOUCHED = 2                            # of each
GAP = 1                                # pages between them


def one_root(parameters, seed, archs):
    v, c = parameters["areas"], parameters["children"]
    need_room(archs, "areas", v)
    odd = BASE_VPN + np.arange(0, v, 2)
    children = 2 + np.arange(c)
    phases = [
        phase("fill", "faults", *parent_with_pages(v)),
        phase("split", v, make(Op.MPROTECT, len(odd), process=1, addr=odd * PAGE, length=PAGE, prot=PROTS["r"])),
        phase("fork", "copies", forks(1, children)),
        phase("reclaim", "freed", make(Op.RECLAIM, arg=v)),
        phase("exit", "entries", exits(np.append(children, 1))),
    ]
    return program("one_root", parameters, seed, phases)


def library_of(processes):
    """Operations by which processes map the library's pieces and touch some of their pages: (processes, steps)."""
    vpns = BASE_VPN + (PIECE_PAGES + GAP) * np.arange(PIECES)
    n, all_vpns = PIECES * len(processes), np.tile(vpns, len(processes))
    owners = np.repeat(processes, PIECES)
    places = PIECE_PAGES * np.tile(np.arange(PIECES), len(processes))
    maps = mapped(owners, all_vpns, PIECE_PAGES, 1, places, n, "rx", MAP_PRIVATE)
    reads = touches(owners, all_vpns, TOUCHED, n, write=False)
    return interleaved(maps, reads).reshape(len(processes), 2 * PIECES)


def one_library(parameters, seed, archs):
    others, workers, rounds = parameters["areas"] // PIECES, parameters["workers"], parameters["rounds"]
    sleepers, busy = 1 + np.arange(others), 1 + others + np.arange(workers)
    execs = make(Op.EXECVE, workers, process=busy)[:, None]
    work = [np.concatenate([execs, library_of(busy)], axis=1).reshape(-1) for _ in range(rounds)]
    born = [make(Op.SPAWN, len(who), process=who)[:, None] for who in (sleepers, busy)]
    phases = [
        phase("fill", "faults", np.concatenate([born[0], library_of(sleepers)], axis=1).reshape(-1), born[1].reshape(-1)),
        phase("run", workers * rounds, *work),
        phase("exit", "entries", exits(np.concatenate([busy, sleepers]))),
    ]
    return program("one_library", parameters, seed, phases, [("libc.so.6", PIECES * PIECE_PAGES * PAGE, "disk")])


def server_reclaim(parameters, seed, archs):
    pages, c, rounds = parameters["pages"], parameters["children"], parameters["rounds"]
    need_room(archs, "pages", pages)
    children = 2 + np.arange(c)
    part = max(1, pages // (2 * c * rounds))
    served = []
    for number in range(rounds):
        first = BASE_VPN + (number * c + np.arange(c)) * part % max(1, pages - part)
        grandchildren = 2 + c + number * c + np.arange(c)
        served += [touches(children, first, part, c), forks(children, grandchildren),
                   make(Op.RECLAIM, arg=max(1, pages // rounds)), exits(grandchildren)]
    phases = [
        phase("fill", "faults", *parent_with_pages(pages)),
        phase("fork", "copies", forks(1, children)),
        phase("serve", rounds * c, *served),
        phase("exit", "entries", exits(np.append(children, 1))),
    ]
    return program("server_reclaim", parameters, seed, phases)


WORKLOADS = {
    "one_root": Workload(
        one_root, "an area cut into pieces, forked, looked at and left: one lock for all (threads of 2025 and 2026)",
        {
            "areas": Parameter(200, int, "that the mprotects leave, a page each", 2, 100_000),
            "children": Parameter(8, int, "forks", 1, 10_000),
        },
    ),
    "one_library": Workload(
        one_library, "programs that begin and end while one library has thousands of areas (after execl on 384 processors)",
        {
            "areas": Parameter(6000, int, "of the library when it begins", PIECES, 1_000_000),
            "workers": Parameter(16, int, "processes that call exec again and again", 1, 10_000),
            "rounds": Parameter(20, int, "how often each does", 1, 100_000),
        },
    ),
    "server_reclaim": Workload(
        server_reclaim, "a preforking server whose children write and fork while its pages are reclaimed",
        {
            "pages": Parameter(2000, int, "of the server, which all children have", 2, 1_000_000),
            "children": Parameter(16, int, "that serve", 1, 10_000),
            "rounds": Parameter(10, int, "a child writes, forks a helper, and reclaim runs", 1, 10_000),
        },
    ),
}
