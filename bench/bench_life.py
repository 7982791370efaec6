"""What programs do to their memory: first touches, copies on write, swap-in, fork, exit, unmap, mremap."""
import numpy as np
import pytest

from rmapcore.studies.bench import empty, scene

PAGE = 4096
MAYMOVE, FIXED = 1, 2


@pytest.mark.parametrize("access", ["write", "read"])
def test_fault_in(measure, scheme, pages, access):
    """First touches of anonymous memory, as one range."""
    def setup():
        _, process, address = empty(scheme, pages)
        return getattr(process, access), address

    faults = measure(f"fault-in, {access}s of a range", pages, lambda touch, address: touch(address, pages * PAGE), setup)
    assert faults["zero"] == sum(faults.values()) == pages


@pytest.mark.parametrize("order", ["sorted", "random"])
def test_fault_in_of_a_batch(measure, scheme, pages, order):
    """First writes to anonymous memory, page by page."""
    def setup():
        _, process, address = empty(scheme, pages)
        numbers = np.arange(pages)
        if order == "random":
            np.random.default_rng(0).shuffle(numbers)
        return process, address + PAGE * numbers

    faults = measure(f"fault-in, {order} batch", pages, lambda process, at: process.touch(at, True), setup)
    assert faults["zero"] == sum(faults.values()) == pages


def test_touch_again(measure, scheme, pages):
    """Writes to pages that are there: no fault."""
    one = scene(scheme, pages)
    faults = measure("touch of present pages", pages, lambda: one.process.write(one.address, pages * PAGE))
    assert sum(faults.values()) == 0


@pytest.mark.parametrize("parent", ["alive", "dead"])
def test_write_after_fork(measure, scheme, pages, parent):
    """A child writes all that it inherited: copies while the parent lives, else the pages are its own."""
    def setup():
        one = scene(scheme, pages, spare=pages + 64)
        child = one.process.fork()
        if parent == "dead":
            one.process.exit()
        return child, one.address

    faults = measure(f"write after fork, parent {parent}", pages,
                     lambda child, address: child.write(address, pages * PAGE), setup)
    assert faults["cow"] == sum(faults.values()) == pages


def test_swap_in(measure, scheme, pages):
    """Reads of pages that are in swap."""
    def setup():
        one = scene(scheme, pages)
        one.age()
        assert one.machine.reclaim(pages).freed == pages
        return one.process, one.address

    faults = measure("swap-in", pages, lambda process, address: process.read(address, pages * PAGE), setup)
    assert faults["swapin"] == sum(faults.values()) == pages


def test_fork(measure, scheme, pages):
    """A fork that copies all entries."""
    child = measure("fork", pages, lambda parent: parent.fork(), lambda: (scene(scheme, pages).process,))
    assert child.rss == pages


@pytest.mark.parametrize("sharers", [0, 1])
def test_exit(measure, scheme, pages, sharers):
    """The end of a process: its pages are freed, or stay with another that shares them all."""
    def setup():
        process = scene(scheme, pages).process
        return ([process, *(process.fork() for _ in range(sharers))][-1],)

    def work(process):
        process.exit()
        return process

    assert not measure(f"exit, {sharers} others share", pages, work, setup).alive


def test_munmap(measure, scheme, pages):
    """An area goes with all of its pages."""
    def setup():
        one = scene(scheme, pages)
        return one.process, one.address

    def work(process, address):
        process.munmap(address, pages * PAGE)
        return process

    assert measure("munmap", pages, work, setup).rss == 0


def test_mremap(measure, scheme, pages):
    """An area moves with all of its pages."""
    def setup():
        one = scene(scheme, pages)
        return one.process, one.address, one.address + 2 * pages * PAGE

    def work(process, old, new):
        process.mremap(old, pages * PAGE, pages * PAGE, MAYMOVE | FIXED, new)
        return process

    assert measure("mremap", pages, work, setup).rss == pages
