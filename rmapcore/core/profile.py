"""Profile: whose work it was, and how long the walks were, since Machine.profile() (pyx/profile keeps the ledger).

Every count goes to one row, so the rows of each `by` sum to the counters since then, and the objects of the scheme to what
there is more of than then. The counters themselves, and all that the machine does, are what they are without a profile.
"""
import numpy as np

from rmapcore.arguments import one_of
from rmapcore.core.counting import COUNTERS
from rmapcore.core.memory import scheme_objects
from rmapcore.operations import Op
from rmapcore.pyx.base.guard import guarded
from rmapcore.pyx.profile import ledger, walked

PURPOSES = ("query", "referenced", "unmap")
SIDES = ("anon", "file")
MEASURES = walked.MEASURE_NAMES
PERCENTILES = (50, 90, 99, 99.9)
VALUES = walked.bucket_values()
KEYS = {
    "process": [("process", np.uint32), ("name", "U64"), ("generation", np.uint32)],
    "program": [("name", "U64"), ("processes", np.uint32)],
    "area": [("process", np.uint32), ("name", "U64"), ("start", np.uint64), ("end", np.uint64), ("what", "U128"),
             ("areas", np.uint32)],
    "file": [("file", np.uint32), ("what", "U128"), ("areas", np.uint32)],
    "call": [("call", "U24"), ("operations", np.uint64)],
    "process_call": [("process", np.uint32), ("name", "U64"), ("call", "U24")],
    "phase": [("phase", "U64")],
    "generation": [("generation", np.uint32), ("processes", np.uint32)],
}
WORK = [*((name, np.uint64) for name in COUNTERS), ("rmap_bytes", np.int64)]          # and "objects", by the scheme's names
COUNTED = ("areas", "processes", "operations")         # of keys: how many there are
NOBODY, KERNEL = "unknown", "kernel"
NOBODYS = next(kind for kind, name in ledger.KINDS.items() if name == "nobody")
LONGEST = np.dtype([("side", "U4"), ("purpose", "U10"), *((name, np.uint64) for name in MEASURES), ("operation", np.uint64),
                    ("begun", np.uint64), ("frame", np.uint32), ("process", np.uint32), ("name", "U64"),
                    ("address", np.uint64), ("start", np.uint64), ("end", np.uint64), ("what", "U128")])
HELD = np.dtype([("name", "U64"), ("object", "U64"), ("most", np.int64), ("bytes", np.int64), ("operation", np.uint64),
                 ("now", np.int64)])
PASSES = np.dtype([(name, walked.PASS[name]) for name in walked.PASS.names if name != "pid"] + [("process", np.uint32)])


class Distribution:
    """How a measure of walks is distributed, exactly below 4,096 and within 0.8 % above.

    values, counts: uint64 arrays, ascending: what was seen (the highest value of its bucket), and how often.
    walks: how many in all.  most: the largest value, exact.  mean: of the values as they stand here.
    """

    def __init__(self, histogram, most):
        seen = np.flatnonzero(histogram)
        self.counts = histogram[seen]
        self.values = np.minimum(VALUES[seen], np.uint64(most))
        self.walks = int(self.counts.sum())
        self.most = int(most)
        self.mean = float(np.dot(self.values.astype(float), self.counts) / self.walks) if self.walks else None

    def percentile(self, percent):
        """The least value that at least so many per cent of the walks do not exceed; None without walks."""
        if not 0 <= percent <= 100:
            raise ValueError(f"percent: {percent!r} is not from 0 to 100")
        if not self.walks:
            return None
        return int(self.values[np.searchsorted(np.cumsum(self.counts), max(1, -(-self.walks * percent // 100)))])

    def summary(self):
        """{"walks", "mean", "p50", "p90", "p99", "p99.9", "max"}"""
        return {"walks": self.walks, "mean": self.mean,
                **{f"p{percent:g}": self.percentile(percent) for percent in PERCENTILES},
                "max": self.most if self.walks else None}

    def __repr__(self):
        return f"Distribution({self.summary()})"


@guarded(alone="distribution distributions longest long_walks passes held by sample series phase name")
class Profile:
    """Of one machine; Machine.profile() makes it. It can be read at any time, and goes on as long as the machine."""

    def __init__(self, machine, kept):
        self._machine, self._engine, self._ledger = machine, machine._engine, kept
        self._phases = [("", kept.totals())]
        self._samples = []
        self._names = {}
        self._programs = {}            # name -> number
        self._numbers = np.full(1024, -1, np.int32)            # by pid: of its program, as far as one has been asked for
        self._held = {}                # (program, object) -> most of them at a moment of the series, and its operation

    # walks

    def distribution(self, purpose, measure="ptes_tried", side="anon"):
        """A Distribution of the walks for a purpose: "query", "referenced" or "unmap".

        measure: "ptes_tried" (candidates), "ptes_found", "mms_tried", "vmas_tried", "nodes_visited", or "steps_locked" (steps
        under a lock of the scheme's or of i_mmap).  side: "anon", pages of the scheme, or "file".
        """
        one_of(purpose, "purpose", PURPOSES)
        one_of(measure, "measure", MEASURES)
        one_of(side, "side", SIDES)
        histograms, most = self._ledger.walks()
        kind, which = SIDES.index(side) * len(PURPOSES) + PURPOSES.index(purpose), MEASURES.index(measure)
        return Distribution(histograms[kind, which], most[kind, which])

    def distributions(self):
        """{side: {purpose: {measure: Distribution}}} of what was walked for at all."""
        histograms, most = self._ledger.walks()
        found = {}
        for number in range(len(histograms)):
            side, purpose = SIDES[number // len(PURPOSES)], PURPOSES[number % len(PURPOSES)]
            if histograms[number, 0].any():
                found.setdefault(side, {})[purpose] = {
                    measure: Distribution(histograms[number, which], most[number, which])
                    for which, measure in enumerate(MEASURES)}
        return found

    @property
    def longest(self):
        """The ten walks of each side and purpose that tried most entries, the longest first: a structured array.

        operation: number of the operation in which it was, as in Machine.totals.  begun: operations of an array that had
        begun since the profile did, that one included.  address, process, name, start, end (bytes), what: where the page
        was found first, or was looked for last.
        """
        return self._walks(self._ledger.longest_walks())

    @property
    def long_walks(self):
        """The 4,096 of all walks that tried most entries, and more than one, the earlier ones of equally long ones, as of
        `longest`, in the order of operations.
        """
        return self._walks(self._ledger.long_walks())

    def _walks(self, found):
        out = np.zeros(len(found), LONGEST)
        for row, walk in zip(out, found, strict=True):
            row["side"], row["purpose"] = SIDES[walk["side"]], PURPOSES[walk["purpose"]]
            for name, value in zip(MEASURES, walk["measure"], strict=True):
                row[name] = value
            row["operation"], row["begun"] = walk["op_index"], walk["begun"]
            row["frame"], row["process"] = walk["pfn"], walk["pid"]
            row["address"], row["start"], row["end"] = walk["address"], walk["start"], walk["end"]
            row["name"], row["what"] = self._program(int(walk["pid"])), self._what(walk)
        return out

    # whose work

    def by(self, what):
        """Work by "process", "program", "area", "file", "call", "phase" or "generation": a structured array.

        what may be "process_call", too: a row for each process in each call. A row has its key, the counters by name,
        rmap_bytes: kernel bytes of structures for reverse mapping that it holds, or that came in its work, less those that
        went; and objects: the same for the scheme's objects, {name: count}. Most entries tried first, then most walks, then
        most work.
        Work that belongs to nobody stands in the row "unknown": whatever is asked of the machine between operations.
        generation: forks since the last exec. Areas that are gone are one row if process, start, file and name are the same.
        """
        one_of(what, "what", KEYS)
        if what == "phase":
            return self._by_phase()
        objects = self._objects()
        if what in ("call", "process_call"):
            rows = self._ledger.by_share()
            operations = self._ledger.operations()
            rows = rows[rows["work"].any(axis=1) | ((operations[rows["op"]] > 0) & (rows["pid"] == 0) & (what == "call"))]
            keys = [self._call_key(row)[0 if what == "process_call" else 2:] for row in rows]
            out = _summed(what, keys, objects, rows["work"])
            if what == "call":
                numbers = {op.name.lower(): int(op) for op in Op}
                out["operations"] = [operations[numbers.get(call, 0)] for call in out["call"]]
            return out
        rows = self._ledger.rows()
        rows = rows[(rows["kind"] != NOBODYS) | rows["work"].any(axis=1)]
        keys = [getattr(self, f"_{what}_key")(row) for row in rows]
        return _summed(what, keys, objects, rows["work"], rows["areas"], rows["pid"])

    def _objects(self):
        """{name of an object of the scheme or the file side: its place among the pools}"""
        engine = self._engine
        return {name: pool - ledger.FIRST_POOL for side in (engine.anon, engine.side)
                for name, (pool, _) in side.census().items()}

    def _call_key(self, row):
        pid, op = int(row["pid"]), int(row["op"])
        return pid, self._program(pid) if pid else KERNEL if op else NOBODY, Op(op).name.lower() if op else NOBODY

    def sample(self):
        """Adds this moment to `series`."""
        machine = self._machine
        totals, memory = machine.totals, machine.memory()
        objects = {name: item["live"] for name, item in scheme_objects(memory["structures"]).items()}
        self._hold(totals["operations"], self._objects())
        self._samples.append({
            "operation": totals["operations"], "rmap_walks": machine.counters["rmap_walks"],
            **{name: totals[name] for name in ("processes", "areas", "present", "swapped")},
            "rmap_bytes": memory["rmap_bytes"], "longest_walk": self._ledger.longest_walk(), "objects": objects})

    def _hold(self, operation, objects):
        """What each program holds now, if that is more than before."""
        pids, counts = self._ledger.held()
        numbers = self._numbers_of(pids)
        for what, place in objects.items():
            sums = np.bincount(numbers, counts[:, place], len(self._programs)).astype(np.int64).tolist()
            for name, count in zip(self._programs, sums, strict=True):
                if count > self._held.get((name, what), (0,))[0]:
                    self._held[name, what] = count, operation

    def _numbers_of(self, pids):
        """Numbers of the programs of processes, in the order of `_programs`."""
        if len(pids) and pids.max() >= len(self._numbers):
            more = np.full(int(pids.max()) + 1 - len(self._numbers), -1, np.int32)
            self._numbers = np.concatenate([self._numbers, more, more])
        for pid in np.unique(pids[self._numbers[pids] < 0]).tolist():
            name = self._program(pid) if pid else NOBODY
            self._numbers[pid] = self._programs.setdefault(name, len(self._programs))
        return self._numbers[pids]

    @property
    def held(self):
        """What programs cost in objects of the scheme: a structured array of name, object, most (at a moment of the series, of
        all its processes together), bytes (of these), operation (then), now; most bytes first. Objects are held by the process
        that they were made for, until they go; those of none by "unknown".
        """
        rows, objects = self.by("program"), self._objects()
        sizes = {name: size for side in (self._engine.anon, self._engine.side) for name, (_, size) in side.census().items()}
        now = {row["name"]: row["objects"] for row in rows}
        out = np.zeros(len(self._held), HELD)
        held = sorted(self._held.items(), key=lambda item: (-item[1][0] * sizes[item[0][1]], item[0]))
        for row, ((name, what), (most, operation)) in zip(out, held, strict=True):
            row["name"], row["object"], row["most"], row["bytes"] = name, what, most, most * sizes[what]
            row["operation"] = operation
            row["now"] = now[name][what] if name in now and what in objects else 0
        return out

    @property
    def passes(self):
        """Passes of reclaim over the LRU lists, in the order of operations: a structured array of first_op, last_op, begun,
        last_begun (as `operation` and `begun` of `longest`, of the first and the last), passes, scanned, freed (frames), walks,
        tried (entries, in these walks), priority, and process: who waited for it, 0 if it was asked for. Of more than 16,384
        some neighbours are one row.
        """
        found = self._ledger.reclaim_passes()
        out = np.zeros(len(found), PASSES)
        for name in PASSES.names:
            out[name] = found["pid" if name == "process" else name]
        return out

    @property
    def series(self):
        """What the machine was at each `sample`: a list of dicts of operation, rmap_walks, processes, areas, present and
        swapped (entries), rmap_bytes, longest_walk (entries tried, so far), and objects: of the scheme, by name.
        """
        return list(self._samples)

    def phase(self, name):
        """What comes from now on is work of this phase."""
        self._phases.append((str(name), self._ledger.totals()))

    def _by_phase(self):
        ends = [total for _, total in self._phases[1:]] + [self._ledger.totals()]
        work = np.array([last - first for (_, first), last in zip(self._phases, ends, strict=True)])
        keys = [(number, name or NOBODY) for number, (name, _) in enumerate(self._phases)]
        out = _table("phase", [key[1:] for key in keys], self._objects(), work)
        return out if work[0].any() else out[1:]

    def _process_key(self, row):
        kind = ledger.KINDS[int(row["kind"])]
        if kind in ("nobody", "kernel"):
            return 0, NOBODY if kind == "nobody" else KERNEL, 0
        pid = int(row["pid"])
        return pid, self._program(pid), int(row["generation"])

    def name(self, names):
        """Says what processes are called, {pid: name}, that the machine has no names of: it does not know them all."""
        self._names.update(names)
        self._numbers[:] = -1

    def _program(self, pid):
        process = self._machine._processes.get(pid)
        return (process.name if process is not None else "") or self._names.get(pid, "")

    def _program_key(self, row):
        return self._process_key(row)[1:2]

    def _generation_key(self, row):
        return (self._process_key(row)[2],)

    def _area_key(self, row):
        pid, name, _ = self._process_key(row)
        return pid, name, int(row["start"]), int(row["end"]), self._what(row)

    def _file_key(self, row):
        return int(row["file"]), self._what(row)

    def _what(self, row):
        """What an area is, as /proc/PID/maps says it."""
        kind = ledger.KINDS[int(row["kind"])]
        if kind in ("nobody", "kernel", "process"):
            return {"nobody": NOBODY, "kernel": KERNEL, "process": "(no area)"}[kind]
        if row["file"]:
            file = self._machine._files.get(int(row["file"]))
            return file.name if file is not None and file.name else f"[file {row['file']}]"
        if kind in ("heap", "stack"):
            return f"[{kind}]"
        names = list(self._machine._area_names)
        return f"[anon:{names[row['name'] - 1]}]" if 0 < row["name"] <= len(names) else "[anon]"


def _sorted(rows):
    work = sum(rows[name].astype(np.int64) for name in COUNTERS)
    order = np.lexsort((-work, -rows["rmap_walks"].astype(np.int64), -rows["ptes_tried"].astype(np.int64)))
    return rows[order]


def _table(what, keys, objects, work):
    """A row for each key, with its work: uint64 array of (keys, numbers of a row in the ledger)."""
    out = np.zeros(len(keys), [*KEYS[what], *WORK, ("objects", [(name, np.int64) for name in objects])])
    for number, (name, _) in enumerate(field for field in KEYS[what] if field[0] not in COUNTED):
        out[name] = [key[number] for key in keys]
    for number, name in enumerate(COUNTERS):
        out[name] = work[:, number]
    out["rmap_bytes"] = work[:, ledger.BYTES].astype(np.int64)
    for name, place in objects.items():
        out["objects"][name] = work[:, ledger.OBJECTS + place].astype(np.int64)
    return out


def _summed(what, keys, objects, work, areas=(), pids=()):
    """Rows of the same key as one. areas: how many are in each; pids: whose each is."""
    numbers = {}
    inverse = np.array([numbers.setdefault(key, len(numbers)) for key in keys], np.int64)
    order = np.argsort(inverse, kind="stable")
    starts = np.searchsorted(inverse[order], np.arange(len(numbers)))
    sums = np.add.reduceat(work[order], starts, axis=0) if len(numbers) else work
    out = _table(what, list(numbers), objects, sums)
    if "areas" in out.dtype.names:
        np.add.at(out["areas"], inverse, areas)
    if "processes" in out.dtype.names:
        for key, pid in {*zip(inverse.tolist(), pids.tolist(), strict=True)}:
            out["processes"][key] += pid != 0
    return _sorted(out)
