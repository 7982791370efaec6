"""What a profiled run leaves for other people's tools: collapsed stacks, and a timeline in the Trace Event format.

Stacks are `scheme;process;call;step count`, a line each, as speedscope and flamegraph.pl read them. Steps are counters: all
but faults, which are the program's, and those that count again what was done under a lock. The lines in which a counter stands
sum to it; entries that were found stand below those that were tried.

Timelines have the processes of the program first and then each scheme, with its passes of reclaim, its long walks, the longest
holds of its locks where these are logged (--cpus), and its sizes. Their clock is that of the recording if it has one: page
faults have its times, what lies between them is spread evenly.
Else an operation takes a millisecond, so that there is room in it. What an operation does is spread evenly over its time, for
rmapcore counts work, not time. Times are multiples of 1/8 us: these and their sums are exact in a double and whole in ns, so
that slices which follow one another do not overlap, neither for who adds doubles (speedscope) nor for who counts ns (Perfetto,
which drops what overlaps); and none is shorter, which speedscope takes for the end of nothing. There is no displayTimeUnit:
some versions of Perfetto take it for the unit of the times themselves.
"""
import json
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from rmapcore.core.counting import COUNTERS
from rmapcore.core.profile import PURPOSES, SIDES
from rmapcore.operations import Op, Status
from rmapcore.units import visible
from rmapcore.version import VERSION

STEPS = {name: (name,) for name in COUNTERS if not name.startswith("faults_") and not name.endswith("_held")}
STEPS["ptes_found"] = ("ptes_tried", "ptes_found")
PROGRAM = 1                            # as a process of a timeline; the schemes have the next numbers
OWN = 10_000_000                       # more than any pid: no two threads of a timeline have the same number, for some readers
PHASES = OWN
RECLAIM, WALKS = 1, 2                  # of a scheme, beside its OWN: passes, and walks by side and purpose from there on
GRID = 8                               # times to a us
PLAIN = 1000                           # us: an operation of no recorded time
CLOCKS = {True: "the recording's: times of page faults, and what lies between them is spread evenly",
          False: "an operation takes a millisecond"}
WHERE = [(side, purpose) for side in SIDES for purpose in PURPOSES]


@dataclass
class Kept:
    """Of a row: what its profile has for these files, without the machine."""

    stacks: np.ndarray
    passes: np.ndarray
    walks: np.ndarray
    series: list                       # with the number of operations that were done at each, as "done"
    statuses: np.ndarray
    holds: list                        # of locks (contention.longest_holds)


def kept(profile, done, statuses, holds=()):
    """Kept of a Profile; done: operations done at each moment of its series; holds: of locks, if they are logged."""
    series = [{**moment, "done": count} for moment, count in zip(profile.series, done, strict=True)]
    return Kept(profile.by("process_call"), profile.passes, profile.long_walks, series, statuses, holds)


# --- stacks -----------------------------------------------------------------------------------------------------------


def frame(text):
    """Text as a frame of a stack: a line has no other `;` and no line ends in one."""
    return " ".join(visible(text).replace(";", ":").split()) or "-"


def stacks(labels, rows):
    """The lines of collapsed stacks: of each row, by its label, Kept."""
    lines = []
    for label, row in zip(labels, rows, strict=True):
        for share in row.stacks:
            who = f"{share['name']} {share['process']}" if share["process"] else share["name"]
            before = f"{frame(label)};{frame(str(who))};{share['call']}"
            for name, step in STEPS.items():
                count = int(share[name]) - (int(share["ptes_found"]) if name == "ptes_tried" else 0)
                if count:
                    lines.append(f"{before};{';'.join(step)} {count}\n")
    return "".join(lines)


# --- timeline ---------------------------------------------------------------------------------------------------------


def clock(operations, events=()):
    """(times, whether they are the recording's): in us, when each operation begins, and the end; len(operations) + 1 floats.

    events: arrays of the numbers of operations, from 1, that have a slice in the same row of the timeline. Each has room: no
    operation takes less than a step of the grid, though some have the same time, and those at the ends have none.
    """
    places = np.flatnonzero((operations["op"] == Op.FAULT) & (operations["arg"] > 0))
    recorded = np.maximum.accumulate(operations["arg"][places])
    positions = np.arange(len(operations) + 1, dtype=float)
    known = len(places) > 1 and recorded[0] != recorded[-1]
    times = np.interp(positions, places, (recorded - recorded[0]).astype(float) / 1000) if known else positions * PLAIN
    room = np.ones(len(times))
    for begun in events:
        room = np.maximum(room, np.bincount(place_of(begun) + 1, minlength=len(room)))
    room[0] = 0
    least = np.cumsum(room) / GRID
    return on_grid(np.maximum.accumulate(times - least) + least), known


def place_of(numbers):
    """Of operations that are numbered from 1; what comes before the first is shown with it."""
    return np.maximum(numbers.astype(np.int64), 1) - 1


def on_grid(times):
    return np.floor(times * GRID) / GRID


def spread(times, begun):
    """(start, duration) of events in operations of these numbers, from 1, ascending: several in one have equal parts of it."""
    places = place_of(begun)
    _, first, inverse, counts = np.unique(places, return_index=True, return_inverse=True, return_counts=True)
    number, part = np.arange(len(places)) - first[inverse], (times[places + 1] - times[places]) / counts[inverse]
    starts, ends = (on_grid(times[places] + part * count) for count in (number, number + 1))
    return starts, ends - starts


def event(kind, process, thread, time, name, **more):
    """thread: None for what is of the whole process."""
    whose = {"pid": process} if thread is None else {"pid": process, "tid": thread}
    return {"ph": kind, **whose, "ts": float(time), "name": name, **more}


def named(process, name, threads):
    """Metadata: what a process and its threads {number: name} are called, in this order."""
    yield {"ph": "M", "pid": process, "name": "process_name", "args": {"name": name}}
    yield {"ph": "M", "pid": process, "name": "process_sort_index", "args": {"sort_index": process}}
    for number, text in threads.items():
        yield {"ph": "M", "pid": process, "tid": number, "name": "thread_name", "args": {"name": text}}


def of_program(program, statuses, times):
    """Phases, and when processes began, forked, became another program and ended."""
    operations = program.operations
    known = np.isin(operations["op"], (Op.SPAWN, Op.FORK, Op.EXECVE, Op.EXIT)) & (statuses == Status.OK)
    lives, marks = [], []
    living = {}
    for place in np.flatnonzero(known).tolist():
        op, pid, other = (int(operations[name][place]) for name in ("op", "process", "other"))
        if op == Op.SPAWN:
            living[pid] = place
        elif op == Op.FORK:
            living[other] = place
            marks.append((place, pid, f"fork of {other}", {"child": other}))
        elif op == Op.EXECVE:
            marks.append((place, pid, "execve", {}))
        else:
            marks.append((place, pid, "exit", {}))
            lives.append((living.pop(pid, 0), place, pid))
    lives += [(first, len(operations), pid) for pid, first in living.items()]
    names = {pid: visible(f"{program.names.get(pid, '')} {pid}".strip()) for _, _, pid in lives}
    yield from named(PROGRAM, f"program: {visible(program.name)}", {PHASES: "phases", **names})
    end = 0
    for phase in program.phases:
        first, end = end, end + len(phase.operations)
        yield event("X", PROGRAM, PHASES, times[first], phase.name, cat="phase", dur=float(times[end] - times[first]))
    for first, last, pid in sorted(lives):
        yield event("X", PROGRAM, pid, times[first], names[pid], cat="process", dur=float(times[last] - times[first]))
    for place, pid, name, arguments in marks:
        yield event("i", PROGRAM, pid, times[place], name, cat="process", s="t", args={**arguments, "operation": place + 1})


def at_place(walks, side, purpose):
    """Which of them are of this side and purpose."""
    return (walks["side"] == side) & (walks["purpose"] == purpose)


def of_scheme(number, label, row, times):
    """Passes of reclaim, long walks, long holds of locks, and how much there is of everything."""
    own = number * OWN
    threads = {own + RECLAIM: "reclaim", **{own + WALKS + place: f"longest walks: {purpose}, {side} pages"
                                      for place, (side, purpose) in enumerate(WHERE)
                                      if at_place(row.walks, side, purpose).any()}}
    held = dict.fromkeys(one["lock"] for one in row.holds)
    locks = {lock: own + WALKS + len(WHERE) + place for place, lock in enumerate(held)}
    threads |= {thread: f"longest holds: {lock}" for lock, thread in locks.items()}
    yield from named(number, visible(label), threads)
    starts, parts = spread(times, row.passes["begun"])
    ends = times[np.maximum(row.passes["last_begun"].astype(np.int64), 1)]
    for one, start, part, end in zip(row.passes, starts, parts, ends, strict=True):
        several = one["last_begun"] > one["begun"]
        name = f"{one['passes']} passes" if one["passes"] > 1 else f"pass, priority {one['priority']}"
        yield event("X", number, own + RECLAIM, start, name, cat="reclaim", dur=float(end - start if several else part),
                    args={key: one[key].item() for key in ("scanned", "freed", "walks", "tried", "process", "first_op")})
    for place, (side, purpose) in enumerate(WHERE):
        walks = row.walks[at_place(row.walks, side, purpose)]
        for walk, start, part in zip(walks, *spread(times, walks["begun"]), strict=True):
            yield event("X", number, own + WALKS + place, start, f"{walk['ptes_tried']} entries", cat="walk", dur=float(part),
                        args={"found": walk["ptes_found"].item(), "areas": walk["vmas_tried"].item(),
                              "nodes": walk["nodes_visited"].item(), "steps_locked": walk["steps_locked"].item(),
                              "operation": walk["operation"].item(), "frame": walk["frame"].item(),
                              "process": walk["process"].item(), "address": f"{walk['address']:#x}",
                              "area": f"{walk['start']:#x}", "what": visible(str(walk["what"]))})
    done = dict.fromkeys(held, 0.0)
    for one in row.holds:
        first, last = times[one["operation"]], times[one["operation"] + 1]
        start = max(done[one["lock"]], float(on_grid(first + (last - first) * one["start"])))
        end = done[one["lock"]] = max(start + 1 / GRID, float(on_grid(first + (last - first) * one["end"])))
        yield event("X", number, locks[one["lock"]], start, f"{one['hold']:,} ns", cat="lock", dur=end - start,
                    args={"lock": f"{one['lock']} {one['what']}", "mode": one["mode"], "acquisitions": one["count"],
                          "steps": one["steps"], "operation": one["operation"] + 1})
    walked = [0, *(moment["rmap_walks"] for moment in row.series)]
    for moment, (before, after) in zip(row.series, pairwise(walked), strict=True):
        for name, values in (("bytes for reverse mapping", {"bytes": moment["rmap_bytes"]}), ("objects", moment["objects"]),
                             ("processes", {"processes": moment["processes"]}), ("areas", {"areas": moment["areas"]}),
                             ("page-table entries", {"present": moment["present"], "swapped": moment["swapped"]}),
                             ("walks since the last point", {"walks": after - before}),
                             ("longest walk so far", {"entries": moment["longest_walk"]})):
            if values:
                yield event("C", number, None, times[moment["done"]], name, args=values)


def trace_events(program, labels, rows):
    """The JSON of a timeline, an event a line: of a Program, and of each row, by its label, Kept."""
    operations = program.operations
    slices = [row.passes["begun"] for row in rows]
    slices += [row.walks["begun"][at_place(row.walks, *where)] for row in rows for where in WHERE]
    times, recorded = clock(operations, slices)
    events = [*of_program(program, rows[0].statuses, times)]
    for number, (label, row) in enumerate(zip(labels, rows, strict=True), PROGRAM + 1):
        events += of_scheme(number, label, row, times)
    lines = ",\n".join(map(as_json, events))
    other = {"rmapcore": VERSION, "workload": visible(program.name), "clock": CLOCKS[recorded],
             "walks": "those that tried most entries, some thousand of each scheme"}
    return f'{{"otherData": {as_json(other)}, "traceEvents": [\n{lines}\n]}}\n'


def as_json(data):
    """On a line, without \\u escapes, which some readers do not know."""
    return json.dumps(data, allow_nan=False, ensure_ascii=False)
