"""A large machine on a small one: RAM filled, forked in part, and swapped out, under every scheme.

    python bench/terabyte.py                     1 TiB of emulated RAM: 268 million pages, 14 GiB of memory, minutes
    python bench/terabyte.py --ram 16GiB --scheme anonmm

One process fills RAM but for a sixteenth; another fills that and forks, so its pages have two mappings each (and under
pte_chain a block of their chain each: 32 bytes of ours). Then reclaim takes everything: it ages all pages, walks to each
of them, and writes them to swap. Each scheme runs in a process of its own, whose peak of resident memory is shown.
Costs: about 50 bytes of memory a page; see docs/performance.md.
"""
import argparse
import json
import multiprocessing
import resource
import sys
import time

import rmapcore

PAGE = 4096
SHARED_PART = 16                               # one page in so many is mapped twice
LEFT_FREE = 1024                               # pages; nothing has to be reclaimed before reclaim is asked for


def run(scheme, ram):
    """The figures of one scheme, a dict: seconds by phase, pages, what reclaim did, peak bytes of this process."""
    machine = rmapcore.Machine(scheme, ram=ram, swap=ram)
    pages = machine.ram // PAGE - LEFT_FREE
    shared = pages // SHARED_PART
    alone, family = machine.spawn("alone"), machine.spawn("family")
    seconds = {}

    def timed(phase, work, *arguments):
        start = time.perf_counter()
        result = work(*arguments)
        seconds[phase] = seconds.get(phase, 0) + time.perf_counter() - start
        return result

    for process, count in ((family, shared), (alone, pages - shared)):
        timed("fill", process.write, process.mmap(length=count * PAGE), count * PAGE)
    child = timed("fork", family.fork)
    before = machine.counters
    result = timed("reclaim", machine.reclaim, pages)
    work = machine.counters.since(before)
    swapped = alone.swapped + family.swapped + child.swapped
    if result.freed != pages or swapped != pages + shared:
        raise AssertionError(f"{scheme}: {result.freed:,} of {pages:,} frames freed, {swapped:,} entries swapped")
    structures = machine.memory()
    for process in (child, family, alone):
        timed("exit", process.exit)
    return {"scheme": scheme, "pages": pages, "shared": shared, "seconds": seconds, "reclaim": dict(result),
            "ptes_tried": work["ptes_tried"], "rmap_walks": work["rmap_walks"],
            "kernel_rmap_bytes": structures["rmap_bytes_peak"],
            "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}


def table(rows):
    """The figures for people: a header and a line a scheme."""
    wide = 2 + max(len("scheme"), *(len(row["scheme"]) for row in rows))
    lines = [f"{'scheme':{wide}}{'fill':>9}{'fork':>9}{'reclaim':>9}{'exit':>9}{'all':>9}{'entries':>9}{'kernel':>12}"
             f"{'memory':>12}{'bytes':>8}",
             f"{'':{wide}}{'ns/page':>9}{'ns/copy':>9}{'ns/page':>9}{'ns/entry':>9}{'seconds':>9}{'tried':>9}"
             f"{'for rmap':>12}{'of ours':>12}{'a page':>8}"]
    for row in rows:
        pages, shared, seconds = row["pages"], row["shared"], row["seconds"]
        units = {"fill": pages, "fork": shared, "reclaim": pages, "exit": pages + shared}
        cells = "".join(f"{seconds[phase] / n * 1e9:9.1f}" for phase, n in units.items())
        lines.append(f"{row['scheme']:{wide}}{cells}{sum(seconds.values()):9.1f}{row['ptes_tried'] / pages:9.2f}"
                     f"{row['kernel_rmap_bytes'] / 2**30:8.2f} GiB{row['peak_bytes'] / 2**30:8.2f} GiB"
                     f"{row['peak_bytes'] / pages:8.1f}")
    return "\n".join(lines)


def main(arguments=None):
    parser = argparse.ArgumentParser(description="RAM filled, forked in part and swapped out under every scheme.")
    parser.add_argument("--ram", default="1TiB", help="bytes, or a number with MiB, GiB, TiB (1TiB)")
    parser.add_argument("--scheme", action="append", help="may be repeated (every scheme)")
    parser.add_argument("--json", metavar="FILE", help="write the figures there too")
    options = parser.parse_args(arguments)
    rows = []
    for scheme in options.scheme or rmapcore.schemes():
        print(f"{scheme} ...", file=sys.stderr, flush=True)
        with multiprocessing.get_context("spawn").Pool(1) as pool:     # a process of its own: its peak is this scheme's
            rows.append(pool.apply(run, (scheme, options.ram)))
    print(f"{options.ram} of RAM: {rows[0]['pages']:,} pages, {rows[0]['shared']:,} of them mapped twice\n")
    print(table(rows))
    if options.json:
        with open(options.json, "w", encoding="utf-8") as out:
            json.dump(rows, out, indent=1)


if __name__ == "__main__":
    main()
