"""What is measured of one scheme at one size: generators of Samples.

   first_touch        first writes on arenas that are untouched themselves; the yardstick is a bare loop of stores into
                      as much of another machine's arenas as these writes used
   fault_in           first writes of a range; fault_in_batch: page by page, pages ascending or in random order
   lookup_sorted, lookup_random, scan     page tables without reverse mapping: look-ups, and the sweep of young bits
   fork, exit         exit of a child that shares all pages with its parent; exit_last: the pages are freed
   mremap             to addresses that are not aligned to the old ones; mremap_tables: 2 MiB aligned, where today's
                      kernel moves whole tables, and so under TABLES_MOVE's rules if the scheme comes with older ones
   ageing             all of the active list, every page young; swapout: all of the inactive list, young bits clear;
                      both beside the ideal pass over the same frames in the same order, each frame mapped once
   ageing_one_by_one, swapout_one_by_one     the same without groups
   swap_in            reads of all pages after a swapout
"""
import numpy as np

from rmapcore.linux.uapi import MREMAP_FIXED, MREMAP_MAYMOVE
from rmapcore.pyx.look import probe
from rmapcore.studies.bench.inside import records_in_use, step, store
from rmapcore.studies.bench.samples import Sample, timed
from rmapcore.studies.bench.scenes import Scene, addresses_of, empty, fresh, kernel_of, scene
from rmapcore.units import PAGE

ONE_BY_ONE = "_one_by_one"             # ends the names of what is done without groups
TABLE_BYTES = 2 << 20                  # what a leaf table of x86_64 maps
TABLES_MOVE = "6.18"                   # the oldest kernel here whose mremap moves whole tables


def measure_first_touch(scheme, pages, seed):
    """First writes on untouched arenas."""
    machine, process, address = fresh(scheme, pages)
    before = records_in_use(machine)
    seconds, faults = timed(process.write, address, pages * PAGE)
    new = {name: n - before[name] for name, n in records_in_use(machine).items() if n > before[name]}
    other, _, _ = fresh(scheme, pages)
    yield Sample("first_touch", "sequential", pages, faults["zero"], seconds, timed(store, other, new)[0])


def measure_batches(scheme, pages, seed):
    """First writes page by page."""
    numbers = np.arange(pages, dtype=np.uint32)
    for order in ("sequential", "frames_shuffled"):
        _, process, address = empty(scheme, pages, mappers=1)
        addresses = addresses_of(address, numbers)
        seconds, faults = timed(process.touch, addresses, True)
        yield Sample("fault_in_batch", order, pages, faults["zero"], seconds)
        np.random.default_rng(seed).shuffle(numbers)


def measure_life(scheme, pages, seed):
    """First writes of a range, look-ups, the sweep, fork, moves and exits of one process."""
    def sample(name, done, seconds):
        return Sample(name, "sequential", pages, done, seconds)

    machine, process, address = empty(scheme, pages)
    seconds, faults = timed(process.write, address, pages * PAGE)
    yield sample("fault_in", faults["zero"], seconds)
    numbers = np.arange(pages, dtype=np.uint32)
    step(machine, probe.lookup, process.pid, addresses_of(address, numbers))         # touches memory for the answers
    seconds, entries = timed(step, machine, probe.lookup, process.pid, addresses_of(address, numbers))
    yield sample("lookup_sorted", np.count_nonzero(entries), seconds)
    np.random.default_rng(seed).shuffle(numbers)
    seconds, entries = timed(step, machine, probe.lookup, process.pid, addresses_of(address, numbers))
    yield sample("lookup_random", np.count_nonzero(entries), seconds)
    seconds, young = timed(step, machine, probe.clear_young, process.pid)
    yield sample("scan", young, seconds)
    seconds, child = timed(process.fork)
    present = child.rss
    yield sample("fork", present, seconds)
    seconds, _ = timed(child.exit)
    yield sample("exit", present, seconds)
    seconds, _ = timed(process.mremap, address, pages * PAGE, pages * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
                       unaligned := far_behind(address, pages * PAGE) + PAGE)
    yield sample("mremap", pages_at(process, unaligned, pages * PAGE), seconds)
    present = process.rss
    seconds, _ = timed(process.exit)
    yield sample("exit_last", present, seconds)


def measure_tables(scheme, pages, seed):
    """A move of whole tables."""
    _, process, address = empty(scheme if kernel_of(scheme) else f"{scheme}@{TABLES_MOVE}", pages, mappers=1)
    length = pages * PAGE
    process.write(address, length)
    old = far_behind(-(-address // TABLE_BYTES) * TABLE_BYTES, length)
    new = far_behind(old, length)
    process.mremap(address, length, length, MREMAP_MAYMOVE | MREMAP_FIXED, old)
    seconds, _ = timed(process.mremap, old, length, length, MREMAP_MAYMOVE | MREMAP_FIXED, new)
    yield Sample("mremap_tables", "sequential", pages, pages_at(process, new, length), seconds)


def far_behind(place, length):
    """Whole tables behind an area and what else there may be: room for another like it."""
    return place + -(-2 * length // TABLE_BYTES) * TABLE_BYTES


def pages_at(process, address, length):
    """Present pages if the one area of the process is there; else none."""
    area, = process.maps()
    return process.rss if (area["start"], area["end"]) == (address, address + length) else 0


def measure_reclaim(scheme, pages, seed, order, alone=True):
    """Ageing, swapout and swap-in of all pages, each mapped once. alone: also one by one, in a second machine."""
    scenes = {"": scene(scheme, pages, order, seed, mappers=1)}
    if alone:
        scenes[ONE_BY_ONE] = scene(scheme, pages, order, seed, mappers=1)
        scenes[ONE_BY_ONE].one_by_one()
    yield from side_by_side("ageing", order, scenes, Scene.aged)
    for one in scenes.values():
        one.age()
    yield from side_by_side("swapout", order, scenes, lambda one: one.machine.reclaim(pages).freed)
    if order == "sequential":
        one = scenes[""]
        seconds, faults = timed(one.process.read, one.address, pages * PAGE)
        yield Sample("swap_in", order, pages, faults["swapin"], seconds)


def side_by_side(name, order, scenes, work):
    """Samples of work(scene), a count of pages, in each of {what to add to the name: scene}, right after each other."""
    times = {added: beside_ideal(one, work) for added, one in scenes.items()}
    for added, (seconds, ideal, done) in times.items():
        quotient = seconds / times[ONE_BY_ONE][0] if not added and ONE_BY_ONE in times else None
        yield Sample(name + added, order, len(scenes[added].pfns), done, seconds, ideal, to_one_by_one=quotient)


def beside_ideal(one, work):
    """(seconds of work(one), seconds of an ideal pass before it, what work gave)."""
    first, found = timed(one.ideal)
    second, again = timed(one.ideal)
    pages = len(one.pfns)
    if found != pages or again != pages:
        raise AssertionError(f"the ideal pass found {found:,} and {again:,} of {pages:,} pages")
    seconds, result = timed(work, one)
    return seconds, (first + second) / 2, result
