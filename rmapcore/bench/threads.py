"""Two machines in two threads, beside the same two one after the other.

A turn of a machine fills it, swaps all pages out and gives them up; the global interpreter lock is free in every batch.
`sequential` is cache-sized: a small machine in many turns, pages ascending. `lru_shuffled` is one turn with many pages, and
frames and entries are in random orders. two_threads_control is what these processors give at all at this moment: hashing,
which needs neither the lock nor memory.
"""
import hashlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from rmapcore.bench.samples import Sample, timed
from rmapcore.bench.scenes import empty, touch
from rmapcore.units import PAGE

CACHED_PAGES = 1 << 14                 # about 1 MiB of records, entries and swap slots
CACHED_TURNS = 16
SHUFFLED_PAGES = 1 << 17
HASHED = bytes(1 << 16)                # in the cache of any processor
HASHED_TIMES = 1 << 10


class Worker:
    """One machine and the work of one thread."""

    def __init__(self, scheme, pages, turns, order, seed):
        self.machine, self.process, self.address = empty(scheme, pages, mappers=1)
        self.pages, self.turns = pages, turns
        self.numbers = None
        if order != "sequential":
            self.numbers = np.random.default_rng(seed).permutation(pages).astype(np.uint32)
        self.turn()

    def turn(self):
        """One turn; how many pages it swapped out. Each leaves the free frames in the order of the pages' going."""
        if self.numbers is None:
            self.process.write(self.address, self.pages * PAGE)
        else:
            touch(self.process, self.address, self.numbers)
        freed = self.machine.reclaim(self.pages).freed
        self.process.madvise(self.address, self.pages * PAGE, "dontneed")
        return freed

    def run(self):
        """All turns; how many pages they swapped out."""
        return sum(self.turn() for _ in range(self.turns))


def measure_threads(scheme, pages, seed):
    """Both cases."""
    yield two_threads(scheme, min(pages, CACHED_PAGES), CACHED_TURNS, "sequential", seed)
    yield two_threads(scheme, min(pages, SHUFFLED_PAGES), 1, "lru_shuffled", seed)


def measure_control(scheme, pages, seed):
    """The control; no scheme has a part in it. It counts times that HASHED was hashed."""
    def work(_):
        for _ in range(HASHED_TIMES):
            hashlib.blake2b(HASHED)
        return HASHED_TIMES

    alone, _ = timed(lambda: [work(0), work(1)])
    with ThreadPoolExecutor(2) as pool:
        together, done = timed(lambda: sum(pool.map(work, range(2))))
    yield Sample("two_threads_control", "sequential", HASHED_TIMES, done, together, units=2 * HASHED_TIMES,
                 speed_up=alone / together)


def two_threads(scheme, pages, turns, order, seed):
    """The Sample of one case: seconds are those of two threads at work on twice the pages."""
    workers = [Worker(scheme, pages, turns, order, seed + number) for number in range(2)]
    alone, done = timed(lambda: sum(worker.run() for worker in workers))
    with ThreadPoolExecutor(2) as pool:
        together, done_together = timed(lambda: sum(pool.map(Worker.run, workers)))
    return Sample("two_threads", order, pages, min(done, done_together), together, units=2 * turns * pages,
                  speed_up=alone / together)
