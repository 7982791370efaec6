"""Workloads of the argument of 2026: COW contexts against anon_vma, lazy or not.

one_area_each        wangtao's, 31 May 2026: a parent of n areas, n children, of which each keeps one area and unmaps the others
fork_tree            wangtao's, 29 May: families many forks deep and wide, in which everybody writes a little
parent_writes_first  a parent that goes on working after its fork: the child alone has the old pages
one_origin           areas mapped at one place, written and moved away, again and again, as a moving garbage collector does
split_and_merge      Yoo's question, 2 June: areas that are cut, joined, replaced and moved, before anything is shared and after
folio_in_pieces      the objection of June that one folio may lie in several areas; its pages are small ones here
private_libraries    Stoakes' sore point: copies of private file pages, whose indices are offsets in their files
zygote               wangtao's phone: a process of many areas that all others are forked from

Sizes where the letters give none are ours. Walks are those of the reclaim at the end; the fork that one_origin ends with makes
all its pages shared. Not here: a walk that is under way while its area is unmapped (Stoakes, 28 May; Hildenbrand, 3 June), as
a machine does one thing at a time.
"""
import random

import numpy as np

from rmapcore.core.program import make
from rmapcore.linux.uapi import MAP_PRIVATE, MREMAP_FIXED, MREMAP_MAYMOVE
from rmapcore.operations import Op
from rmapcore.units import PAGE, PROTS
from rmapcore.workloads.bricks import (
    BASE_VPN,
    anonymous,
    exits,
    forks,
    interleaved,
    mapped,
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
CHANGING, MOST_CHANGED = 64, 6             # of split_and_merge: pages, and how many are replaced or moved at once
AWAY_VPN, AWAY_APART = BASE_VPN + 0x1000, 0x100        # where it moves them, each time to a place of its own
FOLIO, FOLIOS_APART = 16, 0x100            # of folio_in_pieces
PIECE = slice(8, 12)                       # pages of a folio that become an area of their own, and are moved
PIECE_AWAY = 0x80                          # as far from where the folio begins
LIBRARY, LIBRARY_WRITTEN, LIBRARIES_APART = 32, 8, 64  # of private_libraries: pages of each, written ones, from one to the next


def protect(process, vpn, pages, prot):
    return make(Op.MPROTECT, np.size(vpn), process=process, addr=vpn * PAGE, length=pages * PAGE, prot=PROTS[prot])


def moved_away(process, vpn, pages, place):
    """MREMAPs to fixed places."""
    return make(Op.MREMAP, np.size(vpn), process=process, addr=vpn * PAGE, length=pages * PAGE, arg=pages * PAGE,
                flags=MREMAP_MAYMOVE | MREMAP_FIXED, arg2=place * PAGE)


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
    origin = np.full(n, BASE_VPN)
    rounds = [anonymous(1, origin, MOVED_PAGES, n), touches(1, origin, MOVED_PAGES, n),
              moved_away(1, origin, MOVED_PAGES, places)]
    phases = [
        phase("move", n, make(Op.SPAWN, process=1), interleaved(*rounds)),
        phase("fork", "copies", forks(1, [2])),
        reclaim(n * MOVED_PAGES),
        phase("exit", "entries", exits([2, 1])),
    ]
    return program("one_origin", parameters, seed, phases)


class Changes:
    """Random steps of split_and_merge. All pages are always mapped; writable: {process: which of them may be written}."""

    def __init__(self, chance, moving):
        self.chance, self.moving = chance, moving
        self.writable = {1: [True] * CHANGING}
        self.moves = 0

    def steps(self, count):
        return [one for _ in range(count) for one in self.step(self.chance.choice(list(self.writable)))]

    def step(self, process):
        chance, writable = self.chance, self.writable[process]
        kind = chance.random()
        first = chance.randrange(CHANGING)
        if kind < 0.5:
            pages = chance.randint(1, CHANGING - first)
            prot = chance.choice(("r", "rw"))
            writable[first:first + pages] = [prot == "rw"] * pages
            return [protect(process, BASE_VPN + first, pages, prot)]
        if kind >= 0.7 and not self.moving:
            allowed = [page for page in range(CHANGING) if writable[page]]
            return [touches(process, BASE_VPN + chance.choice(allowed), 1)] if allowed else []
        pages = chance.randint(1, min(MOST_CHANGED, CHANGING - first))
        vpn = BASE_VPN + first
        if kind < 0.7:
            gone = make(Op.MUNMAP, process=process, addr=vpn * PAGE, length=pages * PAGE)
        else:
            gone = moved_away(process, vpn, pages, AWAY_VPN + AWAY_APART * self.moves + first)
            self.moves += 1
        writable[first:first + pages] = [True] * pages
        return [gone, anonymous(process, vpn, pages), touches(process, vpn, pages)]


def split_and_merge(parameters, seed, archs):
    steps = parameters["steps"]
    need_room(archs, "steps", 2 * steps * AWAY_APART, AWAY_VPN)
    changes = Changes(random.Random(seed), parameters["moves"] == "yes")
    before = changes.steps(steps)
    changes.writable[2] = list(changes.writable[1])
    after = changes.steps(steps)
    phases = [
        phase("fill", "faults", *parent_with_pages(CHANGING)),
        phase("change", steps, *before),
        phase("fork", "copies", forks(1, [2])),
        phase("change both", steps, *after),
        reclaim(2 * (CHANGING + MOST_CHANGED * steps)),
        phase("exit", "entries", exits([2, 1])),
    ]
    return program("split_and_merge", parameters, seed, phases)


def folio_in_pieces(parameters, seed, archs):
    """Small pages where the folio would be: the areas, and what is tried of each, are the same."""
    n = parameters["folios"]
    need_room(archs, "folios", FOLIOS_APART * n)
    folios = BASE_VPN + FOLIOS_APART * np.arange(n)
    middle, pages = folios + PIECE.start, PIECE.stop - PIECE.start
    phases = [
        phase("fill", "faults", make(Op.SPAWN, process=1), anonymous(1, folios, FOLIO, n), touches(1, folios, FOLIO, n),
              protect(1, middle, pages, "r")),
        phase("fork", "copies", forks(1, [2])),
        phase("move", n * pages, moved_away(1, middle, pages, folios + PIECE_AWAY)),
        reclaim(n * FOLIO),
        phase("exit", "entries", exits([2, 1])),
    ]
    return program("folio_in_pieces", parameters, seed, phases)


def private_libraries(parameters, seed, archs):
    n, children = parameters["libraries"], 2 + np.arange(parameters["children"])
    need_room(archs, "libraries", LIBRARIES_APART * n)
    places = BASE_VPN + LIBRARIES_APART * np.arange(n)
    phases = [
        phase("fill", "faults", make(Op.SPAWN, process=1),
              mapped(1, places, LIBRARY, 1 + np.arange(n), 0, n, flags=MAP_PRIVATE), touches(1, places, LIBRARY_WRITTEN, n)),
        phase("fork", "copies", forks(1, children)),
        reclaim(2 * n * LIBRARY_WRITTEN),
        phase("exit", "entries", exits(np.append(children, 1))),
    ]
    files = [(f"library {number}", LIBRARY * PAGE, "disk") for number in range(1, n + 1)]
    return program("private_libraries", parameters, seed, phases, files)


def zygote(parameters, seed, archs):
    """A page lies between two areas. App k is process k + 1; the first `forking` of them fork once more in the end."""
    inherited, apps, own, forking = (parameters[name] for name in ("areas", "apps", "own", "forking"))
    if forking > apps:
        raise ValueError(f"forking: {forking:,} are more than the {apps:,} apps")
    need_room(archs, "areas and own", 2 * (inherited + own))
    areas = BASE_VPN + 2 * np.arange(inherited)
    theirs = areas[-1] + 2 + 2 * np.arange(own)
    pids = 2 + np.arange(apps)
    more = 2 + apps + np.arange(forking)
    started = [step for pid in pids for step in (forks(1, [pid]), anonymous(pid, theirs, 1, own), touches(pid, theirs, 1, own))]
    phases = [
        phase("fill", "faults", make(Op.SPAWN, process=1), anonymous(1, areas, 1, inherited), touches(1, areas, 1, inherited)),
        phase("start", apps, *started),
        phase("fork", "copies", forks(pids[:forking], more)),
        reclaim(inherited + apps * own),
        phase("exit", "entries", exits(np.concatenate([more, pids, [1]]))),
    ]
    return program("zygote", parameters, seed, phases)


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
    "split_and_merge": Workload(
        split_and_merge, "areas that are cut, joined and replaced at random, before a fork and after it (Yoo, 2 June 2026)",
        {
            "steps": Parameter(100, int, "before the fork, and as many after it", 1, 500),
            "moves": Parameter("no", ("no", "yes"), "whether parts move away in place of writes of single pages"),
        },
    ),
    "folio_in_pieces": Workload(
        folio_in_pieces, "what was one area becomes three, is forked, and the middle moves (the objections of June 2026)",
        {"folios": Parameter(10, int, f"areas of {FOLIO} pages in the beginning", 1, 1000)},
    ),
    "private_libraries": Workload(
        private_libraries, "copies of the same pages of many private files, and children (Stoakes, 29 June 2026)",
        {
            "libraries": Parameter(10, int, f"of {LIBRARY} pages, of which {LIBRARY_WRITTEN} are written", 1, 1000),
            "children": Parameter(3, int, "of the process that wrote them", 0, 1000),
        },
    ),
    "zygote": Workload(
        zygote, "apps forked from one process of many areas, as on a phone (wangtao, 27 May 2026)",
        {
            "areas": Parameter(400, int, "of a page each, of the process that all are forked from", 1, 100_000),
            "apps": Parameter(20, int, "forked from it", 1, 10_000),
            "own": Parameter(200, int, "areas that each app makes", 1, 100_000),
            "forking": Parameter(1, int, "of the apps that fork once more", 0, 10_000),
        },
    ),
}
