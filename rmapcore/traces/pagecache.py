"""What the page cache held, as far as a recording tells: pages that came and went while it was made.

    filemap:mm_filemap_add_to_page_cache       pages of a file were read, or written without being mapped
    filemap:mm_filemap_delete_from_page_cache  they are gone again: cut off, punched out, or dropped

A page whose first event is that it came was not there before; all others of a file count as there from the beginning, for a
recording does not say. Files are known by device and inode, which PERF_RECORD_MMAP2 prints too; what is mapped by nobody of the
recording is passed over.
"""
import re

import numpy as np

from rmapcore.operations import OPERATION, Op
from rmapcore.traces.lines import BadLine
from rmapcore.units import PAGE

RECORD_BYTES = OPERATION.itemsize
ORDER_MOST = 20
_EVENT = re.compile(r"dev (\d+):(\d+) ino ([0-9a-f]+) pfn=\S+ ofs=(\d+)(?: order=(\d+))?")


class PageCache:
    """records: of an importer, which get an empty one for each run of pages, filled in when the files are known."""

    def __init__(self, records):
        self.records = records
        self.runs = []                         # [place, device, inode, first page, pages, whether they came]

    def take(self, came, thread, values, text):
        """A line of one of the two events."""
        match = _EVENT.match(text)
        if not match or int(match[5] or 0) > ORDER_MOST or max(map(len, match.groups("0"))) > 19:
            raise BadLine("the fields of an event of the page cache cannot be read")
        major, minor, inode, offset, order = match.groups("0")
        if int(offset) >> 62:
            raise BadLine(f"a page at byte {offset} of a file")
        device = f"{int(major):02x}:{int(minor):02x}"
        first, pages = int(offset) // PAGE, 1 << int(order)
        last = self.runs[-1] if self.runs else None
        if (last and last[0] == len(self.records) - RECORD_BYTES and last[1:3] == [device, str(int(inode, 16))]
                and last[5] == came and last[3] + last[4] == first):
            last[4] += pages
        else:
            self.runs.append([len(self.records), device, str(int(inode, 16)), first, pages, came])
            self.records += bytes(RECORD_BYTES)

    def settle(self, operations, files):
        """Fills in the records, and gives the operations that go before all others: what was cached of files not cached whole.

        files: traces.files.Files; those are its cold ones.
        """
        numbers = files.by_inode()
        known = {}                             # file -> [(first page, pages, came)]
        for place, device, inode, first, pages, came in self.runs:
            file = numbers.get((device, inode))
            if file is not None:
                one = operations[place // RECORD_BYTES:][:1]
                one["op"], one["other"] = Op.READAHEAD if came else Op.PUNCH_HOLE, file
                one["addr"], one["length"] = first * PAGE, pages * PAGE
                known.setdefault(file, []).append((first, pages, came))
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
