"""Rows 1 and 2: what chains of page-table entries cost in bytes, on one page and on a shared segment.

A node is a cache line of `line` bytes with entries of 4 bytes, or of 8 with PAE and page tables in high memory. The list of
before September 2002, a node of 8 bytes for each entry of a page with several, is worked out from the entries counted.
"""
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from rmapcore.core.program import make
from rmapcore.operations import Op
from rmapcore.studies.reproduce import forms
from rmapcore.studies.reproduce.row import EXACT, Bound, Row, Size
from rmapcore.studies.reproduce.scenes import FRAME_BYTES, Scene, needs, room
from rmapcore.units import PAGE
from rmapcore.workloads.bricks import BASE_VPN, forks, mapped, touches
from rmapcore.workloads.parameters import Parameter

GIB = 1 << 30
LOW_VPN = 0x8000                       # 128 MiB: 2.7 GiB from here on end below 3 GiB
MOST_NODES = 1 << 27                   # of one machine
MOST_ENTRIES = 1 << 32
MANY_ENTRIES = 1 << 28                 # with more, FEW kinds of nodes are run: some 10 s each
TOLD = (2, 8, 32, 101, 1000, 5000)     # mappers whose bytes are recorded


class Nodes(NamedTuple):
    """A kind of node: bytes of the line and of an entry."""

    line: int
    entry: int

    @property
    def arch(self):
        return "i386" if self.entry == 4 else "i386-pae"

    @property
    def scheme(self):
        return f"pte_chain:line={self.line}" + (",highpte=1" if self.entry == 8 else "")

    def __str__(self):
        return f"{self.line} B line of {self.entry} B"


FEW = (Nodes(32, 4), Nodes(128, 4))
EVERY = tuple(Nodes(line, entry) for entry in (4, 8) for line in (32, 64, 128))
FULL_NODES = {(32, 4): 4.571, (64, 4): 4.267, (128, 4): 4.129, (32, 8): 10.667, (64, 8): 9.143, (128, 8): 8.533}


def sharing(scheme, pages, vpn, arch="i386", file_rmap=None):
    """A Scene with one process that has touched all of a shared segment."""
    scene = Scene(scheme, pages, file_rmap, arch)
    scene.file("segment", pages * PAGE)
    scene.run(make(Op.SPAWN, process=1), mapped(1, vpn, pages, 1, 0), touches(1, vpn, pages))
    return scene


def one_page(case):
    """Row 1: a page of shared memory gets one mapper after the other."""
    most = case["mappers"]
    for nodes in EVERY:
        case.report(str(nodes))
        scene = sharing(nodes.scheme, 1, BASE_VPN, nodes.arch)
        found = [0, scene.structure("pte_chain")["bytes"]]         # by mappers
        parent = scene.machine.processes[1]
        for _ in range(most - 1):
            parent.fork()
            found.append(scene.structure("pte_chain")["bytes"])
        wanted = [forms.chain_bytes(m, *nodes) for m in range(most + 1)]
        for mappers in sorted({m for m in TOLD if m < most} | {most}):
            yield case.record(f"bytes at {mappers:,} mappers, {nodes}", wanted[mappers], found[mappers])
        unlike = sum(a != b for a, b in zip(found, wanted, strict=True))
        yield case.record(f"sizes up to {most:,} that differ, {nodes}", 0, unlike)
        full = most - most % forms.node_entries(*nodes)
        if full > 1:
            yield case.record(f"bytes per entry, nodes full, {nodes}",
                              Fraction(nodes.line, forms.node_entries(*nodes)), Fraction(found[full], full),
                              published=FULL_NODES[nodes])
        if nodes.entry == 4:
            dearer = max((m for m in range(2, most + 1) if found[m] > forms.LIST_NODE * m), default=1)
            yield case.record(f"most mappers dearer than the 8 B list, {nodes}", nodes.line // 8 - 1, dearer,
                              Bound(None, nodes.line // 8 - 1))


def smaller(tasks, pages, nodes):
    """(pages, None), or (fewer pages, why): a power of two of them is left out where they do not fit."""
    each = forms.chain_nodes(tasks, forms.node_entries(*nodes))
    limits = ((tasks * nodes.entry + each * nodes.line + FRAME_BYTES, room(), "memory"),
              (each, MOST_NODES, "numbers of nodes"), (tasks, MOST_ENTRIES // 2, "numbers of entries"))
    parts, short = 1, None
    for each_page, limit, name in limits:
        while pages // parts > 1 and pages // parts * each_page > limit:
            parts, short = 2 * parts, name
    return pages // parts, None if short is None else f"1/{parts} of the pages: not enough {short}"


def shared_memory(case):
    """Row 2: a database's shared memory, all of it touched by every task. The tasks are forked, which is quicker."""
    tasks, size = case["tasks"], Fraction(repr(case["gib"])) * GIB
    pages = forms.shm_pages(size)
    needs(f"{tasks:,} tasks", areas=tasks, entries=2048 * tasks)
    kept = tasks > 1                   # a page with one mapper has no node
    many = tasks * pages > MANY_ENTRIES
    for number, nodes in enumerate(FEW if many else EVERY):
        part, case.scaled = smaller(tasks, pages, nodes)
        case.report(f"{tasks:,} tasks, {nodes}")
        scene = sharing(nodes.scheme, part, LOW_VPN, nodes.arch)
        scene.run(forks(1, np.arange(2, tasks + 1)))
        found = scene.structure("pte_chain")["bytes"]
        flat = forms.LIST_NODE * int(scene.machine.frames["mapcount"].sum()) * kept
        each = forms.chain_bytes(tasks, *nodes)
        yield case.record(f"bytes of chains, {nodes}", part * each, found, whole=pages * each)
        if tasks >= 5000:
            yield case.record(f"GiB of chains, {nodes}", Fraction(pages * each, GIB), Fraction(found * pages, part * GIB),
                              Bound(8.5, 11.5) if case.published else EXACT, published=10, source=BLIGH)
        elif kept:
            yield case.record(f"chains to the 8 B list, {nodes}", Fraction(each, forms.LIST_NODE * tasks),
                              Fraction(found, flat), Bound(0.52, 1.36) if case.published else EXACT)
        if number == 0:
            yield case.record("bytes of the 8 B list, pages not rounded", forms.LIST_NODE * tasks * size / PAGE * kept,
                              Fraction(flat, part) * size / PAGE,
                              published={100: 566_231_040, 700: 3_963_617_280}.get(tasks) if case["gib"] == 2.7 else None)
            yield case.record("bytes of leaf page tables, i386", tasks * forms.leaf_tables(part, LOW_VPN, 1024) * PAGE,
                              scene.structure("page_table")["bytes"],
                              whole=tasks * forms.leaf_tables(pages, LOW_VPN, 1024) * PAGE)
        del scene
    case.scaled = None
    for side in () if many else ("list", "prio_tree"):
        case.report(f"{tasks:,} tasks, {side}")
        scene = sharing("anon_vma", pages, LOW_VPN, file_rmap=side)
        scene.run(forks(1, np.arange(2, tasks + 1)))
        structures = scene.machine.memory()["structures"]
        yield case.record(f"{side}: bytes for each page", 0, Fraction(
            sum(one["live"] * one["added"] for name, one in structures.items() if name not in PER_AREA), pages))
        del scene


BLIGH = "Bligh, 5 Apr 2003: 10 GB of PTE chains (I think)"
PER_AREA = {"vm_area_struct", "address_space (rmap part)"}         # or per file

ROWS = {
    "1": Row(
        "a chain node is a cache line of 7, 15 or 31 entries: near-halving at high sharing, loss at low",
        "Morton, 11 Aug 2002; hist:d5c82932",
        {"mappers": Parameter(5000, int, "processes that map the page, at most", 1, 30_000)},
        (Size(None, {"mappers": 5000}),),
        one_page,
    ),
    "2": Row(
        "shared memory of a database exhausts low memory through pte_chains",
        "Andrea Arcangeli, 8 Mar 2004",
        {"tasks": Parameter(100, int, "processes that map the segment", 1, 30_000),
         "gib": Parameter(2.7, float, "GiB of the segment", PAGE / GIB, 2.7)},
        tuple(Size(None, {"tasks": tasks, "gib": gib})
              for tasks, gib in ((100, 2.7), (700, 2.7), (5000, 2.0), (100, 0.5))),
        shared_memory,
    ),
}
