"""Wrong answers from every hook, and wrong candidates from walks: a program that a test runs. argv: seed, how many.

Each round has a machine of its own, a scheme that is right but for one hook, and a program that meets it. What comes out of
calls has to be an exception that a scheme may cause; the machine has to go on. It prints how many there were of each.
"""
import json
import math
import random
import sys
from collections import Counter

import rmapcore
from everyone import Everyone
from rmapcore.pyx.seam.prototype import HOOKS, Prototype
from rmapcore.schemes import registry

PAGE = 4096
AT = 0x40000000
DECLARED = (TypeError, ValueError, AttributeError, RuntimeError, OSError, rmapcore.RmapcoreError)


def endless(value):
    while True:
        yield value


class Odd:
    """Nothing that can be asked of it works."""

    def __bool__(self):
        raise RuntimeError("bool")

    def __index__(self):
        raise RuntimeError("index")

    def __repr__(self):
        raise RuntimeError("repr")


def wrong(rng):
    """A value that a hook may not answer, or a candidate that cannot be, or now and then can."""
    numbers = (0, 1, 2, 3, -1, 7, 1 << 16, 1 << 31, 1 << 32, (1 << 35) - 1, 1 << 63, 1 << 70, -(1 << 70), AT // PAGE)
    odd = (None, math.nan, math.inf, 1.5, "1", b"1", [], {}, (), set(), object, Odd(), endless(1), True, ...)
    kind = rng.randrange(6)
    if kind == 0:
        return rng.choice(odd)
    if kind == 1:
        return rng.choice(numbers)
    if kind == 2:
        return [rng.choice(numbers) for _ in range(rng.randrange(6))]
    if kind == 3:
        return tuple(rng.choice(odd) for _ in range(rng.randrange(6)))
    return tuple(rng.choice((*numbers, rng.choice(odd))) for _ in range(rng.randrange(2, 6)))


def faulty(hook, value, way, inner):
    """A scheme with one wrong hook."""
    def answers(self, *arguments):
        return value

    def yields(self, pfn, purpose):
        for _ in range(3):
            yield value

    def goes_on(self, pfn, purpose):
        while True:
            yield 1, 0, 0

    def raises(self, *arguments):
        raise ValueError("a hook's own")

    made = (answers, raises) if hook != "walk" else (answers, raises, yields, yields, yields, goes_on)
    base = Prototype if inner else Everyone
    return type("Faulty", (base,), {hook: made[way % len(made)]})(*([registry()[inner].load()()] if inner else []))


def program(machine):
    """Calls that between them reach every hook."""
    parent = machine.spawn()
    yield lambda: parent.mmap(AT, 12 * PAGE, 3, 0x32)
    yield lambda: parent.mmap(AT + 12 * PAGE, 4 * PAGE, 3, 0x32)
    yield lambda: parent.write(AT, 16 * PAGE)
    yield lambda: parent.fork()
    yield lambda: parent.write(AT, 2 * PAGE)
    yield lambda: parent.mremap(AT + 4 * PAGE, 2 * PAGE, 2 * PAGE, 3, AT + 64 * PAGE)
    yield lambda: parent.mprotect(AT + 8 * PAGE, PAGE, 1)
    yield lambda: parent.mprotect(AT + 8 * PAGE, PAGE, 3)
    yield lambda: machine.reclaim(12)
    yield lambda: parent.touch([AT, AT + PAGE], True)
    yield lambda: parent.read(AT, 4 * PAGE)
    yield lambda: parent.pin(AT)
    yield lambda: machine.whomaps(range(1, 20))
    yield machine.crosscheck
    yield machine.check
    yield lambda: parent.munmap(AT, 3 * PAGE)
    yield parent.execve
    yield parent.exit


def one_round(rng, found):
    hook, inner = rng.choice(HOOKS), rng.choice((None, None, "anonmm", "anon_vma", "anon_vma_chain", "pte_chain", "rmap_chain"))
    if rng.random() < 0.3:
        hook = "walk"
    scheme = faulty(hook, wrong(rng), rng.randrange(6), inner)
    machine = rmapcore.Machine(scheme, kernel=rng.choice(("2.6.7", "6.18")), ram=32 * PAGE, swap=64 * PAGE)
    try:
        calls = program(machine)
        for call in calls:
            try:
                call()
                found["right"] += 1
            except rmapcore.MachineBusy:       # the hold of a call that failed would still be there
                raise
            except DECLARED as error:
                found[type(error).__name__] += 1
                told = " ".join([str(error), *getattr(error, "__notes__", ())])
                assert isinstance(error, rmapcore.RmapcoreError | OSError) or "scheme faulty" in told, repr(error)
    except DECLARED as error:                  # spawn's own
        assert "scheme faulty" in " ".join(getattr(error, "__notes__", ())), repr(error)
        found[type(error).__name__] += 1
    machine.processes                          # noqa: B018 - it can still be looked at
    machine.memory()


def main(seed, rounds):
    rng, found = random.Random(seed), Counter()
    for _ in range(rounds):
        one_round(rng, found)
    print(json.dumps(found))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
