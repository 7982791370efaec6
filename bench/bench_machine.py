"""What programs cost on each scheme of the registry: fault-in, fork, exit, reclaim.

    pytest bench --benchmark-enable --benchmark-group-by=func

Sizes are small, so that every benchmark can run once with the tests; RMAPCORE_BENCH_PAGES sets another. Each round works
on a machine made anew outside of the measured time.
"""
import os

import pytest

import rmapcore

PAGE = 4096
PAGES = int(os.environ.get("RMAPCORE_BENCH_PAGES", "4096"))
CHILDREN = 8
ROUNDS = 5


@pytest.fixture(params=rmapcore.schemes())
def scheme(request):
    return request.param


def family(scheme, children=0):
    """A machine with a parent that has written PAGES pages, and children that share them all."""
    machine = rmapcore.Machine(scheme, ram=2 * PAGES * PAGE, swap=2 * PAGES * PAGE)
    parent = machine.spawn()
    address = parent.mmap(length=PAGES * PAGE, prot="rw")
    parent.write(address, PAGES * PAGE)
    return machine, parent, [parent.fork() for _ in range(children)]


def measure(benchmark, setup, work):
    return benchmark.pedantic(work, setup=lambda: (setup(), {}), rounds=ROUNDS)


def test_fault_in(benchmark, scheme):
    """First writes to anonymous memory."""
    def setup():
        machine = rmapcore.Machine(scheme, ram=2 * PAGES * PAGE, swap=0)
        process = machine.spawn()
        return process, process.mmap(length=PAGES * PAGE, prot="rw")

    faults = measure(benchmark, setup, lambda process, address: process.write(address, PAGES * PAGE))
    assert faults["zero"] == PAGES


def test_fork(benchmark, scheme):
    """A fork that copies the entries of PAGES pages."""
    child = measure(benchmark, lambda: (family(scheme)[1],), lambda parent: parent.fork())
    assert child.rss == PAGES


def test_exit(benchmark, scheme):
    """The end of a process that shares all of its pages."""
    child = measure(benchmark, lambda: (family(scheme, 1)[2][0],), lambda child: (child.exit(), child)[1])
    assert not child.alive


def test_reclaim(benchmark, scheme):
    """Half of the pages are swapped out of a parent and its children."""
    result = measure(benchmark, lambda: (family(scheme, CHILDREN)[0],), lambda machine: machine.reclaim(PAGES // 2))
    assert result.freed >= PAGES // 2
