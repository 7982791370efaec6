"""Swapout of pages that a family shares: as many page-table entries in each case, in the hands of more or fewer processes.

   swapout_16                  16 processes map each page; reclaim finds all of its entries
   swapout_16_half             every child has rewritten half of the pages: those are its own, and the parent's is the parent's
   swapout_16_rewritten        every child has rewritten all of them: each page has one entry, to be found among 16 candidates

The ideal pass knows each victim's frame and entries, in the order in which the scheme's walk meets them. Candidates are entries
that walks looked up: two walks a page, each of which finds what there is.
"""
from dataclasses import dataclass

import numpy as np

from rmapcore.machine import Machine
from rmapcore.pyx.look import probe
from rmapcore.studies.bench.inside import step
from rmapcore.studies.bench.samples import Sample, timed
from rmapcore.studies.bench.scenes import SPARE_FRAMES, empty, touch
from rmapcore.units import PAGE

SHARERS = (2, 4, 16, 64, 256)
USUAL_SHARERS = 16
PARTS = {"": 0, "_half": 2, "_rewritten": 1}           # every which page is rewritten; 0: none
SHARED_ORDERS = ("sequential", "lru_shuffled")


@dataclass
class Family:
    """machine and what is in it: frames in LRU order, pfns (uint32); their entries, offsets (int64) and slots (uint32)."""

    machine: Machine
    pfns: np.ndarray
    offsets: np.ndarray
    slots: np.ndarray

    def age(self):
        """Every frame to the inactive list, in order, and no sign of use left: the next reclaim takes them all."""
        for pid in self.machine.processes:
            step(self.machine, probe.clear_young, pid)
        step(self.machine, probe.deactivate, self.pfns)

    def ideal(self):
        """One ideal memory pass; how many entries it found right. Two leave the machine as it was."""
        return step(self.machine, probe.ideal_shared, self.pfns, self.offsets, self.slots)


def family(scheme, entries, sharers, every, order, seed=0):
    """A Family of so many entries (rounded down) in `sharers` processes; every: which page is rewritten, as in PARTS."""
    pages = max(1, entries // sharers)
    rng, numbers = np.random.default_rng(seed), np.arange(pages, dtype=np.uint32)
    machine, process, address = empty(scheme, pages, pages * sharers + SPARE_FRAMES, sharers)
    if order != "sequential":
        rng.shuffle(numbers)
    touch(process, address, numbers)
    members = [process, *(process.fork() for _ in range(sharers - 1))]
    if every:
        for child in members[1:]:
            touch(child, address, numbers[::every])
    frames = [member.pagemap(address, pages * PAGE)["pfn"][numbers] for member in members]
    found = np.concatenate(frames).astype(np.uint32)
    pfns = found[np.sort(np.unique(found, return_index=True)[1])]          # each once, in the order of the writes
    if order != "sequential":
        rng.shuffle(pfns)
    offsets, pids, addresses = machine.whomaps(pfns)
    slots = np.empty(len(pids), np.uint32)
    for member in members:
        its = pids == member.pid
        slots[its] = step(machine, probe.places, member.pid, addresses[its])
    return Family(machine, pfns, offsets, slots)


def measure_sharing(scheme, pages, seed, sharers, part, order):
    """The Sample of one case, of `pages` entries in all."""
    one = family(scheme, pages, sharers, PARTS[part], order, seed)
    one.age()
    entries = len(one.slots)
    first, found = timed(one.ideal)
    second, again = timed(one.ideal)
    if found != entries or again != entries:
        raise AssertionError(f"the ideal pass found {found:,} and {again:,} of {entries:,} entries")
    before = one.machine.counters
    seconds, _ = timed(one.machine.reclaim, len(one.pfns))
    tried = one.machine.counters.since(before)["ptes_tried"]
    swapped = sum(process.swapped for process in one.machine.processes.values())
    yield Sample(f"swapout_{sharers}{part}", order, pages, swapped, seconds, (first + second) / 2, units=entries,
                 candidates=tried or None)
