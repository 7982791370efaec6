"""Machines in threads: one, and two at once, each with a machine of its own (rules O3).

Twice the work in the same time is the most there can be. What is lost goes to the GIL, which a call holds for some
microseconds besides its kernel, to the memory that both share, and to the host where memory is touched first.
"""
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from rmapcore.studies.bench import empty

PAGE = 4096
LIVES = 8                                      # of a cache-sized machine, in one work


def lives(scheme, pages, seed):
    """Cache-sized work: processes one after another that fill memory, are swapped out and die. Pages freed by reclaim."""
    machine, process, _ = empty(scheme, pages)
    process.exit()

    def work():
        freed = 0
        for _ in range(LIVES):
            process = machine.spawn()
            process.write(process.mmap(length=pages * PAGE), pages * PAGE)
            freed += machine.reclaim(pages).freed
            process.exit()
        return freed
    return work


def shuffled(scheme, pages, seed):
    """Work on large memory: all pages are written in random order, coming back from swap, and swapped out again."""
    machine, process, address = empty(scheme, pages)
    order = address + PAGE * np.random.default_rng(seed).permutation(pages)

    def work():
        process.touch(order, True)
        return machine.reclaim(pages).freed
    return work


def together(works):
    """(seconds until all are done, what each gave), each in a thread of its own."""
    with ThreadPoolExecutor(len(works)) as pool:
        start = time.perf_counter()
        results = list(pool.map(lambda work: work(), works))
        return time.perf_counter() - start, results


def two_threads(make_work, rounds=5):
    """How many times the work of one thread two threads do: a list of ratios, one a round; 2 is the most.

    make_work(seed): a work without arguments on a machine of its own, to be called again and again.
    """
    works = [make_work(0), make_work(1)]
    together(works)                            # both are where they will be after each time
    ratios = []
    for _ in range(rounds):
        (first, _), (both, _), (second, _) = together(works[:1]), together(works), together(works[1:])
        ratios.append((first + second) / both)
    return ratios


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(("make", "times"), [(lives, LIVES), (shuffled, 1)])
def test_threads(measure, scheme, pages, make, times, threads):
    """The same work in each thread: with two the time should hardly grow."""
    works = [make(scheme, pages, seed) for seed in range(threads)]
    _, freed = measure(f"threads, {make.__name__}", threads * pages * times, lambda: together(works))
    assert freed == [pages * times] * threads
