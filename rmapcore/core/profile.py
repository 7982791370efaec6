"""Profile: whose work it was, and how long the walks were, since Machine.profile() (pyx/profile keeps the ledger).

Every count goes to one row, so the rows of each `by` sum to the counters since then. The counters themselves, and all that the
machine does, are what they are without a profile.
"""
import numpy as np

from rmapcore.arguments import one_of
from rmapcore.core.counting import COUNTERS
from rmapcore.core.memory import scheme_objects
from rmapcore.operations import Op
from rmapcore.pyx.base.guard import guarded
from rmapcore.pyx.profile import ledger

PURPOSES = ("query", "referenced", "unmap")
SIDES = ("anon", "file")
MEASURES = ledger.MEASURE_NAMES
PERCENTILES = (50, 90, 99, 99.9)
VALUES = ledger.bucket_values()
KEYS = {
    "process": [("process", np.uint32), ("name", "U64"), ("generation", np.uint32)],
    "program": [("name", "U64"), ("processes", np.uint32)],
    "area": [("process", np.uint32), ("name", "U64"), ("start", np.uint64), ("end", np.uint64), ("what", "U128"),
             ("areas", np.uint32)],
    "file": [("file", np.uint32), ("what", "U128"), ("areas", np.uint32)],
    "call": [("call", "U24"), ("operations", np.uint64)],
    "phase": [("phase", "U64")],
    "generation": [("generation", np.uint32), ("processes", np.uint32)],
}
WORK = [*((name, np.uint64) for name in COUNTERS), ("rmap_bytes", np.int64)]
NOBODY, KERNEL = "unknown", "kernel"
LONGEST = np.dtype([("side", "U4"), ("purpose", "U10"), *((name, np.uint64) for name in MEASURES), ("operation", np.uint64),
                    ("frame", np.uint32), ("process", np.uint32), ("name", "U64"), ("address", np.uint64), ("start", np.uint64),
                    ("end", np.uint64), ("what", "U128")])


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


@guarded(alone="distribution distributions longest by sample series phase name")
class Profile:
    """Of one machine; Machine.profile() makes it. It can be read at any time, and goes on as long as the machine."""

    def __init__(self, machine, kept):
        self._machine, self._engine, self._ledger = machine, machine._engine, kept
        self._phases = [("", kept.totals())]
        self._samples = []
        self._names = {}

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

        operation: number of the operation in which it was.  address, process, name, start, end (bytes), what: where the page
        was found first, or was looked for last.
        """
        found = self._ledger.longest_walks()
        out = np.zeros(len(found), LONGEST)
        for row, walk in zip(out, found, strict=True):
            row["side"], row["purpose"] = SIDES[walk["side"]], PURPOSES[walk["purpose"]]
            for name, value in zip(MEASURES, walk["measure"], strict=True):
                row[name] = value
            row["operation"], row["frame"], row["process"] = walk["op_index"], walk["pfn"], walk["pid"]
            row["address"], row["start"], row["end"] = walk["address"], walk["start"], walk["end"]
            row["name"], row["what"] = self._program(int(walk["pid"])), self._what(walk)
        return out

    # whose work

    def by(self, what):
        """Work by "process", "program", "area", "file", "call", "phase" or "generation": a structured array.

        A row for each, with its key, the counters by name, and rmap_bytes: kernel bytes of structures for reverse mapping
        that came in its work, less those that went. Most entries tried first, then most walks, then most work.
        Work that belongs to nobody stands in the row "unknown": whatever is asked of the machine between operations.
        generation: forks since the last exec. Areas that are gone are one row if process, start, file and name are the same.
        """
        one_of(what, "what", KEYS)
        if what == "phase":
            return self._by_phase()
        if what == "call":
            return self._by_call()
        rows = self._ledger.rows()
        keys = [getattr(self, f"_{what}_key")(row) for row in rows]
        return _summed(what, keys, rows["work"], rows["areas"], rows["pid"])

    def sample(self):
        """Adds this moment to `series`."""
        machine = self._machine
        totals, memory = machine.totals, machine.memory()
        objects = {name: item["live"] for name, item in scheme_objects(memory["structures"]).items()}
        longest = max((int(walk["ptes_tried"]) for walk in self.longest[:1]), default=0)
        self._samples.append({
            "operation": totals["operations"], "rmap_walks": machine.counters["rmap_walks"],
            **{name: totals[name] for name in ("processes", "areas", "present", "swapped")},
            "rmap_bytes": memory["rmap_bytes"], "longest_walk": longest, "objects": objects})

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
        out = np.zeros(len(self._phases), KEYS["phase"] + WORK)
        ends = [total for _, total in self._phases[1:]] + [self._ledger.totals()]
        for row, (name, first), last in zip(out, self._phases, ends, strict=True):
            row["phase"] = name or NOBODY
            _fill(row, last - first)
        return out if _worked(out[0]) else out[1:]

    def _by_call(self):
        operations, work = self._ledger.call_rows()
        used = [op for op in range(len(work)) if operations[op] or work[op].any()]
        out = np.zeros(len(used), KEYS["call"] + WORK)
        for row, op in zip(out, used, strict=True):
            row["call"] = Op(op).name.lower() if op else NOBODY
            row["operations"] = operations[op]
            _fill(row, work[op])
        return _sorted(out)

    def _process_key(self, row):
        kind = ledger.KINDS[int(row["kind"])]
        if kind in ("nobody", "kernel"):
            return 0, NOBODY if kind == "nobody" else KERNEL, 0
        pid = int(row["pid"])
        return pid, self._program(pid), int(row["generation"])

    def name(self, names):
        """Says what processes are called, {pid: name}, that the machine has no names of: it does not know them all."""
        self._names.update(names)

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


def _fill(row, work):
    for name, value in zip(COUNTERS, work, strict=False):
        row[name] = value
    row["rmap_bytes"] = work[-1].astype(np.int64)


def _worked(row):
    return any(row[name] for name, _ in WORK)


def _sorted(rows):
    work = sum(rows[name].astype(np.int64) for name in COUNTERS)
    order = np.lexsort((-work, -rows["rmap_walks"].astype(np.int64), -rows["ptes_tried"].astype(np.int64)))
    return rows[order]


def _summed(what, keys, work, areas, pids):
    """Rows of the same key as one."""
    numbers = {}
    inverse = np.array([numbers.setdefault(key, len(numbers)) for key in keys], np.int64)
    out = np.zeros(len(numbers), KEYS[what] + WORK)
    for number, (name, _) in enumerate(KEYS[what]):
        if name == "areas":
            np.add.at(out[name], inverse, areas)
        elif name == "processes":
            for key, pid_count in _processes(inverse, pids).items():
                out[name][key] = pid_count
        else:
            out[name] = [key[number] for key in numbers]
    for number, name in enumerate(COUNTERS):
        np.add.at(out[name], inverse, work[:, number])
    np.add.at(out["rmap_bytes"], inverse, work[:, -1].astype(np.int64))
    return _sorted(out)


def _processes(inverse, pids):
    """{number of a key: processes in it}"""
    found = {}
    for key, pid in zip(inverse.tolist(), pids.tolist(), strict=True):
        if pid:
            found.setdefault(key, set()).add(pid)
    return {key: len(those) for key, those in found.items()}
