"""How fast the kernels are, beside the ideal memory pass: the command `rmapcore bench`, and the scenes that bench/ uses.

A scene is a machine whose one process has written all of its pages, in one of three orders:

   sequential        pages ascending get frames ascending, and reclaim meets them so
   frames_shuffled   pages in random order get frames ascending, and reclaim meets them so: entries are random
   lru_shuffled      the same, and reclaim meets them in another random order: frames and entries are random

What the ideal pass knows of a scene are the victims' frames and the slots of their entries, in LRU order. Both sides of
a ratio run on the same machine, one right after the other. The host's memory has been touched before anything is timed.
"""
import gc
import json
import statistics
import time
from dataclasses import dataclass

import numpy as np

from rmapcore import tables
from rmapcore.machine import Machine
from rmapcore.process import Process
from rmapcore.pyx import probe
from rmapcore.schemes import SCHEMES, make
from rmapcore.units import PAGE

ORDERS = ("sequential", "frames_shuffled", "lru_shuffled")
PAGES = 1 << 20
MOST_PAGES = 1 << 30                   # two processes' entries of so many pages have slots
ROUNDS = 5
SPARE_FRAMES = 64
TABLE_ENTRIES = 512


@dataclass
class Scene:
    """machine, its first process, and where that one's area begins (bytes); the rest by victim, in LRU order.

    addresses: bytes, uint64.  pfns: frames.  slots: places of their entries; both uint32.
    """

    machine: Machine
    process: Process
    address: int
    addresses: np.ndarray
    pfns: np.ndarray
    slots: np.ndarray

    def age(self):
        """Every frame to the inactive list, in order, and no sign of use left: the next reclaim takes them all."""
        for pid in self.machine.processes:
            probe.sweep_young(self.machine._engine, pid)
        probe.deactivate(self.machine._engine, self.pfns)

    def ideal(self):
        """One ideal memory pass; how many victims it found right. Two leave the machine as it was."""
        return probe.ideal(self.machine._engine, self.pfns, self.slots)


def empty(scheme, pages, spare=SPARE_FRAMES):
    """A machine with one process that has mapped `pages` pages: both, and where. `spare`: room in RAM and swap beyond them.

    What two processes with these pages will use of the host's memory has been touched.
    """
    room = pages + spare
    machine = Machine(scheme, ram=room * PAGE, swap=room * PAGE)
    process = machine.spawn()
    address = process.mmap(length=pages * PAGE)
    n_tables = 2 * (pages // TABLE_ENTRIES + pages // TABLE_ENTRIES ** 2 + 8)
    sizes = {"frames": room, "entries": n_tables, "tables": n_tables, "swap_map": room, "swap_cache": room}
    entry_pool = machine._engine.anon.entry_pool
    for name, arena in machine._core.arenas.items():
        n_records = sizes.get(name, room if arena.pool == entry_pool and entry_pool else 0)
        used = len(machine._core.view(name))
        arena.array[used:used + n_records * arena.stride].view(np.uint8)[...] = 0        # what it is
    return machine, process, address


def scene(scheme, pages, order="sequential", seed=0, spare=SPARE_FRAMES):
    """A Scene of `pages` pages in one of ORDERS; arguments as for `empty`."""
    machine, process, address = empty(scheme, pages, spare)
    victims = np.arange(pages, dtype=np.uint64)
    rng = np.random.default_rng(seed)
    if order == "sequential":
        process.write(address, pages * PAGE)
    else:
        rng.shuffle(victims)
        process.touch(address + PAGE * victims, True)
    if order == "lru_shuffled":
        rng.shuffle(victims)
    addresses = address + PAGE * victims
    pfns = process.pagemap(address, pages * PAGE)["pfn"].astype(np.uint32)[victims]
    slots = probe.places(machine._engine, process.pid, addresses)
    return Scene(machine, process, address, addresses, pfns, slots)


def timed(work, *arguments):
    """(seconds, what work gave)."""
    start = time.perf_counter()
    result = work(*arguments)
    return time.perf_counter() - start, result


# What is measured: generators of (name, order, pages done, seconds, seconds of the ideal pass or None).


def measure_life(scheme, pages, seed):
    """First writes, look-ups, the sweep, fork and exit of one process."""
    machine, process, address = empty(scheme, pages)
    seconds, faults = timed(process.write, address, pages * PAGE)
    yield "fault_in", "sequential", faults["zero"], seconds, None
    addresses = address + PAGE * np.arange(pages, dtype=np.uint64)
    seconds, entries = timed(probe.lookup, machine._engine, process.pid, addresses)
    yield "lookup_sorted", "sequential", np.count_nonzero(entries), seconds, None
    np.random.default_rng(seed).shuffle(addresses)
    seconds, entries = timed(probe.lookup, machine._engine, process.pid, addresses)
    yield "lookup_random", "sequential", np.count_nonzero(entries), seconds, None
    seconds, young = timed(probe.sweep_young, machine._engine, process.pid)
    yield "scan", "sequential", young, seconds, None
    seconds, child = timed(process.fork)
    present = child.rss
    yield "fork", "sequential", present, seconds, None
    seconds, _ = timed(child.exit)
    yield "exit", "sequential", present, seconds, None


def measure_swapout(scheme, pages, seed, order):
    """Reclaim of all pages, each mapped once, from the inactive list."""
    one = scene(scheme, pages, order, seed)
    one.age()
    first, found = timed(one.ideal)
    second, again = timed(one.ideal)
    if found != pages or again != pages:
        raise AssertionError(f"the ideal pass found {found:,} and {again:,} of {pages:,} pages")
    seconds, result = timed(one.machine.reclaim, pages)
    yield "swapout", order, result.freed, seconds, (first + second) / 2


def measurements(scheme, pages, seed):
    """Everything that one round measures."""
    yield from measure_life(scheme, pages, seed)
    for order in ORDERS:
        yield from measure_swapout(scheme, pages, seed, order)


class Bench:
    """The records of a run, as the interface has them, and what did not hold, one line each."""

    def __init__(self, records, problems, rounds):
        self.records = records
        self.problems = problems
        self.rounds = rounds

    @property
    def ok(self):
        """Whether every measurement did all of its pages."""
        return not self.problems

    def to_json(self):
        """The list of records as JSON text."""
        return json.dumps(self.records, indent=1, allow_nan=False) + "\n"

    def table(self, color=False):
        """The records for people."""
        rows = [[record["name"], record["scheme"], record["order"], *(tables.figure(record[field]) for field in
                 ("ours_ns", "ideal_ns", "ratio_to_ideal"))] for record in self.records]
        title = f"Nanoseconds per page, {self.records[0]['pages']:,} pages, medians of {self.rounds}"
        parts = [tables.grid(title, ["what", "scheme", "order", "ours", "ideal\npass", "ours to\nideal"], rows)]
        return tables.render(parts + [f"PROBLEM: {problem}" for problem in self.problems], color)


def whole(name, value, low, high):
    """A whole number from low to high, perhaps as text."""
    if isinstance(value, bool) or not str(value).isdecimal() or not low <= int(value) <= high:
        raise ValueError(f"{name}: {value!r} is not a whole number from {low:,} to {high:,}")
    return int(value)


def bench(schemes=None, pages=PAGES, rounds=ROUNDS, seed=0, progress=None):
    """Measures the kernels of these schemes (all of the registry); a Bench.

    pages: of the one process.  rounds: how often; medians are taken.  seed: of the random orders.
    progress: None or called with (done, total, text).  Raises UnknownName, ValueError.
    """
    schemes = list(SCHEMES) if schemes is None else list(schemes)
    pages, rounds = whole("pages", pages, 1, MOST_PAGES), whole("rounds", rounds, 1, 1000)
    for scheme in schemes:
        make(scheme)
    if not schemes or len(set(schemes)) < len(schemes):
        raise ValueError("schemes: at least one is needed, and none twice")
    times, problems = {}, []
    total = rounds * len(schemes)
    for number in range(total):            # rounds outside: a drift of the machine meets all schemes alike
        scheme = schemes[number % len(schemes)]
        for name, order, done, seconds, ideal in measurements(scheme, pages, seed):
            if done != pages:
                problem = f"{name} of {scheme}, {order}: {done:,} of {pages:,} pages"
                problems += [problem] * (problem not in problems)
            times.setdefault((name, order), {}).setdefault(scheme, []).append((seconds, ideal))
            if progress:
                progress(number, total, f"{scheme}, {name}")
        gc.collect()                       # machines and their processes refer to each other
    records = [record(*kind, scheme, pages, *zip(*pairs, strict=True))
               for kind, rows in times.items() for scheme, pairs in rows.items()]
    return Bench(records, problems, rounds)


def record(name, order, scheme, pages, ours, ideal):
    """One record of the interface from the seconds of all rounds."""
    ours_ns = statistics.median(ours) / pages * 1e9
    ideal_ns = statistics.median(ideal) / pages * 1e9 if None not in ideal else None
    return {"name": name, "scheme": scheme, "pages": pages, "order": order, "ours_ns": ours_ns, "ideal_ns": ideal_ns,
            "kernel_ns": None, "ratio_to_ideal": ours_ns / ideal_ns if ideal_ns else None,
            "times_faster_than_kernel": None}
