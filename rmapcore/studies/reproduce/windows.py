"""Rows 4, 5 and spread: one file mapped through many windows, by every process of a family.

A plain list of areas per file is passed from its beginning; a prio_tree is entered where the page is; a chain knows the
entries. The list of a file is grouped by window, for fork puts a child's area beside its parent's, so a page of window i
of V in P processes is found after i*P areas, and one of the last window after all V*P: as many as a walk looks at that is
not stopped at mapcount.
"""
from fractions import Fraction

import numpy as np

from rmapcore.core.program import make
from rmapcore.operations import Op
from rmapcore.studies.reproduce import forms
from rmapcore.studies.reproduce.row import EXACT, Bound, Row, Size, Within
from rmapcore.studies.reproduce.scenes import Scene, needs, workload
from rmapcore.units import PAGE
from rmapcore.workloads.bricks import BASE_VPN, mapped, touches
from rmapcore.workloads.parameters import Parameter

LINES = (32, 64, 128)
MOST_WALKED = 1 << 30                  # areas that the walks of one list may pass: some seconds
IN_CACHE, BEYOND = 1 << 17, 16         # so many areas are passed fast; with more, each costs so many times that
AREAS_EACH = 60_000                    # of a process
MODEL = 1.0                            # nodes by which a model's mean may differ
DEVIATIONS = 4                         # standard deviations by which a mean of random places may differ
MODELLED = "a model of the tree, random pages"


class Windows:
    """A workload on a machine of its own, up to where all processes have their windows.

    count, processes: of them.  pages: of each.  frames: array (window, page), windows ascending by address.
    order: numbers of the windows as they stand on a list of the file.  last_page: the last page of the file mapped.
    """

    def __init__(self, case, until, count, pages, processes, file_rmap, scheme="anon_vma"):
        program = workload(case.workload, case.values)
        self.count, self.pages, self.processes = count, pages, processes
        self.scene = Scene(scheme, sum(size for _, size, _ in program.files) // PAGE, file_rmap, program=program)
        self.scene.play(until)
        areas = self.scene.machine.processes[1].maps()
        self.frames = np.concatenate([self.scene.pfns(1, int(area["start"]) // PAGE, pages) for area in areas])
        self.frames = self.frames.reshape(count, pages)
        self.last_page = int((areas["pgoff"] + (areas["end"] - areas["start"]) // PAGE).max()) - 1
        self.order = np.arange(count)
        if case.workload == "test_mmap3" and count % 2 == 0 and count > 2:
            # the page in the middle comes back to its own file page, so it merges with what is left of the first area,
            # and keeps that one's place at the beginning of the list
            self.order = np.concatenate([[count // 2], np.delete(self.order, count // 2)])

    def walk(self, numbers, pages=1):
        """Counters of walks of the first `pages` pages of these windows."""
        return self.scene.walk(self.frames[numbers, :pages].ravel(), self.count * self.processes)


def compare_sides(case, until, v, s, p, told):
    """Records of list, tree and chain over V windows of s pages in P processes.  told: the source's numbers by name."""
    needs(f"{v:,} windows in {p:,} processes", areas=v * p, entries=v * s * p, frames=v * s)

    case.report(f"{case.workload}, list")
    there = Windows(case, until, v, s, p, "list")
    last = there.walk(there.order[-1:])
    yield case.record("list: areas passed, whole list", forms.list_all(v, p), last["vmas_tried"], published=told.get("all"))
    places, pages = walked(v, p, s)
    if len(places) * pages < v * s:
        case.scaled = f"walks of {pages} of {s:,} pages of {len(places):,} of {v:,} windows, in pairs from both ends"
    list_mean = per_walk(there.walk(there.order[places], pages), "vmas_tried")
    yield case.record("list: areas passed, mean, stop at mapcount", forms.list_mean(v, p), list_mean,
                      published=told.get("mean"))
    case.scaled = None
    yield case.record("list: areas passed for each useful one", v, Fraction(last["vmas_tried"], last["ptes_found"]),
                      published=told.get("ratio"))
    del there

    case.report(f"{case.workload}, prio_tree")
    there = Windows(case, until, v, s, p, "prio_tree")
    height = forms.tree_height(there.last_page)
    each = [there.walk([number]) for number in range(v)]
    tree = max(counted["vmas_tried"] for counted in each)
    yield case.record("prio_tree: areas looked at, most", p, tree)
    yield case.record("prio_tree: nodes below the root, most", height,
                      max(counted["nodes_visited"] for counted in each) - 1, Bound(None, height))
    if case.published and "nodes" in told:
        yield case.record("prio_tree: nodes entered, mean", told["nodes"],
                          per_walk(there.walk(range(v), s), "nodes_visited"), Within(MODEL), told["nodes"], source=MODELLED)
    del there

    for line in LINES:
        case.report(f"{case.workload}, chains of {line} bytes")
        there = Windows(case, until, v, s, p, "pte_chain", f"pte_chain:line={line}")
        counted = there.walk(range(v), s)
        if line == LINES[0]:
            chain = per_walk(counted, "ptes_tried")
            yield case.record("chain: entries looked at", p, chain)
            yield case.record("list to chain, looked at", forms.list_mean(v, p) / p, list_mean / chain,
                              Bound(10, None) if case.published else EXACT, told.get("list time"))
            yield case.record("prio_tree to chain, looked at", 1, tree / chain, Bound(None, 1.2) if case.published else EXACT,
                              told.get("tree time"))
        yield case.record(f"chain: nodes entered, {line} B", forms.chain_nodes(p, forms.node_entries(line, 4)),
                          per_walk(counted, "nodes_visited"))
        yield case.record(f"chain: bytes of all, {line} B", v * s * forms.chain_bytes(p, line, 4),
                          there.scene.structure("pte_chain")["bytes"])
        del there


def per_walk(counted, name):
    """Mean of a counter over the walks."""
    return Fraction(counted[name], counted["rmap_walks"])


def walked(v, p, s):
    """(places on the list, pages of each window) that the walks of a list take in: all, or pairs from both ends."""
    areas = forms.list_all(v, p)
    most = MOST_WALKED // (BEYOND if areas > IN_CACHE else 1)
    if areas * v * s <= 2 * most:
        return np.arange(v), s
    pairs = min(v // 2, max(1, most // areas))
    low = np.unique(np.linspace(0, v // 2 - 1, pairs).astype(np.int64))
    return np.concatenate([low, v - 1 - low]), 1


def rmap_tests(case):
    """Row 4."""
    yield from compare_sides(case, "touch", case["n"], case["s"], case["t"] + 1, {
        100: {"all": 10_100, "mean": 5100.5, "nodes": 6.5, "list time": 13.2, "tree time": 0.74},
        10_000: {"all": 20_000, "mean": 10_001, "nodes": 13.3, "list time": 39, "tree time": 1.01},
    }.get(case["n"], {}))


def fine_grained(case):
    """Row 5."""
    if case.workload == "test_mmap3":
        windows, processes = case["pages"] * 9 // 10, 1 << case["forks"]
        told = {"all": 576_000, "mean": 288_016, "ratio": 18_000, "nodes": 14.2}
    else:
        windows, processes = case["windows"], case["processes"]
        told = {"all": 1_000_000, "ratio": 1000}
    yield from compare_sides(case, "reclaim", windows, 1, processes, told)


def spread(case):
    """Each page of a file is mapped by `useful` areas that lie at random on its list."""
    useful, pages = case["useful"], case["pages"]
    total = useful * pages
    needs(f"{total:,} areas", areas=total, entries=total, frames=pages)
    case.report("list")
    pids, places = 1 + np.arange(total) // AREAS_EACH, np.arange(total) % AREAS_EACH
    first = np.random.default_rng(case["seed"]).permutation(total) // useful
    scene = Scene("anon_vma", pages, "list")
    scene.file("spread", pages * PAGE)
    scene.run(make(Op.SPAWN, int(pids[-1]), process=np.unique(pids)),
              mapped(pids, BASE_VPN + 2 * places, 1, 1, first, total), touches(pids, BASE_VPN + 2 * places, 1, total))
    error = float(forms.random_variance(useful, total) / pages) ** 0.5
    yield case.record("list: areas passed, mean, stop at mapcount", forms.random_mean(useful, total),
                      per_walk(scene.walk(scene.mapped(), total), "vmas_tried"), Within(round(DEVIATIONS * error, 3)))


ROWS = {
    "4": Row(
        "a list of areas collapses on many windows, a prio_tree does not",
        "Morton, 5 Apr 2003; Rajesh Venkatasubramanian, 21 Mar 2004",
        {"n": Parameter(100, int, "windows", 1, 65_000), "s": Parameter(600, int, "pages of a window", 1, 65_536),
         "t": Parameter(100, int, "children", 0, 30_000)},
        (Size("rmap_test", {"n": 100, "s": 600, "t": 100}), Size("rmap_test", {"n": 10_000, "s": 7, "t": 1})),
        rmap_tests,
    ),
    "5": Row(
        "fine-grained maps: a list passes V*P areas for P useful ones",
        "Molnar, 9 Mar 2004; Morton, 20 Feb 2003",
        {"pages": Parameter(20_000, int, "test_mmap3: of the segment; nine tenths of them are areas", 2, 65_000),
         "forks": Parameter(5, int, "test_mmap3: times that every process forks", 0, 12),
         "windows": Parameter(1000, int, "thousand_by_thousand: areas of each process", 1, 65_000),
         "processes": Parameter(1000, int, "thousand_by_thousand: processes", 1, 30_000)},
        (Size("test_mmap3", {"pages": 20_000, "forks": 5}),
         Size("thousand_by_thousand", {"windows": 1000, "processes": 1000})),
        fine_grained,
    ),
    "spread": Row(
        "useful areas at random among M: a walk that stops at the last of m passes m(M+1)/(m+1)",
        "the largest of m numbers drawn from 1..M",
        {"useful": Parameter(32, int, "areas that map a page", 1, 30_000),
         "pages": Parameter(625, int, "pages of the file", 1, 1 << 20), "seed": Parameter(0, int, "of the order")},
        (Size(None, {"useful": 32, "pages": 625, "seed": 0}),),
        spread,
    ),
}
