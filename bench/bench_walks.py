"""Walks of the reverse map: whomaps, page_referenced, try_to_unmap, by how many processes share a page.

At every degree of sharing there are as many entries: `pages` divided by the degree is the number of frames.
"""
import numpy as np
import pytest

from rmapcore.pyx.look import probe
from rmapcore.schemes import walking
from rmapcore.studies.bench import scene

PAGE = 4096
DEGREES = [1, 4, 16, 64]

degrees = pytest.mark.parametrize("degree", DEGREES)
walkers = pytest.mark.parametrize("scheme", walking())     # the others have no walk of one page


def shared(scheme, pages, degree):
    """A scene whose frames are each mapped by `degree` processes, and the frames in random order."""
    one = scene(scheme, max(pages // degree, 1), "frames_shuffled")
    for _ in range(degree - 1):
        one.process.fork()
    return one, np.random.default_rng(0).permutation(one.pfns)


@degrees
def test_whomaps(measure, scheme, pages, degree):
    """A query for every frame: nothing changes."""
    one, pfns = shared(scheme, pages, degree)
    offsets, pids, _ = measure(f"rmap walk, shared by {degree}", len(pfns) * degree, lambda: one.machine.whomaps(pfns))
    assert (np.diff(offsets) == degree).all()
    assert len(np.unique(pids)) == degree


def test_whomaps_of_private_pages(measure, scheme, pages):
    """The same for pages that one of 64 processes has rewritten: all of them may have it, one does."""
    children = 63
    each = max(pages // children, 1)
    one = scene(scheme, children * each, spare=children * each + 64)
    pfns = []
    for number in range(children):
        piece = one.address + number * each * PAGE
        child = one.process.fork()
        child.write(piece, each * PAGE)
        pfns.append(child.pagemap(piece, each * PAGE)["pfn"])
    pfns = np.random.default_rng(0).permutation(np.concatenate(pfns))
    offsets, pids, _ = measure("rmap walk, private in a family of 64", len(pfns), lambda: one.machine.whomaps(pfns))
    assert (np.diff(offsets) == 1).all()
    assert (np.unique(pids, return_counts=True)[1] == each).all() and len(np.unique(pids)) == children


@degrees
@walkers
@pytest.mark.parametrize("access", ["young", "old"])
def test_page_referenced(measure, scheme, pages, degree, access):
    """Of every frame: its own sign and all young entries are seen and cleared."""
    one, pfns = shared(scheme, pages, degree)

    def setup():
        probe.referenced(one.machine._engine, pfns)
        if access == "young":
            for process in one.machine.processes.values():
                process.read(one.address, len(pfns) * PAGE)
        return ()

    counts = measure(f"page_referenced, {access}, shared by {degree}", len(pfns) * degree,
                     lambda: probe.referenced(one.machine._engine, pfns), setup)
    assert (counts == (degree if access == "young" else 0)).all()


@degrees
@walkers
def test_try_to_unmap(measure, scheme, pages, degree):
    """Of every frame, swap slot included: all of its entries become swap entries."""
    def setup():
        one, pfns = shared(scheme, pages, degree)
        one.age()
        return one, pfns

    def work(one, pfns):
        return one, probe.unmap_frames(one.machine._engine, pfns)

    n_entries = max(pages // degree, 1) * degree
    one, answers = measure(f"try_to_unmap, shared by {degree}", n_entries, work, setup)
    assert (answers == probe.UNMAPPED).all()
    assert sum(process.swapped for process in one.machine.processes.values()) == n_entries
