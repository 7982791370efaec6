"""Threads: some that share a machine, where all but one hear MachineBusy, and some with machines of their own, all at once."""
import random
import threading
from collections import Counter

import numpy as np

import rmapcore
from fuzz import PAGE, check
from fuzz.operations import hostile
from programs import State, program, run_step
from rmapcore.core.program import make
from rmapcore.operations import Op
from rmapcore.schemes import registry

SCHEMES = [name for name, spec in registry().items() if not spec.defects]


class Fuzzer:
    def __init__(self, folder):
        self.seen = Counter()

    def counts(self):
        return dict(self.seen)

    def one(self, rng):
        kernel = rng.choice(("2.6.7", "6.18"))
        shared = rmapcore.Machine(rng.choice(SCHEMES), kernel, ram=200 * PAGE, swap=400 * PAGE, track_contents=True)
        shared.run(make(Op.SPAWN, 5, process=np.arange(1, 6)))
        wrong = []
        work = [self.shares] * rng.randint(2, 3) + [self.alone] * rng.randint(0, 2)
        threads = [threading.Thread(target=self.guarded, args=(one, random.Random(rng.random()), shared, kernel, wrong))
                   for one in work]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if wrong:
            raise wrong[0]
        check(shared)

    def guarded(self, work, rng, shared, kernel, wrong):
        try:
            work(rng, shared, kernel)
        except BaseException as error:
            wrong.append(error)

    def shares(self, rng, shared, kernel):
        operations = hostile(np.random.default_rng(rng.randrange(1 << 32)), 400)
        at = 0
        while at < len(operations):
            some = operations[at:at + rng.choice((1, 5, 100))]
            at += len(some)
            use, *arguments = rng.choice((
                (shared.run, some), (shared.run, some), (shared.spawn,), (shared.reclaim, 5), (getattr, shared, "processes"),
                (shared.memory,), (shared.copy,), (shared.whomaps, np.arange(1, 100)), (shared.crosscheck,)))
            try:
                use(*arguments)
                self.seen["in"] += 1
            except rmapcore.MachineBusy:
                self.seen["busy"] += 1
            except (rmapcore.OutOfMemory, rmapcore.ArenaFull):
                self.seen["full"] += 1

    def alone(self, rng, shared, kernel):
        machine = rmapcore.Machine(rng.choice(SCHEMES), kernel, ram=40 * PAGE, swap=300 * PAGE, track_contents=True)
        made = State()
        for step in program(rng.randrange(1 << 32), 150, "x86_64", kernel):
            run_step(machine, made, step)
        machine.crosscheck()
        self.seen["alone"] += 1
