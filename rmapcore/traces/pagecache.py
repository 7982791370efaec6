"""What the page cache held, as far as a recording tells: pages that came and went while it was made.

    filemap:mm_filemap_add_to_page_cache       pages of a file were read, or written without being mapped
    filemap:mm_filemap_delete_from_page_cache  they are gone again: cut off, punched out, or dropped
    filemap:mm_filemap_fault                   a read fault has not found its page mapped by fault-around

A page whose first event is that it came was not there before; all others of a file count as there from the beginning, for a
recording does not say. A page that a read fault has missed was not there for fault-around until then, though it may have been
read: it has the mark of readahead, or is locked (mm/filemap.c next_uptodate_folio). Files are known by device and inode, which
PERF_RECORD_MMAP2 prints too; what is mapped by nobody of the recording is passed over.
"""
import re

import numpy as np

from rmapcore.operations import OPERATION, Op
from rmapcore.traces.lines import BadLine
from rmapcore.units import PAGE

RECORD_BYTES = OPERATION.itemsize
ORDER_MOST = 20
_EVENT = re.compile(r"dev (\d+):(\d+) ino ([0-9a-f]+) pfn=\S+ ofs=(\d+)(?: order=(\d+))?")
_MISS = re.compile(r"dev=(\d+):(\d+) ino=([0-9a-f]+) ofs=(\d+)()")
CAME, GONE, MISSED = range(3)


class Run:
    """Pages of a file, neighbours, to which the same has happened. place: of the record that is kept for it."""

    __slots__ = ("device", "first", "inode", "pages", "place", "what")

    def __init__(self, place, text, what):
        match = (_MISS if what == MISSED else _EVENT).match(text)
        if not match or int(match[5] or 0) > ORDER_MOST or max(map(len, match.groups("0"))) > 19:
            raise BadLine("the fields of an event of the page cache cannot be read")
        major, minor, inode, offset, order = match.groups("0")
        if int(offset) >> 62:
            raise BadLine(f"a page at byte {offset} of a file")
        self.place, self.what = place, what
        self.device, self.inode = f"{int(major):02x}:{int(minor):02x}", str(int(inode, 16))
        self.first, self.pages = int(offset) // PAGE, 1 << int(order or 0)


class PageCache:
    """records: of an importer, which get an empty one for each run of pages, filled in when the files are known."""

    def __init__(self, records):
        self.records = records
        self.runs = []

    def take(self, came, thread, values, text):
        """A line of one of the first two events."""
        run = Run(len(self.records), text, CAME if came else GONE)
        last = self.runs[-1] if self.runs else None
        if (not came and last and last.place == len(self.records) - RECORD_BYTES and last.what == GONE
                and (last.device, last.inode, last.first + last.pages) == (run.device, run.inode, run.first)):
            last.pages += run.pages
        else:
            self.keep(run)

    def missed(self, text):
        """The Run of a page that a fault has missed. To be kept if it was a read."""
        return Run(len(self.records), text, MISSED)

    def keep(self, run):
        self.runs.append(run)
        self.records += bytes(RECORD_BYTES)
        return run

    def settle(self, operations, files):
        """Fills in the records, and gives the operations that go before all others: what was cached of files not cached whole.

        files: traces.files.Files; those are its cold ones.
        """
        numbers = files.by_inode()
        known = {}                             # file -> [(first page, pages, whether they came)]
        came = {}                              # (file, first page) -> Run of pages that fault-around may map
        for run in self.runs:
            file = numbers.get((run.device, run.inode))
            if file is None:
                continue
            if run.what == MISSED:
                self.brought_late(operations, file, run, came)
            else:
                came[file, run.first] = run if run.what == CAME else None
            one = operations[run.place // RECORD_BYTES:][:1]
            one["op"], one["other"] = Op.PUNCH_HOLE if run.what == GONE else Op.READAHEAD, file
            one["addr"], one["length"] = run.first * PAGE, run.pages * PAGE
            known.setdefault(file, []).append((run.first, run.pages, run.what != GONE))
        made = []
        for file, events in sorted(known.items()):
            size = files.table[file - 1][1] // PAGE
            edges, absent = absent_at_first(events, size)
            if absent.any():
                files.cold.append(file)
                cuts = edges[np.flatnonzero(np.diff(np.concatenate([[1], absent, [1]])))].tolist()
                made += [(file, start, end) for start, end in zip(cuts[::2], cuts[1::2], strict=True)]
        before = np.zeros(len(made), OPERATION)
        before["op"] = Op.READAHEAD
        for one, (file, start, end) in zip(before, made, strict=True):
            one["other"], one["addr"], one["length"] = file, start * PAGE, (end - start) * PAGE
        return before

    @staticmethod
    def brought_late(operations, file, miss, came):
        """Pages that came before the fault that has missed them come with the fault, for fault-around has passed over them."""
        for order in range(ORDER_MOST + 1):
            first = miss.first >> order << order
            run = came.get((file, first))
            if run is not None and miss.first < first + run.pages:
                operations[run.place // RECORD_BYTES:][:1] = 0
                came[file, first] = None
                miss.first, miss.pages = run.first, run.pages
                return

def absent_at_first(events, size):
    """Which of the first `size` pages were not cached before: their first event is that they came.

    (edges, absent): pages from edges[i] to edges[i + 1] are all alike, absent[i], an int8. Files may be large, and events few.
    """
    edges = np.unique([0, size, *(min(page, size) for first, pages, _ in events for page in (first, first + pages))])
    told, absent = np.zeros(len(edges) - 1, bool), np.zeros(len(edges) - 1, np.int8)
    for first, pages, came in events:
        here = slice(*np.searchsorted(edges, (min(first, size), min(first + pages, size))))
        absent[here] |= ~told[here] & came
        told[here] = True
    return edges, absent
