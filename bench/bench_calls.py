"""What calls from Python cost beside their work, and what batches save: nanoseconds a call or a page, one process, one scheme.

The last test holds the targets, in one run: the yardsticks are a call of an empty method, and the work that a range of the
same pages takes in one call.
"""
import time

import numpy as np
import pytest

import rmapcore
from rmapcore.studies.bench import scene

PAGE = 4096
SCHEME = "anon_vma"
CALLS = 1000
SMALL = {"ram": "1MiB", "swap": "1MiB"}


class Nothing:
    """A class whose method does nothing, called as Process.write is."""

    def write(self, addr, length=1):
        return self, addr, length


@pytest.fixture
def one():
    return scene(SCHEME, CALLS)


def called(call, addresses):
    for address in addresses:
        call(address, PAGE)


SINGLE = {
    "write": lambda one: one.process.write, "read": lambda one: one.process.read,
    "touch, one address": lambda one: lambda at, _: one.process.touch(at, True),
    "translate, one address": lambda one: lambda at, _: one.process.translate(at),
    "pagemap": lambda one: one.process.pagemap, "an empty method": lambda one: Nothing().write,
}


@pytest.mark.parametrize("name", SINGLE)
def test_one_page_a_call(measure, one, name):
    """Of pages that are there."""
    addresses = one.addresses.tolist()
    measure("calls of one page", CALLS, lambda: called(SINGLE[name](one), addresses))


def test_mmap_and_munmap(measure, one):
    def work():
        for _ in range(CALLS):
            one.process.munmap(one.process.mmap(length=PAGE), PAGE)

    measure("calls that change areas: mmap and munmap", CALLS, work)


def test_fork_and_exit(measure):
    """Of a process with one page."""
    process = scene(SCHEME, 1).process

    def work():
        for _ in range(CALLS):
            process.fork().exit()

    measure("calls that make processes: fork and exit", CALLS, work)


def test_machines(measure):
    """Small ones, made and dropped."""
    def work():
        for _ in range(CALLS):
            rmapcore.Machine(SCHEME, **SMALL)

    measure("machines of 1 MiB", CALLS, work)


@pytest.mark.parametrize("n", [1, 64, 4096])
def test_batches(measure, n):
    """Writes of pages that are there."""
    one = scene(SCHEME, 4096)
    batches = np.sort(one.addresses).reshape(-1, n)

    def work():
        for batch in batches:
            one.process.touch(batch, True)

    measure(f"touch, batches of {n}", 4096, work)


@pytest.mark.parametrize("order", ["sorted", "random"])
@pytest.mark.parametrize("what", ["touch", "touch with kinds", "touch, all arrays", "translate"])
def test_large_batches(measure, pages, what, order):
    one = scene(SCHEME, pages)
    addresses = np.sort(one.addresses) if order == "sorted" else np.random.default_rng(0).permutation(one.addresses)
    writes, pids = np.arange(pages) % 2 == 0, np.full(pages, one.process.pid, np.uint32)
    work = {
        "touch": lambda: one.process.touch(addresses, True),
        "touch with kinds": lambda: one.process.touch(addresses, True, out="kinds"),
        "touch, all arrays": lambda: one.process.touch(addresses, writes, pids, out="kinds"),
        "translate": lambda: one.process.translate(addresses),
    }[what]
    measure(f"large batches, {order}", pages, work)


def least(work, rounds=200):
    """Seconds of the fastest of many rounds: what else runs on the machine only adds."""
    found = []
    for _ in range(rounds):
        began = time.perf_counter()
        work()
        found.append(time.perf_counter() - began)
    return min(found)


def test_targets(benchmark, one):
    """A page written in at most 1.5 us, 64 touched in at most 30 ns each; 1.5 us is some 25 empty calls on the same core."""
    addresses = one.addresses.tolist()
    batch = np.sort(one.addresses)[:64].copy()

    def measured():
        empty = least(lambda: called(Nothing().write, addresses)) / CALLS
        write = least(lambda: called(one.process.write, addresses)) / CALLS
        touch = least(lambda: one.process.touch(batch, True), 10_000) / 64
        return {"empty": empty, "write": write, "touch": touch}

    benchmark.group = "targets"
    found = benchmark.pedantic(measured, rounds=1)
    benchmark.extra_info.update({name: round(seconds * 1e9, 1) for name, seconds in found.items()})
    if benchmark.enabled:
        assert found["write"] <= max(1.5e-6, 25 * found["empty"]) and found["touch"] <= max(30e-9, found["write"] / 20)
