"""Rows 8, 9 and 11: pages of a family of processes after fork.

Where a page may be is searched among the relatives: their address spaces (anonmm), the areas that came from one (anon_vma),
the entries themselves (pte_chain). The rows ask for the pages that a child made its own, by a new area, by moving, by
writing.
"""
from fractions import Fraction

import numpy as np

from rmapcore.operations import Op
from rmapcore.program import make
from rmapcore.reproduce import forms
from rmapcore.reproduce.row import Row
from rmapcore.reproduce.scenes import (
    ANONYMOUS,
    BASE_VPN,
    forks,
    machine,
    map_areas,
    needs,
    pfns,
    play,
    spawn,
    walk,
    write,
)
from rmapcore.units import PAGE
from rmapcore.workloads.parameters import Parameter

CHILDREN = Parameter(1000, int, "children of one parent, all alive", 1, 30_000)
NEW_VPN = BASE_VPN - 0x10000           # areas that children make lie below the inherited one
MAYMOVE, FIXED = 1, 2
BYTES_A_FRAME, BYTES_AN_ENTRY, BYTES_AN_AREA = 200, 40, 300        # of the host


def one_more_page(case):
    """Row 8: after fork every child maps a new area and writes a page there."""
    n = case["children"]
    pids = 2 + np.arange(n)
    for scheme, what, expected in (("anonmm_naive", "mms_tried", n + 1), ("anonmm", "mms_tried", 1),
                                   ("anon_vma", "vmas_tried", 1), ("pte_chain", "ptes_tried", 1)):
        case.report(scheme)
        run = machine(scheme, 1 + n)
        play(run, [spawn(), map_areas([BASE_VPN], 1, ANONYMOUS), write(BASE_VPN, 1), forks(n),
                   map_areas(np.full(n, NEW_VPN), 1, ANONYMOUS, pid=pids), make(Op.WRITE, n, process=pids,
                                                                               addr=NEW_VPN * PAGE, length=PAGE)])
        frames = np.concatenate([pfns(process, NEW_VPN) for pid, process in run.processes.items() if pid > 1])
        counted = walk(run, frames, n + 1)
        yield case.record(f"{scheme}: {what} for a page", expected, Fraction(counted[what], n))
        del run


def moved(case):
    """Row 9: the last child writes some of the inherited pages, then moves the area."""
    n, pages = case["children"], case["pages"]
    own = round(pages * case["rewritten"])
    needs(f"{pages:,} pages in {n + 1:,} processes", pages * (n + 3) * BYTES_AN_ENTRY + pages * 3 * BYTES_A_FRAME)
    child = n + 1
    for scheme, expected in (("anonmm", pages - own), ("anon_vma", 0), ("pte_chain", 0)):
        case.report(scheme)
        run = machine(scheme, 3 * pages)
        play(run, [spawn(), map_areas([BASE_VPN], pages, ANONYMOUS), write(BASE_VPN, pages), forks(n),
                   write(BASE_VPN, own, pid=child) if own else make(Op.READ, 0)])
        before, frames = run.counters, in_use(run)
        move(run, child, BASE_VPN, pages)
        yield case.record(f"{scheme}: pages copied", expected, run.counters.since(before)["pages_copied_mremap"])
        yield case.record(f"{scheme}: bytes of new pages", expected * PAGE, (in_use(run) - frames) * PAGE)
        before = run.counters
        move(run, child, BASE_VPN + MOVED_BY, pages)
        exclusive = run.counters.since(before)["pages_copied_mremap"]
        if scheme == "anonmm":
            yield case.record(f"{scheme}: pages copied, moved again", 0, exclusive)
        del run


MOVED_BY = 1 << 17                     # pages; an area is smaller


def move(run, pid, vpn, pages):
    """mremap to an address of our choice."""
    run.processes[pid].mremap(vpn * PAGE, pages * PAGE, pages * PAGE, MAYMOVE | FIXED, (vpn + MOVED_BY) * PAGE)


def in_use(run):
    """Frames that are mapped, the zero page aside."""
    return int(np.count_nonzero(run.frames["mapcount"]))


def rewriting_children(case):
    """Row 11: a parent's pages, children that each write the first part of them, and a walk of every page there is."""
    n, pages = case["children"], case["pages"]
    own = round(pages * case["rewritten"])
    total = pages + n * own
    needs(f"{total:,} pages of {n + 1:,} processes",
          total * BYTES_A_FRAME + pages * (n + 1) * BYTES_AN_ENTRY + n * BYTES_AN_AREA)
    found = forms.rewritten_found_mean(n, pages, own)
    early = forms.rewritten_list_mean(n, pages, own)
    told = PUBLISHED.get(case["rewritten"], {})
    for scheme, what, expected in (("anon_vma_2_6_7", "vmas_tried", early), ("anonmm", "mms_tried", found),
                                   ("pte_chain", "ptes_tried", found)):
        case.report(scheme)
        run = machine(scheme, total)
        rewrites = make(Op.WRITE, n if own else 0, process=2 + np.arange(n if own else 0), addr=BASE_VPN * PAGE,
                        length=own * PAGE)
        play(run, [spawn(), map_areas([BASE_VPN], pages, ANONYMOUS), write(BASE_VPN, pages), forks(n), rewrites])
        frames = np.flatnonzero(run.frames["mapcount"]).astype(np.uint32)
        yield case.record(f"{scheme}: pages there are", total, len(frames))
        counted = walk(run, frames, n + 1)
        yield case.record(f"{scheme}: {what} for a page, mean", expected, Fraction(counted[what], len(frames)),
                          published=told.get(scheme))
        if what == "vmas_tried":
            parents = pfns(run.processes[1], BASE_VPN + pages - 1)
            yield case.record(f"{scheme}: areas on the list", n + 1, walk(run, parents)[what], published=told.get("all"))
        del run, frames


PUBLISHED = {1.0: {"anon_vma_2_6_7": 501, "anonmm": 1, "pte_chain": 1, "all": 1001}}

ROWS = {
    "8": Row(
        "a page malloc'ed in one child: anonmm tries every address space, anon_vma one area",
        "Andrea Arcangeli, 13 Mar 2004, against hist:a9aa5e94",
        {"children": CHILDREN},
        ({"children": 10}, {"children": 100}, {"children": 1000}),
        one_more_page,
    ),
    "9": Row(
        "anonmm must copy shared pages at mremap, anon_vma copies none",
        "hist:0c357104; LWN 77106",
        {"children": CHILDREN, "pages": Parameter(1000, int, "pages of the area", 1, 100_000),
         "rewritten": Parameter(0.0, float, "fraction of it that the child has written before", 0, 1)},
        ({"children": 1, "pages": 1000, "rewritten": 0.0}, {"children": 1, "pages": 1000, "rewritten": 0.1},
         {"children": 10, "pages": 1000, "rewritten": 1.0}),
        moved,
    ),
    "11": Row(
        "pages that children have rewritten: on one list with all relatives, or found at once",
        "Rik van Riel, Jan 2010; LWN 383162",
        {"children": CHILDREN, "pages": Parameter(1000, int, "pages of the parent", 1, 1 << 20),
         "rewritten": Parameter(1.0, float, "fraction of them that each child writes", 0, 1)},
        ({"children": 1000, "pages": 1000, "rewritten": 1.0}, {"children": 1000, "pages": 1000, "rewritten": 0.1},
         {"children": 1000, "pages": 1000, "rewritten": 0.5}, {"children": 1000, "pages": 1000, "rewritten": 0.0}),
        rewriting_children,
    ),
}
