"""Workload swapout: the question that pte_chain, anonmm and anon_vma were built for.

    fill     a parent maps `areas` ranges and writes S pages
    fork     it forks `processes` - 1 children
    rewrite  each child writes its own part of the inherited pages, which become private copies
    reclaim  every frame is asked back
    exit     children, then parent

    parent   |AAAAAAAAAA|.|BBBBBBBBBB|     S pages, a page of nothing between areas
    child 1  |**AAAAAAAA|.|BBBBBBBBBB|     * rewritten: found in one process, searched for in the family
    child 2  |AAAAAAA***|.|BBBBBBBBBB|

`pages` = S + the rewritten pages of all children, exactly; the children's shares differ by at most a page. What does
not fit one address space is spread over several families of the same shape. In order "shuffled" every page is
touched by an operation of its own, in one random order of the whole phase; otherwise ranges are written.
"""
from fractions import Fraction

import numpy as np

from rmapcore.core.program import Phase, Program, make
from rmapcore.linux.uapi import MAP_FIXED
from rmapcore.operations import Op
from rmapcore.pyx.machine.core import ARCHES, MOST_AREAS, MOST_PTES
from rmapcore.units import DEFAULT_FLAGS, PAGE, PROTS
from rmapcore.workloads.bricks import BASE_VPN, RECLAIMS, TABLE_ENTRIES
from rmapcore.workloads.parameters import Parameter, Workload


def share(total, parts):
    """`total` split into `parts` whole numbers that differ by at most one."""
    index = np.arange(parts + 1, dtype=np.int64)
    return np.diff(index * total // parts)


def inherited_pages(total, children, rewritten):
    """S of a family: the smallest number of pages that with all children's shares of it makes up `total`."""
    return -(-total // (1 + children * Fraction(repr(rewritten)))).__index__()


class Family:
    """One parent and its children: where their pages are, and who rewrites which."""

    def __init__(self, first_pid, total, parameters):
        children = parameters["processes"] - 1
        self.parent = first_pid
        self.children = np.arange(first_pid + 1, first_pid + 1 + children)
        self.n_pages = inherited_pages(total, children, parameters["rewritten"])
        self.area_pages = share(self.n_pages, parameters["areas"])
        self.first_page = np.cumsum(self.area_pages) - self.area_pages
        self.first_vpn = BASE_VPN + self.first_page + np.arange(parameters["areas"])
        self.rewritten = share(total - self.n_pages, children) if children else np.zeros(0, np.int64)

    def vpns(self, pages):
        """Where the pages of these numbers are."""
        area = np.searchsorted(self.first_page, pages, "right") - 1
        return self.first_vpn[area] + pages - self.first_page[area]

    def blocks(self):
        """The rewritten blocks as (pid, first page, pages): each child begins where its share of the range does."""
        n_children = len(self.children)
        for number in range(n_children):
            first = number * self.n_pages // n_children
            left = int(self.rewritten[number])
            while left:
                length = min(left, self.n_pages - first)
                yield int(self.children[number]), first, length
                first, left = 0, left - length

    def maps(self):
        return make(Op.MMAP, len(self.first_vpn), process=self.parent, addr=self.first_vpn * PAGE,
                    length=self.area_pages * PAGE, prot=PROTS["rw"], flags=DEFAULT_FLAGS | MAP_FIXED)

    def ranges(self, pid, first, length):
        """Writes of pages [first, first + length), one operation an area."""
        starts = np.maximum(self.first_page, first)
        ends = np.minimum(self.first_page + self.area_pages, first + length)
        hit = np.flatnonzero(starts < ends)
        return make(Op.WRITE, len(hit), process=pid, addr=self.vpns(starts[hit]) * PAGE,
                    length=(ends[hit] - starts[hit]) * PAGE)

    def singles(self, pid, first, length):
        """The same as an operation a page."""
        return make(Op.WRITE, length, process=pid, addr=self.vpns(np.arange(first, first + length)) * PAGE,
                    length=PAGE)


def families(parameters, archs):
    """The fewest families that hold all pages within the address space of every architecture."""
    pages, processes, areas = (parameters[name] for name in ("pages", "processes", "areas"))
    room = min(ARCHES[arch][4] for arch in archs) - BASE_VPN - areas
    most = min(ARCHES[arch][-1] for arch in archs) - 1
    if pages > most:
        raise ValueError(f"pages: {pages:,} is more than the {most:,} frames that {' and '.join(archs)} can address")
    n = -(-inherited_pages(pages, processes - 1, parameters["rewritten"]) // room)
    while inherited_pages(-(-pages // n), processes - 1, parameters["rewritten"]) > room:
        n += 1
    made = [Family(1 + number * processes, int(total), parameters) for number, total in enumerate(share(pages, n))]
    if min(family.n_pages for family in made) < areas:
        raise ValueError(f"pages: {pages:,} is too few for {n * areas:,} areas of at least one page in the parents")
    if n * processes * areas >= MOST_AREAS:
        raise ValueError(f"areas: {n * processes * areas:,} in all processes are more than {MOST_AREAS - 1:,}")
    return made


def build(parameters, seed, archs):
    """The Program. ValueError for what cannot be: too few pages for the areas, more than the machine can hold."""
    made = families(parameters, archs)
    processes, pages = parameters["processes"], parameters["pages"]
    leaves = sum(family.n_pages // TABLE_ENTRIES + 2 for family in made)
    entries = processes * (leaves + 3 * len(made)) * TABLE_ENTRIES
    if entries > MOST_PTES:
        raise ValueError(f"processes: {len(made) * processes:,} processes need {entries:,} page-table entries, "
                         f"more than the {MOST_PTES:,} of a machine")
    shuffled = parameters["order"] == "shuffled"
    rng = np.random.default_rng(seed)

    def touch(blocks):
        """WRITEs of (family, pid, first page, pages) in the order asked for."""
        if not shuffled:
            return [family.ranges(*block) for family, *block in blocks]
        writes = [family.singles(*block) for family, *block in blocks]
        return [rng.permutation(np.concatenate(writes))] if writes else []

    spawns = [make(Op.SPAWN, process=family.parent) for family in made]
    fill = [*spawns, *(family.maps() for family in made),
            *touch((family, family.parent, 0, family.n_pages) for family in made)]
    forks = [make(Op.FORK, len(family.children), process=family.parent, other=family.children) for family in made]
    rewrite = touch((family, *block) for family in made for block in family.blocks())
    part = pages // RECLAIMS
    reclaim = [make(Op.RECLAIM, RECLAIMS if part else 0, arg=part), make(Op.RECLAIM, arg=pages)]
    exits = [make(Op.EXIT, processes, process=np.append(family.children, family.parent)) for family in made]
    phases = [Phase("fill", np.concatenate(fill), "faults"), Phase("fork", np.concatenate(forks), "copies")]
    phases.append(Phase("rewrite", np.concatenate([make(Op.WRITE, 0), *rewrite]), "faults"))
    peak = sum(len(phase.operations) for phase in phases)
    phases.append(Phase("reclaim", np.concatenate(reclaim), "freed"))
    phases.append(Phase("exit", np.concatenate(exits), "entries"))
    return Program("swapout", parameters, seed, phases, [], pages, entries, peak,
                   {"families": len(made), "inherited": sum(family.n_pages for family in made)})


WORKLOADS = {
    "swapout": Workload(
        build,
        "fills memory in a parent, forks, lets children rewrite a part, and swaps everything out",
        {
            "pages": Parameter(1_000_000, int, "distinct anonymous frames of all processes when reclaim starts", 1),
            "processes": Parameter(16, int, "parent and children of one fork family", 1, 30_000),
            "areas": Parameter(4, int, "areas of each process, kept from merging by gaps", 1, 65_000),
            "rewritten": Parameter(0.1, float, "fraction of the inherited pages that each child rewrites", 0, 1),
            "order": Parameter("sequential", ("sequential", "shuffled"), "order of first touch, and so of the LRU"),
        },
    ),
}
