"""Which areas a process has, and the calls that make one layout of another."""
from typing import NamedTuple

import numpy as np

from rmapcore.linux.uapi import MAP_ANONYMOUS, MAP_GROWSDOWN, MAP_PRIVATE, MAP_SHARED
from rmapcore.operations import Op
from rmapcore.units import PAGE


class Object(NamedTuple):
    """What an area shows: a file by its number, 0: anonymous; origin: file offset of address 0, bytes."""

    flags: int
    file: int
    origin: int


class Segment(NamedTuple):
    """Addresses in bytes."""

    start: int
    end: int
    prot: int
    object: Object


class Layout:
    """Segments in ascending order that do not overlap."""

    def __init__(self, segments=()):
        self.segments = sorted(segments)
        self.starts = np.array([one.start for one in self.segments], np.int64)
        self.ends = np.array([one.end for one in self.segments], np.int64)

    def at(self, vpns):
        """The index of the segment that each page lies in, -1 for none."""
        addresses = np.asarray(vpns, np.int64) * PAGE
        index = np.searchsorted(self.starts, addresses, "right") - 1
        inside = (index >= 0) & (addresses < self.ends[index]) if len(self.ends) else np.zeros(len(addresses), bool)
        return np.where(inside, index, -1)

    def allowing(self, vpns, prot):
        """The layout in which the segments that hold any of these pages have `prot` too."""
        touched = set(np.unique(self.at(vpns)).tolist())
        return Layout(one._replace(prot=one.prot | prot) if index in touched else one
                      for index, one in enumerate(self.segments))

    def with_gaps_filled(self, others):
        """The layout with those parts of other segments that lie where it has none."""
        filled = list(self.segments)
        for other in others:
            at = other.start
            for one in sorted(filled):
                if one.end <= at or one.start >= other.end:
                    continue
                if one.start > at:
                    filled.append(other._replace(start=at, end=one.start))
                at = max(at, one.end)
            if at < other.end:
                filled.append(other._replace(start=at))
        return Layout(filled)


def layout_of(seen, files):
    """The areas of a process as it was read; their files go into the table of a `traces.files.Files`."""
    segments = []
    for area in seen.areas:
        kind = MAP_SHARED if area.shared else MAP_PRIVATE
        nameless = not area.path or area.path.startswith("[")
        if not area.shared and nameless:
            flags = kind | MAP_ANONYMOUS | (MAP_GROWSDOWN if area.stack else 0)
            segments.append(Segment(area.start, area.end, area.prot, Object(flags, 0, 0)))
            continue
        number = files.number("/dev/zero" if nameless else area.path, area.device, area.inode)
        files.extend(number, area.offset + area.end - area.start)
        segments.append(Segment(area.start, area.end, area.prot, Object(kind, number, area.offset - area.start)))
    return Layout(segments)


def changes(old, new):
    """[(op, start, end, prot, object)]: unmapped, mapped, protected, so that the old layout becomes the new one."""
    borders = sorted({border for layout in (old, new) for one in layout.segments for border in (one.start, one.end)})
    starts = np.array(borders[:-1], np.int64) // PAGE
    made = []
    for start, end, before, after in zip(borders, borders[1:], old.at(starts), new.at(starts), strict=False):
        before = old.segments[before] if before >= 0 else None
        after = new.segments[after] if after >= 0 else None
        if after is None:
            change = before and (Op.MUNMAP, 0, None)
        elif before is None or before.object != after.object:
            change = Op.MMAP, after.prot, after.object
        else:
            change = before.prot != after.prot and (Op.MPROTECT, after.prot, None)
        if not change:
            continue
        if made and made[-1][2] == start and (made[-1][0], *made[-1][3:]) == change:
            made[-1] = (*made[-1][:2], end, *made[-1][3:])
        else:
            made.append((change[0], start, end, *change[1:]))
    return sorted(made, key=lambda change: (Op.MUNMAP, Op.MMAP, Op.MPROTECT).index(change[0]))


def runs(vpns):
    """[(start, length)] in bytes of consecutive pages in an ascending array."""
    vpns = np.asarray(vpns, np.int64)
    if not len(vpns):
        return []
    breaks = np.flatnonzero(np.diff(vpns) != 1) + 1
    firsts = vpns[np.concatenate([[0], breaks])]
    lasts = vpns[np.concatenate([breaks - 1, [-1]])]
    return [(int(first) * PAGE, int(last - first + 1) * PAGE) for first, last in zip(firsts, lasts, strict=True)]
