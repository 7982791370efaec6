"""Locks: every hold of a lock by an operation or a walk, since Machine.locks() (docs/locks.md; pyx/profile keeps the log).

Lengths are in steps, and in ns by what a step costs. The counters, and all that the machine does, are what they are without.
"""
from collections.abc import Mapping

import numpy as np

from rmapcore.arguments import one_of, shown, whole
from rmapcore.core import processors
from rmapcore.core.counting import COUNTERS
from rmapcore.core.lockrules import (
    CALLS,
    CLASSES,
    COSTS,
    ENDS,
    LOGGED,
    LOGGED_FILE,
    MMAP,
    PAGE_TABLE,
    SEVERAL,
    TOUCHES,
    TRY,
    VMA,
    W,
    rules_of,
)
from rmapcore.operations import Op
from rmapcore.pyx.base.guard import guarded
from rmapcore.pyx.profile import locks as log

EVENT = np.dtype([("operation", np.uint32), ("lock", np.uint8), ("mode", np.uint8), ("object", np.uint64), ("at", np.uint64),
                  ("hold", np.uint64), ("steps", np.uint32), ("count", np.uint32)])
OPERATION = np.dtype([("index", np.uint64), ("call", np.uint16), ("process", np.uint32), ("child", np.uint32),
                      ("ns", np.uint64), ("steps", np.uint64), ("faults", np.uint32)])
SUMMARY = [(name, np.uint64) for name in ("events", "acquisitions", "steps", "hold", "longest")]
KEYS = {
    "lock": [("lock", "U12")],
    "object": [("lock", "U12"), ("object", np.uint64)],
    "call": [("call", "U24"), ("lock", "U12")],
}
MOST_COST = 1 << 40


def costs_of(given):
    """COSTS with those that are given, by name. UnknownName, TypeError, ValueError: for none of them, or no ns."""
    costs = dict(COSTS)
    if given is not None and not isinstance(given, Mapping):
        raise TypeError(f"costs: {shown(given)} is not a mapping of names to ns")
    for name, value in (given or {}).items():
        costs[one_of(name, "cost", COSTS, "docs/locks.md lists them")] = whole(value, f"cost {name}", 0, MOST_COST)
    return costs


def arguments(kernel, costs):
    """What the log takes: (ns by counter, of an operation, an area, an object; pages of a page table's lock)."""
    by_counter = np.array([costs.get(name, 0) for name in COUNTERS], np.uint64)
    return by_counter, costs["operation"], costs["areas"], costs["objects"], rules_of(kernel).table_of


@guarded(alone="operations events lost by breach simulate")
class Locks:
    """Of one machine; Machine.locks() makes it. It can be read at any time, and goes on as long as the machine.

    costs: {name: ns}, those of COSTS that were given and all others.
    """

    def __init__(self, machine, kept, costs):
        self._machine, self._engine, self._log = machine, machine._engine, kept
        self.costs = costs
        self._seen, self._operations, self._events = None, None, None

    def _look(self):
        """Operations and events are made once of what there is."""
        if self._seen != self._log.extent():
            raw, events = self._log.rows()
            self._operations = np.zeros(len(raw), OPERATION)
            for name, source in (("index", "index"), ("call", "op"), ("process", "pid"), ("child", "child"), ("ns", "ns"),
                                 ("steps", "steps"), ("faults", "faults")):
                self._operations[name] = raw[source]
            self._events = events_of(raw, events, rules_of(self._machine.kernel), self.costs)
            self._operations.flags.writeable = self._events.flags.writeable = False
            self._seen = self._log.extent()

    @property
    def lost(self):
        """Events that there was no room for: what is summed here lacks them."""
        return self._log.lost

    @property
    def operations(self):
        """A row for each operation: a structured array.

        index: its number, as Machine.totals counts.  call: Op.  process, child: pids; of a fork its child.  ns: what it costs.
        steps, faults: in it.
        """
        self._look()
        return self._operations

    @property
    def events(self):
        """A row for each hold of a lock, as operations take them: a structured array.

        operation: row of `operations`.  lock, mode: numbers in CLASSES and MODES (rmapcore.core.lockrules).  object: which one,
        0: none or many.  at, hold: ns from the operation's beginning, and for how long.  steps: counted meanwhile.  count:
        acquisitions.
        """
        self._look()
        return self._events

    def by(self, what):
        """Holds by "lock" (class), "object" or "call": a structured array, those held longest in all first.

        events, acquisitions, steps; hold: ns in all; longest: ns.
        """
        one_of(what, "what", KEYS)
        events, operations = self.events, self.operations
        values = {"lock": events["lock"], "object": events["object"], "call": operations["call"][events["operation"]]}
        firsts, inverse = processors.distinct(*(values[name] for name, _ in KEYS[what]))
        out = np.zeros(len(firsts), KEYS[what] + SUMMARY)
        names = {"lock": np.array(CLASSES), "call": np.array(["", *(op.name.lower() for op in Op)])}
        for name, _ in KEYS[what]:
            out[name] = names[name][values[name][firsts]] if name in names else values[name][firsts]
        np.add.at(out["events"], inverse, 1)
        for name, source in (("acquisitions", "count"), ("steps", "steps"), ("hold", "hold")):
            np.add.at(out[name], inverse, events[source].astype(np.uint64))
        np.maximum.at(out["longest"], inverse, events["hold"])
        return out[np.argsort(-out["hold"].astype(np.int64), kind="stable")]

    def breach(self):
        """The first lock that was taken against the order, as text; None: there is none."""
        return breach_of(self.events, self.operations, rules_of(self._machine.kernel))

    def simulate(self, cpus, begins=None, thread=None, phase=None):
        """These operations on so many processors: a Contention (rmapcore.core.processors).

        begins: ns before which an operation may not begin, by operation; None: as fast as they can.  thread: by operation, a
        number that tells the threads of a process apart; None: it has one.  phase: by operation, from 0 and ascending: one
        begins when all of the one before have ended; None: there is one.
        """
        return processors.simulate(self.operations, self.events, rules_of(self._machine.kernel), self.costs, cpus, begins,
                                   thread, phase)


def events_of(operations, raw, rules, costs):
    """The array that Locks.events is, of the rows of the log."""
    code = np.array(LOGGED, np.uint8)
    made = np.zeros(len(raw), EVENT)
    for name in ("operation", "object", "at", "hold", "steps", "count"):
        made[name] = raw[name]
    made["lock"] = code[raw["lock"]]
    made["mode"] = _modes(raw, made["lock"], rules)
    made["mode"][raw["lock"] == LOGGED_FILE] = rules.cuts
    call = operations["op"]
    marks = made["lock"] == VMA
    made["object"][marks] |= operations["pid"][made["operation"][marks]].astype(np.uint64) << np.uint64(32)
    last = np.isin(call[made["operation"]], ENDS)
    made["hold"] = np.where(marks, operations["ns"][made["operation"]], made["hold"])
    keep = ~marks | (rules.marks & ~last)
    around = _around(operations, np.isin(np.arange(len(operations)), made["operation"][marks]), rules)
    tables = _tables(operations, rules, costs)
    out = np.concatenate([around, made[keep], tables])
    rank = np.concatenate([np.zeros(len(around)), np.where(made["lock"][keep] == VMA, 1, 2), np.full(len(tables), 3)])
    return out[np.lexsort((rank, out["at"], out["operation"]))]


def _modes(raw, lock, rules):
    """Mode of each: in walks by the rules, else alone."""
    table = np.full((len(log.WHYS), len(CLASSES)), W, np.uint8)
    for name, modes in rules.walks.items():
        for why, mode in zip(("referenced", "unmap"), modes, strict=True):
            table[log.WHYS.index(why), name] = mode
    return table[raw["why"], lock]


def _around(operations, changed, rules):
    """The locks that an operation holds all through. changed: operations in which an area changed."""
    call = operations["op"]
    lock = np.full(len(operations), MMAP, np.uint8)
    mode = np.full(len(operations), W, np.uint8)
    mode[(call == Op.MADVISE) & ~changed] = rules.madvise
    touches = np.isin(call, TOUCHES) & (operations["faults"] > 0)
    lock[touches], mode[touches] = rules.fault
    rows = np.flatnonzero(touches | np.isin(call, CALLS) | (rules.ends & np.isin(call, ENDS)))
    out = np.zeros(len(rows), EVENT)
    out["operation"], out["lock"], out["mode"] = rows, lock[rows], mode[rows]
    out["object"] = operations["pid"][rows]
    areas = out["lock"] == VMA
    out["object"][areas] = out["object"][areas] << np.uint64(32) | operations["area"][rows][areas].astype(np.uint64)
    out["hold"], out["steps"] = operations["ns"][rows], operations["steps"][rows]
    out["count"] = np.where(touches[rows], operations["faults"][rows], 1)
    return out


def _tables(operations, rules, costs):
    """The lock of the page table in which faults of an operation wrote entries, at its end."""
    rows = np.flatnonzero(np.isin(operations["op"], TOUCHES) & (operations["faults"] > 0))
    out = np.zeros(len(rows), EVENT)
    faults = operations["faults"][rows].astype(np.uint64)
    block = operations["page"][rows] // rules.table_of + 1 if rules.table_of else 1
    out["operation"], out["lock"], out["mode"] = rows, PAGE_TABLE, W
    out["object"] = operations["pid"][rows].astype(np.uint64) << np.uint64(36) | np.uint64(block)
    out["hold"] = np.minimum(faults * (costs["lock_page_table"] + costs["rmap_adds"]), operations["ns"][rows])
    out["at"] = operations["ns"][rows] - out["hold"]
    out["steps"] = 2 * faults
    out["count"] = faults
    return out


def doubtful(events, rules):
    """Operations in which a lock may have been taken under one that does not stand further left."""
    rank = np.array([rules.order.index(lock) if lock in rules.order else -1 for lock in range(len(CLASSES))])
    operation = events["operation"].astype(np.uint64) << np.uint64(40)
    most = np.uint64((1 << 40) - 1)
    at = operation | np.minimum(events["at"], most)
    ends = operation | np.minimum(events["at"] + events["hold"], most)
    found = rank[events["lock"]] < 0
    for lock in rules.order:
        last = np.maximum.accumulate(np.where(events["lock"] == lock, ends, np.uint64(0)))     # so far, of this class
        before = np.concatenate([np.zeros(min(1, len(last)), np.uint64), last[:-1]])
        under = (before > at) & (before >> np.uint64(40) == operation >> np.uint64(40))
        found |= under & (rank[lock] >= rank[events["lock"]]) & ((lock not in SEVERAL) | (events["lock"] != lock))
    return np.unique(events["operation"][found & (events["mode"] & TRY == 0)])


def breach_of(events, operations, rules):
    """What Locks.breach says of these."""
    events = events[np.isin(events["operation"], doubtful(events, rules))]
    rank = {lock: place for place, lock in enumerate(rules.order)}
    held, operation = [], None
    for number, lock, mode, object_, at, hold, _, _ in events.tolist():
        if number != operation:
            held, operation = [], number
        held = [one for one in held if one[0] > at]
        if lock not in rank:
            return f"{CLASSES[lock]} is no lock of this kernel"
        for _, other, which in held:
            again = other == lock and (lock in SEVERAL or which == object_)
            if not mode & TRY and rank[other] >= rank[lock] and not again:
                return (f"{CLASSES[lock]} of {object_} is taken under {CLASSES[other]} of {which}, in "
                        f"{Op(operations['call'][number]).name.lower()} {operations['index'][number]}")
        if hold:
            held.append((at + hold, lock, object_))
    return None
