"""replay --check: every recorded fault against the emulated page table at that moment.

A fault's error code says what the entry held when it was recorded: bit 0 clear, no page; bit 0 set, a page that may not be
accessed so (bit 1: written). Just before the emulation performs a fault it looks at its own entry:

    recorded          right if the emulation has
    bit 0 clear       an area there, and an entry without a page (nothing, swapped, a file page to be read)
    bit 0 set, write  an area there, and a page that is mapped without leave to write
    bit 0 set, else   an area there, and a page that the area does not let be read

A fault outside of every area is a signal sent to the program: right with bit 0 clear, but only as long as no call has failed
in the emulation that succeeded when it was recorded, for then areas may be missing.

Memory has a kind by the area that the emulation has at the address, whatever the access does there:

    anon    private areas without a file, heap and stack among them
    shmem   areas of shared memory: shared anonymous ones, memfd, System V, /dev/shm
    file    areas of any other file, private ones too, though what is written there becomes anonymous

A fault outside of every area has no kind, and counts in the sum only. Not checked are the
faults that the importer leaves out: those in vdso and vvar, at kernel addresses, and of processes whose birth is missing.
After a difference the emulation performs the fault as always, so a page counts once unless it goes wrong again.
"""
from functools import partial

import numpy as np

from rmapcore.core.running import Run
from rmapcore.lab.compare import TRACKED_PAGES, checked_limits, recorded_program, validate
from rmapcore.lab.experiment import Experiment, check_points
from rmapcore.lab.results import Measured, find_problems
from rmapcore.linux.uapi import MADV_PAGEOUT
from rmapcore.machine import MOST_ROOM, Machine
from rmapcore.operations import FAULT_USER, Op, status_name
from rmapcore.schemes import choose
from rmapcore.studies.replaycheck import tables
from rmapcore.studies.replaycheck.causes import ABOUT, Faults
from rmapcore.studies.replaycheck.states import MEMORY, SWAPPED_OUT, LifeCheck, StateCheck, living
from rmapcore.traces import Trace, load_trace
from rmapcore.units import PAGE, parse_size

KERNEL = "6.18"
SCHEME = "anon_vma_chain"
SHOWN = 20                             # differences that are told one by one
SLACK = 64                             # frames of RAM beyond the peak: what one operation holds on its way
LEAST = {"anon": 0.995, "all": 0.98}   # shares that must be right


class CheckedExperiment(Experiment):
    """An experiment whose faults are checked. found: uint16 of each operation, as pyx/look/found.pxd says; 0: no fault."""

    def __init__(self, trace, program, machine, points, progress=None):
        self.found = np.zeros(program.count, np.uint16)
        self.seen = []                 # (operation, area or None) of the first differences
        looks = {state.at: partial(self._look, state) for state in trace.states}        # the last of those that are one moment
        super().__init__(program, machine, points, progress, looks)
        self.state_check = StateCheck(trace, self.files)
        self.life_check = LifeCheck(trace)

    def _look(self, state):
        self.state_check.look(self.machine, state)

    def _run_of(self, phase, first, paused):
        these = slice(first, first + len(phase.operations))

        def differs():
            process = living(self.machine, run.process)
            areas = process.maps() if process else ()
            holds = [area for area in areas if area["start"] <= run.address < area["end"]]
            self.seen.append((first + run.done, holds[0] if holds else None))

        def ends(pid):
            self.life_check.look(self.machine, first + run.done, pid)
            self.digest.fold(pid)

        run = Run(self.machine, phase.operations, self.files, self.statuses[these], before_end=ends, paused=paused,
                  found=self.found[these], differs=differs, told=SHOWN)
        return run


class CheckedReplay(Measured):
    """What a checked replay found: the fields of one row of a comparison, and

    faults           checked, right
    by_kind          the same of anon, file, shmem
    causes           of the wrong ones: cause, kind, count, about
    first_differences  the first of them, one by one
    taken            faults before which reclaim took the page, as the recording says that it had
    statuses         checked, right, wrong: of all operations
    counts           checked, right, pages, missing, not_recorded: how many pages address spaces had at their ends, of those
                     that the recording counts; missing: that came without a trace; not_recorded: that the emulation has
    areas, pages, page_tables, states  the same of the states that the recording holds, if it does; then the number that is
                     `pages` otherwise, frames at the peak, is `frames` only
    not_checked      faults that the importer left out, by reason
    """

    def __init__(self, program, machine, row, faults):
        row = {**row, "frames": row["pages"], **faults}
        super().__init__({"name": program.name, "parameters": {}, "seed": program.seed, **program.facts}, machine, [row],
                         [*find_problems([row]), *too_few(row)])
        self._data = {key: value for key, value in self._data.items() if key != "results"} | row

    def __repr__(self):
        faults = self._data["faults"]
        return f"<CheckedReplay of {self._data['workload']['name']}: {faults['right']:,} of {faults['checked']:,} right>"

    def table(self, color=False, width=None):
        """Tables for people: how many faults are right, why others are not, and the first of those."""
        return tables.checked(self._data, color, width)


def check_replay(recording, scheme=SCHEME, kernel=KERNEL, arch="x86_64", file_rmap=None, ram=None, swap=None, seed=0,
                 max_map_count=None, stack_limit=None, progress=None, max_text=None):
    """Replays a recording and checks each of its faults; a CheckedReplay.

    recording: a path or a Trace.  ram: bytes or a string; None: all that the recording ever uses, since reclaim would take
    what the recorded machine had.  swap: the same; None: none, or, if the recording asks for pages to be paged out, twice
    its frames if more faults are right then: it does not say whether its machine had any.  The other arguments: as in
    compare().
    Raises TypeError, ValueError, UnknownName, TraceError before anything is run.
    """
    scheme = choose(scheme)
    validate((scheme,), (arch,), (kernel,), file_rmap, seed)
    ram = None if ram is None else parse_size(ram, "ram")
    swap = None if swap is None else parse_size(swap, "swap")
    limits = checked_limits(max_map_count, stack_limit)
    report = progress or (lambda done, total, text: None)
    report(0, 1, "reading the recording")
    trace = recording if isinstance(recording, Trace) else load_trace(recording, max_text)
    if not np.any(trace.operations["op"] == Op.FAULT):
        raise ValueError(f"{trace.source}: the recording has no page faults to check")
    report(0, 1, "dry run")
    program = recorded_program(trace, seed, (arch,), scheme, kernel, limits)
    limits["stack_limit"] = stack_limit or program.stack_limit
    ram = (program.pages + SLACK) * PAGE if ram is None else ram
    if swap is not None:
        sizes = [swap]
    elif trace.reclaimed:
        sizes = [2 * program.pages * PAGE]
    elif np.any((program.phases[0].operations["op"] == Op.MADVISE) & (program.phases[0].operations["arg"] == MADV_PAGEOUT)):
        sizes = [0, 2 * program.pages * PAGE]
    else:
        sizes = [0]
    runs = []
    for number, swap in enumerate(sizes):
        def step(fraction, phase, number=number):
            report(number + fraction, len(sizes), f"{scheme} {arch}: {phase}")

        machine = Machine(scheme, kernel, arch, ram, swap, file_rmap, program.pages <= TRACKED_PAGES, **limits, **MOST_ROOM)
        experiment = CheckedExperiment(trace, program, machine, check_points(program), step)
        experiment.run()
        runs.append((experiment, judged(trace, experiment)))
    report(1, 1, "done")
    experiment, told = max(runs, key=lambda run: run[1]["faults"]["right"])
    machine = experiment.machine
    row = experiment.row()
    row["calls"]["first_difference"] = None
    told_of = {"kernel": kernel, "file_rmap": file_rmap, "ram": ram, "swap": machine.swap,
               "track_contents": machine.track_contents}
    return CheckedReplay(program, told_of, row, told)


def judged(trace, experiment):
    """What the faults of an experiment say: the fields of CheckedReplay."""
    faults = Faults(trace.operations, experiment.found, experiment.statuses)
    right = faults.right
    wrong = np.flatnonzero(~right)
    causes = dict(zip(wrong.tolist(), faults.causes(wrong), strict=True))
    by_kind = {kind: {"checked": int((faults.kind == kind).sum()), "right": int((right & (faults.kind == kind)).sum())}
               for kind in MEMORY}
    counts = {}
    for number, cause in causes.items():
        key = cause, str(faults.kind[number])
        counts[key] = counts.get(key, 0) + 1
    numbers = {int(index): number for number, index in enumerate(faults.index)}
    states = experiment.state_check
    names = {file.number: number for number, file in enumerate(experiment.files, 1)}
    return {
        "faults": {"checked": len(right), "right": int(right.sum())},
        "taken": int(faults.has("taken").sum()),
        "by_kind": by_kind,
        "causes": [{"cause": cause, "kind": kind, "count": count, "about": ABOUT[cause]}
                   for (cause, kind), count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))],
        "statuses": statuses_right(trace, experiment),
        "counts": experiment.life_check.finish(experiment.machine),
        **({"states": {"count": states.states, "processes": states.processes, "wrong_pages": states.wrong,
                       "first_differences": states.differences},
            "areas": states.areas, "pages": states.all_pages(), "page_tables": states.page_tables} if states.states else {}),
        "first_differences": [difference(trace, faults, numbers[index], area, causes[numbers[index]], names)
                              for index, area in experiment.seen],
        "not_checked": {reason: count for reason, count in trace.summary.get("left_out", {}).items()
                        if reason.startswith("fault ")},
    }


def statuses_right(trace, experiment):
    """{"checked", "right", "wrong": {kind of operation: {status: count}}}: whether operations ended as when they were recorded.

    That an access failed is known only of recordings that hold signals, and of accesses in user mode: the kernel's own end in
    EFAULT of a call that need not be recorded. What is not known is taken to be right.
    """
    expected = np.zeros(len(experiment.statuses), np.uint16)
    for number, status in trace.expected.items():
        expected[number] = status
    ops = trace.operations["op"]
    differs = expected != experiment.statuses
    told = trace.operations["flags"] & FAULT_USER != 0 if trace.holds_signals else False
    differs &= (ops != Op.FAULT) | told
    wrong = {}
    for op, status in zip(ops[differs].tolist(), experiment.statuses[differs].tolist(), strict=True):
        ended = wrong.setdefault(Op(op).name, {})
        name = status_name(status) if status else "done"
        ended[name] = ended.get(name, 0) + 1
    return {"checked": len(ops), "right": int(len(ops) - differs.sum()), "wrong": wrong}


def difference(trace, faults, number, area, cause, names):
    """One wrong fault, in full. names: file number of the trace by that of the machine."""
    operation = trace.operations[faults.index[number]]
    code = int(operation["flags"])
    told = None
    if area is not None:
        file = names.get(int(area["file"]))
        told = {
            "start": int(area["start"]), "end": int(area["end"]),
            "prot": "".join(letter if int(area["prot"]) & bit else "-" for letter, bit in zip("rwx", (1, 2, 4), strict=True)),
            "shared": bool(faults.has("shared")[number]),
            "file": trace.files[file - 1].name if file else None, "offset": int(area["pgoff"]) * PAGE if area["file"] else None,
        }
    return {
        "operation": int(faults.index[number]),
        "time": int(operation["arg"]) / 1e9, "process": int(operation["process"]), "thread": int(operation["arg2"]),
        "address": int(operation["addr"]),
        "kind": str(faults.kind[number]), "area": told,
        "recorded": {"error_code": code, "present": bool(code & 1), "access": access(code),
                     "mode": "user" if code & 4 else "kernel"},
        "emulated": {"entry": faults.entry(number), "writable": bool(faults.has("rw")[number])},
        "cause": cause, "about": ABOUT[cause],
    }


def access(code):
    """What an error code says was done."""
    return "write" if code & 2 else "fetch" if code & 16 else "read"


def too_few(row):
    """Shares that are below what must be right, as lines."""
    if "states" in row and row["areas"]["right"] < row["areas"]["checked"]:
        yield f"{row['areas']['right']:,} of {row['areas']['checked']:,} areas are as recorded"
    if "states" in row and (row["pages"]["anon"]["right"] + row["states"]["wrong_pages"].get(f"anon {SWAPPED_OUT}", 0)
                            < LEAST["anon"] * row["pages"]["anon"]["checked"]):
        yield f"{row['pages']['anon']['right']:,} of {row['pages']['anon']['checked']:,} anonymous pages are as recorded"
    counts = row["counts"]
    if counts["missing"] > (1 - LEAST["anon"]) * counts["pages"]:
        yield (f"{counts['missing']:,} of {counts['pages']:,} pages that address spaces had at their ends came without a trace "
               "in the recording")
    for kind, least in LEAST.items():
        counts = row["faults"] if kind == "all" else row["by_kind"][kind]
        if counts["right"] < least * counts["checked"]:
            share = counts["right"] / counts["checked"]
            yield (f"{counts['right']:,} of {counts['checked']:,} faults{'' if kind == 'all' else f' on {kind} memory'} are as "
                   f"recorded, {share:.2%}: less than {least:.1%}")
