"""argument_2026: COW contexts and lazy anon_vmas beside today's chains, over the programs that were argued about.

In May and June 2026 two designs were before the kernel's developers, and neither was measured by anybody but its author. Here
all run the same programs, those of the argument (rmapcore/workloads/contexts.py) and recordings that are given, and every
figure but the times is an exact count. A row is one program at one moment under one scheme: everything that a walk finds is
asked for there, page by page, as reclaim asks for single pages; then all is asked back, and all processes end.

A row more is one line of `cells`. UNVERIFIED points of the designs that are options here are turned the other way by SWITCHES.
"""
import os
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from rmapcore.core.lockrules import CLASSES
from rmapcore.core.memory import scheme_objects
from rmapcore.errors import keeping
from rmapcore.lab.compare import recorded_program
from rmapcore.lab.experiment import dry_run
from rmapcore.lab.results import Measured
from rmapcore.studies.argument import runs, table_2026
from rmapcore.traces import load_trace
from rmapcore.workloads import build
from rmapcore.workloads.parameters import Parameter

NAME = "argument_2026"
ABOUT = "COW contexts against anon_vma, lazy or not, over the programs of the argument of 2026"
SCHEMES = ("anon_vma_chain", "cow_context", "cow_context_2026_05", "anon_vma_lazy")
KERNEL = "6.18"
COLUMNS = (("anon_vma_chain", "6.18"), ("anon_vma_chain", "7.3"), ("cow_context", "6.18"), ("cow_context_2026_05", "6.18"),
           ("anon_vma_lazy", "6.18"))
PARAMETERS = {
    "part": Parameter(1.0, float, "of the sizes that the argument names, 1,000 areas and children and a phone among them", 0.01,
                      10),
}
RECORDED = {                                   # programs that the argument is about, and what each would show
    "prefork_server": "many children that share almost everything",
    "database": "a server of many processes around one shared segment",
    "process_pool": "workers forked from a parent that goes on working",
    "redis": "snapshots by fork while clients write",
}
NOT_RUN = {
    "W4": "a walk that is under way while its area goes: what keeps its records, lock, count or RCU, is not here",
}
SWITCHES = (                                   # (point, as decided, turned, the cells that it touches); scheme and kernel
    ("a child's own pages: its parent's anon_vma, or its own", COLUMNS[4], ("anon_vma_lazy:child_pages=own", "6.18"),
     ("W1 written", "W2")),
    ("at a fork pieces of an area: one anon_vma, or each its own", COLUMNS[4], ("anon_vma_lazy:adopt=0", "6.18"), ("W5", "W3")),
    ("a child that forks: an anon_vma that nobody needs, or a new one", COLUMNS[4], ("anon_vma_lazy:reuse=0", "6.18"),
     ("daemon",)),
    ("copies of file pages: the file's index, or the address's", COLUMNS[2], ("cow_context", "7.3"),
     ("W6", *RECORDED)),
    ("the same, of the prototype", COLUMNS[3], ("cow_context_2026_05", "7.3"), ("W6", *RECORDED)),
    ("the context in the page: 4 bytes as now, or 12 as in the prototype", COLUMNS[2], ("cow_context:page_bytes=12", "6.18"),
     ("W8 24 apps",)),
    ("the area's 24 bytes: there, or gone with the anon_vmas", COLUMNS[2], ("cow_context:vma=0", "6.18"), ("W8 24 apps",)),
)
ANON = 1 << 20                                 # of a frame's flags (docs/rules/machine/frames.md)
ASKED_AT_ONCE = 1 << 16                        # frames
MOMENTS = 100                                  # of a recording, of which the one with most entries is looked at
LOCKS = ("lock_chain", "lock_anonmm", "lock_anon_vma")
WALKED = {"mms": "mms_tried", "nodes": "nodes_visited", "lookups": "vma_lookups", "areas": "vmas_tried", "tried": "ptes_tried",
          "found": "ptes_found"}


class Cell(NamedTuple):
    """name: of the row.  after: the phase at whose end its figures are taken."""

    name: str
    workload: str
    parameters: dict
    after: str


def cells(part):
    """Every row that needs no recording, at a part of the sizes that the argument names."""
    def of(size, least=2):
        return max(least, round(size * part))

    return [
        Cell("W8 boot", "zygote", {"areas": of(2602), "apps": of(47), "own": of(975), "forking": 1}, "fork"),
        Cell("W8 24 apps", "zygote", {"areas": of(2602), "apps": of(71), "own": of(1100), "forking": of(5, 1)}, "fork"),
        Cell("W1", "one_area_each", {"areas": of(1000)}, "fork"),
        Cell("W1 written", "one_area_each", {"areas": of(1000), "writes": "own"}, "rewrite"),
        Cell("W2", "fork_tree", {"depth": 4, "width": of(3)}, "grow"),
        Cell("daemon", "forrest", {"generations": of(100, 20), "pages": 4}, "generations"),
        Cell("W9", "parent_writes_first", {"pages": of(1000)}, "rewrite"),
        Cell("W6", "private_libraries", {"libraries": of(100), "children": of(10)}, "fork"),
        Cell("W7 moved", "one_origin", {"areas": of(100)}, "move"),
        Cell("W7 forked", "one_origin", {"areas": of(100)}, "fork"),
        Cell("W10", "one_root", {"areas": of(200), "children": of(8)}, "fork"),
        Cell("W5", "folio_in_pieces", {"folios": of(100)}, "move"),
        Cell("W3", "split_and_merge", {"steps": of(100), "moves": "yes"}, "change both"),
    ]


class Job(NamedTuple):
    """A cell or a recording, ready for a kernel. at: operations after which its figures are taken.  emptied: those after
    which nothing should be mapped, or None.
    """

    program: object
    at: int
    emptied: int | None


def job_of_cell(cell, seed, scheme, kernel, arch):
    """Its frames are counted up to the reclaim, which a dry run has no swap for and tries again and again."""
    program = build(cell.workload, cell.parameters, seed, (arch,))
    filled = replace(program, phases=program.phases[:[phase.name for phase in program.phases].index("reclaim")])
    dry_run(filled, scheme, kernel, arch)
    program.pages = filled.pages
    ends = dict(zip((phase.name for phase in program.phases), np.cumsum([len(phase.operations) for phase in program.phases]),
                    strict=True))
    return Job(program, int(ends[cell.after]), int(ends["reclaim"]))


def job_of_recording(trace, seed, scheme, kernel, arch):
    """Its figures are those of the moment at which most entries are there, to within a hundredth of its operations."""
    program = recorded_program(trace, seed, (arch,), scheme, kernel, {})
    present = {}
    with runs.cell(program, scheme, kernel, arch, None, []) as experiment:
        machine = experiment.machine
        for at in np.linspace(0, program.count, MOMENTS + 1).astype(int)[1:].tolist():
            experiment.looks[at] = lambda at=at: present.update({at: machine.totals["present"]})
        experiment.run()
    return Job(program, max(present, key=present.get), None)


def run(schemes=None, kernel=None, arch="x86_64", file_rmap=None, seed=0, progress=None, recordings=(), **parameters):
    """Runs all rows under every column; an Argument2026. UnknownName, ValueError for what there is not, or cannot be.

    recordings: paths, or NAME=path to say which row of RECORDED it is.  schemes, kernel: None: COLUMNS, and SWITCHES too.
    """
    values = runs.values_of(NAME, PARAMETERS, parameters)
    columns = COLUMNS if schemes is None and kernel is None else tuple(
        (scheme, kernel or KERNEL) for scheme in schemes or SCHEMES)
    report = progress or (lambda done, total, text: None)
    traces = read_all([recordings] if isinstance(recordings, str | os.PathLike) else recordings)
    grid = cells(values["part"])
    makers = {cell.name: (job_of_cell, cell) for cell in grid} | {name: (job_of_recording, trace)
                                                                 for name, trace in traces.items()}
    turned = [(point, decided, other, name) for point, decided, other, names in SWITCHES if columns is COLUMNS
              for name in names if name in makers]
    rows, switched = [], []
    total = len(makers) * len(columns) + len(turned)

    def result(partial=False):
        about = {cell.name: {"workload": cell.workload, "parameters": cell.parameters, "after": cell.after} for cell in grid}
        about |= {name: {"workload": trace.source, "parameters": {}, "after": None} for name, trace in traces.items()}
        left_out = NOT_RUN | {name: f"{what}: no recording of one was given (--recording {name}=FILE)"
                              for name, what in RECORDED.items() if name not in traces}
        return Argument2026({"name": NAME, "parameters": values, "seed": seed, "rows": about, "not_run": left_out},
                            {"kernel": ", ".join(dict.fromkeys(kernel for _, kernel in columns)), "arch": arch,
                             "file_rmap": file_rmap}, rows, switched, partial)

    def measured(name, column, jobs):
        """jobs: of this row, {kernel: Job}, so that a program is made and measured once."""
        scheme, kernel = column
        report(len(rows) + len(switched), total, f"{name}: {scheme}, kernel {kernel}")
        if kernel not in jobs:
            maker, what = makers[name]
            jobs[kernel] = maker(what, seed, scheme, kernel, arch)
        return {"row": name, "scheme": str(scheme), "kernel": kernel, **figures(jobs[kernel], scheme, kernel, arch, file_rmap)}

    with keeping(lambda: result(partial=True) if rows else None):
        for name in makers:
            jobs = {}
            rows += [measured(name, column, jobs) for column in columns]
            for point, decided, other, where in turned:
                if where == name:
                    switched.append({"point": point, "decided": dict(zip(("scheme", "kernel"), decided, strict=True)),
                                     **measured(name, other, jobs)})
    switched.sort(key=lambda row: [point for point, *_ in SWITCHES].index(row["point"]))
    report(total, total, "done")
    return result()


def read_all(recordings):
    """{name of the row: Trace}"""
    traces = {}
    for path in recordings:
        name, equals, rest = os.fsdecode(path).partition("=")
        if not equals or name not in RECORDED:
            name, rest = os.path.basename(os.fsdecode(path)), os.fsdecode(path)
        if name in traces:
            raise ValueError(f"recordings: {name} is given twice")
        traces[name] = load_trace(rest)
    return traces


def figures(job, scheme, kernel, arch, file_rmap):
    """What a row keeps. Objects are those for nothing but reverse mapping, each kind's most at its own moment.

    walks: of all anonymous pages that are mapped, a walk each: counts in all, and how they are distributed.  missed, extra: of
    those walks' and of files', against a scan of all page tables.  left: entries that are still there after everything was
    asked back.  by_fork: objects made.  locks: the scheme's, a fork, an exit, a walk; all of the program; of the busiest one.
    """
    with runs.cell(job.program, scheme, kernel, arch, file_rmap, [job.at]) as experiment:
        machine, found = experiment.machine, {}
        profile, locks = machine.profile(), machine.locks()
        experiment.looks[job.at] = lambda: found.update(looked(machine, profile))
        if job.emptied is not None:
            experiment.looks[job.emptied] = lambda: found.update(left=machine.totals["present"])
        experiment.run()
        row = experiment.row()
        calls = {call["call"]: call for call in profile.by("call")}
        unmapped, taken = profile.distribution("unmap"), taken_of(locks.events)
    structures, made, forks = row["memory"]["structures"], row["forks"]["made"], row["forks"]["seen"]
    most = scheme_objects(structures)
    now = found.pop("objects", {})
    found.get("locks", {}).update({name: locks_of(calls.get(name)) for name in ("fork", "exit")} | taken)
    return {
        **found,
        "areas_peak": structures["vm_area_struct"]["peak"],
        "objects": {name: {"size": entry["size"], "now": now.get(name, 0), "peak": entry["peak"]}
                    for name, entry in most.items()},
        "bytes": sum(now.get(name, 0) * entry["size"] for name, entry in most.items()),
        "bytes_peak": sum(entry["bytes_peak"] for entry in most.values()),
        "sizes": {name: structures[name]["size"] for name in ("page", "vm_area_struct")},
        "forks": row["forks"]["count"],
        "by_fork": {name: made.get(name, 0) / forks for name in most} if forks else {},
        "unmap": unmapped.summary(),
        "seconds": sum(row["seconds"].values()),
        **{what: row["check"][what] for what in ("missed", "extra")},
        "digest": row["final"]["digest"],
        "error": row["error"],
    }


def looked(machine, profile):
    """What there is at a moment, and what walks of all anonymous pages count."""
    frames, totals, memory = machine.frames, machine.totals, machine.memory()
    pfns = np.flatnonzero((frames["mapcount"] > 0) & (frames["flags"] & ANON != 0))
    before = machine.counters
    for first in range(0, len(pfns), ASKED_AT_ONCE):
        machine.whomaps(pfns[first:first + ASKED_AT_ONCE])
    counted = machine.counters.since(before)
    return {
        "processes": totals["processes"], "areas": totals["areas"], "pages": len(pfns),
        "mappings": int(frames["mapcount"][pfns].sum()),
        "objects": {name: entry["live"] for name, entry in scheme_objects(memory["structures"]).items()},
        "all_bytes": memory["rmap_bytes"],
        "locks": {"walk": sum(counted[name] for name in LOCKS) / len(pfns) if len(pfns) else None},
        "walks": {**{name: counted[counter] for name, counter in WALKED.items()},
                  "by_tried": profile.distribution("query").summary(),
                  "by_nodes": profile.distribution("query", "nodes_visited").summary()},
    }


def locks_of(call):
    """Acquisitions of a call, of all that there were; None if there was none."""
    return sum(int(call[name]) for name in LOCKS) / int(call["operations"]) if call is not None else None


def taken_of(events):
    """Acquisitions of the scheme's locks: all, and of the one that is taken most."""
    kinds = [CLASSES.index(name.removeprefix("lock_")) for name in LOCKS]
    events = events[np.isin(events["lock"], kinds)]
    objects, which = np.unique(events["object"], return_inverse=True)
    counts = np.bincount(which, events["count"], len(objects))
    return {"all": int(counts.sum()), "busiest": int(counts[objects != 0].max(initial=0))}


class Argument2026(Measured):
    """The rows of the table, and in "switches" those with a point turned the other way.

    problems: rows that ended in an error, entries that a scheme missed or invented, contents that differ in a row.
    """

    def __init__(self, workload, machine, rows, switched, partial=False):
        def name_of(row):
            return f"{row['scheme']} under {row['kernel']}, {row['row']}"

        problems = runs.find_problems([*rows, *switched], name_of, lambda row: (row["row"], row["kernel"]))
        super().__init__(workload, machine, rows, problems, partial)
        self._data["switches"] = switched

    def table(self, color=False, width=None):
        """The rows for people, figure by figure."""
        return table_2026.argument(self._data, color, width)
