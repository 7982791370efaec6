"""Sizes: whether nanoseconds per page stay level from 1 Mi to 64 Mi pages, and what fits into the host's memory.

At each larger size fault_in, scan, ageing and swapout are measured again; look-ups have no yardstick, and forks would
need a chain node for every page. Larger sizes take fewer rounds: they are long, and so less noisy.
"""
from rmapcore.linux.proc import available_bytes as available
from rmapcore.pyx.look import probe
from rmapcore.studies.bench.inside import step
from rmapcore.studies.bench.samples import Sample, timed
from rmapcore.studies.bench.scenes import empty
from rmapcore.units import PAGE, format_size

STEPS = (4, 16, 64)                    # times the pages of the first size
BYTES_A_PAGE = 160                     # of the host's memory at the first size, a fork of all pages included
BYTES_A_PAGE_GROWN = 80                # at the others


def lacks(pages, bytes_a_page):
    """Why so many pages cannot be measured, or None."""
    there, needed = available(), pages * bytes_a_page
    if there is None or needed <= there:
        return None
    return f"{pages:,} pages need about {format_size(needed)} of memory, and {format_size(there)} are available"


def sizes(pages, rounds):
    """(size, rounds) of each size that fits, and why the others do not, one line each."""
    fit, left_out = [], []
    for number, factor in enumerate(STEPS, 1):
        reason = lacks(factor * pages, BYTES_A_PAGE_GROWN)
        if reason:
            left_out.append(f"{reason}: left out")
        else:
            fit.append((factor * pages, max(1, rounds - 2 * number)))
    return fit, left_out


def measure_fill(scheme, pages, seed):
    """First writes of a range, and the sweep."""
    machine, process, address = empty(scheme, pages, mappers=1)
    seconds, faults = timed(process.write, address, pages * PAGE)
    yield Sample("fault_in", "sequential", pages, faults["zero"], seconds)
    seconds, young = timed(step, machine, probe.clear_young, process.pid)
    yield Sample("scan", "sequential", pages, young, seconds)


def growth(record, first):
    """By how much a record at a larger size is slower than the one at the first size; None if that cannot be said.

    In sequential order by nanoseconds; otherwise by the ratio to the ideal pass, which meets the same cache misses.
    """
    field = growth_field(record)
    return record[field] / first[field] if record[field] and first[field] else None


def growth_field(record):
    """Which figure tells whether this kind of record stays level."""
    return "ours_ns" if record["order"] == "sequential" else "ratio_to_ideal"
