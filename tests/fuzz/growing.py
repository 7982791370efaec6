"""Areas that grow downwards, mremap, munmap and mmap without an address, beside the live kernel (as root, x86-64, Linux 6.18).

Every EVERY steps all is compared that is seen, but for numbers of objects. A program that differs is run again, shrunk and
written to the working directory, as by `rmapcore verify --live --random`.
"""
from collections import Counter

from rmapcore.verify.live_machine import LiveMachine
from rmapcore.verify.programs import program
from rmapcore.verify.run import FAIL
from rmapcore.verify.run_random import BesideKernel, contained

EVERY = 50
PROFILES = ("growing", "growing", "growing", "place", "limits", "heap")


class Fuzzer:
    def __init__(self, folder):
        self.seen = Counter()
        self.machine = LiveMachine()

    def counts(self):
        return dict(self.seen)

    def one(self, rng):
        case = program(rng.randrange(1 << 32), rng.choice(PROFILES), rng.choice((60, 150, 300)), rng.choice((1, 2, 4, 8)))
        beside = BesideKernel(case, self.machine, lambda text: None)
        self.seen["programs"] += 1
        self.seen["steps"] += len(case.steps)
        if beside.compare_states(case, EVERY):
            self.seen["differed"] += 1
            outcome, _, reason = contained(lambda: beside.outcomes("."))
            assert outcome != FAIL, reason
