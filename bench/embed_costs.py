"""What the doors of docs/embedding.md cost: nanoseconds of processor time, beside the targets of issue 15.

    python bench/embed_costs.py [--pages N] [--rounds N]

Each is done to all pages in some rounds; what is printed is their median and their least, per access, frame, record, fault or
call. The machine is of kernel 6.18 with anon_vma_chain, and held by the client where nothing else is said.
"""
import argparse
import statistics
import time
from typing import NamedTuple

import embed_client
import numpy as np
from embed_client import PAGE, Scene

import rmapcore

SCHEME, KERNEL = "anon_vma_chain", "6.18"
SINGLE = 1 << 12                                        # pages that Python works on
BATCH = 64
MACHINES = 100
TARGETS = {
    "C: translate, in order": 10, "C: translate, random": 40, "C: translate_many, in order": 4,
    "C: translate_many, random": 15, "C: touch, in order": 15, "C: touch_many, in order": 8, "C: touch_many, random": 25,
    "C: whomaps, in order": 40, "C: a record of the ring": 3, "C: a fault with eviction, 2.6.7": 500,
    "C: a fault with eviction, 6.18": 500, "Python: write of a page": 1500, "Python: touch of 64, a page": 30,
    "a machine of 1 MiB, made and dropped": 200_000,
}


class Job(NamedTuple):
    what: str
    n: int                                              # what `work` does so many of
    work: object
    setup: object = None                                # before each round, not timed


def measured(rounds, job):
    """(median, least) nanoseconds of one thing."""
    found = []
    for _ in range(rounds):
        if job.setup:
            job.setup()
        began = time.thread_time_ns()
        job.work()
        found.append((time.thread_time_ns() - began) / job.n)
    return statistics.median(found), min(found)


def unheld(one):
    one.client.release(one.handle)
    one.do("translate", one.sorted)
    one.client.hold(one.handle)


def from_c(client, pages):
    """Jobs that C does; the scene of each is there until the next is asked for."""
    one = Scene(client, pages, KERNEL)
    frames = one.frames()
    for name in ("translate", "translate_many", "touch", "touch_many"):
        yield Job(f"C: {name}, in order", pages, lambda name=name: one.do(name, one.sorted))
        yield Job(f"C: {name}, random", pages, lambda name=name: one.do(name, one.random))
    yield Job("C: translate, in order, not held", pages, lambda: unheld(one))
    yield Job("C: whomaps, in order", pages, lambda: one.do("whomaps", frames))
    yield Job("C: whomaps_many, in order", pages, lambda: one.do("whomaps_many", frames))
    one.close()
    watched = Scene(client, pages, KERNEL, watch=1 << (pages - 1).bit_length())
    yield Job("C: a record of the ring", pages, lambda: watched.do("drain", watched.sorted[:1]), watched.anew)
    watched.close()
    for kernel in ("2.6.7", KERNEL):
        tight = Scene(client, pages, kernel, ram=pages // 2 + 64)
        yield Job(f"C: a fault with eviction, {kernel}", pages, lambda tight=tight: tight.do("touch", tight.sorted))
        tight.close()


def from_python():
    """Jobs that Python does."""
    process = rmapcore.Machine(SCHEME, kernel=KERNEL, ram=2 * SINGLE * PAGE, swap=0).spawn()
    start = process.mmap(length=SINGLE * PAGE, prot="rw")
    process.write(start, SINGLE * PAGE)
    addresses = np.arange(start, start + SINGLE * PAGE, PAGE, dtype=np.uint64)
    single, batches = addresses.tolist(), np.split(addresses, SINGLE // BATCH)
    small = {"kernel": KERNEL, "ram": "1MiB", "swap": "1MiB"}
    yield Job("Python: write of a page", SINGLE, lambda: [process.write(at) for at in single])
    yield Job(f"Python: touch of {BATCH}, a page", SINGLE, lambda: [process.touch(batch, True) for batch in batches])
    yield Job(f"Python: translate of {BATCH}, a page", SINGLE, lambda: [process.translate(batch) for batch in batches])
    yield Job("a machine of 1 MiB, made and dropped", MACHINES,
              lambda: [rmapcore.Machine(SCHEME, **small) for _ in range(MACHINES)])


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pages", type=int, default=1 << 20, help="default %(default)s")
    parser.add_argument("--rounds", type=int, default=7, help="default %(default)s")
    options = parser.parse_args(arguments)
    print(f"{options.pages:,} pages, {options.rounds} rounds, nanoseconds\n")
    print(f"{'':38}{'median':>12}{'least':>12}{'at most':>12}")
    client = embed_client.load()
    for jobs in (from_c(client, options.pages), from_python()):
        for job in jobs:
            median, least = measured(options.rounds, job)
            target = TARGETS.get(job.what)
            print(f"{job.what:38}{median:12,.1f}{least:12,.1f}{'' if target is None else f'{target:,}':>12}", flush=True)


if __name__ == "__main__":
    main()
