"""The locks of a row of a comparison on N processors: as data for its JSON, and as tables (docs/locks.md)."""
import numpy as np

from rmapcore.core.lockrules import CLASSES, MODES, rules_of
from rmapcore.core.processors import Prepared
from rmapcore.lab.layout import figure, grid
from rmapcore.lab.timeline import clock
from rmapcore.operations import Op
from rmapcore.units import visible

MOST = 10                              # locks and pairs in the JSON
SHOWN = 6                              # in the tables
CALLS = 8
MOST_HOLDS = 1000                      # of a class in a timeline
PLENTY = ("folio", "page_table", "vma")        # of these an operation takes many, and nobody argues about them


def data_of(locks, program, machine, cpus):
    """What the JSON of a row holds: docs/reference/json.md, `results.locks`."""
    operations, events = locks.operations, locks.events
    kept = arguments(program, operations)
    prepared = Prepared(operations, events, rules_of(machine.kernel), locks.costs, **kept)
    runs = [prepared.on(n) for n in steps_to(cpus)]
    one, last = runs[0], runs[-1]
    names = Names(program, machine)
    calls = [op.name.lower() for op in (Op(number) for number in operations["call"])] if len(last.waits) else []
    longest = last.waits[np.argmax(last.waits["wait"])] if len(last.waits) else None
    return {
        "cpus": cpus,
        "recorded_times": "begins" in kept,
        "operations": len(operations),
        "events": len(events),
        "lost": locks.lost,
        "order": locks.breach(),
        "costs": locks.costs,
        "held": [plain(row) for row in locks.by("lock")],
        "calls": [plain(row) for row in locks.by("call")],
        "time": last.time,
        "busy": last.busy,
        "speed_up": one.time / last.time if last.time else None,
        "scaling": [{"cpus": run.cpus, "time": run.time, "busy": run.busy, "waits": int(run.locks["waits"].sum()),
                     "wait": int(run.locks["wait"].sum())} for run in runs],
        "classes": [contended(plain(row)) for row in last.by_class()],
        "objects": [{**contended(plain(row)), "what": names.lock(row)} for row in last.locks[:MOST]],
        "pairs": [{**plain(row), "who_is": names.process(row["who"]), "whom_is": names.process(row["whom"])}
                  for row in last.pairs()[:MOST]],
        "longest": None if longest is None else {
            **plain(longest), "what": names.lock(longest), "call": calls[longest["operation"]],
            "who_is": names.process(longest["who"]), "whom_is": names.process(longest["whom"])},
    }


def longest_holds(locks, program, machine):
    """Of each class of lock the longest holds, one of an operation at the most, by operation: a list of {"lock", "mode", "what"
    (the object), "operation" (place in the program), "start", "end" (parts of the operation's time), "hold" (ns), "steps",
    "count"}.
    """
    operations, events = locks.operations, locks.events
    names = Names(program, machine)
    found = []
    for number, lock in enumerate(CLASSES):
        places = np.flatnonzero((events["lock"] == number) & (events["hold"] > 0))
        places = places[np.argsort(-events["hold"][places].astype(np.int64), kind="stable")]
        _, firsts = np.unique(events["operation"][places], return_index=True)
        for event in np.sort(events[places[np.sort(firsts)][:MOST_HOLDS]], order="operation"):
            at, hold, count, ns = (int(value) for value in (event["at"], event["hold"], event["count"],
                                                            operations["ns"][event["operation"]]))
            what = names.lock({"lock": lock, "object": event["object"]}) if event["object"] else "none or many"
            found.append({"lock": lock, "mode": MODES[event["mode"]], "what": visible(what), "count": count, "hold": hold,
                          "operation": int(event["operation"]), "steps": int(event["steps"]),
                          "start": min(1, at / ns), "end": min(1, (at + hold) / ns)})
    return found


def steps_to(cpus):
    """1, 2, 4 and so on, and that number."""
    return [n for n in (1 << k for k in range(cpus.bit_length())) if n < cpus] + [cpus]


def arguments(program, operations):
    """What Locks.simulate takes beside the processors, of the operations that were done."""
    count = len(operations)
    done = program.operations[:count]
    if "recording" not in program.facts:
        lengths = [len(phase.operations) for phase in program.phases]
        return {"phase": np.repeat(np.arange(len(lengths)), lengths)[:count]}
    faults = done["op"] == Op.FAULT
    other = faults & (done["arg2"] != done["process"])
    found = {"thread": np.where(other, done["arg2"], 0)}
    times, recorded = clock(done)
    if recorded:
        found["begins"] = (1000 * (times[:count] - times[0])).astype(np.uint64)
    return found


class Names:
    """What processes, and objects of locks, are called."""

    def __init__(self, program, machine):
        self.processes = dict(program.names)
        self.files = {number: file.name for number, file in machine._files.items()}

    def process(self, pid):
        name = self.processes.get(int(pid), "")
        return f"{pid}{name and ' ' + name}" if pid else "the kernel"

    def lock(self, row):
        lock, number = str(row["lock"]), int(row["object"])
        if lock == "mmap":
            return f"of process {self.process(number)}"
        if lock == "i_mmap":
            return f"of {self.files.get(number) or f'file {number}'}"
        if lock == "vma":
            return f"area {number & 0xFFFFFFFF} of process {self.process(number >> 32)}"
        if lock == "page_table":
            return f"of process {self.process(number >> 36)}"
        return f"{number & 0xFFFFFFFF}" + (f", number used {number >> 32} times" if number >> 33 else "")


def plain(row):
    return {name: value.item() for name, value in zip(row.dtype.names, row, strict=True)}


def contended(row):
    """The part of acquisitions that waited."""
    return {**row, "contended": row["waits"] / row["acquisitions"] if row["acquisitions"] else None}


def tables(rows, labels):
    """On how many processors how long; then, of each row, its locks and who waited for whom."""
    yield grid("Processors", ["scheme", "processors", "ms", "speed-up", "waits", "ms waited"], [
        [label, f"{run['cpus']}", figure(run["time"] / 1e6), figure(row["locks"]["scaling"][0]["time"] / run["time"]
                                                                   if run["time"] else None),
         f"{run['waits']:,}", figure(run["wait"] / 1e6)]
        for row, label in zip(rows, labels, strict=True) for run in row["locks"]["scaling"]])
    for row, label in zip(rows, labels, strict=True):
        found = row["locks"]
        held = {one["lock"]: one for one in found["held"]}
        yield grid(f"Locks under {label}, on {found['cpus']} processors",
                   ["lock", "taken", "ns held\nat most", "waited", "contended", "ms waited", "us at most", "tries\nfailed"], [
                       [one["lock"], f"{held[one['lock']]['acquisitions']:,}", f"{held[one['lock']]['longest']:,}",
                        f"{one['waits']:,}", figure(one["contended"]), figure(one["wait"] / 1e6),
                        figure(one["longest"] / 1e3), f"{one['failed']:,}"] for one in found["classes"]])
        done = [one for one in found["calls"] if one["lock"] not in PLENTY][:CALLS]
        yield grid(f"Who takes them, under {label}", ["call", "lock", "taken", "ms held", "us at most"], [
            [one["call"], one["lock"], f"{one['acquisitions']:,}", figure(one["hold"] / 1e6), figure(one["longest"] / 1e3)]
            for one in done], 2)
        waited = [one for one in found["objects"] if one["waits"]][:SHOWN]
        if not waited:
            yield f"{label}: nobody waits for a lock"
            continue
        yield grid(f"Waited for under {label}", ["lock", "", "waited", "ms waited", "us at most"], [
            [one["lock"], visible(one["what"]), f"{one['waits']:,}", figure(one["wait"] / 1e6), figure(one["longest"] / 1e3)]
            for one in waited], 2)
        yield grid(f"Who waited for whom under {label}", ["who", "for", "lock", "waited", "ms waited", "us at most"], [
            [visible(one["who_is"]), visible(one["whom_is"]), one["lock"], f"{one['waits']:,}", figure(one["wait"] / 1e6),
             figure(one["longest"] / 1e3)] for one in found["pairs"][:SHOWN]], 3)
        long = found["longest"]
        yield (f"{label}: the longest wait was {figure(long['wait'] / 1e3)} us, {visible(long['who_is'])} in {long['call']} "
               f"for {long['lock']} {visible(long['what'])}, which {visible(long['whom_is'])} had")
        if found["order"]:
            yield f"PROBLEM: {label}: {found['order']}"
        if found["lost"]:
            yield f"PROBLEM: {label}: there was no room for {found['lost']:,} locks"
