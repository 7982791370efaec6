"""What a machine is made of, and the walk of one page through it, as plain data: for pictures and for whoever looks.

Objects are named (kind, number). Of every machine: ("process", pid), ("area", n), ("entry", (pid, address)), ("frame", n),
("slot", n), ("file", n). Others are the scheme's, by its own names: Scheme.structure and Scheme.route say them
(docs/schemes-of-your-own.md).
"""
from bisect import bisect_left
from collections import defaultdict, deque

import numpy as np

from rmapcore.arguments import shown
from rmapcore.core.counting import Counters
from rmapcore.pyx.base.records import VM_MAYSHARE, VM_SHARED
from rmapcore.pyx.look import query, visits
from rmapcore.units import PAGE, within

MOST_ENTRIES = 1 << 16                 # every one becomes an object of Python's
WORDS = ("none", "r", "w", "rw", "x", "rx", "wx", "rwx")


class Names:
    """The handles of a machine's kernels as names of objects."""

    def __init__(self, core):
        self.pids = core.view("mms")["pid"]
        self.tables, self.bits = core.view("tables"), core.geometry["bits"]

    def of(self, handle):
        """("mm", handle) -> ("process", pid), and entries by pid and address; the others as they are."""
        kind, number = handle
        if kind == "mm":
            return "process", int(self.pids[number])
        if kind == "entry":
            table = self.tables[number >> self.bits]
            page = int(table["first_vpn"]) + (number & (1 << self.bits) - 1)
            return "entry", (int(self.pids[table["mm"]]), page * PAGE)
        return kind, number

    def link(self, to):
        """A link of Scheme.structure, of one or of several."""
        return [self.of(one) for one in to] if isinstance(to, list) else self.of(to)


def structure(machine):
    """Machine.structure."""
    core, engine = machine._core, machine._engine
    totals = machine.totals
    if (entries := totals["present"] + totals["swapped"]) > MOST_ENTRIES:
        raise ValueError(f"there are {entries:,} page-table entries, and structure() is for {MOST_ENTRIES:,} at the most")
    names, found = Names(core), {}

    def add(name, fields, links):
        one = found.setdefault(name, {"fields": {}, "links": {}})
        one["fields"].update(fields)
        one["links"].update(links)

    handles = {int(names.pids[mm]): mm for mm in living(core)}
    for process in machine.processes.values():
        add(("process", process.pid), {"name": process.name}, {})
        areas(machine, process, handles[process.pid], add)
    for scheme in (engine.anon, engine.side):
        for row in scheme.structure():
            try:
                kind, number, fields, links = row
                links = {name: names.link(to) for name, to in links.items()}
                if kind != "file" or links:            # not one that nobody maps
                    add(names.of((kind, number)), fields, links)
            except (TypeError, ValueError, AttributeError, LookupError):
                raise ValueError(f"structure() of scheme {scheme.name}: {shown(row)} is not (kind, number, fields, links)"
                                 ) from None
    return found


def living(core):
    """The handles of the living processes."""
    at, following = int(core.view("head")["mm_first"][0]), core.view("mms")["next"]
    while at:
        yield at
        at = int(following[at])


def areas(machine, process, handle, add):
    """The areas of a process, with their entries."""
    core = machine._core
    table, tabled = core.view("areas"), process.tabled()
    numbers, at = [], int(core.view("mms")["first"][handle])
    while at:
        numbers.append(at)
        at = int(table["next"][at])
    for number, area in zip(numbers, process.maps().tolist(), strict=True):
        start, end, pgoff, prot, flags, file, _ = area
        entries = list(entries_of(machine, process, within(tabled, start, end), add))
        fields = {"start": start, "end": end, "pgoff": pgoff, "prot": WORDS[prot & 7],
                  "shared": bool(flags & (VM_SHARED | VM_MAYSHARE))}
        links = {"process": ("process", process.pid)} | ({"file": ("file", file)} if file else {})
        add(("area", number), fields, links | ({"entries": entries} if entries else {}))
        if file:
            known = machine._files.get(file)
            size = int(core.view("files")["size"][file])
            add(("file", file), {"name": known.name if known else "", "pages": -(-size // PAGE)}, {})
    add(("process", process.pid), {}, {"areas": [("area", number) for number in numbers]})


def entries_of(machine, process, ranges, add):
    """Adds the entries of ranges of addresses, and yields their names."""
    for first, last in ranges:
        pages = process.pagemap(first, last - first)
        for at in np.flatnonzero(pages["present"] | pages["swapped"]).tolist():
            page, name = pages[at], ("entry", (process.pid, first + at * PAGE))
            to = ("slot", int(page["slot"])) if page["swapped"] else ("frame", int(page["pfn"]))
            add(name, {"writable": bool(page["writable"])}, {"maps": to})
            known = machine._core.view("frames")[to[1]] if to[0] == "frame" and to[1] else None
            fields = {} if known is None else {"mapcount": int(known["mapcount"]), "index": int(known["index"])}
            add(to, fields, {} if known is None or page["anon"] else {"file": ("file", int(known["owner"]))})
            yield name


# --- a walk -------------------------------------------------------------------------------------------------------------


def walk(machine, pfn):
    """Machine.walk."""
    core, engine = machine._core, machine._engine
    names = Names(core)
    route, candidates, counted, exhaustive = visits.visits(engine, pfn)
    _, pids, addresses = query.mappings(engine, np.array([pfn], np.uint32))
    true = list(zip(pids.tolist(), addresses.tolist(), strict=True))
    if engine.anon.sweeps:
        steps = swept(machine, names, route, true)
    else:
        steps = aligned(core, names, route, candidates, len(true), exhaustive)
    found = [step["entry"] for step in steps if step.get("found")]
    met = set(found)
    return {"frame": pfn, "steps": steps, "found": found, "missed": [place for place in true if place not in met],
            "counters": {name: count for name, count in Counters(counted).items() if count}}


def aligned(core, names, route, candidates, most, exhaustive):
    """Whom the walk asked, and between them the candidates that came of it."""
    steps, at, last, found, known, places = [], 0, None, 0, bool(route), places_of(route)
    for mm, area, vpn, slot, hit in candidates:
        key = ("area", area) if area else ("entry", slot) if slot else ("mm", mm)
        if not known and key != last:  # a prototype's: its candidates say whom it asks
            route, at, places = [key], 0, {key: deque([0])}
        ahead = places.get(key, ())
        while ahead and ahead[0] < at:
            ahead.popleft()
        end = ahead[0] + 1 if ahead else at
        if key == last and end == at and at < len(route) and route[at][0] not in ("mm", "area"):
            end = at + 1               # the same address space once more, for another block of its addresses
        steps += [{"asked": names.of(one)} for one in route[at:end] if one[0] != "entry"]
        at, last, found = end, key, found + hit
        steps.append({"entry": (int(names.pids[mm]), vpn * PAGE), "found": bool(hit)})
    if found < most or exhaustive:
        steps += [{"asked": names.of(one)} for one in route[at:]]
    return steps


def places_of(route):
    """{whom a walk asks: deque of where in its route}"""
    places = defaultdict(deque)
    for place, key in enumerate(route):
        places[key].append(place)
    return places


def swept(machine, names, route, true):
    """What a sweep comes by until it has met all entries of the frame."""
    steps, left, missing = [], defaultdict(list), len(true)            # left: pid -> addresses, ascending
    for pid, address in sorted(true):
        left[pid].append(address)
    table = machine._core.view("areas")
    for kind, number in route:
        if not missing:
            break
        steps.append({"asked": names.of((kind, number))})
        if kind == "area":
            pid = int(names.pids[table["mm"][number]])
            first, last = (bisect_left(left[pid], int(table[name][number]) * PAGE) for name in ("start", "end"))
            steps += [{"entry": (pid, address), "found": True} for address in left[pid][first:last]]
            missing -= last - first
            del left[pid][first:last]
    return steps
