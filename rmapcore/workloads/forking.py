"""Workloads around fork: who is searched for a page that few have, and what a move costs.

rik_children           Rik van Riel's, January 2010: a parent's pages are rewritten in every child; all hang on one list
fork_then_mremap       children move what they inherited: copied or not
malloc_in_child        Andrea Arcangeli's, 13 March 2004: memory that one child mapped for itself, after the fork
forrest                Daniel Forrest's, 15 August 2012: the child forks, the parent goes, again and again
ten_thousand_shells    Anton Blanchard's, 2002: children of one parent, all alive, then all exit
"""
import numpy as np

from rmapcore.core.program import make
from rmapcore.linux.uapi import MAP_PRIVATE, MREMAP_FIXED, MREMAP_MAYMOVE
from rmapcore.operations import Op
from rmapcore.units import PAGE
from rmapcore.workloads.bricks import (
    BASE_VPN,
    TABLE_ENTRIES,
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


def rik_children(parameters, seed, archs):
    pages, n = parameters["pages"], parameters["children"]
    need_room(archs, "pages", pages)
    rewritten = round(pages * parameters["rewritten"])
    children = np.arange(2, 2 + n)
    rewrite = [touches(children, BASE_VPN, rewritten, n)] if rewritten else []
    phases = [
        phase("fill", "faults", *parent_with_pages(pages)),
        phase("fork", "copies", forks(1, children)),
        phase("rewrite", "faults", *rewrite),
        reclaim(pages + n * rewritten),
        phase("exit", "entries", exits(np.append(children, 1))),
    ]
    return program("rik_children", parameters, seed, phases)


def fork_then_mremap(parameters, seed, archs):
    pages, n = parameters["pages"], parameters["children"]
    need_room(archs, "pages", 3 * pages)
    rewritten = round(pages * parameters["rewritten"])
    children = np.arange(2, 2 + n)
    movers = {"one": children[:1], "all": children, "none": children[:0]}[parameters["moved"]]
    move = make(Op.MREMAP, len(movers), process=movers, addr=BASE_VPN * PAGE, length=pages * PAGE, arg=pages * PAGE,
                flags=MREMAP_MAYMOVE | MREMAP_FIXED, arg2=(BASE_VPN + 2 * pages) * PAGE)
    first = parameters["order"] == "write_first"
    place = np.where(np.isin(children, movers) & (not first), BASE_VPN + 2 * pages, BASE_VPN)
    write = touches(children, place, rewritten, n) if rewritten else make(Op.WRITE, 0)
    steps = [phase("rewrite", "faults", write), phase("mremap", len(movers) * pages, move)]
    phases = [
        phase("fill", "faults", *parent_with_pages(pages)),
        phase("fork", "copies", forks(1, children)),
        *(steps if first else steps[::-1]),
        reclaim(pages * (1 + n)),
        phase("exit", "entries", exits(np.append(children, 1))),
    ]
    made = program("fork_then_mremap", parameters, seed, phases)
    # room for the copies that mremap costs under some schemes, so that memory pressure begins where it is asked for
    made.pages = pages + n * rewritten + len(movers) * (pages - rewritten)
    made.entries = (1 + n) * (2 * (pages // TABLE_ENTRIES + 2) + 4) * TABLE_ENTRIES
    made.peak = sum(len(part.operations) for part in phases[:4])
    return made


def malloc_in_child(parameters, seed, archs):
    pages, n = parameters["pages"], parameters["children"]
    need_room(archs, "pages", 3 * pages)
    children = np.arange(2, 2 + n)
    grandchildren = np.arange(2 + n, 2 + n + n * parameters["grandchildren"])
    phases = [
        phase("fill", "faults", *parent_with_pages(pages)),
        phase("fork", "copies", forks(1, children)),
        phase("malloc", "faults", anonymous(children, BASE_VPN + 2 * pages, pages, n),
              touches(children, BASE_VPN + 2 * pages, pages, n)),
        phase("again", "copies", forks(np.repeat(children, parameters["grandchildren"]), grandchildren)),
        reclaim(pages * (1 + n)),
        phase("exit", "entries", exits(np.concatenate([grandchildren, children, [1]]))),
    ]
    return program("malloc_in_child", parameters, seed, phases)


def forrest(parameters, seed, archs):
    """Generation g is process g + 1; it writes its pages, forks g + 1, and goes when `live` younger ones are there."""
    pages, generations, live = parameters["pages"], parameters["generations"], parameters["live"]
    need_room(archs, "pages", pages)
    pids = np.arange(1, 1 + generations)
    rounds = [forks(pids, pids + 1), touches(pids + 1, BASE_VPN, pages, generations)]
    gone = pids - (live - 1)                   # with the first of a new generation there are live + 1
    steps = interleaved(*rounds, make(Op.EXIT, generations, process=np.maximum(gone, 0)))
    steps = steps[(steps["op"] != Op.EXIT) | (steps["process"] > 0)]
    last = np.arange(max(1, generations + 2 - live), generations + 2)
    phases = [
        phase("fill", "faults", *parent_with_pages(pages)),
        phase("generations", "faults", steps),
        reclaim(pages * (live + 1)),
        phase("exit", "entries", exits(last)),
    ]
    return program("forrest", parameters, seed, phases)


def ten_thousand_shells(parameters, seed, archs):
    pages, n = parameters["pages"], parameters["children"]
    text = pages // 2                          # of the shell and its libraries; the rest is its data
    need_room(archs, "pages", pages + 1)
    children = np.arange(2, 2 + n)
    inherited = [make(Op.SPAWN, process=1), anonymous(1, BASE_VPN, pages - text), touches(1, BASE_VPN, pages - text)]
    if text:
        at = BASE_VPN + pages - text + 1
        inherited += [mapped(1, at, text, 1, 0, prot="rx", flags=MAP_PRIVATE), touches(1, at, text, write=False)]
    phases = [
        phase("fill", "faults", *inherited),
        phase("fork", "copies", forks(1, children)),
        phase("exit", "entries", exits(np.append(children, 1))),
    ]
    return program("ten_thousand_shells", parameters, seed, phases, [("sh", max(text, 1) * PAGE, "disk")])


def children_of(default, most=30_000):
    return Parameter(default, int, "children of the parent", 0, most)


WORKLOADS = {
    "rik_children": Workload(
        rik_children, "a parent's pages, rewritten in each of its children (van Riel, January 2010)",
        {
            "pages": Parameter(300, int, "of the parent, in one area (published: 1000)", 1),
            "children": Parameter(300, int, "children of the parent (published: 1000, minutes under some schemes)", 0, 30_000),
            "rewritten": Parameter(1.0, float, "fraction of the pages, from the first on, that every child rewrites", 0, 1),
        },
    ),
    "fork_then_mremap": Workload(
        fork_then_mremap, "children write a part of what they inherited, and move all of it",
        {
            "pages": Parameter(10_000, int, "of the parent, in one area", 1),
            "children": children_of(10),
            "rewritten": Parameter(0.0, float, "fraction of the pages that every child rewrites", 0, 1),
            "order": Parameter("write_first", ("write_first", "move_first"), "what a child does first"),
            "moved": Parameter("all", ("one", "all", "none"), "which children move"),
        },
    ),
    "malloc_in_child": Workload(
        malloc_in_child, "children that map memory of their own after the fork (Arcangeli, March 2004)",
        {
            "pages": Parameter(100, int, "that the parent fills, and each child in an area of its own", 1),
            "children": children_of(100),
            "grandchildren": Parameter(0, int, "that each child forks after that; they share its memory", 0, 1000),
        },
    ),
    "forrest": Workload(
        forrest, "a child becomes the next parent, its parent goes, and so on (Forrest, August 2012)",
        {
            "generations": Parameter(1000, int, "forks, one after another", 1, 1_000_000),
            "live": Parameter(2, int, "processes alive between two forks", 1, 100),
            "pages": Parameter(10, int, "that every generation writes", 1),
        },
    ),
    "ten_thousand_shells": Workload(
        ten_thousand_shells, "children of one shell, all alive, then all gone (Blanchard, 2002)",
        {
            "children": children_of(10_000),
            "pages": Parameter(300, int, "inherited, half of them text; the published run does not say (300)", 2),
        },
    ),
}
