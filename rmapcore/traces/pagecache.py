"""What the page cache held, as far as a recording tells: pages that came and went while it was made.

    filemap:mm_filemap_add_to_page_cache       pages of a file were read, or written without being mapped
    filemap:mm_filemap_delete_from_page_cache  they are gone again: cut off, punched out, or dropped
    filemap:mm_filemap_fault                   a read fault has not found its page mapped by fault-around

A page whose first event is that it came was not there before; all others of a file count as there from the beginning, for a
recording does not say. A page that a read fault has missed was not there for fault-around until then, though it may have been
read: it has the mark of readahead, or is locked (mm/filemap.c next_uptodate_folio). Files are known by device and inode, which
PERF_RECORD_MMAP2 prints too; what is mapped by nobody of the recording is passed over.

Pages come in folios; which were there before, and in which ones, lines of `capture` tell (folios.py).
"""
import re

import numpy as np

from rmapcore.operations import MOST_FOLIO_ORDER, NOT_CACHED, OPERATION, Op
from rmapcore.traces.folios import Folios
from rmapcore.traces.lines import BadLine
from rmapcore.units import PAGE

RECORD_BYTES = OPERATION.itemsize
ORDER_MOST = 20
_EVENT = re.compile(r"dev (\d+):(\d+) ino ([0-9a-f]+) pfn=\S+ ofs=(\d+)(?: order=(\d+))?")
_MISS = re.compile(r"dev=(\d+):(\d+) ino=([0-9a-f]+) ofs=(\d+)()")
CAME, GONE, MISSED = range(3)


class Run:
    """Pages of a file, neighbours, to which the same has happened. place: of the record that is kept for it; order: of the
    folio, if they came as one."""

    __slots__ = ("device", "first", "inode", "order", "pages", "place", "what")

    def __init__(self, place, text, what):
        match = (_MISS if what == MISSED else _EVENT).match(text)
        if not match or int(match[5] or 0) > ORDER_MOST or max(map(len, match.groups("0"))) > 19:
            raise BadLine("the fields of an event of the page cache cannot be read")
        major, minor, inode, offset, order = match.groups("0")
        if int(offset) >> 62:
            raise BadLine(f"a page at byte {offset} of a file")
        self.place, self.what = place, what
        self.device, self.inode = f"{int(major):02x}:{int(minor):02x}", str(int(inode, 16))
        self.first, self.pages, self.order = int(offset) // PAGE, 1 << int(order or 0), 0
        if what == CAME and int(order or 0) <= MOST_FOLIO_ORDER and self.first % self.pages == 0:
            self.order = int(order or 0)


class PageCache:
    """records: of an importer, which get an empty one for each run of pages, filled in when the files are known."""

    def __init__(self, records):
        self.records = records
        self.runs = []
        self.folios = Folios()
        self.guesses = []                      # (place, file) of reads in place of a large folio that was mapped whole

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

    def guess(self, file):
        """The next record is a read in place of a folio of that file, of which nothing is known but that it was mapped."""
        self.guesses.append((len(self.records), file))

    def drop_guesses(self, operations, files):
        """Those of files whose folios are told: by lines, which tell of all files that did not change, or by events."""
        numbers = files.by_inode()
        told = {numbers.get((run.device, run.inode)) for run in self.runs if run.order}
        kept = []
        for place, file in self.guesses:
            if self.folios.told or file in told:
                operations[place // RECORD_BYTES:][:1] = 0
            else:
                kept.append((place, file))
        self.guesses = kept

    def settle(self, operations, files):
        """Fills in the records, and gives the operations that go before all others: how files lay in the page cache at first.

        files: traces.files.Files.
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
            one["addr"], one["length"], one["arg"] = run.first * PAGE, run.pages * PAGE, run.order
            known.setdefault(file, []).append((run.first, run.pages, run.what != GONE))
        self.drop_guesses(operations, files)
        told = self.folios.of(files)
        made = []
        for file in sorted(known.keys() | told.keys()):
            size, runs = files.table[file - 1][1] // PAGE, told.get(file)
            made += [(file, order, first, pages) for order, first, pages in runs or () if order]
            made += [(file, NOT_CACHED, start, end - start)
                     for start, end in absent_at_first(known.get(file, ()), runs, size)]
        before = np.zeros(len(made), OPERATION)
        before["op"] = Op.READAHEAD
        for one, (file, order, first, pages) in zip(before, made, strict=True):
            one["other"], one["addr"], one["length"], one["arg"] = file, first * PAGE, pages * PAGE, order
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
                miss.first, miss.pages, miss.order = run.first, run.pages, run.order
                return


def absent_at_first(events, runs, size):
    """[(start, end)] of those of the first `size` pages that were not cached before.

    events: (first page, pages, whether they came): a page whose first event is that it came was not there.
    runs: (order, first page, pages) of all that was cached in the end, which was there from the beginning if it has no event;
    None: what has no event counts as cached. Files may be large, events and runs few.
    """
    borders = {min(page, size) for first, pages in [*(event[:2] for event in events), *(run[1:] for run in runs or ())]
               for page in (first, first + pages)}
    edges = np.unique([0, size, *borders])

    def pieces(first, pages):
        return slice(*np.searchsorted(edges, (min(first, size), min(first + pages, size))))

    absent, told = np.full(len(edges) - 1, runs is not None), np.zeros(len(edges) - 1, bool)
    for _, first, pages in runs or ():
        absent[pieces(first, pages)] = False
    for first, pages, came in events:
        here = pieces(first, pages)
        absent[here] = np.where(told[here], absent[here], came)
        told[here] = True
    cuts = edges[np.flatnonzero(np.diff(np.concatenate([[False], absent, [False]])))].tolist()
    return list(zip(cuts[::2], cuts[1::2], strict=True))
