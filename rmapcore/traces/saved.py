"""What a saved trace says, checked: its header may have been made by anybody, and its operations too.

Each function raises ValueError with the name of the field and its value.
"""
import numpy as np

from rmapcore.operations import Op
from rmapcore.traces.files import LONGEST
from rmapcore.traces.states import KINDS, MOST_PAGES, AreaSeen, Run
from rmapcore.units import UNLIMITED

FILE_KINDS = ("disk", "shmem", "zero")
MOST_LIVES = 1 << 24                           # address spaces
BATCH = 1 << 14                                # operations looked at in one go: they stay in the cache
OF_A_FILE = (Op.TRUNCATE, Op.PUNCH_HOLE, Op.READAHEAD, Op.WRITEBACK)
WITHOUT_PROCESS = (Op.RECLAIM, *OF_A_FILE)
KNOWN, BY_PROCESS, WITH_OTHER, ON_FILE = 1, 2, 4, 8      # there is one; needs process; needs other; other is a file
NEEDS = np.zeros(max(Op) + 2, np.uint8)                  # of these, by number; the last: any other number
for _op in Op:
    NEEDS[_op] = (KNOWN | BY_PROCESS * (_op not in WITHOUT_PROCESS) | ON_FILE * (_op in (*OF_A_FILE, Op.MMAP))
                  | WITH_OTHER * (_op in (Op.FORK, *OF_A_FILE) and _op != Op.WRITEBACK))
COUNTS = ("lines", "events", "faults", "calls", "processes", "forks", "threads", "alive", "lost")
_WORD = 1 << 64
_AREA = (_WORD, _WORD, str, _WORD, str, str, str, str, 1 << 32)
_RUN = (1 << 52, MOST_PAGES + 1, len(KINDS), 1 << 32, 1 << 32)


def wrong(what, value):
    text = repr(value)
    return ValueError(f"{what} is {text if len(text) <= 60 else text[:57] + '...'}")


def need(good, what, value):
    if not good:
        raise wrong(what, value)


def whole(what, value, end=_WORD):
    need(type(value) is int and 0 <= value < end, what, value)


def row(what, value, kinds):
    """A list of as many values: texts, and whole numbers below an end."""
    need(type(value) in (list, tuple) and len(value) == len(kinds), what, value)
    for one, kind in zip(value, kinds, strict=True):
        need(type(one) is str if kind is str else type(one) is int and 0 <= one < kind, what, value)


def listed(what, value):
    need(type(value) is list, what, value)
    return value


def check_header(header):
    """All fields but the digests and what the size of the file depends on."""
    need(type(header["source"]) is str, "source", header["source"])
    need(type(header["digest"]) is str, "digest", header["digest"])
    for file in listed("files", header["files"]):
        row("a file", file, (str, LONGEST + 1, str))
        need(file[2] in FILE_KINDS, "a file", file)
    check_summary(header["summary"])
    count = header["count"]
    for pair in listed("expected", header.get("expected", [])):
        row("expected", pair, (count, 1 << 16))
    for life in listed("lives", header.get("lives", [])):
        row("lives", life, (count + 1, 1 << 32, 1 << 52, 1 << 52))
    for name in listed("names", header.get("names", [])):
        row("names", name, (1 << 32, str))
    if header.get("cold"):                     # of 2026, before operations said what the page cache did not hold
        raise ValueError("it says of whole files that they are cold, as no rmapcore does any more: import the recording again")
    for state in listed("states", header.get("states", [])):
        check_state(state, count)


def check_summary(summary):
    """Counts, and counts by reason; what else a recorder says of itself is only kept."""
    need(type(summary) is dict and not {"digest", "operations", "files"} & summary.keys(), "summary", summary)
    for name in COUNTS:
        whole(f"summary: {name}", summary.get(name, 0))
    for name in ("left_out", "assumed"):
        reasons = summary.get(name, {})
        need(type(reasons) is dict, f"summary: {name}", reasons)
        for reason, count in reasons.items():
            whole(f"summary: {name}: {reason}", count)
    limit = summary.get("stack_limit")
    if limit not in (None, UNLIMITED):
        whole("summary: stack_limit", limit)
        need(limit % 4096 == 0, "summary: stack_limit", limit)
    recorded = summary.get("recorded", {})
    need(type(recorded) is dict and all(type(text) is str for text in recorded.values()), "summary: recorded", recorded)


def check_state(state, count):
    need(type(state) is list and len(state) == 3, "a state", state)
    whole("a state: its time", state[0])
    whole("a state: its place", state[1], count + 1)
    for process in listed("a state: its processes", state[2]):
        need(type(process) is list and len(process) == 7, "a state: a process", process)
        row("a state: a process", process[:4], (1 << 32, 1 << 32, str, 1 << 32))
        *_, special, areas, runs = process
        for pages in listed("a state: special pages", special):
            row("a state: special pages", pages, (1 << 52, 1 << 20))
        for area in listed("a state: areas", areas):
            row("a state: an area", area, _AREA[:len(AreaSeen._fields)])
        total, before = 0, 0
        for run in listed("a state: pages", runs):
            row("a state: pages", run, _RUN[:len(Run._fields)])
            need(run[0] >= before, "a state: pages, not ascending", run)
            before, total = run[0] + run[1], total + run[1]
        need(total <= MOST_PAGES, "a state: pages of a process", total)


def check_operations(operations, n_files):
    """That each is one, by a process, on files that there are."""
    for first in range(0, len(operations), BATCH):
        some = operations[first:first + BATCH]
        needs, other = NEEDS[np.minimum(some["op"], len(NEEDS) - 1)], some["other"]
        without = BY_PROCESS * (some["process"] == 0) | WITH_OTHER * (other == 0) | ON_FILE * (other > n_files)
        bad = needs & (without | KNOWN) != KNOWN
        at = int(bad.argmax())
        if bad[at]:
            what = "op" if not needs[at] else "process" if needs[at] & without[at] & BY_PROCESS else "other"
            raise wrong(f"operation {first + at:,}: {what}", int(some[what][at]))
