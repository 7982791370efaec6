"""One run: the jobs in their order, and what came out of them.

Rounds are outside, schemes inside: a drift of the machine meets all schemes alike.
"""
import gc
import json
import os
from functools import partial
from typing import NamedTuple

from rmapcore.kernels import newest as newest_kernel
from rmapcore.lab.diff import Condition, meets, numbers
from rmapcore.linux.live import measure as measure_live
from rmapcore.schemes import choose, newest, registry
from rmapcore.studies.bench import growth, records, tables, targets
from rmapcore.studies.bench.inside import entry_pool
from rmapcore.studies.bench.measures import measure_batches, measure_first_touch, measure_life, measure_reclaim
from rmapcore.studies.bench.memory import measure_memory
from rmapcore.studies.bench.recording import Recording
from rmapcore.studies.bench.scenes import ORDERS, machine_of
from rmapcore.studies.bench.threads import measure_control, measure_threads
from rmapcore.units import PAGE

PAGES = 1 << 20
MOST_PAGES = 1 << 30                   # two processes' entries of so many pages have slots
ROUNDS = 5
KERNEL_PAGES = 1 << 20                 # most that the live kernel is asked for: it is slow
KERNEL_ROUNDS = 3
KERNEL_WEIGHT = 100                    # time of the live kernel in units of one job over as many pages, for progress


class Job(NamedTuple):
    """measure(scheme, pages, seed) gives Samples; about: what progress shows; scheme None: none has a part in it."""

    measure: object
    scheme: str | None
    pages: int
    about: str


class Bench:
    """What a run gave.

    records: as rmapcore.studies.bench.records has them.  problems: pages left undone, one line each.  notes: what was not
    measured and why, one line each.  heading: what was run.  entry_data: schemes that keep something for each
    page-table entry.  earlier: records of an earlier run by key, or None.
    """

    def __init__(self, made, problems, notes, heading, entry_data, earlier):
        self.records = made
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
        """The list of records as JSON text."""
        return json.dumps(self.records, indent=1, allow_nan=False) + "\n"

    def table(self, color=False, width=None):
        """The records for people."""
        return tables.text(self, color, width)


def bench(schemes=None, pages=PAGES, rounds=ROUNDS, seed=0, progress=None, growing=False, trace=None, against=None,
          max_text=None, fail_if=()):
    """Measures the kernels of these schemes (`subjects`; SCHEME@KERNEL: under that kernel's rules); a Bench.

    schemes: names, other text that leads to a scheme, or classes that a fresh interpreter finds by their text.
    pages: of the one process.  rounds: how often; medians are taken.  seed: of the random orders.
    progress: None or called with (done, total, text).  growing: also at 4, 16 and 64 times the pages, as far as memory
    allows.  trace: path of a recording to parse and replay.  against: path of the JSON of an earlier run, for the table.
    max_text: as of load_trace.  fail_if: conditions (rmapcore/lab/diff.py) on the earlier run's records and these.
    Raises UnknownName, ValueError, TraceError, OSError.
    """
    schemes = subjects() if schemes is None else [subject(scheme) for scheme in schemes]
    pages, rounds = whole("pages", pages, 1, MOST_PAGES), whole("rounds", rounds, 1, 1000)
    entry_data = {scheme for scheme in schemes if keeps_entry_data(scheme)}
    if not schemes or len(set(schemes)) < len(schemes):
        raise ValueError("schemes: at least one is needed, and none twice")
    lacking = growth.lacks(pages, growth.BYTES_A_PAGE)
    if lacking:
        raise ValueError(f"pages: {lacking}")
    earlier = None if against is None else records.read(against)
    conditions = [Condition(text) for text in fail_if]
    if conditions and earlier is None:
        raise ValueError("a condition is on an earlier run: --fail-if goes with --against")
    unknown = [condition.name for condition in conditions if condition.name not in records.FIGURES]
    if unknown:
        raise ValueError(f"{unknown[0]!r} is no figure of bench; it has {', '.join(records.FIGURES)}")
    recording = None if trace is None else Recording(trace, max_text)
    sizes, left_out = growth.sizes(pages, rounds) if growing else ([], [])
    todo = list(jobs(schemes, pages, rounds, sizes, recording))
    kernel_pages = min(pages, KERNEL_PAGES)
    report = Progress(progress, sum(job.pages for job in todo) + KERNEL_WEIGHT * kernel_pages)

    load = os.getloadavg()[0]              # tells why seconds are long, and two threads no faster than one
    kernel = kernel_times(kernel_pages, report)
    samples, problems = {}, []
    for job in todo:
        report(0, job.about)
        for sample in job.measure(job.scheme, job.pages, seed):
            samples.setdefault((sample.name, sample.order, sample.pages), {}).setdefault(job.scheme, []).append(sample)
            if sample.done != sample.expected:
                problem = (f"{sample.name}{f' of {job.scheme}' if job.scheme else ''}, {sample.order}, "
                           f"{sample.pages:,} pages: {sample.done:,} of {sample.expected:,} done")
                problems += [problem] * (problem not in problems)
        gc.collect()                       # machines and their processes refer to each other
        report(job.pages, job.about)
    made = [records.record(scheme, found) for by_scheme in samples.values() for scheme, found in by_scheme.items()]
    records.relate(made, pages, kernel.ns, entry_data)
    if conditions:
        problems += meets(conditions, *({key: dict(numbers(record)) for key, record in run.items()}
                                        for run in (earlier, {records.key(record): record for record in made})))
    notes = [f"live kernel, {', '.join(name for name in kernel.reasons if kernel.reasons[name] == reason)}: {reason}"
             for reason in dict.fromkeys(kernel.reasons.values())] + left_out
    heading = (f"{pages:,} pages, medians of {rounds} rounds, seed {seed}; the live kernel: {kernel.pages:,} pages, medians "
               f"of {KERNEL_ROUNDS}\n{os.cpu_count()} processors, {load:.1f} at work on other things when it began")
    return Bench(made, problems, notes, heading, entry_data, earlier)


def subjects():
    """What is measured if nobody is named: every scheme, and the newest under the newest rules too."""
    return [*registry(), f"{newest()}@{newest_kernel()}"]


def subject(scheme):
    """A scheme as text, which the interpreter that measures its memory can take as well."""
    if isinstance(scheme, str):
        return scheme
    choice = choose(scheme)
    if choose(choice.text).cls is not choice.cls:
        raise ValueError(f"scheme {choice.text}: a fresh interpreter would find another class there")
    return choice.text


def jobs(schemes, pages, rounds, sizes, recording):
    """All jobs in their order."""
    kinds = [(measure_first_touch, "first touch"), (measure_batches, "fault-in"), (measure_life, "fork, exit, mremap")]
    for order in ORDERS:
        kinds.append((partial(measure_reclaim, order=order), f"swapout, {order}"))
    kinds.append((measure_threads, "two threads"))
    if recording:
        kinds.append((recording.measure_replay, "replay"))
    for scheme in schemes:
        yield Job(measure_memory, scheme, pages, f"{scheme}: memory")
    for _ in range(rounds):
        yield Job(measure_control, None, pages, "two threads, control")
        if recording:
            yield Job(recording.measure_parse, None, pages, "parsing")
        for scheme in schemes:
            yield from (Job(measure, scheme, pages, f"{scheme}: {about}") for measure, about in kinds)
    kinds = [(growth.measure_fill, "fault-in")]
    kinds += [(partial(measure_reclaim, order=order, alone=False), f"swapout, {order}") for order in ORDERS]
    for size, times in sizes:
        for _ in range(times):
            for scheme in schemes:
                yield from (Job(measure, scheme, size, f"{scheme}: {about}, {size:,} pages") for measure, about in kinds)


class Progress:
    """Calls a function of (done, total, text), if there is one."""

    def __init__(self, show, total):
        self.show, self.total = show, total
        self.done = 0

    def __call__(self, step, text):
        self.done += step
        if self.show:
            self.show(self.done, self.total, text)


def kernel_times(pages, report):
    """The LiveTimes of so many pages."""
    weight = KERNEL_WEIGHT * pages

    def show(done, total, text):
        report(max(0, weight * done // total - report.done), f"live kernel: {text}")

    report(0, "live kernel")
    times = measure_live(pages, KERNEL_ROUNDS, show)
    report(weight - report.done, "live kernel")
    return times


def keeps_entry_data(scheme):
    """Whether a scheme keeps something for each page-table entry. Raises UnknownName, ValueError."""
    return entry_pool(machine_of(scheme, ram=16 * PAGE, swap=0)) != 0


def whole(name, value, low, high):
    """A whole number from low to high, perhaps as text."""
    if isinstance(value, bool) or not str(value).isdecimal() or not low <= int(value) <= high:
        raise ValueError(f"{name}: {value!r} is not a whole number from {low:,} to {high:,}")
    return int(value)
