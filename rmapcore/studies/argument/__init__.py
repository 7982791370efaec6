"""the_argument: what anonmm and anon_vma cost in swapout and in mremap, beside chains and no reverse map at all.

In 2004 the two were compared without memory pressure; that one needs less work in swapout, and the other less trouble in
mremap, was argued from the code. Here both run the same programs, over

   swapout   processes of a fork family x fraction of the inherited pages that children rewrite x areas
   mremap    children x fraction rewritten before x moved or not; then everything is swapped out
   malloc    children that map memory of their own after the fork, and fork once more or not; then the same
   split     one area, cut into an area a page

and every figure but the times is an exact count. A cell is one such program, a row a cell under one scheme.
"""
from rmapcore.errors import keeping
from rmapcore.lab.experiment import dry_run
from rmapcore.lab.results import Measured
from rmapcore.studies.argument import runs, table
from rmapcore.workloads import build
from rmapcore.workloads.parameters import Parameter

NAME = "the_argument"
ABOUT = "anonmm against anon_vma, chains and no reverse map, in swapout and mremap: the table that nobody published"
SCHEMES = ("virtual_scan", "pte_chain", "anonmm", "anon_vma")
KERNEL = "2.6.7"
PARAMETERS = {
    "pages": Parameter(4096, int, "frames of every swapout, 16 a process at least; a quarter of them in a moved area", 64,
                       1 << 24),
    "most": Parameter(256, int, "processes of the largest family; smaller ones have a quarter of the next", 2, 4096),
}
REWRITTEN = (0.0, 0.1, 0.5, 1.0)
AREAS = (1, 16)
PIECES = (16, 256, 4096)
MOVED = ("none", "all")
WALKED = ("mms_tried", "vmas_tried", "nodes_visited", "ptes_tried", "ptes_found", "vma_lookups")
LOCKS = ("lock_chain_held", "lock_anonmm_held", "lock_anon_vma_held")


def fan_outs(most):
    """Sizes of families, ascending: `most`, a quarter of it, and so on; one process first."""
    sizes = [most]
    while sizes[-1] > 4:
        sizes.append(sizes[-1] // 4)
    return sorted({1, *sizes})


def cells(parameters):
    """(what identifies the cell, workload, its parameters) of every cell."""
    pages, most = parameters["pages"], parameters["most"]
    for areas in AREAS:
        for rewritten in REWRITTEN:
            for processes in fan_outs(most):
                key = {"part": "swapout", "processes": processes, "rewritten": rewritten, "areas": areas, "moved": None}
                yield key, "swapout", {"pages": pages, "processes": processes, "rewritten": rewritten, "areas": areas}
    for moved in MOVED:
        for rewritten in (0.0, 0.5):
            for processes in fan_outs(most)[1:]:
                key = {"part": "mremap", "processes": processes, "rewritten": rewritten, "areas": 1, "moved": moved}
                yield key, "fork_then_mremap", {"pages": max(pages // 4, 1), "children": processes - 1,
                                                "rewritten": rewritten, "moved": moved}
    for grandchildren in (0, 1):
        for processes in fan_outs(most)[1:]:
            key = {"part": "malloc", "processes": processes, "rewritten": 0.0, "areas": 2,
                   "moved": "shared" if grandchildren else "kept"}
            yield key, "malloc_in_child", {"pages": max(pages // processes, 1), "children": processes - 1,
                                           "grandchildren": grandchildren}
    for areas in PIECES:
        key = {"part": "split", "processes": 1, "rewritten": 0.0, "areas": areas, "moved": None}
        yield key, "split_by_mprotect", {"pages": areas}


def run(schemes=None, kernel=None, arch="x86_64", file_rmap=None, seed=0, progress=None, **parameters):
    """Runs the whole grid; an Argument. UnknownName, ValueError for parameters that there are not, or cannot be."""
    schemes = SCHEMES if schemes is None else tuple(schemes)
    kernel = kernel or KERNEL
    values = runs.values_of(NAME, PARAMETERS, parameters)
    report = progress or (lambda done, total, text: None)
    grid = list(cells(values))
    rows = []

    def result(partial=False):
        return Argument({"name": NAME, "parameters": values, "seed": seed},
                        {"kernel": kernel, "arch": arch, "file_rmap": file_rmap}, rows, partial)

    with keeping(lambda: result(partial=True) if rows else None):
        for number, (key, workload, of) in enumerate(grid):
            report(number, len(grid), f"{workload}, {key['processes']} processes, {key['rewritten']:.0%} rewritten")
            program = build(workload, of, seed, (arch,))
            if not program.pages:
                dry_run(program, schemes[0], kernel, arch)
            rows += [{**key, "scheme": str(scheme), **figures(run_cell(program, scheme, kernel, arch, file_rmap))}
                     for scheme in schemes]
    report(len(grid), len(grid), "done")
    return result()


def run_cell(program, scheme, kernel, arch, file_rmap):
    """One program under one scheme, on a machine with room for all of it: a row as `compare` has them."""
    with runs.cell(program, scheme, kernel, arch, file_rmap, [program.peak]) as experiment:
        experiment.run()
        return experiment.row()


def figures(row):
    """What a cell keeps of one row of a comparison. Counts are of the whole run; all walks are reclaim's.

    looked_at: what the search passed: address spaces, areas or entries of chains; for a scheme that sweeps the entries of
    page tables that reclaim read.
    """
    counters, freed = row["counters"], row["reclaim"]["freed"]
    swept = row["reclaim"]["scanned_ptes"]
    looked = max(counters["mms_tried"] + counters["vmas_tried"], counters["ptes_tried"] + swept)
    return {
        "freed": freed,
        "looked_at": looked,
        "swept": swept,
        **{name: counters[name] for name in WALKED},
        "held": sum(counters[name] for name in LOCKS),
        "pages_copied_cow": counters["pages_copied_cow"],
        "pages_copied_mremap": counters["pages_copied_mremap"],
        "rmap_bytes_peak": row["memory"]["rmap_bytes_peak"],
        "ns_reclaim": row["ns_per_page"].get("reclaim"),
        "ns_mremap": row["ns_per_page"].get("mremap"),
        "missed": row["check"]["missed"],
        "extra": row["check"]["extra"],
        "digest": row["final"]["digest"],
        "error": row["error"],
    }


class Argument(Measured):
    """The rows of the grid.

    problems: rows that ended in an error, entries that a scheme missed or invented, contents that differ in a cell.
    """

    def __init__(self, workload, machine, rows, partial=False):
        super().__init__(workload, machine, rows, find_problems(rows), partial)

    def table(self, color=False, width=None):
        """The grid for people, and what it comes to."""
        return table.argument(self._data, color, width)


def find_problems(rows):
    """What does not hold, as lines."""
    def name_of(row):
        return f"{row['scheme']}, {table.cell_name(row)}"

    return runs.find_problems(rows, name_of, lambda row: (row["part"], table.cell_name(row)))
