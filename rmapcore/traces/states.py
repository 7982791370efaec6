"""States of processes in a recording: areas, pages and page tables as the kernel showed them while all stood still.

They stand between the lines of events, where perf script and people pass over them:

    # state 3743.696761000
    # process 18109 14 bash                                               pid, page tables but the top one, name
    # special 7fff5e1fe 2                                                 pages of vdso and vvar: first, how many
    # area 7fa7e7311000-7fa7e7312000 rw-p 0 00:00 0 rd,wr,mr,mw,me /lib/a  offset, device, inode, VmFlags, path
    # pages 7fa7e7311 1 anon 2 4                                          first, how many, kind, mapcount, first group
    # end of state

Numbers of pages and addresses are hexadecimal, all else decimal. Pages of a group are one frame, of any process; groups count
up along a run, and 0 is a frame that nobody else of these processes maps. Mapcount and group are told of anonymous pages only,
mapcount 0 of those on huge pages.
"""
import re
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from rmapcore.traces.lines import BadLine

KINDS = ("anon", "zero", "swap", "file")
ANON, ZERO, SWAP, FILE = range(len(KINDS))
MOST_PAGES = 1 << 26                           # of a process, in one state: 256 GiB
PAGES = np.dtype([("vpn", "<u8"), ("kind", "u1"), ("mapcount", "<u4"), ("group", "<u4")])
_AREA = re.compile(r"([0-9a-f]{1,16})-([0-9a-f]{1,16}) ([r-][w-][x-][sp]) (\d{1,19}) ([0-9a-f]+:[0-9a-f]+) (\d+) ([a-z0-9,]*) "
                   r"?(.*)", re.S)


class AreaSeen(NamedTuple):
    """start, end, offset in bytes; flags: words of VmFlags, sorted, with commas; file: number in the trace's table, 0 none."""

    start: int
    end: int
    perms: str
    offset: int
    device: str
    inode: str
    flags: str
    path: str
    file: int = 0


class Run(NamedTuple):
    """Pages in a row: first page number, how many, kind (of KINDS, as a number), mapcount, group of the first or 0."""

    vpn: int
    count: int
    kind: int
    mapcount: int
    group: int


@dataclass
class ProcessSeen:
    """tables: VmPTE; special: (first, count) of pages of vdso and vvar; space: the pid that operations have."""

    pid: int
    tables: int
    name: str
    space: int = 0
    special: list = field(default_factory=list)
    areas: list = field(default_factory=list)
    runs: list = field(default_factory=list)

    def pages(self):
        """One record of PAGES a page, ascending."""
        runs = np.array(self.runs, np.int64).reshape(-1, len(Run._fields))
        counts = runs[:, 1]
        within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        found = np.zeros(len(within), PAGES)
        found["vpn"] = np.repeat(runs[:, 0], counts) + within
        found["kind"], found["mapcount"] = np.repeat(runs[:, 2], counts), np.repeat(runs[:, 3], counts)
        groups = np.repeat(runs[:, 4], counts)
        found["group"] = np.where(groups > 0, groups + within, 0)
        return found


@dataclass
class State:
    """time: ns of the recording's clock.  at: number of operations before it.  owners: pid -> pid that operations have."""

    time: int
    at: int = 0
    owners: dict = field(default_factory=dict)
    processes: list = field(default_factory=list)

    def lines(self):
        """The text of it, line by line, without ends."""
        yield f"# state {self.time // 10**9}.{self.time % 10**9:09d}"
        for one in self.processes:
            yield f"# process {one.pid} {one.tables} {one.name}"
            yield from (f"# special {vpn:x} {count}" for vpn, count in one.special)
            for area in one.areas:
                yield (f"# area {area.start:x}-{area.end:x} {area.perms} {area.offset} {area.device} {area.inode} {area.flags} "
                       f"{area.path}")
            for run in one.runs:
                yield f"# pages {run.vpn:x} {run.count} {KINDS[run.kind]} {run.mapcount} {run.group}"
        yield "# end of state"

    def to_list(self):
        """All of it in lists, for JSON."""
        return [self.time, self.at, [[one.pid, one.tables, one.name, one.space, one.special, one.areas, one.runs]
                                     for one in self.processes]]

    @classmethod
    def from_list(cls, values):
        """The State that `to_list` has written."""
        time, at, processes = values
        return cls(time, at, {}, [
            ProcessSeen(pid, tables, name, space, [tuple(pages) for pages in special], [AreaSeen(*area) for area in areas],
                        [Run(*run) for run in runs])
            for pid, tables, name, space, special, areas, runs in processes])


class StateReader:
    """Takes the lines of states in their order; `states` has those that are complete."""

    def __init__(self):
        self.states = []
        self.now = None
        self.count = 0                         # pages of the runs of its last process

    def take(self, word, rest):
        """A line "# word rest"; whether it is one of a state. ValueError if its fields cannot be read."""
        if word == "state":
            seconds, nanoseconds = re.fullmatch(r"(\d{1,9})\.(\d{9})", rest).groups()
            self.now = State(int(seconds) * 10**9 + int(nanoseconds))
            return True
        if self.now is None or word not in ("process", "special", "area", "pages", "end"):
            return False
        if word == "end":
            self.states.append(self.now)
            self.now = None
        elif word == "process":
            pid, tables, *name = rest.split(" ", 2)            # a task may have no name
            self.count = 0
            self.now.processes.append(ProcessSeen(natural(pid, 31), natural(tables, 31), *name or [""]))
        else:
            process = self.now.processes[-1]
            if word == "special":
                vpn, count = rest.split()
                process.special.append((natural(vpn, 52, 16), natural(count, 20)))
            elif word == "area":
                start, end, perms, offset, device, inode, flags, path = _AREA.fullmatch(rest).groups()
                process.areas.append(AreaSeen(int(start, 16), int(end, 16), perms, int(offset), device, inode, flags, path))
            else:
                vpn, count, kind, mapcount, group = rest.split()
                process.runs.append(Run(natural(vpn, 52, 16), natural(count, 35), KINDS.index(kind), natural(mapcount, 32),
                                        natural(group, 32)))
                self.in_order(process)
        return True

    def in_order(self, process):
        """Runs may not overlap and lie in areas; there are not more pages than can be compared."""
        run, area = process.runs[-1], process.areas[-1] if process.areas else None
        before = process.runs[-2] if len(process.runs) > 1 else Run(0, 0, 0, 0, 0)
        if run.vpn < before.vpn + before.count or area is None or (run.vpn + run.count) << 12 > area.end:
            raise ValueError("pages outside of areas, or not ascending")
        self.count += run.count
        if self.count > MOST_PAGES:
            raise BadLine(f"a state with more than {MOST_PAGES:,} pages of a process")


def natural(text, bits, base=10):
    """A number of at most so many bits."""
    value = int(text, base)
    if not 0 <= value < 1 << bits:
        raise ValueError(f"{text} is out of range")
    return value
