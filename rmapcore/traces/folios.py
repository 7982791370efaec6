"""How files lie in the page cache, as far as a recording says of those that were there before it.

    # folios: 4:0+64,0:64+3 2148020 1234567 /usr/lib/libfoo.so        ORDER:FIRST+PAGES, inode, bytes, path

Lines of their own at the end, which `capture` writes; of a file that has one, what is in no run is not in the page cache. Pages
that came while it was made are told of by their events.
"""
import re

from rmapcore.operations import MOST_FOLIO_ORDER
from rmapcore.traces.files import LONGEST
from rmapcore.traces.lines import BadLine
from rmapcore.units import PAGE

_TOLD = re.compile(r"# folios: ([\d:+,]+) (\d{1,19}) (\d{1,19}) (/.*)", re.S)
_RUN = re.compile(r"(\d{1,2}):(\d{1,16})\+(\d{1,16})")


class Folios:
    """told: {(inode, path): (bytes, [(order, first page, pages), ...])}, the runs in ascending order."""

    def __init__(self):
        self.told = {}

    def tell(self, line):
        """A comment of the recording. BadLine if it is of folios, and damaged."""
        if not line.startswith("# folios:"):
            return
        match = _TOLD.fullmatch(line)
        runs = [_RUN.fullmatch(text) for text in match[1].split(",")] if match else [None]
        if not all(runs):
            raise BadLine("the fields of # folios: cannot be read")
        runs = [tuple(map(int, run.groups())) for run in runs]
        size, earlier = self.told.get((match[2], match[4]), (0, []))
        end = earlier[-1][1] + earlier[-1][2] if earlier else 0
        for order, first, pages in runs:
            if order > MOST_FOLIO_ORDER or (first | pages) & ((1 << order) - 1) or first < end or not pages:
                raise BadLine(f"folios of order {order}, {pages} pages from page {first} on")
            end = first + pages
        if int(match[3]) > LONGEST or end > LONGEST // PAGE:
            raise BadLine(f"a file of {match[3]} bytes with folios up to page {end}")
        self.told[match[2], match[4]] = max(size, int(match[3])), earlier + runs

    def of(self, files):
        """{file: [(order, first page, pages), ...]} of a recording's files, traces.files.Files; they become as long as told."""
        found = {}
        for (path, _, inode), number in files.numbers():
            size, runs = self.told.get((inode, path), (0, None))
            if runs:
                files.extend(number, size)
                found[number] = runs
        return found

