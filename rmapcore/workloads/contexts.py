"""Workloads of the argument of 2026: COW contexts against anon_vma, lazy or not.

one_area_each        wangtao's, 31 May 2026: a parent of n areas, n children, of which each keeps one area and unmaps the others
fork_tree            wangtao's, 29 May: families many forks deep and wide, in which everybody writes a little
parent_writes_first  a parent that goes on working after its fork: the child alone has the old pages
one_origin           areas mapped at one place, written and moved away, again and again, as a moving garbage collector does

Sizes where the letters give none are ours. Walks are those of the reclaim at the end; the fork that one_origin ends with makes
all its pages shared.
"""
import random

import numpy as np

from rmapcore.core.program import make
from rmapcore.linux.uapi import MREMAP_FIXED, MREMAP_MAYMOVE
from rmapcore.operations import Op
from rmapcore.units import PAGE
from rmapcore.workloads.bricks import (
    BASE_VPN,
    anonymous,
    exits,
    forks,
    interleaved,
    need_room,
    parent_with_pages,
    phase,
    program,
    reclaim,
    touches,
)
from rmapcore.workloads.parameters import Parameter, Workload

AREAS, AREA_PAGES, APART = 10, 16, 32      # of fork_tree: areas of its root, pages of each, from one to the next
MOST_PROCESSES = 100_000                   # of fork_tree
WRITTEN = 4                                # pages of each area that everybody but the root writes
MOVED_PAGES, MOVED_APART = 16, 64          # of one_origin
PARKED_VPN = BASE_VPN + 64                 # where its areas go


def one_area_each(parameters, seed, archs):
    """Area and child k are one another's; a page lies between two areas, so that they do not merge."""
    n = parameters["areas"]
    need_room(archs, "areas", 2 * n)
    number = np.arange(n)
    areas = BASE_VPN + 2 * number
    children = 2 + number
    kept = number[:, None] == number[None, :]                  # of child by area
    gone = make(Op.MUNMAP, n * (n - 1), process=np.broadcast_to(children[:, None], (n, n))[~kept],
                addr=np.broadcast_to(areas, (n, n))[~kept] * PAGE, length=PAGE).reshape(n, n - 1)
    born = np.concatenate([forks(1, children)[:, None], gone], axis=1).reshape(-1)      # each child before the next
    written = [touches(children, areas, 1, n)] if parameters["writes"] == "own" else []
    phases = [
        phase("fill", "faults", make(Op.SPAWN, process=1), anonymous(1, areas, 1, n), touches(1, areas, 1, n)),
        phase("fork", n * n, born),
        phase("rewrite", "faults", *written),
        reclaim(n * (1 + len(written))),
        phase("exit", "entries", exits(np.append(children, 1))),
    ]
    return program("one_area_each", parameters, seed, phases)


def family(depth, width, chance):
    """[(process, its parent, for each area the pages that it writes)] of a tree, in the order in which they are born."""
    born = [(1, 0, [])]

    def grow(process, generation):
        if generation > 1:
            born[process - 1][2].extend(chance.sample(range(AREA_PAGES), WRITTEN) for _ in range(AREAS))
        if generation <= depth:
            for _ in range(width):
                child = len(born) + 1
                born.append((child, process, []))
                grow(child, generation + 1)

    grow(1, 1)
    return born


def fork_tree(parameters, seed, archs):
    depth, width = parameters["depth"], parameters["width"]
    areas = BASE_VPN + APART * np.arange(AREAS)
    born = family(depth, width, random.Random(seed))
    if len(born) > MOST_PROCESSES:
        raise ValueError(f"depth, width: {len(born):,} processes are more than {MOST_PROCESSES:,}")
    steps = []
    for process, parent, written in born[1:]:
        steps.append(forks(parent, [process]))
        pages = np.concatenate([area + np.array(places) for area, places in zip(areas, written, strict=True)])
        steps.append(touches(process, pages, 1, len(pages)))
    phases = [
        phase("fill", "faults", make(Op.SPAWN, process=1), anonymous(1, areas, AREA_PAGES, AREAS),
              touches(1, areas, AREA_PAGES, AREAS)),
        phase("grow", "faults", *steps),
        reclaim(AREAS * (AREA_PAGES + WRITTEN * (len(born) - 1))),
        phase("exit", "entries", exits(np.array([process for process, *_ in born[::-1]]))),
    ]
    return program("fork_tree", parameters, seed, phases)


def parent_writes_first(parameters, seed, archs):
    pages = parameters["pages"]
    need_room(archs, "pages", pages)
    phases = [
        phase("fill", "faults", *parent_with_pages(pages)),
        phase("fork", "copies", forks(1, [2])),
        phase("rewrite", "faults", touches(1, BASE_VPN, pages)),
        reclaim(2 * pages),
        phase("exit", "entries", exits([2, 1])),
    ]
    return program("parent_writes_first", parameters, seed, phases)


def one_origin(parameters, seed, archs):
    n = parameters["areas"]
    need_room(archs, "areas", MOVED_APART * n, PARKED_VPN)
    places = PARKED_VPN + MOVED_APART * np.arange(n)
    if parameters["order"] == "down":
        places = places[::-1]
    moves = make(Op.MREMAP, n, process=1, addr=BASE_VPN * PAGE, length=MOVED_PAGES * PAGE, arg=MOVED_PAGES * PAGE,
                 flags=MREMAP_MAYMOVE | MREMAP_FIXED, arg2=places * PAGE)
    rounds = [anonymous(1, np.full(n, BASE_VPN), MOVED_PAGES, n), touches(1, np.full(n, BASE_VPN), MOVED_PAGES, n), moves]
    phases = [
        phase("move", n, make(Op.SPAWN, process=1), interleaved(*rounds)),
        phase("fork", "copies", forks(1, [2])),
        reclaim(n * MOVED_PAGES),
        phase("exit", "entries", exits([2, 1])),
    ]
    return program("one_origin", parameters, seed, phases)


WORKLOADS = {
    "one_area_each": Workload(
        one_area_each, "n areas and n children, each of which keeps one of them (wangtao, 31 May 2026)",
        {
            "areas": Parameter(100, int, "of a page each, and children; the letter has 1,000", 2, 10_000),
            "writes": Parameter("none", ("none", "own"), "whether a child writes the area that it keeps"),
        },
    ),
    "fork_tree": Workload(
        fork_tree, "a family many forks deep, in which everybody writes a little (wangtao, 29 May 2026)",
        {
            "depth": Parameter(4, int, "generations below the first", 1, 50),
            "width": Parameter(2, int, "children of each", 1, 100),
        },
    ),
    "parent_writes_first": Workload(
        parent_writes_first, "a parent that writes after its fork, before the child does",
        {"pages": Parameter(1000, int, "that it writes", 1)},
    ),
    "one_origin": Workload(
        one_origin, "areas that are moved away from one place, and a fork (after ZGC)",
        {
            "areas": Parameter(100, int, f"of {MOVED_PAGES} pages, moved one after the other", 1, 10_000),
            "order": Parameter("down", ("up", "down"), "where the next one goes: mmap goes down"),
        },
    ),
}
