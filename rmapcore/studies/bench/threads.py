"""Two machines in two threads, beside the same two one after the other, and in two processes.

A turn of a machine fills it, swaps all pages out and gives them up; the global interpreter lock is free in every batch.
`sequential` is cache-sized: a small machine in many turns, pages ascending. `lru_shuffled` is a few turns with many pages,
and frames and entries are in random orders. two_threads_control is what these processors give at all at this moment: hashing,
which needs neither the lock nor memory. The processes make the same machines, and wait for each other before they begin: what
two threads do less than they is lost inside one process.
"""
import hashlib
import multiprocessing
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np

from rmapcore.linux.uapi import MADV_DONTNEED
from rmapcore.operations import OPERATION, Op
from rmapcore.studies.bench.samples import Sample, elapsed
from rmapcore.studies.bench.scenes import addresses_of, empty
from rmapcore.traces import Trace
from rmapcore.units import PAGE

CACHED_PAGES = 1 << 14                 # about 1 MiB of records, entries and swap slots
CACHED_TURNS = 128                     # a tenth of a second: the host needs some milliseconds to give both threads a processor
SHUFFLED_PAGES = 1 << 18
SHUFFLED_TURNS = 4
HASHED = bytes(1 << 16)                # in the cache of any processor
HASHED_TIMES = 1 << 10


class Turns:
    """Many turns of one small machine, as one array of operations: the lock is not needed in between."""

    def __init__(self, scheme, pages, turns, seed):
        self.machine, process, address = empty(scheme, pages, mappers=1)
        turn = np.zeros(3, OPERATION)
        turn["op"] = Op.WRITE, Op.RECLAIM, Op.MADVISE
        turn["process"] = process.pid, 0, process.pid
        turn["addr"], turn["length"] = address, pages * PAGE
        turn["arg"] = 0, pages, MADV_DONTNEED
        self.trace = Trace(np.tile(turn, turns), [], {}, "turns")
        self.run()

    def run(self):
        """All turns; how many pages they swapped out."""
        before = self.machine.counters
        self.trace.replay(self.machine)
        return self.machine.counters.since(before)["rmap_removes"]


class LargeTurns:
    """A few turns of a large machine, pages in random order. Each leaves the free frames in another one for the next."""

    def __init__(self, scheme, pages, turns, seed):
        self.machine, self.process, self.address = empty(scheme, pages, mappers=1)
        self.turns = turns
        self.addresses = addresses_of(self.address, np.random.default_rng(seed).permutation(pages).astype(np.uint32))
        self.run()

    def run(self):
        """All turns; how many pages they swapped out."""
        freed = 0
        for _ in range(self.turns):
            self.process.touch(self.addresses, True)
            freed += self.machine.reclaim(len(self.addresses)).freed
            self.process.madvise(self.address, len(self.addresses) * PAGE, MADV_DONTNEED)
        return freed


def measure_threads(scheme, pages, seed):
    """Both cases."""
    yield two_threads(Turns, scheme, min(pages, CACHED_PAGES), CACHED_TURNS, "sequential", seed)
    yield two_threads(LargeTurns, scheme, min(pages, SHUFFLED_PAGES), SHUFFLED_TURNS, "lru_shuffled", seed)


def measure_control(scheme, pages, seed):
    """The control; no scheme has a part in it. It counts times that HASHED was hashed."""
    def work(_):
        for _ in range(HASHED_TIMES):
            hashlib.blake2b(HASHED)
        return HASHED_TIMES

    alone, _ = elapsed(lambda: [work(0), work(1)])
    with ThreadPoolExecutor(2) as pool:
        together, done = elapsed(lambda: sum(pool.map(work, range(2))))
    yield Sample("two_threads_control", "sequential", HASHED_TIMES, done, together, units=2 * HASHED_TIMES,
                 speed_up=alone / together)


def two_threads(work, scheme, pages, turns, order, seed):
    """The Sample of one case: seconds are those of two threads at work on twice the pages."""
    workers = [work(scheme, pages, turns, seed + number) for number in range(2)]
    alone, done = elapsed(lambda: sum(worker.run() for worker in workers))
    with ThreadPoolExecutor(2) as pool, two_processes(work, scheme, pages, turns, seed) as run:
        apart, done_apart = elapsed(run)
        together, done_together = elapsed(lambda: sum(pool.map(work.run, workers)))
        again, _ = elapsed(run)                # before and after: the processors drift
    return Sample("two_threads", order, pages, min(done, done_together, done_apart), together, units=2 * turns * pages,
                  speed_up=alone / together, to_processes=(apart + again) / 2 / together)


@contextmanager
def two_processes(*arguments):
    """Gives run(): the same work in two processes, which have made their machines before; what both have done."""
    context = multiprocessing.get_context("spawn")         # of a process with threads
    pipes = [context.Pipe() for _ in range(2)]
    *start, seed = arguments
    children = [context.Process(target=answer, args=(theirs, *start, seed + number), daemon=True)
                for number, (_, theirs) in enumerate(pipes)]
    for child in children:
        child.start()

    def run():
        for ours, _ in pipes:
            ours.send(True)
        return sum(ours.recv() for ours, _ in pipes)

    try:
        for ours, theirs in pipes:
            theirs.close()                     # or the end of a child would not be seen
            ours.recv()
        yield run
    finally:
        for ours, _ in pipes:
            ours.close()
        for child in children:
            child.join()


def answer(pipe, work, *arguments):
    """What each of them does: its work once for every word that comes, until there is no one who sends."""
    worker = work(*arguments)
    pipe.send(None)
    try:
        while pipe.recv():
            pipe.send(worker.run())
    except EOFError:
        pass
