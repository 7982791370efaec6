"""One run: the jobs in their order, and what came out of them.

Rounds are outside, schemes inside: a drift of the machine meets all schemes alike. A run is short unless it is asked to be
full: fewer schemes and rounds. Either says first what it will take.
"""
import gc
import json
from contextlib import nullcontext
from functools import partial
from typing import NamedTuple

from rmapcore.errors import keeping
from rmapcore.kernels import newest as newest_kernel
from rmapcore.lab.compare import SCHEMES as USUAL
from rmapcore.lab.diff import Condition, meets, numbers
from rmapcore.linux.live import measure as measure_live
from rmapcore.schemes import choose, newest, registry
from rmapcore.studies.bench import growth, records, tables, targets
from rmapcore.studies.bench.busy import Busy
from rmapcore.studies.bench.inside import entry_pool
from rmapcore.studies.bench.measures import (
    measure_batches,
    measure_first_touch,
    measure_life,
    measure_reclaim,
    measure_tables,
)
from rmapcore.studies.bench.memory import measure_memory
from rmapcore.studies.bench.recording import Recording
from rmapcore.studies.bench.scenes import ORDERS, machine_of
from rmapcore.studies.bench.sharing import PARTS, SHARED_ORDERS, SHARERS, USUAL_SHARERS, measure_sharing
from rmapcore.studies.bench.threads import measure_control, measure_threads
from rmapcore.units import PAGE, format_size

PAGES = 1 << 20
MOST_PAGES = 1 << 30                   # two processes' entries of so many pages have slots
ROUNDS, FULL_ROUNDS = 3, 5
KERNEL_PAGES = 1 << 20                 # most that the live kernel is asked for: it is slow
KERNEL_ROUNDS = 3
KERNEL_NS = 13000                      # that a page takes the live kernel in a round, all in all
JOB_NS = 500                           # that a page takes a job which says nothing else, its scene included
MOST_THREADS_PAGES = 1 << 18           # of the job with two threads: it grows no further


class Job(NamedTuple):
    """measure(scheme, pages, seed) gives Samples; about: what progress shows; scheme None: none has a part in it.

    ns: what a page takes, the scene included: measured once on two cores that others had work on too, and used for
    progress and for what a run will take.  own: whether all of it runs in this thread.
    """

    measure: object
    scheme: str | None
    pages: int
    about: str
    ns: int = JOB_NS
    own: bool = True

    @property
    def seconds(self):
        return self.pages * self.ns / 1e9


class Bench:
    """What a run gave.

    records: as rmapcore.studies.bench.records has them.  problems: pages left undone, one line each.  notes: what was not
    measured and why, one line each.  heading: what was run.  entry_data: schemes that keep something for each
    page-table entry.  earlier: records of an earlier run by key, or None.  partial: whether it was broken off.
    """

    def __init__(self, made, problems, notes, heading, entry_data, earlier, partial=False):
        self.records = made
        self.partial = partial
        self.problems = problems
        self.notes = notes
        self.heading = heading
        self.entry_data = entry_data
        self.earlier = earlier

    @property
    def ok(self):
        """Whether every measurement did all of its pages, and no condition is met. A missed target changes nothing here."""
        return not self.problems

    def targets(self, record):
        """The targets that a record is held to."""
        return targets.of(record, record["scheme"] in self.entry_data)

    def to_json(self):
        """The list of records as JSON text; of a run that was broken off {"partial": true, "records": […]}."""
        return json.dumps({"partial": True, "records": self.records} if self.partial else self.records, indent=1,
                          allow_nan=False) + "\n"

    def table(self, color=False, width=None):
        """The records for people."""
        return tables.text(self, color, width)


def bench(schemes=None, pages=PAGES, rounds=None, seed=0, progress=None, growing=False, trace=None, against=None,
          max_text=None, fail_if=(), full=False, announce=None):
    """Measures the kernels of these schemes (`subjects`; SCHEME@KERNEL: under that kernel's rules); a Bench.

    schemes: names, other text that leads to a scheme, or classes that a fresh interpreter finds by their text.
    pages: of the one process.  rounds: how often, medians are taken; None: ROUNDS, of a full run FULL_ROUNDS.
    seed: of the random orders.
    progress: None or called with (done, total, text).  growing: also at 4, 16 and 64 times the pages, as far as memory
    allows.  trace: path of a recording to parse and replay.  against: path of the JSON of an earlier run, for the table.
    max_text: as of load_trace.  fail_if: conditions (rmapcore/lab/diff.py) on the earlier run's records and these.
    full: every scheme where none is named, and every number of sharers.  announce: None or called with one line of text
    that says what the run will take.
    Raises UnknownName, ValueError, TraceError, OSError. A KeyboardInterrupt has what was finished as `partial`.
    """
    more = "; --full measures all" if schemes is None and not full else ""
    schemes = subjects(full) if schemes is None else [subject(scheme) for scheme in schemes]
    rounds = (FULL_ROUNDS if full else ROUNDS) if rounds is None else rounds
    pages, rounds = whole("pages", pages, 1, MOST_PAGES), whole("rounds", rounds, 1, 1000)
    entry_data = {scheme for scheme in schemes if keeps_entry_data(scheme)}
    if not schemes or len(set(schemes)) < len(schemes):
        raise ValueError("schemes: at least one is needed, and none twice")
    lacking = growth.lacks(pages, growth.BYTES_A_PAGE)
    if lacking:
        raise ValueError(f"pages: {lacking}")
    earlier = None if against is None else records.read(against)
    conditions = conditions_of(fail_if, earlier)
    with nullcontext() if trace is None else Recording(trace, max_text) as recording:
        sizes, left_out = growth.sizes(pages, rounds) if growing else ([], [])
        todo = list(jobs(schemes, pages, rounds, sizes, recording, full))
        measured = Measured(pages, rounds, seed, entry_data, earlier, conditions, left_out)
        seconds = measured.kernel_seconds + sum(job.seconds for job in todo)
        if announce:
            most = max(pages * growth.BYTES_A_PAGE, *(size * growth.BYTES_A_PAGE_GROWN for size, _ in sizes), 0)
            announce(f"{len(schemes)} scheme{'s' * (len(schemes) > 1)} in {rounds} round{'s' * (rounds > 1)}: about "
                     f"{duration(seconds)} and {format_size(most)} of memory{more}")
        report = Progress(progress, seconds)
        with keeping(lambda: measured.bench(partial=True) if measured.samples else None):
            measured.kernel = kernel_times(min(pages, KERNEL_PAGES), measured.kernel_seconds, report)
            for job in todo:
                report(0, job.about)
                measured.take(job)
                gc.collect()                   # machines and their processes refer to each other
                report(job.seconds, job.about)
        return measured.bench()


class Measured:
    """What a run has measured so far. kernel: the LiveTimes.  samples: {(name, order, pages): {scheme: [Sample]}}."""

    def __init__(self, pages, rounds, seed, entry_data, earlier, conditions, notes):
        self.pages, self.rounds, self.seed, self.entry_data = pages, rounds, seed, entry_data
        self.earlier, self.conditions, self.notes = earlier, conditions, notes
        self.kernel, self.samples, self.problems, self.busy = None, {}, [], Busy()

    @property
    def kernel_seconds(self):
        """What the live kernel will take, about."""
        return KERNEL_ROUNDS * min(self.pages, KERNEL_PAGES) * KERNEL_NS / 1e9

    def take(self, job):
        """Does a job."""
        self.busy.begin()
        found = list(job.measure(job.scheme, job.pages, self.seed))
        if job.own:
            self.busy.end()
        for sample in found:
            by_scheme = self.samples.setdefault((sample.name, sample.order, sample.pages), {})
            by_scheme.setdefault(job.scheme, []).append(sample)
            if sample.done != sample.expected:
                problem = (f"{sample.name}{f' of {job.scheme}' if job.scheme else ''}, {sample.order}, "
                           f"{sample.pages:,} pages: {sample.done:,} of {sample.expected:,} done")
                self.problems += [problem] * (problem not in self.problems)

    def bench(self, partial=False):
        """The Bench of it."""
        made = [records.record(scheme, found) for by_scheme in self.samples.values() for scheme, found in by_scheme.items()]
        records.relate(made, self.pages, self.kernel.ns, self.entry_data)
        self.busy.judge(made)
        problems = list(self.problems)
        if self.conditions and not partial:
            problems += meets(self.conditions, *({key: dict(numbers(record)) for key, record in run.items()} for run in
                                                 (self.earlier, {records.key(record): record for record in made})))
        reasons = self.kernel.reasons
        notes = [f"live kernel, {', '.join(name for name in reasons if reasons[name] == reason)}: {reason}"
                 for reason in dict.fromkeys(reasons.values())]
        heading = (f"{self.pages:,} pages, medians of {self.rounds} rounds, seed {self.seed}; the live kernel: "
                   f"{self.kernel.pages:,} pages, medians of {KERNEL_ROUNDS}\n{self.busy.text}")
        return Bench(made, problems, notes + self.notes, heading, self.entry_data, self.earlier, partial)


def conditions_of(texts, earlier):
    """The Conditions on figures of bench; ValueError for one that can hold of nothing."""
    conditions = [Condition(text) for text in texts]
    if conditions and earlier is None:
        raise ValueError("a condition is on an earlier run: --fail-if goes with --against")
    unknown = [condition.name for condition in conditions if condition.name not in records.FIGURES]
    if unknown:
        raise ValueError(f"{unknown[0]!r} is no figure of bench; it has {', '.join(records.FIGURES)}")
    return conditions


def duration(seconds):
    """In words, roughly."""
    return f"{max(1, round(seconds))} s" if seconds < 90 else f"{round(seconds / 60)} minutes"


def subjects(full=True):
    """What is measured if nobody is named: every scheme, or those of `compare`; and the newest under the newest rules."""
    return [*(registry() if full else USUAL), f"{newest()}@{newest_kernel()}"]


def subject(scheme):
    """A scheme as text, which the interpreter that measures its memory can take as well."""
    if isinstance(scheme, str):
        return scheme
    choice = choose(scheme)
    if choose(choice.text).cls is not choice.cls:
        raise ValueError(f"scheme {choice.text}: a fresh interpreter would find another class there")
    return choice.text


def jobs(schemes, pages, rounds, sizes, recording, full=False):
    """All jobs in their order. full: of shared pages every case, those of other numbers of sharers in one round."""
    reclaim_ns = dict(zip(ORDERS, (500, 1200, 3200), strict=True))
    kinds = [(measure_first_touch, "first touch", 100), (measure_batches, "fault-in", 200),
             (measure_life, "fork, exit, mremap", 300), (measure_tables, "mremap of whole tables", 100)]
    kinds += [(partial(measure_reclaim, order=order), f"swapout, {order}", ns) for order, ns in reclaim_ns.items()]
    if recording:
        kinds.append((recording.measure_replay, "replay", JOB_NS))
    kinds += sharing_kinds([USUAL_SHARERS], PARTS if full else ("", "_rewritten"))
    for scheme in schemes:
        yield Job(measure_memory, scheme, pages, f"{scheme}: memory", 900, own=False)
    for _ in range(rounds):
        yield Job(measure_control, None, pages, "two threads, control", 400, own=False)
        if recording:
            yield Job(recording.measure_parse, None, pages, "parsing")
            yield Job(recording.measure_load, None, pages, "loading")
        for scheme in schemes:
            yield from (Job(measure, scheme, pages, f"{scheme}: {about}", ns) for measure, about, ns in kinds)
            yield Job(measure_threads, scheme, min(pages, MOST_THREADS_PAGES), f"{scheme}: two threads", 8000, own=False)
    if full:
        others = sharing_kinds([sharers for sharers in SHARERS if sharers != USUAL_SHARERS], PARTS)
        for scheme in schemes:
            yield from (Job(measure, scheme, pages, f"{scheme}: {about}", ns) for measure, about, ns in others)
    kinds = [(growth.measure_fill, "fault-in", 100)]
    kinds += [(partial(measure_reclaim, order=order, alone=False), f"swapout, {order}", ns // 2)
              for order, ns in reclaim_ns.items()]
    for size, times in sizes:
        for _ in range(times):
            for scheme in schemes:
                yield from (Job(measure, scheme, size, f"{scheme}: {about}, {size:,} pages", ns)
                            for measure, about, ns in kinds)


def sharing_kinds(sharers, parts):
    """Cases of shared pages, as `jobs` has its kinds."""
    return [(partial(measure_sharing, sharers=number, part=part, order=order), f"swapout of {number} sharers{part}, {order}",
             1200 if part else 600) for number in sharers for part in parts for order in SHARED_ORDERS]


class Progress:
    """Calls a function of (done, total, text), if there is one."""

    def __init__(self, show, total):
        self.show, self.total = show, total
        self.done = 0

    def __call__(self, step, text):
        self.done += step
        if self.show:
            self.show(self.done, self.total, text)


def kernel_times(pages, seconds, report):
    """The LiveTimes of so many pages, which take about so many seconds."""
    begun = report.done

    def show(done, total, text):
        report(max(0, begun + seconds * done / total - report.done), f"live kernel: {text}")

    report(0, "live kernel")
    times = measure_live(pages, KERNEL_ROUNDS, show)
    report(begun + seconds - report.done, "live kernel")
    return times


def keeps_entry_data(scheme):
    """Whether a scheme keeps something for each page-table entry. Raises UnknownName, ValueError."""
    return entry_pool(machine_of(scheme, ram=16 * PAGE, swap=0)) != 0


def whole(name, value, low, high):
    """A whole number from low to high, perhaps as text."""
    if isinstance(value, bool) or not str(value).isdecimal() or not low <= int(value) <= high:
        raise ValueError(f"{name}: {value!r} is not a whole number from {low:,} to {high:,}")
    return int(value)
