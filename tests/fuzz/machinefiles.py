"""Files of machines in which some numbers are others, or bytes are: refused, or what is loaded runs on within its arenas."""
import contextlib
import io
import random
from collections import Counter

import numpy as np

import rmapcore
from damage import build
from fuzz import PAGE, check, given_back
from fuzz.operations import hostile
from rmapcore.schemes import registry

SCHEMES = [name for name, spec in registry().items() if not spec.defects]
ARCHES = ("x86_64", "x86_64", "i386", "i386-pae")
SMALL = (0, 1, 2, 3, 4, 5, 7, 8, 15, 16, 63, 64, 255)


def values(kind, length, now):
    """What a number of this dtype may become. length: of the array, for what would be an index. now: what it is."""
    most = np.iinfo(kind).max
    return [value & most for value in (*SMALL, length - 1, length, length + 1, now ^ 1, now + 1, now - 1, now << 1,
                                       now ^ 1 << 12, most, most >> 1, 1 << 31, 1 << 20, 1 << 12, 1 << 63)]


def changed(rng, array):
    """A copy of an array of records or numbers in which one number is another."""
    array = array.copy()
    if not len(array):
        return array
    field = rng.choice(array.dtype.names) if array.dtype.names else None
    numbers = array[field] if field else array
    used = np.flatnonzero(numbers.reshape(len(numbers), -1).any(axis=1))
    at = (int(rng.choice(used.tolist())) if len(used) and rng.random() < 0.8 else rng.randrange(len(numbers)),)
    at += tuple(rng.randrange(size) for size in numbers.shape[1:])
    numbers[at] = rng.choice(values(numbers.dtype, len(array), int(numbers[at])))
    return array


def other_bytes(rng, content):
    bad = bytearray(content[:rng.randrange(len(content))] if rng.random() < 0.3 else content)
    for _ in range(rng.randint(1, 6)):
        if bad:
            bad[rng.randrange(len(bad))] = rng.randrange(256)
    return bytes(bad)


class Fuzzer:
    def __init__(self, folder):
        self.seen = Counter()
        self.path = folder / "machine"
        self.made = {}

    def counts(self):
        return dict(self.seen)

    def saved(self, scheme, arch):
        """Bytes of a healthy machine's file, and its arrays."""
        if (scheme, arch) not in self.made:
            machine = build(scheme, arch)
            with given_back():
                machine.save(self.path)
            with np.load(self.path) as arrays:
                self.made[scheme, arch] = self.path.read_bytes(), {name: arrays[name] for name in arrays.files}
        return self.made[scheme, arch]

    def one(self, rng):
        content, arrays = self.saved(rng.choice(SCHEMES), rng.choice(ARCHES))
        if rng.random() < 0.15:
            content = other_bytes(rng, content)
        else:
            arrays = dict(arrays)
            names = [name for name in arrays if name != "machine"]
            for _ in range(rng.choice((1, 1, 1, 2, 3))):
                name = rng.choice(names)
                arrays[name] = changed(rng, arrays[name])
            out = io.BytesIO()
            np.savez(out, **arrays)
            content = out.getvalue()
        self.attempt(rng, content)

    def attempt(self, rng, content):
        """A file of these bytes is loaded, and runs on if it is taken."""
        self.path.write_bytes(content)
        try:
            machine = rmapcore.Machine.load(self.path)
        except rmapcore.RmapcoreError as error:
            self.seen[type(error.__cause__).__name__ if error.__cause__ else "refused"] += 1
            assert str(self.path) in str(error), error
            return
        self.seen["loaded"] += 1
        run_on(rng, machine)


def run_on(rng, machine):
    """Any operations on what was loaded, and the calls of its processes; it stays whole."""
    chance = np.random.default_rng(rng.randrange(1 << 32))
    at, operations = 0, hostile(chance, 150, 0x10000000 // PAGE)
    while at < len(operations):
        try:
            machine.run(operations[at:])
            at = len(operations)
        except (rmapcore.OutOfMemory, rmapcore.ArenaFull) as error:
            at += error.done + 1
    check(machine)
    for process in list(machine.processes.values()):
        order = random.Random(rng.random())
        areas = [(int(area["start"]), int(area["end"])) for area in process.maps()]
        order.shuffle(areas)
        for start, end in areas[:8]:
            with contextlib.suppress(OSError, rmapcore.RmapcoreError):
                order.choice((process.read, process.write, process.munmap))(start, min(end - start, 64 * PAGE))
    machine.reclaim(200)
    check(machine)
    for process in list(machine.processes.values()):
        process.exit()
    check(machine)
