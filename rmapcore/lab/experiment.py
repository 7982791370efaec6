"""Experiment: one machine runs one program; phases timed, reverse map checked on the way, contents digested.

Only the time inside the kernels counts for a phase: checks and digest fall between the runs. Where the runs pause for
progress, Ctrl-C, checks and digest changes nothing in the machine.
"""
import numpy as np

from rmapcore.core.program import by_kind, found
from rmapcore.core.running import Run
from rmapcore.errors import ArenaFull, OutOfMemory
from rmapcore.lab import contention
from rmapcore.lab.digest import Digest
from rmapcore.lab.profiles import data_of
from rmapcore.lab.timeline import clock, kept
from rmapcore.linux.proc import ask_for_memory, available_bytes
from rmapcore.linux.uapi import MAP_LOCKED
from rmapcore.machine import MOST_ROOM, Machine
from rmapcore.operations import Op, status_name
from rmapcore.pyx.machine.core import ARCHES
from rmapcore.units import PAGE

RUNS = 128                             # pauses a phase at least has, if it has the operations: a fork is one step
CHECK_POINTS = 100
FORKS_SEEN = 1000                      # forks before and after which objects are counted
VM_LOCKED = 0x2000                     # in the flags of Process.maps()
MOST_LOCKED = 1 << 20                  # pages of a locked area that are looked at one by one
CHECK_ENTRIES = 100_000_000            # page-table entries that the check points of a run may find: 20-90 ns each


def check_points(program):
    """Numbers of operations after which the reverse map is checked, ascending.

    Evenly spread over the operations of each phase, fewer for large page tables; always at the peak. Phases up to the
    peak are checked at their end too; later ones are not, for then little is left to find.
    """
    phases = len(program.phases)
    each = max(1, min(CHECK_POINTS, CHECK_ENTRIES // max(program.entries, 1)) // phases)
    points = {program.peak}
    first = 0
    for phase in program.phases:
        end = first + len(phase.operations)
        inner = first >= program.peak > 0
        points.update(np.linspace(first, end, each + 1 + inner).astype(np.int64)[1:each + 1].tolist())
        first = end
    return sorted(points - {0})


def create_files(machine, program):
    """Makes the program's files: list of File. ValueError if no machine has room for all of them."""
    try:
        return [machine.file(*file, warm=program.warm) for file in program.files]
    except ArenaFull:
        pages = sum(-(-size // PAGE) for _, size, _ in program.files)
        raise ValueError(f"{program.name}: its files, {pages:,} pages together, are more than a machine has "
                         "room for") from None


class Experiment:
    """One row of a comparison; `row()` after `run()`.

    program: Program.  machine: a fresh Machine.  points: check_points(program).
    progress: None or called with (fraction done, phase name).
    looks: {number of an operation: called when all before it are done}.
    profiled: whether the row has a profile (lab/profiles.py).
    """

    def __init__(self, program, machine, points, progress=None, looks=None, profiled=False, cpus=None, costs=None):
        self.program = program
        self.machine = machine
        self.points = points
        self.progress = progress
        self.looks = looks or {}
        self.cpus = cpus
        self.locks = machine.locks(costs) if cpus else None
        self.files = create_files(machine, program)            # which is nobody's work, and so no part of the profile
        self.profile = machine.profile() if profiled else None
        self.sampled = []              # operations done at each moment of the profile's series
        if profiled:
            self.profile.name(program.names)
        self.statuses = np.zeros(program.count, np.uint16)
        self.digest = Digest(machine, len(program.files))
        self.done = 0                  # operations run, failed ones included
        self.seconds = {}
        self.phase_pages = {}
        self.check = {"points": 0, "frames": 0, "missed": 0, "extra": 0}
        self.forks = {"count": 0, "seen": 0, "made": {}}       # seen: those of which `made` counts the objects
        self.error = None
        self.final = None

    def run(self):
        """Runs all phases; a machine that is full ends it early and leaves `error`. Nobody else gets at it meanwhile."""
        self.machine.hold(self._phases)

    def _phases(self):
        try:
            for number, phase in enumerate(self.program.phases):
                self._phase(number, phase)
            digest = self.digest.finish(self.machine.processes)
        except (OutOfMemory, ArenaFull) as error:
            digest = None
            self.error = f"{error}; at operation {self.done:,}, in phase {phase.name}"
        self.final = self._final(digest)

    def row(self):
        """The measurements, as `Result` keeps them; see the interface for every field."""
        counters = dict(self.machine.counters)
        reclaimed = dict(self.machine.reclaimed)
        memory = self.machine.memory()
        kinds = by_kind(self.program.operations["op"][:self.done], self.statuses[:self.done])
        for kind in kinds.values():
            kind["errors"] = {status_name(status): count for status, count in kind["errors"].items()}
        failed = sum(kind["failed"] for kind in kinds.values())
        return {
            "scheme": str(self.machine._choice),
            "arch": self.machine.arch,
            "kernel": self.machine.kernel,
            "file_rmap": self.machine.file_rmap,
            "error": self.error,
            "seconds": self.seconds,
            "phase_pages": self.phase_pages,
            "ns_per_page": {name: self.seconds[name] / pages * 1e9 if pages else None
                            for name, pages in self.phase_pages.items()},
            "pages": self.program.pages,
            "reclaim": reclaimed,
            "calls": {"done": self.done - failed, "failed": failed, "first_difference": None, "by_kind": kinds},
            "counters": counters,
            "counters_per_page": ratios(counters, reclaimed["freed"]),
            "counters_per_walk": ratios(counters, counters["rmap_walks"]),
            "memory": {
                "structures": memory["structures"],
                "rmap_bytes_peak": memory["rmap_bytes_peak"],
                "added_bytes_peak": memory["added_bytes_peak"],
                "lowmem_bytes_peak": memory["lowmem_bytes_peak"],
                "lowmem": memory["lowmem"],
            },
            "forks": self.forks,
            "check": self.check,
            "final": self.final,
            **({} if self.profile is None else {"profile": data_of(self.profile, self._recorded_seconds())}),
            **({} if self.locks is None else {
                "locks": contention.data_of(self.locks, self.program, self.machine, self.cpus)}),
        }

    def _recorded_seconds(self):
        """Of the recording at each moment of the profile's series; None: it has no times."""
        times, recorded = clock(self.program.operations)
        return (times[self.sampled] / 1e6).tolist() if recorded else None

    def kept(self):
        """What stacks and timelines are made of (lab/timeline.py); None without a profile."""
        if self.profile is None:
            return None
        holds = [] if self.locks is None else contention.longest_holds(self.locks, self.program, self.machine)
        return kept(self.profile, self.sampled, self.statuses, holds)

    def _phase(self, number, phase):
        first, count = self.done, len(phase.operations)

        def paused():
            if self.progress:
                self.progress((number + run.done / max(count, 1)) / len(self.program.phases), phase.name)

        if self.profile is not None:
            self.profile.phase(phase.name)
        run = self._run_of(phase, first, paused)
        checked = {point - first for point in self.points if first < point <= first + count}
        looks = {point - first: look for point, look in self.looks.items() if first < point <= first + count}
        forks = found(phase.operations["op"], lambda ops: ops == Op.FORK)
        self.forks["count"] += len(forks)
        seen = set(forks[:max(0, FORKS_SEEN - self.forks["seen"])].tolist())
        around = seen | {number + 1 for number in seen}
        live = {}
        pauses = {*range(0, count, max(1, count // RUNS)), count} - {0}
        before = self._gauge(phase.counts, 0)
        self.seconds[phase.name] = 0.0
        try:
            for stop in sorted({*checked, *looks, *pauses} - {0} | around):
                run.to(stop)
                paused()
                if self.profile is not None and stop in pauses:
                    self.profile.sample()
                    self.sampled.append(first + run.done)
                if stop in around:
                    live = self._count_objects(live if stop - 1 in seen else None)
                if stop in checked:
                    self._check()
                if stop in looks:
                    looks[stop]()
        finally:
            self.done = first + run.done
            self.seconds[phase.name] = run.seconds
            self.phase_pages[phase.name] = self._gauge(phase.counts, run.done) - before

    def _count_objects(self, before):
        """{structure: how many there are}; before: the same, taken before a fork that has just been done."""
        live = {name: item["live"] for name, item in self.machine.memory()["structures"].items()
                if item["per_slab"] is not None}
        if before is not None:
            self.forks["seen"] += 1
            made = self.forks["made"]
            for name, count in live.items():
                made[name] = made.get(name, 0) + count - before.get(name, 0)
        return live

    def _run_of(self, phase, first, paused):
        """The Run of a phase whose operations are counted from `first`."""
        statuses = self.statuses[first:first + len(phase.operations)]
        return Run(self.machine, phase.operations, self.files, statuses, before_end=self.digest.fold, paused=paused)

    def _check(self):
        self.check["points"] += 1
        for what, count in self.machine.crosscheck().items():
            self.check[what] += count

    def _gauge(self, counts, done):
        """A number that grows by one for each page of a phase, of which so many operations are done."""
        if isinstance(counts, int):
            return counts if done else 0
        if counts == "entries":
            totals = self.machine.totals
            return -totals["present"] - totals["swapped"]
        if counts == "freed":
            return self.machine.reclaimed.freed
        counters = self.machine.counters
        if counts == "copies":
            return counters["rmap_dups"]
        return sum(count for name, count in counters.items() if name.startswith("faults_"))

    def _final(self, digest):
        totals = self.machine.totals
        return {"processes": totals["processes"], "vmas": totals["areas"], "present": totals["present"],
                "swapped": totals["swapped"], "digest": digest}


def ratios(counters, by):
    """Every counter divided; empty if there is nothing to divide by."""
    return {name: count / by for name, count in counters.items()} if by else {}


def locked_frames(machine):
    """How many frames are mapped in locked areas; for areas with more pages than MOST_LOCKED, how many can be."""
    frames, more = [np.zeros(0, np.uint32)], 0
    for process in machine.processes.values():
        maps = process.maps()
        for area in maps[maps["flags"] & VM_LOCKED != 0]:
            pages = int(area["end"] - area["start"]) // PAGE
            if pages > MOST_LOCKED:            # much of it may not be there: locked when it is touched
                more += min(pages, process.rss)
                continue
            records = process.pagemap(int(area["start"]), pages * PAGE)
            frames.append(records["pfn"][(records["present"] != 0) & (records["pfn"] != 0)].astype(np.uint32))
    return len(np.unique(np.concatenate(frames))) + more


def may_lock(operations):
    """Which of them lock memory, if they succeed."""
    ops = operations["op"]
    return (ops == Op.MLOCK) | (ops == Op.MLOCKALL) | (ops == Op.MMAP) & (operations["flags"] & MAP_LOCKED != 0)


def dry_run(program, scheme, kernel, arch, max_map_count=None, stack_limit=None, slices=1000, progress=None):
    """Runs a program with memory unlimited: sets its pages, entries, peak and locked.

    progress: None or called with the part that is done. The peak, and what is locked at the most, are known to within a
    thousandth of the operations. RmapcoreError as soon as the host has no memory for more.
    """
    there = available_bytes()
    machine = Machine(scheme, kernel, arch, ram=min(1 << 28, ARCHES[arch][-1]) * PAGE, swap=0,
                      max_map_count=max_map_count, stack_limit=stack_limit or program.stack_limit, **MOST_ROOM)
    operations = program.operations

    def paused():
        ask_for_memory(program.name, machine.totals["frames_peak"], there)
        if progress:
            progress(run.done / program.count)

    run = Run(machine, operations, create_files(machine, program), paused=paused)
    most = 0
    locks = len(found(operations, may_lock)) > 0
    for stop in np.unique(np.linspace(0, program.count, slices + 1).astype(np.int64)).tolist():
        machine.hold(run.to, stop)
        paused()
        used = machine.totals["frames_peak"]
        if used > most:
            most, program.peak = used, stop
        if locks:
            program.locked = max(program.locked, locked_frames(machine))
    program.pages = most
    program.entries = machine.totals["entries_peak"]
