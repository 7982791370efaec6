"""Experiment: one machine runs one program; phases timed, reverse map checked on the way, contents digested.

Only the time inside the kernels counts for a phase: checks and digest fall between the runs. Where the runs pause for
progress, Ctrl-C, checks and digest changes nothing in the machine.
"""
import errno
import time

import numpy as np

from rmapcore.core.program import by_kind
from rmapcore.errors import ArenaFull, OutOfMemory
from rmapcore.lab.digest import Digest
from rmapcore.machine import FILE_KINDS, Machine
from rmapcore.pyx.base.guard import guarded
from rmapcore.pyx.look import query
from rmapcore.pyx.machine.core import ARCHES
from rmapcore.pyx.reclaim import scan
from rmapcore.pyx.run import replay
from rmapcore.units import PAGE

BUDGET = 1 << 18                       # pages a run touches before it pauses: some 50 ms
RUNS = 128                             # pauses a phase at least has, if it has the operations: a fork is one step
CHECK_POINTS = 100
CHECK_ENTRIES = 100_000_000            # page-table entries that the check points of a run may find: 20-90 ns each
STATUS_NAMES = {replay.STATUS_SEGV: "SIGSEGV", replay.STATUS_BUS: "SIGBUS", replay.STATUS_OOM: "out of memory",
                replay.STATUS_FULL: "arena full"}
P_TABLES = 4


def status_name(status):
    """What a program would call it: "EFAULT", "SIGSEGV"."""
    return STATUS_NAMES.get(status) or errno.errorcode.get(status, str(status))


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
    """Makes the program's files; uint32 array: machine number of each file number, index 0 unused."""
    numbers = np.zeros(len(program.files) + 1, np.uint32)
    for index, (_, size, kind) in enumerate(program.files, 1):
        warm = program.warm and kind == "disk"
        status, numbers[index] = replay.create_file(machine._engine, size, FILE_KINDS[kind], warm)
        machine._raise(status)
    return numbers


@guarded(alone="row")
class Experiment:
    """One row of a comparison; `row()` after `run()`.

    program: Program.  machine: a fresh Machine.  points: check_points(program).
    progress: None or called with (fraction done, phase name).
    """

    def __init__(self, program, machine, points, progress=None):
        self.program = program
        self.machine = machine
        self._engine = machine._engine
        self.points = points
        self.progress = progress
        self.files = create_files(machine, program)
        self.statuses = np.zeros(program.count, np.uint16)
        self.digest = Digest(machine, len(program.files))
        self.done = 0                  # operations run, failed ones included
        self.seconds = {}
        self.phase_pages = {}
        self.check = {"points": 0, "frames": 0, "missed": 0, "extra": 0}
        self.error = None
        self.final = None

    def run(self):
        """Runs all phases; a machine that is full ends it early and leaves `error`."""
        try:
            for number, phase in enumerate(self.program.phases):
                self._phase(number, phase)
            pids = self.machine._core.view("mms")["pid"][self._living()]
            digest = self.digest.finish(pids.tolist())
        except (OutOfMemory, ArenaFull) as error:
            digest = None
            self.error = f"{error}; at operation {self.done:,}, in phase {phase.name}"
        self.final = self._final(digest)

    def row(self):
        """The measurements, as `Result` keeps them; see the interface for every field."""
        counters = dict(self.machine.counters)
        reclaimed = scan.reclaimed(self._engine)
        memory = self.machine.memory()
        ops = np.concatenate([phase.operations["op"] for phase in self.program.phases])
        kinds = by_kind(ops[:self.done], self.statuses[:self.done])
        for kind in kinds.values():
            kind["errors"] = {status_name(status): count for status, count in kind["errors"].items()}
        failed = sum(kind["failed"] for kind in kinds.values())
        return {
            "scheme": str(self.machine._choice),
            "arch": self.machine.arch,
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
                "lowmem_bytes_peak": memory["lowmem_bytes_peak"],
                "lowmem": memory["lowmem"],
            },
            "check": self.check,
            "final": self.final,
        }

    def _phase(self, number, phase):
        first = self.done
        count = len(phase.operations)
        step = max(1, count // RUNS)
        run = self._replay(phase, first)
        checked = {point - first for point in self.points if first < point <= first + count}
        before = self._gauge(phase.counts, 0)
        self.seconds[phase.name] = 0.0
        try:
            for stop in sorted(checked | {count}):
                while run.index < stop:
                    self._step(run, min(stop, run.index + step), phase.name)
                    if self.progress:
                        self.progress((number + run.index / count) / len(self.program.phases), phase.name)
                if stop in checked:
                    self._check()
        finally:
            self.done = first + run.index
            self.phase_pages[phase.name] = self._gauge(phase.counts, run.index) - before

    def _replay(self, phase, first):
        """The run of a phase whose operations are counted from `first`."""
        statuses = self.statuses[first:first + len(phase.operations)]
        return replay.Replay(self._engine, phase.operations, self.files, statuses, fold=True)

    def _step(self, run, stop, name):
        """One stretch of kernel work, timed; then what it came back for."""
        start = time.perf_counter()
        reason = run.run(stop, BUDGET)
        self.seconds[name] += time.perf_counter() - start
        self._stopped(run, reason)

    def _stopped(self, run, reason):
        """A run came back."""
        if reason == replay.FOLD:
            self.digest.fold(run.process)
        elif reason == replay.ERROR:
            self.machine._raise(run.status)

    def _check(self):
        frames, missed, extra, _ = query.verify(self._engine)
        self.check["points"] += 1
        self.check["frames"] += frames
        self.check["missed"] += missed
        self.check["extra"] += extra

    def _living(self):
        return np.flatnonzero(self.machine._core.view("mms")["alive"])

    def _entries(self):
        """(present, swapped) entries of all living processes."""
        mms = self.machine._core.view("mms")
        living = self._living()
        return int(mms["rss"][living].sum()), int(mms["swapents"][living].sum())

    def _gauge(self, counts, done):
        """A number that grows by one for each page of a phase, of which so many operations are done."""
        if isinstance(counts, int):
            return counts if done else 0
        if counts == "entries":
            return -sum(self._entries())
        if counts == "freed":
            return scan.reclaimed(self._engine)["freed"]
        counters = self.machine.counters
        if counts == "copies":
            return counters["rmap_dups"]
        return sum(count for name, count in counters.items() if name.startswith("faults_"))

    def _final(self, digest):
        present, swapped = self._entries()
        return {
            "processes": len(self._living()),
            "vmas": self.machine.memory()["structures"]["vm_area_struct"]["live"],
            "present": present,
            "swapped": swapped,
            "digest": digest,
        }


def ratios(counters, by):
    """Every counter divided; empty if there is nothing to divide by."""
    return {name: count / by for name, count in counters.items()} if by else {}


def measure(program, scheme, kernel, arch, slices=1000):
    """A dry run of a program with memory unlimited: sets its pages, entries and peak.

    The peak is known to within a thousandth of the operations.
    """
    machine = Machine(scheme, kernel, arch, ram=min(1 << 28, ARCHES[arch][-1]) * PAGE, swap=0)
    files = create_files(machine, program)
    core = machine._core
    operations = np.concatenate([phase.operations for phase in program.phases])
    run = replay.Replay(machine._engine, operations, files)
    most = 0
    for stop in np.unique(np.linspace(0, program.count, slices + 1).astype(np.int64)).tolist():
        while run.index < stop:
            if run.run(stop, BUDGET) == replay.ERROR:
                machine._raise(run.status)
        used = int(core.view("head")["frames_used_peak"][0])
        if used > most:
            most, program.peak = used, stop
    program.pages = most
    program.entries = int(core.view("pools")["peak"][P_TABLES]) << core.geometry["bits"]
