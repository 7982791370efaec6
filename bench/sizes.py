"""What one page, entry or area costs as there are more: pages, processes, areas, generations, children.

    python bench/sizes.py                                all of it: minutes, and 3 GiB of memory for 64 Mi pages
    python bench/sizes.py --axis areas --scheme anonmm   one of it
    python bench/sizes.py --part 64                      a sixty-fourth of the pages everywhere

    pages         one process fills so many and swaps them out
    processes     a family of so many shares pages that have 1 Mi entries in all, swaps them out, and exits
    areas         65,536 pages in so many areas, neighbours of another protection: cut, filled, swapped out
    generations   each forks the next one and writes one of 64 pages, all stay; then all is swapped out
    children      of one parent with 16 pages. By default under pte_chain only

At the end all exit, the oldest first.

Seconds are this process's own, so others on the machine count less. Beside them stand steps: what walks looked at, mappings
added, copied and removed, entries read, and objects made or freed, as the machine counts them. Where steps grow the scheme
has more to do; where only the time does, caches are left, or something looks through a list that nobody counts.
"""
import argparse
import gc
import json
import sys
from time import process_time

import rmapcore
from rmapcore.machine import MOST_ROOM

PAGE = 4096
MIB = 1 << 20                                  # pages
SCHEMES = ("pte_chain", "anonmm", "anon_vma", "anon_vma_chain")
STEPS = ("mms_tried", "vmas_tried", "nodes_visited", "ptes_tried", "rmap_adds", "rmap_dups", "rmap_removes", "scanned_ptes")
AREA_PAGES, GENERATION_PAGES, CHILD_PAGES = 1 << 16, 64, 16


class Phases:
    """A machine with room for so many pages; rows: {"phase", "unit", "ns", "steps"} of what was done on it."""

    def __init__(self, scheme, pages):
        self.machine = rmapcore.Machine(scheme, ram=(pages + pages // 16 + 4096) * PAGE, swap=2 * (pages + 4096) * PAGE,
                                        **MOST_ROOM)
        self.rows = []

    def objects(self):
        """Of the scheme and of areas, that there are."""
        return sum(item["live"] for item in self.machine.memory()["structures"].values() if item["per_slab"])

    def run(self, phase, unit, count, work):
        """Does the work of `count` units."""
        before, objects, start = self.machine.counters, self.objects(), process_time()
        result = work()
        seconds, since = process_time() - start, self.machine.counters.since(before)
        steps = sum(since[name] for name in STEPS) + abs(self.objects() - objects)
        self.rows.append({"phase": phase, "unit": unit, "ns": seconds / count * 1e9, "steps": steps / count})
        return result

    def swap_out(self, unit, count):
        """All that there is; `count` units of it."""
        frames = self.machine.totals["frames_peak"]
        self.run("swapout", unit, count, lambda: self.machine.reclaim(frames))

    def exit(self, unit, count, processes):
        self.run("exit", unit, count, lambda: [process.exit() for process in processes])


def filled(phases, pages, name="page"):
    process = phases.machine.spawn()
    address = process.mmap(length=pages * PAGE)
    phases.run("fill", name, pages, lambda: process.write(address, pages * PAGE))
    return process, address


def of_pages(scheme, count, part):
    phases = Phases(scheme, count // part)
    filled(phases, count // part)
    phases.swap_out("page", count // part)
    return phases.rows


def of_processes(scheme, count, part):
    pages = max(MIB // part // count, 1)
    phases = Phases(scheme, pages)
    parent, _ = filled(phases, pages)
    family = phases.run("fork", "entry", pages * count, lambda: [parent.fork() for _ in range(count)])
    phases.swap_out("entry", pages * (count + 1))
    phases.exit("entry", pages * (count + 1), [parent, *family])
    return phases.rows


def of_areas(scheme, count, part):
    pages = max(AREA_PAGES // part, count)
    phases = Phases(scheme, pages)
    process = phases.machine.spawn()
    address, each = process.mmap(length=pages * PAGE), pages // count * PAGE

    def cut():
        for number in range(1, count, 2):
            process.mprotect(address + number * each, each, 7)

    phases.run("cut", "area", count, cut)
    phases.run("fill", "page", pages, lambda: process.write(address, pages * PAGE))
    phases.swap_out("page", pages)
    phases.exit("page", pages, [process])
    return phases.rows


def of_generations(scheme, count, part):
    phases = Phases(scheme, GENERATION_PAGES + count)
    first, address = filled(phases, GENERATION_PAGES)
    line = [first]

    def next_one():
        line.append(line[-1].fork())
        line[-1].write(address + len(line) % GENERATION_PAGES * PAGE)

    phases.run("fork", "generation", count, lambda: [next_one() for _ in range(count)])
    phases.swap_out("entry", GENERATION_PAGES * (count + 1))
    phases.exit("generation", count + 1, line)
    return phases.rows


def of_children(scheme, count, part):
    phases = Phases(scheme, CHILD_PAGES)
    parent, _ = filled(phases, CHILD_PAGES)
    entries = CHILD_PAGES * count
    children = phases.run("fork", "entry", entries, lambda: [parent.fork() for _ in range(count)])
    phases.exit("entry", entries, children)
    return phases.rows


# axis: what measures it, its sizes, and the schemes that it is about where none are asked for
AXES = {
    "pages": (of_pages, (MIB, 4 * MIB, 16 * MIB, 64 * MIB), SCHEMES),
    "processes": (of_processes, (1, 10, 100, 1000), SCHEMES),
    "areas": (of_areas, (10, 100, 1000, 10_000, 60_000), SCHEMES),
    "generations": (of_generations, (10, 100, 1000), SCHEMES),
    "children": (of_children, (100, 1000, 10_000), ("pte_chain",)),
}


def measured(axes, schemes, part):
    """A dict for each phase of each axis under each scheme: axis, scheme, phase, unit; by size: sizes, ns and steps a unit."""
    found = []
    for axis in axes:
        measure, sizes, usual = AXES[axis]
        for scheme in schemes or usual:
            rows = {}
            for size in sizes:
                print(f"{axis}: {size:,}, {scheme} ...", file=sys.stderr, flush=True)
                for row in measure(scheme, size, part):
                    key = axis, scheme, row["phase"]
                    of = rows.setdefault(key, {"axis": axis, "scheme": scheme, "phase": row["phase"], "unit": row["unit"],
                                               "sizes": [], "ns": [], "steps": []})
                    for name, value in (("sizes", size), ("ns", row["ns"]), ("steps", row["steps"])):
                        of[name].append(value)
                gc.collect()                   # a machine's arenas are as large as it was
            found += rows.values()
    return found


def table(rows):
    """For people: nanoseconds and steps a unit at each size, and how many times as much both are at the last one."""
    lines = []
    for axis in dict.fromkeys(row["axis"] for row in rows):
        mine = [row for row in rows if row["axis"] == axis]
        sizes = "".join(f"{size:>14,}" for size in mine[0]["sizes"])
        lines += [f"{axis:15}{'':12}{'':11}{sizes}{'times':>10}{'steps':>10}"]
        for row in mine:
            cells = "".join(f"{ns:8,.1f}{steps:6.1f}" if steps < 1000 else f"{ns:8,.0f}{steps:6.0f}"
                            for ns, steps in zip(row["ns"], row["steps"], strict=True))
            grown = [row[name][-1] / row[name][0] if row[name][0] else 0 for name in ("ns", "steps")]
            lines.append(f"{row['scheme']:15}{row['phase']:12}{row['unit']:11}{cells}{grown[0]:10.2f}{grown[1]:10.2f}")
        lines.append("")
    return "\n".join(lines)


def main(arguments=None):
    parser = argparse.ArgumentParser(description="What a page, an entry or an area costs as there are more.")
    parser.add_argument("--axis", action="append", choices=AXES, help="may be repeated (all)")
    parser.add_argument("--scheme", action="append", help=f"may be repeated ({', '.join(SCHEMES)}; of children, pte_chain)")
    parser.add_argument("--part", type=int, default=1, help="a so-manieth of the pages everywhere (1)")
    parser.add_argument("--json", metavar="FILE", help="write the figures there too")
    options = parser.parse_args(arguments)
    rows = measured(options.axis or AXES, options.scheme, options.part)
    print("ns and steps a unit\n\n" + table(rows))
    if options.json:
        with open(options.json, "w", encoding="utf-8") as out:
            json.dump(rows, out, indent=1)


if __name__ == "__main__":
    main()
