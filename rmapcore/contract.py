"""The contract test: what a scheme promises, tried with random programs and small workloads. For schemes inside and outside.

    random programs   beside the same under a scheme that keeps the contract: every step's error, what can be seen every few
                      steps, and the digest at the end. On the way every invariant (check), who maps each frame found through
                      the scheme against a scan of all page tables, and that a copy and a saved and loaded machine hold the
                      same and go on alike
    workloads         one that swaps out more than RAM holds and one that moves shared pages, on every architecture: nothing
                      missed, nothing invented, the digest of the other scheme

Everything follows from the arguments; nothing of the test depends on how the scheme is built. An exception in a hook comes out.
"""
import os
import tempfile
from dataclasses import dataclass, field

import numpy as np

from rmapcore.arguments import seed_of, whole
from rmapcore.core.snapshot import held
from rmapcore.errors import InconsistentState, RmapcoreError
from rmapcore.kernels import KERNELS
from rmapcore.lab.compare import compare
from rmapcore.lab.digest import Digest
from rmapcore.machine import Machine
from rmapcore.pyx.machine.core import ARCHES
from rmapcore.schemes import choose, newest
from rmapcore.units import PAGE
from rmapcore.verify.emulator import Emulator
from rmapcore.verify.lockstep import attempt, looked, shown
from rmapcore.verify.run import step_text
from rmapcore.verify.run_random import parts
from rmapcore.verify.run_random import programs as random_programs
from rmapcore.verify.subject import Unsupported

EVERY = 10                             # steps between two looks
SNAPSHOTS = (80, 160)                  # after so many steps the machine is copied, saved and loaded
WORKLOADS = {"swapout": {"pages": 300, "processes": 5, "ram": 200 * PAGE}, "fork_then_mremap": {"pages": 120, "children": 3}}


@dataclass
class Contract:
    """What check_scheme found. problems: where the contract is broken.  notes: what could not be tried, and known faults.

    programs, steps: that ran.  frames: how often a frame's mappings were compared with the page tables.
    """

    scheme: str
    problems: list = field(default_factory=list)
    notes: list = field(default_factory=list)
    programs: int = 0
    steps: int = 0
    frames: int = 0

    @property
    def ok(self):
        """Whether no promise was broken."""
        return not self.problems

    def __repr__(self):
        return (f"<Contract of {self.scheme}: {self.programs} programs, {self.steps:,} steps, {self.frames:,} frames, "
                f"{len(self.problems)} problems>")


def check_scheme(scheme, programs=16, seed=0, progress=None):
    """Tries a scheme with this many random programs, under each kernel's rules in turn, and with workloads; a Contract.

    scheme: whatever names one (rmapcore/schemes.py); an object whose class and options make another one like it.
    progress: None or called with (done, total, text).
    Raises TypeError, ValueError, UnknownName before anything is run, and whatever a hook raises.
    """
    programs, seed = whole(programs, "programs", 0), seed_of(seed)
    choice, report = choose(scheme), progress or (lambda done, total, text: None)
    choice.make()                              # bad options are told before anything runs
    found = Contract(str(choice))
    for done, case in enumerate(random_programs(programs, seed)):
        kernel = list(KERNELS)[-1 - done % len(KERNELS)]
        report(done, programs + 1, f"{case.id} {kernel}")
        if case.needs and choice.sweeps:
            found.notes.append(f"{case.id}: it reclaims by sweeps of page tables, not the pages that are asked for")
            continue
        run_program(found, choice, case, kernel)
    report(programs, programs + 1, "workloads")
    run_workloads(found, choice, seed)
    report(programs + 1, programs + 1, "done")
    return found


def run_program(found, choice, case, kernel):
    """One program under the scheme and under another that keeps the contract."""
    where = f"{case.id} under {kernel}"
    mine, other = (Emulator(case.files, kernel=kernel, scheme=one) for one in (choice, newest()))
    together = True
    found.programs += 1
    try:
        for number, step in enumerate(case.steps, 1):
            where = f"{case.id} under {kernel}, step {number} ({step_text(step)})"
            errors = [attempt(subject.step, step) for subject in (mine, other)]
            found.steps += 1
            together = together and not parts(step, errors, (mine, other))
            if together and errors[0] != errors[1]:
                found.problems.append(f"{where}: {shown(errors[0])}, not {shown(errors[1])}")
                return
            if number % EVERY == 0 or number == len(case.steps):
                look(found, mine.machine)
                texts = looked((mine, other), (choice.text, newest()), True)[0] if together else []
                if texts:
                    found.problems.append(f"{where}: {'; '.join(texts)}")
                    return
            if number in SNAPSHOTS:
                found.problems += [f"{where}: {text}" for text in snapshots(mine.machine, choice)]
        if together and digest(mine) != digest(other):
            found.problems.append(f"{where}: programs see other contents than under {newest()}")
    except Unsupported as error:
        found.notes.append(f"{where}: {error}")
    except InconsistentState as error:
        known = choice.spec.defects            # that is how such a scheme is found out
        (found.notes if known else found.problems).append(f"{where}: {error}")


def look(found, machine):
    """InconsistentState if an invariant is violated, or whomaps and mappings do not say the same."""
    machine.check()
    frames = np.flatnonzero(machine.frames["mapcount"])
    places = [{*zip(np.repeat(frames, np.diff(offsets)).tolist(), pids.tolist(), addresses.tolist(), strict=True)}
              for offsets, pids, addresses in (machine.whomaps(frames), machine.mappings(frames))]
    found.frames += len(frames)
    for frame, pid, address in sorted(places[0] ^ places[1])[:1]:
        raise InconsistentState("W1", frame, pid, address, "whomaps and mappings differ")


def snapshots(machine, choice):
    """What is wrong with a copy, and with what is saved and loaded, as texts."""
    if not choice.again:
        return ["it cannot be copied: its class and options do not make another one like it"]
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "machine.npz")
        try:
            made = {"a copy": machine.copy()}
            machine.save(path)
            made["a loaded machine"] = Machine.load(path, scheme=choice)
        except RmapcoreError as error:
            return [str(error)]
    twin = machine.copy()
    went = going_on(twin)
    return [f"{name} {text}" for name, one in made.items() for text, same in (
        ("holds something else", held(one) == held(machine)), ("goes on otherwise", going_on(one) == went)) if not same]


def going_on(machine):
    """What a machine is like after it has forked everybody and swapped a part out."""
    for process in list(machine.processes.values()):
        process.fork()
    machine.reclaim(40)
    machine.check()
    return held(machine)


def digest(subject):
    """Of what all living processes see."""
    return Digest(subject.machine, len(subject.files)).finish(list(subject.machine.processes))


def run_workloads(found, choice, seed):
    """Each workload on every architecture, beside the other scheme."""
    for workload, parameters in WORKLOADS.items():
        schemes = [choice] if choice.text == newest() else [newest(), choice]
        result = compare(workload, schemes, arch=list(ARCHES), seed=seed, **parameters)
        rows = [row for row in result.to_dict()["results"] if row["scheme"] == choice.text]
        found.frames += sum(row["check"]["frames"] for row in rows)
        for problem in result.problems:
            known = choice.spec.defects and "missed" in problem
            (found.notes if known else found.problems).append(f"{workload}: {problem}")
