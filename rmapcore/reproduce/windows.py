"""Rows 4 and 5: one file mapped through many windows, by every process of a family.

A plain list of areas per file is passed from its beginning; a prio_tree is entered where the page is; a chain knows the
entries. The list of a file is grouped by window, for fork puts a child's area beside its parent's, so a page of window i
of V in P processes is found after i*P areas, and one of the last window after all V*P: as many as a walk looks at that is
not stopped at mapcount.
"""
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from rmapcore.reproduce import forms
from rmapcore.reproduce.row import Bound, Row, Within
from rmapcore.reproduce.scenes import (
    BASE_VPN,
    SHARED,
    doubled,
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

LIST, TREE = ("anon_vma", "list"), ("anon_vma", "prio_tree")
MODEL = 1.0                            # nodes by which a model's mean may differ
AREAS_EACH = 60_000                    # of a process
DEVIATIONS = 4                         # standard deviations that a random mean may be away
LINES = (32, 64, 128)
MOST_WALKED = 1 << 30                  # areas that the walks of one list may pass: some seconds
IN_CACHE, BEYOND = 1 << 17, 16         # so many areas are passed fast; with more, each costs so many times that
BYTES_AN_AREA, BYTES_AN_ENTRY, BYTES_A_FRAME = 200, 12, 200        # of the host


class Windows(NamedTuple):
    """V windows of `pages` pages each at `vpns`; `order`: their numbers in the order of the file's list.

    file_pages: length of the file.  last_page: the last one mapped.
    """

    vpns: np.ndarray
    order: np.ndarray
    pages: int
    processes: int
    file_pages: int
    last_page: int
    operations: list


def rmap_test(case):
    """Morton's rmap-test: n windows of s pages, a hole of one file page between them, t children."""
    n, s, t = case["n"], case["s"], case["t"]
    vpns = BASE_VPN + np.arange(n) * s
    first = np.arange(n) * (s + 1)
    operations = [spawn(), map_areas(vpns, s, SHARED, file=1, first_pages=first), write(vpns, s), forks(t)]
    return Windows(vpns, np.arange(n), s, t + 1, n * s + n - 1, int(first[-1]) + s - 1, operations)


def test_mmap3(case):
    """Molnar's: one shared window, each of its pages mapped again at descending file pages; forks double the family.

    The page in the middle comes back to its own file page, so it merges with what is left of the first area, and keeps
    that one's place at the beginning of the list.
    """
    v = case["windows"]
    vpns = BASE_VPN + np.arange(v)
    first = v - np.arange(v)
    again = map_areas(vpns, 1, SHARED, file=1, first_pages=first)
    touched = write(vpns, 1)
    operations = [spawn(), map_areas([BASE_VPN], v, SHARED, file=1), np.stack([again, touched], 1).ravel(),
                  doubled(case["processes"])]
    order = np.arange(v)
    if v % 2 == 0 and v > 2:
        order = np.concatenate([[v // 2], np.delete(order, v // 2)])
    return Windows(vpns, order, 1, case["processes"], v + 1, v, operations)


def disjoint(case):
    """Morton's objection: the same set of windows of one page in every process."""
    v = case["windows"]
    vpns, first = BASE_VPN + np.arange(v), 2 * np.arange(v)
    operations = [spawn(), map_areas(vpns, 1, SHARED, file=1, first_pages=first), write(vpns, 1),
                  forks(case["processes"] - 1)]
    return Windows(vpns, np.arange(v), 1, case["processes"], 2 * v, int(first[-1]), operations)


class Mapped:
    """The windows on a machine of its own."""

    def __init__(self, windows, scheme, file_rmap=None):
        v, p, s = len(windows.vpns), windows.processes, windows.pages
        needs(f"{v:,} windows in {p:,} processes",
              v * p * BYTES_AN_AREA + v * s * p * BYTES_AN_ENTRY + v * s * BYTES_A_FRAME)
        self.windows = windows
        self.run = machine(scheme, v * s, file_rmap)
        play(self.run, windows.operations, [self.run.file("windows", windows.file_pages * PAGE, "shmem")])
        self.frames = pfns(self.run.processes[1], int(windows.vpns[0]), v * s).reshape(v, s)

    def walk(self, numbers, pages=1):
        """Counters of walks of the first `pages` pages of these windows."""
        return walk(self.run, self.frames[numbers, :pages].ravel(), len(self.frames) * self.windows.processes)

    def chain_bytes(self):
        return self.run.memory()["structures"]["pte_chain"]["bytes"]


def compare_sides(case, windows, published, counts_as_useful):
    """Records of list, tree and chain over the same windows.

    published: the source's numbers by name.  counts_as_useful: whether the row is about visits for each useful one.
    """
    v, p, s = len(windows.vpns), windows.processes, windows.pages
    case.report("list")
    mapped = Mapped(windows, *LIST)
    last = mapped.walk(windows.order[-1:])
    yield case.record("list: areas passed, whole list", forms.list_all(v, p), last["vmas_tried"],
                      published=published.get("all"))
    places, pages = walked(v, p, s)
    whole = len(places) * pages == v * s
    if not whole:
        case.scaled = f"walks of {pages} of {s:,} pages of {len(places):,} of {v:,} windows, in pairs from both ends"
    counted = mapped.walk(windows.order[places], pages)
    list_mean = Fraction(counted["vmas_tried"], counted["rmap_walks"])
    yield case.record("list: areas passed, mean, stop at mapcount", forms.list_mean(v, p), list_mean,
                      published=published.get("mean"))
    case.scaled = None
    if counts_as_useful:
        yield case.record("list: areas passed for each useful one", v, Fraction(last["vmas_tried"], last["ptes_found"]),
                          published=published.get("ratio"))
    del mapped

    case.report("prio_tree")
    mapped = Mapped(windows, *TREE)
    height = forms.tree_height(windows.last_page)
    each = [mapped.walk([number]) for number in range(v)]
    tree_most = max(counted["vmas_tried"] for counted in each)
    yield case.record("prio_tree: areas looked at, most", p, tree_most)
    yield case.record("prio_tree: nodes below the root, most", height,
                      max(counted["nodes_visited"] for counted in each) - 1, Bound(None, height))
    if "nodes" in published and case.published:
        counted = mapped.walk(range(v), s)
        yield case.record("prio_tree: nodes entered, mean", published["nodes"], Fraction(counted["nodes_visited"], v * s),
                          Within(MODEL), published=published["nodes"], source="a model of the tree, random pages")
    del mapped

    for line in LINES:
        case.report(f"chains of {line} bytes")
        mapped = Mapped(windows, f"pte_chain:line={line}")
        counted = mapped.walk(range(v), s)
        per_node = forms.node_entries(line, 4)
        if line == LINES[0]:
            chain = Fraction(counted["ptes_tried"], counted["rmap_walks"])
            yield case.record("chain: entries looked at", p, chain)
            if case.published:
                yield from orders(case, v, p, list_mean, tree_most, chain)
        yield case.record(f"chain: nodes entered, {line} B", forms.chain_nodes(p, per_node),
                          Fraction(counted["nodes_visited"], counted["rmap_walks"]))
        yield case.record(f"chain: bytes of all, {line} B", v * s * forms.chain_bytes(p, line, 4), mapped.chain_bytes())
        del mapped


def orders(case, v, p, list_mean, tree, chain):
    """What times were published for, in candidates looked at for a page."""
    yield case.record("list to chain, candidates", forms.list_mean(v, p) / p, list_mean / chain, Bound(10, None),
                      published=LIST_TIME.get(case["n"]) if "n" in case.values else None)
    yield case.record("prio_tree to chain, candidates", 1, tree / chain, Bound(None, 1.2),
                      published=TREE_TIME.get(case["n"]) if "n" in case.values else None)


def walked(v, p, s):
    """(places on the list, pages of each window) that the walks of a list take in: all, or pairs from both ends."""
    areas = forms.list_all(v, p)
    most = MOST_WALKED // (BEYOND if areas > IN_CACHE else 1)
    if areas * v * s <= 2 * most:
        return np.arange(v), s
    pairs = min(v // 2, max(1, most // areas))
    low = np.unique(np.linspace(0, v // 2 - 1, pairs).astype(np.int64))
    return np.concatenate([low, v - 1 - low]), 1


LIST_TIME, TREE_TIME = {100: 13.2, 10_000: 39}, {100: 0.74, 10_000: 1.01}


def rmap_tests(case):
    """Row 4."""
    published = {100: {"all": 10_100, "mean": 5100.5, "nodes": 6.5}, 10_000: {"all": 20_000, "mean": 10_001, "nodes": 13.3}}
    yield from compare_sides(case, rmap_test(case), published.get(case["n"], {}), False)


def fine_grained(case):
    """Row 5: the layout is test-mmap3's where there are more windows than processes can be thousands of."""
    published = {18_000: {"all": 576_000, "mean": 288_016, "ratio": 18_000, "nodes": 14.2}, 1000: {"all": 1_000_000}}
    layout = {"descending": test_mmap3, "disjoint": disjoint}[case["layout"]]
    yield from compare_sides(case, layout(case), published.get(case["windows"], {}), True)


def spread(case):
    """Each page of a file is mapped by `useful` areas that lie at random on its list."""
    useful, pages = case["useful"], case["pages"]
    total = useful * pages
    needs(f"{total:,} areas", total * (BYTES_AN_AREA + BYTES_A_FRAME))
    pids, places = 1 + np.arange(total) // AREAS_EACH, np.arange(total) % AREAS_EACH
    vpns = BASE_VPN + 2 * places
    first = np.random.default_rng(case["seed"]).permutation(total) // useful
    case.report("list")
    run = machine(LIST[0], pages, LIST[1])
    play(run, [spawn(np.unique(pids)), map_areas(vpns, 1, SHARED, pid=pids, file=1, first_pages=first),
               write(vpns, 1, pid=pids)], [run.file("spread", pages * PAGE, "shmem")])
    counted = walk(run, np.flatnonzero(run.frames["mapcount"]).astype(np.uint32), total)
    error = float(forms.random_variance(useful, total) / pages) ** 0.5
    yield case.record("list: areas passed, mean, stop at mapcount", forms.random_mean(useful, total),
                      Fraction(counted["vmas_tried"], counted["rmap_walks"]), Within(round(DEVIATIONS * error, 3)))


ROWS = {
    "4": Row(
        "a list of areas collapses on many windows, a prio_tree does not",
        "Morton, 5 Apr 2003; Rajesh Venkatasubramanian, 21 Mar 2004",
        {"n": Parameter(100, int, "windows", 1, 65_000), "s": Parameter(600, int, "pages of a window", 1, 65_536),
         "t": Parameter(100, int, "children", 0, 30_000)},
        ({"n": 100, "s": 600, "t": 100}, {"n": 10_000, "s": 7, "t": 1}),
        rmap_tests,
    ),
    "5": Row(
        "fine-grained maps: a list passes V*P areas for P useful ones",
        "Molnar, 9 Mar 2004; Morton, 20 Feb 2003",
        {"windows": Parameter(18_000, int, "windows of each process", 1, 65_000),
         "processes": Parameter(32, int, "processes with these windows", 1, 30_000),
         "layout": Parameter("descending", ("descending", "disjoint"), "test-mmap3's windows, or ones apart from each other")},
        ({"windows": 18_000, "processes": 32, "layout": "descending"},
         {"windows": 1000, "processes": 1000, "layout": "disjoint"}),
        fine_grained,
    ),
    "spread": Row(
        "useful areas at random among M: a walk that stops at the last of m passes m(M+1)/(m+1)",
        "the largest of m numbers drawn from 1..M",
        {"useful": Parameter(32, int, "areas that map a page", 1, 30_000),
         "pages": Parameter(625, int, "pages of the file", 1, 1 << 20), "seed": Parameter(0, int, "of the order")},
        ({"useful": 32, "pages": 625, "seed": 0},),
        spread,
    ),
}
