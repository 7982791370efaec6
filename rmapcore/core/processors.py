"""Operations and their locks on N processors: who waits for whom (docs/locks.md, "On N processors"; pyx/profile/processors)."""
import numpy as np

from rmapcore.arguments import whole
from rmapcore.core.lockrules import CLASSES, TRY, VMA
from rmapcore.errors import RmapcoreError
from rmapcore.pyx.profile import processors as kernel
from rmapcore.pyx.profile.points import points_of

MOST_CPUS = 4096
WAITS = np.dtype([("lock", "U12"), ("object", np.uint64), ("start", np.uint64), ("wait", np.uint64), ("who", np.uint32),
                  ("whom", np.uint32), ("operation", np.uint32)])
LOCKS = np.dtype([("lock", "U12"), ("object", np.uint64), ("acquisitions", np.uint64), ("waits", np.uint64),
                  ("slept", np.uint64), ("failed", np.uint64), ("wait", np.uint64), ("longest", np.uint64), ("who", np.uint32),
                  ("whom", np.uint32)])
CLASS = np.dtype([("lock", "U12"), ("objects", np.uint64), ("acquisitions", np.uint64), ("waits", np.uint64),
                  ("slept", np.uint64), ("failed", np.uint64), ("wait", np.uint64), ("longest", np.uint64)])
PAIR = np.dtype([("who", np.uint32), ("whom", np.uint32), ("lock", "U12"), ("waits", np.uint64), ("wait", np.uint64),
                 ("longest", np.uint64)])


class Contention:
    """How it went. ns are those of the simulated clock.

    cpus; time: ns until all was done.  busy: ns that processors worked, waiting apart.  locks: array of LOCKS, of each lock
    that was asked for, those waited for longest in all first; slept: waits in which who waited left its processor; failed:
    tries that went without.  waits: array of WAITS, in the order in which they ended.  left_out: waits that are counted in
    locks, but not among waits.
    """

    def __init__(self, cpus, time, busy, locks, waits, left_out):
        self.cpus, self.time, self.busy, self.locks, self.waits, self.left_out = cpus, time, busy, locks, waits, left_out

    def by_class(self):
        """The same by class of lock: array of CLASS."""
        names, inverse = np.unique(self.locks["lock"], return_inverse=True)
        out = np.zeros(len(names), CLASS)
        out["lock"] = names
        np.add.at(out["objects"], inverse, 1)
        for name in ("acquisitions", "waits", "slept", "failed", "wait"):
            np.add.at(out[name], inverse, self.locks[name])
        np.maximum.at(out["longest"], inverse, self.locks["longest"])
        return out[np.lexsort((-out["acquisitions"].astype(np.int64), -out["wait"].astype(np.int64)))]

    def pairs(self):
        """Who waited for whom, at which class: array of PAIR, of process numbers, the longest in all first."""
        firsts, inverse = distinct(self.waits["who"], self.waits["whom"], self.waits["lock"])
        out = np.zeros(len(firsts), PAIR)
        for name in ("who", "whom", "lock"):
            out[name] = self.waits[name][firsts]
        np.add.at(out["waits"], inverse, 1)
        np.add.at(out["wait"], inverse, self.waits["wait"])
        np.maximum.at(out["longest"], inverse, self.waits["wait"])
        return out[np.argsort(-out["wait"].astype(np.int64), kind="stable")]

    def __repr__(self):
        return f"<Contention on {self.cpus} processors: {self.time:,} ns, {len(self.waits):,} waits>"


class Prepared:
    """Operations that can be simulated on any number of processors; the arguments are those of Locks.simulate, and what it has.

    Raises ValueError for arguments that are none.
    """

    def __init__(self, operations, events, rules, costs, begins=None, thread=None, phase=None):
        self.costs = costs
        self.begins = column(begins, "begins", np.uint64, len(operations))
        thread = column(thread, "thread", np.uint64, len(operations))
        self.phase = column(phase, "phase", np.uint32, len(operations))
        if np.any(self.phase[1:] < self.phase[:-1]):
            raise ValueError("phase: a later operation is of an earlier phase")
        single = events[events["object"] != 0]
        firsts, inverse = distinct(single["lock"], single["object"])
        self.locks = single[firsts]
        # who cannot take an area's lock waits for mmap, which is let go of together with the marks
        mode = np.where(single["lock"] == VMA, single["mode"] & ~np.uint8(TRY), single["mode"]).astype(np.uint8)
        self.points, self.first = points_of(single["operation"].astype(np.uint32), single["at"].copy(), single["hold"].copy(),
                                            inverse.astype(np.int32), mode, single["count"].copy(), operations["ns"].copy())
        self.order, self.bounds, self.born, self.pids = actors_of(operations, thread)
        spins = np.isin(self.locks["lock"], list(rules.spins))
        self.spins = np.where(spins, kernel.NO_SLEEP, 0 if rules.passes else kernel.IN_LINE).astype(np.uint32)

    def on(self, cpus):
        """The Contention on so many processors. TypeError, ValueError; RmapcoreError if operations wait in a circle."""
        cpus = whole(cpus, "cpus", 1, MOST_CPUS)
        run = kernel.Processors(self.points, self.first, self.spins, self.order, self.bounds, self.born, self.begins,
                                self.phase, cpus, self.costs["switch"], self.costs["slice"], self.costs["handoff"])
        if not run.run():
            raise RmapcoreError("operations wait for one another in a circle")
        return Contention(cpus, run.time, run.busy, described(run.locks, self.locks, self.pids),
                          waits_of(run.waits, self.locks, self.pids), run.left_out)


def simulate(operations, events, rules, costs, cpus, begins=None, thread=None, phase=None):
    """A Contention, as Locks.simulate gives it."""
    return Prepared(operations, events, rules, costs, begins, thread, phase).on(cpus)


def distinct(*columns):
    """(place of the first of each combination of values, number of each row's combination): combinations in ascending order."""
    code = np.zeros(len(columns[0]), np.int64)
    for values in columns:
        found, inverse = np.unique(values, return_inverse=True)
        code = code * len(found) + inverse
    _, firsts, inverse = np.unique(code, return_index=True, return_inverse=True)
    return firsts, inverse


def column(values, what, dtype, n):
    """An array with a number for each operation; None: zeros."""
    if values is None:
        return np.zeros(n, dtype)
    values = np.asarray(values)
    if values.shape != (n,) or values.dtype.kind not in "iu":
        raise ValueError(f"{what}: not {n} whole numbers, one for each operation")
    if n and values.min() < 0:
        raise ValueError(f"{what}: {values.min()} is negative")
    return np.ascontiguousarray(values, dtype)


def actors_of(operations, thread):
    """(operations by actor, where each actor's begin and the end, the operation that each is born of or -1, pids).

    An actor is a thread of a process; 0 is the kernel. Actors are numbered as their first operations come.
    """
    firsts, inverse = distinct(operations["process"], thread)
    number = np.empty(len(firsts), np.int64)
    number[np.argsort(firsts)] = np.arange(len(firsts))
    actor = number[inverse] if len(firsts) else np.zeros(0, np.int64)
    order = np.argsort(actor, kind="stable").astype(np.uint32)
    bounds = np.searchsorted(actor[order], np.arange(len(firsts) + 1)).astype(np.uint64)
    first_of = np.sort(firsts)
    pids = operations["process"][first_of]
    born = np.full(len(firsts), -1, np.int64)
    births = {}
    for row in np.flatnonzero(operations["child"]).tolist():
        births.setdefault(int(operations["child"][row]), row)
    for a, pid in enumerate(pids.tolist()):
        row = births.get(pid, -1)
        born[a] = row if row < first_of[a] else -1
    return order, bounds, born, pids


def described(found, locks, pids):
    out = np.zeros(len(found), LOCKS)
    out["lock"] = np.array(CLASSES, "U12")[locks["lock"]]
    out["object"] = locks["object"]
    for name, source in (("acquisitions", "acquired"), ("waits", "waits"), ("slept", "slept"), ("failed", "failed"),
                         ("wait", "waited"), ("longest", "longest")):
        out[name] = found[source]
    waited = found["longest_who"] >= 0
    out["who"][waited] = pids[found["longest_who"][waited]]
    out["whom"][waited] = pids[found["longest_whom"][waited]]
    return out[np.lexsort((-out["acquisitions"].astype(np.int64), -out["wait"].astype(np.int64)))]


def waits_of(found, locks, pids):
    out = np.zeros(len(found), WAITS)
    out["lock"] = np.array(CLASSES, "U12")[locks["lock"][found["lock"]]]
    out["object"] = locks["object"][found["lock"]]
    for name in ("start", "wait", "operation"):
        out[name] = found[name]
    out["who"], out["whom"] = pids[found["who"]], pids[found["whom"]]
    return out
