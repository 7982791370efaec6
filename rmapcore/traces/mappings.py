"""Which parts of which files an address space maps, as far as its calls tell: a file that mremap grows must reach so far."""
from bisect import bisect_left, bisect_right, insort
from typing import NamedTuple

from rmapcore.traces.files import page_up


class Part(NamedTuple):
    """Bytes start to end of an address space, that show a file (its number) from `offset` on. shared: with MAP_SHARED."""

    start: int
    end: int
    file: int
    offset: int
    shared: bool = False

    def between(self, start, end):
        """What of it lies there."""
        start = max(start, self.start)
        return Part(start, min(end, self.end), self.file, self.offset + start - self.start, self.shared)


class Mappings:
    """No two parts overlap: what is mapped or unmapped cuts those that were there."""

    __slots__ = ("parts", "starts")

    def __init__(self, parent=None):
        self.parts = dict(parent.parts) if parent else {}        # by start
        self.starts = list(parent.starts) if parent else []      # ascending

    def first(self, start):
        """Which of the parts, counted from below, is the first that ends behind `start`."""
        at = bisect_right(self.starts, start)
        return at - 1 if at and self.parts[self.starts[at - 1]].end > start else at

    def overlapping(self, start, end):
        """The parts of which something lies there."""
        at = self.first(start)
        return [self.parts[one] for one in self.starts[at : bisect_left(self.starts, end, at)]]

    def cut(self, start, length):
        """Nothing of a file is there any more."""
        if not self.starts:
            return
        end = start + page_up(length)
        at = self.first(start)
        past = bisect_left(self.starts, end, at)
        if at == past:
            return
        cut = [self.parts.pop(one) for one in self.starts[at:past]]
        kept = [cut[0].between(0, start)] if cut[0].start < start else []
        if cut[-1].end > end:
            kept.append(cut[-1].between(end, cut[-1].end))
        self.starts[at:past] = [one.start for one in kept]
        for one in kept:
            self.parts[one.start] = one

    def add(self, start, length, file, offset, shared=False):
        self.cut(start, length)
        if length > 0:
            self.parts[start] = Part(start, start + page_up(length), file, offset, shared)
            insort(self.starts, start)

    def shown(self, start, length):
        """The parts there; of length 0, the one byte, for mremap makes a second mapping from there on."""
        end = start + max(page_up(length), 1)
        return [part.between(start, end) for part in self.overlapping(start, end)]

    def lay(self, parts, old, new, new_length):
        """mremap has put at `new` the parts that were at `old`; gives them as they are there.

        What is alone grows or shrinks to the new length; of none, which no kernel gives, nothing is there. Of several, which
        can be moved only, each stays as long as it is.
        """
        self.cut(new, new_length)
        made = []
        for part in parts:
            length = new_length if part.start == old and len(parts) == 1 else part.end - part.start
            self.add(new + part.start - old, length, part.file, part.offset, part.shared)
            if length > 0:
                made.append(self.parts[new + part.start - old])
        return made

    def at(self, address):
        """The Part at an address, or None."""
        return next(iter(self.overlapping(address, address + 1)), None)
