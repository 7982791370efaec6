"""Calls of everything public with values that are none: an error that is declared, and the machine as whole as before."""
import copy
import math
from collections import Counter

import numpy as np

import rmapcore
from fuzz import DECLARED, PAGE, check, given_back
from rmapcore.schemes import registry

SCHEMES = [name for name, spec in registry().items() if not spec.defects]
AT = 0x10000000
HIDDEN = {"hold", "save", "load"}      # runs what it is given; write files where they are told to


class Odd:
    """Nothing that can be asked of it works."""

    def refuse(self, *arguments):
        raise RuntimeError("odd")

    __index__ = __bool__ = __iter__ = __len__ = __eq__ = __hash__ = __array__ = refuse


NUMBERS = (0, 1, 2, 3, 7, 8, 22, 0x22, 0x32, 0x132, PAGE, PAGE - 1, 3 * PAGE, AT, AT + PAGE, AT + 20 * PAGE, -1, -PAGE, 1 << 16,
           1 << 31, 1 << 32, 1 << 47, (1 << 47) - PAGE, 1 << 52, 1 << 62, 1 << 63, (1 << 64) - 1, 1 << 64, 1 << 200)
OTHERS = (None, True, False, math.nan, math.inf, 1.5, 4096.0, "", "r", "rw", "none", "dontneed", "1MiB", "-1", "\0", "x" * 5000,
          b"", b"rw", [], [1], (), {}, {1}, range(3), object(), ..., int, np.int64(PAGE), np.uint64(AT), np.float64(1),
          np.bool_(True), np.arange(3), np.array([]), np.array([-1]), np.array([1.5]), np.zeros((2, 2), np.uint64),
          np.array([AT, AT + PAGE], np.uint64), np.array([1 << 40]), np.zeros(2, rmapcore.OPERATION), np.array(["a"]),
          np.array([None]), np.zeros(0, rmapcore.OPERATION), Odd())
ARGUMENTS = ("scheme", "kernel", "arch", "ram", "swap", "file_rmap", "track_contents", "max_ptes", "max_map_count",
             "stack_limit")


def members(thing):
    return sorted(name for name in dir(type(thing)) if not name.startswith("_") and name not in HIDDEN)


class Fuzzer:
    def __init__(self, folder):
        self.seen = Counter()

    def counts(self):
        return dict(self.seen)

    def one(self, rng):
        machine = rmapcore.Machine(rng.choice(SCHEMES), rng.choice(("2.6.7", "6.18")), ram="1MiB", swap="1MiB",
                                   track_contents=rng.random() < 0.5)
        process = machine.spawn()
        process.write(process.mmap(AT, 16 * PAGE, 3, 0x32), 8 * PAGE)
        things = [machine, process, process.fork(), machine.file("f", 9 * PAGE), process.pin(AT)]
        for _ in range(200):
            self.call(rng, things)
        with given_back():
            check(machine)

    def value(self, rng, things):
        return rng.choice(NUMBERS) if rng.random() < 0.6 else rng.choice(OTHERS) if rng.random() < 0.9 else rng.choice(things)

    def call(self, rng, things):
        thing = rng.choice(things)
        values = [self.value(rng, things) for _ in range(rng.choice((0, 1, 2, 2, 3, 3, 4, 6)))]
        name = rng.choice(members(thing))
        try:
            if rng.random() < 0.02:
                self.machine(rng, things)
            elif rng.random() < 0.03:
                copy.copy(thing)
            elif rng.random() < 0.05 and not isinstance(thing, rmapcore.Machine):
                things.append(getattr(rng.choice(things[:1]), rng.choice(("spawn", "process", "file")))(*values))
            else:
                with given_back():
                    found = getattr(thing, name)
                    found = found(*values) if callable(found) else found
                if isinstance(found, type(things[1]) | type(things[-1])) and len(things) < 12:
                    things.append(found)
            self.seen["right"] += 1
        except (*DECLARED, MemoryError) as error:      # who asks for a record of each page of all user space gets none
            self.seen[type(error).__name__] += 1
        except RuntimeError as error:
            if "odd" not in str(error):                # what an Odd raises itself may come out
                raise
            self.seen["odd"] += 1

    def machine(self, rng, things):
        options = {name: self.value(rng, things) for name in rng.sample(ARGUMENTS, rng.randint(1, 3))}
        if isinstance(options.get("scheme"), str) and (":" in options["scheme"] or not options["scheme"]):
            del options["scheme"]                      # which would be imported
        rmapcore.Machine(**options)
