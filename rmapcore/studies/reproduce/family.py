"""Rows 8, 9 and 11: pages of a family of processes after fork.

Where a page may be is searched among the relatives: their address spaces (anonmm), the areas that came from one (anon_vma),
the entries themselves (pte_chain), or, with chains of anon_vmas, the areas of the child that made the page and of its
descendants. The rows ask for the pages that a child made its own, by a new area, by moving, by
writing.
"""
from fractions import Fraction

import numpy as np

from rmapcore.linux.uapi import MREMAP_FIXED, MREMAP_MAYMOVE
from rmapcore.studies.reproduce import forms
from rmapcore.studies.reproduce.row import Row, Size
from rmapcore.studies.reproduce.scenes import CHAINED, OBJECTS, Scene, needs, workload
from rmapcore.units import PAGE
from rmapcore.workloads.bricks import BASE_VPN
from rmapcore.workloads.parameters import Parameter

CHILDREN = Parameter(1000, int, "children of one parent, all alive", 1, 30_000)
FRACTION = Parameter(1.0, float, "fraction of them that each child writes", 0, 1)


def one_more_page(case):
    """Row 8: after fork every child maps a new area and writes it."""
    n, pages = case["children"], case["pages"]
    needs(f"{n:,} children", areas=2 * n, entries=pages * (2 * n + 1) + 2048 * n, frames=pages * (n + 1))
    for scheme, what, expected in (("anonmm_naive", "mms_tried", n + 1), ("anonmm", "mms_tried", 1),
                                   ("anon_vma", "vmas_tried", 1), ("pte_chain", "ptes_tried", 1)):
        case.report(scheme)
        scene = Scene(scheme, pages * (n + 1), program=workload(case.workload, case.values))
        scene.play("malloc")
        inherited = scene.mapped()
        scene.play("reclaim")
        counted = scene.walk(np.setdiff1d(scene.mapped(), inherited), n + 1)
        yield case.record(f"{scheme}: {what} for a page", expected, Fraction(counted[what], counted["rmap_walks"]))
        del scene


def moved(case):
    """Row 9: every child writes some of the inherited pages, then one of them or all move the area."""
    n, pages = case["children"], case["pages"]
    own = round(pages * case["rewritten"])
    movers = n if case["moved"] == "all" else 1
    needs(f"{pages:,} pages in {n + 1:,} processes", areas=2 * n, entries=2 * pages * (n + 1), frames=pages * (n + 2))
    for scheme, expected in (("anonmm", movers * (pages - own)), ("anon_vma", 0), ("pte_chain", 0)):
        case.report(scheme)
        scene = Scene(scheme, pages * (n + 2), program=workload(case.workload, case.values))
        scene.play("mremap")
        before, there = scene.machine.counters, len(scene.mapped())
        scene.play("reclaim")
        yield case.record(f"{scheme}: pages copied", expected,
                          scene.machine.counters.since(before)["pages_copied_mremap"])
        yield case.record(f"{scheme}: bytes of new pages", expected * PAGE, (len(scene.mapped()) - there) * PAGE)
        if scheme == "anonmm":
            before = scene.machine.counters
            old, new = (BASE_VPN + 2 * pages) * PAGE, (BASE_VPN + 4 * pages) * PAGE
            scene.machine.processes[2].mremap(old, pages * PAGE, pages * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, new)
            yield case.record("anonmm: pages copied, the child's own moved again", 0,
                              scene.machine.counters.since(before)["pages_copied_mremap"])
        del scene


def rewriting_children(case):
    """Row 11: a parent's pages, children that each write the first part of them, and a walk of every page there is.

    Areas that a page's anon_vma leads to, where a walk may stop before it has seen them: the parent's pages are walked while
    all have them, so that no walk stops early; with N + 1 anon_vmas and 2N + 1 avcs, N + 1 of them the parent's, each of
    the others leads to one area.
    """
    n, pages = case["children"], case["pages"]
    own = round(pages * case["rewritten"])
    total = pages + n * own
    needs(f"{total:,} pages of {n + 1:,} processes", areas=n, entries=pages * (n + 1), frames=total)
    found = forms.rewritten_found_mean(n, pages, own)
    told = {1.0: {"anon_vma_2_6_7": 501, "anonmm": 1, "pte_chain": 1, "list": 1001,
                  "kin": 2}}.get(case["rewritten"], {})
    for scheme, what, expected in (("anon_vma_2_6_7", "vmas_tried", forms.rewritten_list_mean(n, pages, own)),
                                   ("anonmm", "mms_tried", found), ("pte_chain", "ptes_tried", found),
                                   *((chained, "vmas_tried", found) for chained in CHAINED)):
        case.report(scheme)
        scene = Scene(scheme, total, program=workload(case.workload, case.values))
        case.kernel = scene.machine.kernel
        if scheme in CHAINED:
            scene.play("rewrite")
            led = scene.walk(scene.pfns(1, BASE_VPN, pages), n + 1)[what]
        scene.play("reclaim")
        frames = scene.mapped()
        yield case.record(f"{scheme}: pages there are", total, len(frames))
        counted = scene.walk(frames, n + 1)
        yield case.record(f"{scheme}: {what} for a page, mean", expected, Fraction(counted[what], len(frames)),
                          published=told.get(scheme))
        if scheme in CHAINED:
            led += scene.walk(np.setdiff1d(frames, scene.pfns(1, BASE_VPN, pages)))[what]
            yield case.record(f"{scheme}: areas its anon_vma leads to, mean",
                              forms.rewritten_kin_mean(n, pages, own), Fraction(led, len(frames)),
                              published=told.get("kin"))
            for (name, structure), count in zip(OBJECTS.items(), forms.family_tree(n), strict=True):
                yield case.record(f"{scheme}: {name}", count, scene.structure(structure)["live"])
        elif what == "vmas_tried":
            parents = scene.walk(scene.pfns(1, BASE_VPN))
            yield case.record(f"{scheme}: areas on the list", n + 1, parents[what], published=told.get("list"))
        del scene, frames


ROWS = {
    "8": Row(
        "a page malloc'ed in one child: anonmm tries every address space, anon_vma one area",
        "Andrea Arcangeli, 13 Mar 2004, against hist:a9aa5e94",
        {"children": CHILDREN, "pages": Parameter(1, int, "pages of the parent, and of each child's new area", 1, 1 << 20)},
        tuple(Size("malloc_in_child", {"children": n, "pages": 1}) for n in (10, 100, 1000)),
        one_more_page,
    ),
    "9": Row(
        "anonmm must copy shared pages at mremap, anon_vma copies none",
        "hist:0c357104; LWN 77106",
        {"children": CHILDREN, "pages": Parameter(1000, int, "pages of the area", 1, 100_000), "rewritten": FRACTION,
         "moved": Parameter("one", ("one", "all"), "children that move it")},
        tuple(Size("fork_then_mremap", {"children": n, "pages": 1000, "rewritten": own, "moved": who})
              for n, own, who in ((1, 0.0, "one"), (1, 0.1, "one"), (10, 0.1, "all"), (10, 1.0, "all"))),
        moved,
    ),
    "11": Row(
        "pages that children have rewritten: on one list with all relatives, with few of them, or found at once",
        "Rik van Riel, Jan 2010; LWN 383162",
        {"children": CHILDREN, "pages": Parameter(1000, int, "pages of the parent", 1, 1 << 20), "rewritten": FRACTION},
        tuple(Size("rik_children", {"children": 1000, "pages": 1000, "rewritten": own}) for own in (1.0, 0.1, 0.5, 0.0)),
        rewriting_children,
    ),
}
