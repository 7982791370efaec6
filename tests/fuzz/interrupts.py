"""Ctrl-C at any moment: of operations, of loading, saving, copying, reading and comparing. Afterwards the machine is whole and
goes on.
"""
import signal
from collections import Counter

import numpy as np

import rmapcore
import rmapcore.core.running
from fuzz import PAGE, check, given_back
from fuzz.operations import hostile
from recordings import MIB, A, started
from rmapcore.core.program import make
from rmapcore.operations import Op
from rmapcore.schemes import registry
from rmapcore.traces import load_trace

SCHEMES = [name for name, spec in registry().items() if not spec.defects]


class Struck:
    """Calls a function, into which a KeyboardInterrupt comes after so many seconds; `heard`: whether it was not over before."""

    def __init__(self, seconds, function, *arguments):
        self.under_way, self.heard = True, False
        before = signal.signal(signal.SIGALRM, self.strike)
        try:
            signal.setitimer(signal.ITIMER_REAL, seconds)
            try:
                function(*arguments)
            finally:
                self.under_way = False
        except KeyboardInterrupt:
            self.heard = True
        finally:
            self.under_way = False
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)

    def strike(self, number, frame):
        if self.under_way:
            raise KeyboardInterrupt


class Fuzzer:
    def __init__(self, folder):
        self.seen = Counter()
        self.path = folder / "machine"
        recording = started()
        for number in range(300):
            recording.mmap(100, A + number * MIB, 4 * PAGE).fault(100, A + number * MIB)
        for spec in registry().values():       # numpy takes an interrupt while a dtype is made, as modules do, for a wrong one
            spec.load()
        self.recording = folder / "recording"
        self.recording.write_bytes(recording.text())

    def counts(self):
        return dict(self.seen)

    def one(self, rng):
        machine = rmapcore.Machine(rng.choice(SCHEMES), rng.choice(("2.6.7", "6.18")), ram=400 * PAGE, swap=900 * PAGE,
                                   track_contents=True)
        machine.run(make(Op.SPAWN, 5, process=np.arange(1, 6)))
        chance = np.random.default_rng(rng.randrange(1 << 32))
        operations = hostile(chance, 3000)
        usual = rmapcore.core.running.batch.SLICE
        rmapcore.core.running.batch.SLICE = rng.choice((1, 3, 16, usual))
        try:
            for _ in range(6):
                name = rng.choice(("operate", "operate", "operate", "copy", "save", "load", "read", "compare"))
                seconds = rng.choice((0.0001, 0.001, 0.01, 0.03, 0.1)) * (0.5 + rng.random())
                struck = Struck(seconds, getattr(self, name), rng, machine, operations)
                self.seen[f"{name}, {'heard' if struck.heard else 'over before'}"] += 1
                check(machine)
        finally:
            rmapcore.core.running.batch.SLICE = usual
        for process in list(machine.processes.values()):
            process.exit()
        check(machine)

    def operate(self, rng, machine, operations):
        at = rng.randrange(len(operations))
        while at < len(operations):
            try:
                machine.run(operations[at:])
                return
            except (rmapcore.OutOfMemory, rmapcore.ArenaFull) as error:
                at += error.done + 1

    def copy(self, rng, machine, operations):
        with given_back():
            machine.copy()

    def save(self, rng, machine, operations):
        before = self.path.read_bytes() if self.path.exists() else None
        try:
            machine.save(self.path)
        except KeyboardInterrupt:
            left = [path.name for path in self.path.parent.iterdir() if path.name.endswith(".tmp")]
            assert not left, left
            if self.path.exists() and self.path.read_bytes() != before:
                rmapcore.Machine.load(self.path)       # it took the place as a whole
            raise

    def load(self, rng, machine, operations):
        if self.path.exists():
            rmapcore.Machine.load(self.path)

    def read(self, rng, machine, operations):
        load_trace(self.recording)

    def compare(self, rng, machine, operations):
        with given_back():
            rmapcore.compare("swapout", rng.choice(SCHEMES), pages=2000)
