"""How files lie in the page cache: what no event says of those that were there before.

Linux maps a folio of several pages as a whole where it can, and by fault-around what is in the page cache, but for what has the
mark of readahead (rule QF3). At the end of a recording the files that it maps are looked at: they are mapped here too, what of
them is in the page cache is asked of mincore, and kpageflags tells which pages are the head of a folio, and which its others.
Each file that is not there whole, or lies in large folios, gets a line

    # folios: 4:0+64,0:64+3 2148020 1234567 /usr/lib/libfoo.so        ORDER:FIRST+PAGES of what is there, inode, bytes, path

which the importer takes (`rmapcore.traces.folios`). kpageflags is for root: others have no such lines. A file that has changed
since the recording began has none either: what was written in it meanwhile the recording tells.
"""
import ctypes
import mmap
import os
import stat
from itertools import pairwise

import numpy as np

from rmapcore.linux import proc
from rmapcore.linux.capture.layout import runs
from rmapcore.linux.frames import Frames
from rmapcore.linux.uapi import ADVICE
from rmapcore.units import PAGE

AT_A_TIME = 1 << 16                            # pages of a file that are looked at together
RUNS_A_LINE = 1000


def lines(mapped, began):
    """The lines of the files of a Mapped that are not simply there; none where frames cannot be looked at.

    began: when the recording did, seconds since 1970.
    """
    frames = Frames()
    if not frames.readable:
        return
    try:
        for inode, path in sorted(mapped.files):
            size, found = folios_of(path, int(inode), began, frames)
            for first in range(0, len(found), RUNS_A_LINE):
                text = ",".join(f"{order}:{start}+{pages}" for order, start, pages in found[first:first + RUNS_A_LINE])
                yield b"# folios: %s %s %d %s\n" % (text.encode(), inode, size, path)
    finally:
        frames.close()


def folios_of(path, inode, began, frames):
    """(bytes, [(order, first page, pages) of neighbours in folios of one order]) of a file: all of it that is cached.

    No runs if that is the whole file, page by page; or if it is another one by now, or cannot be read. Nothing is read in.
    """
    try:
        with open(path, "rb", buffering=0, opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as stream:
            seen = os.fstat(stream.fileno())
            if not stat.S_ISREG(seen.st_mode) or seen.st_ino != inode or seen.st_mtime >= began or not seen.st_size:
                return 0, []
            return seen.st_size, runs_of(orders(stream.fileno(), seen.st_size, frames))
    except (OSError, ValueError):
        return 0, []


def orders(descriptor, size, frames):
    """The order of the folio that each page of a file lies in, an int8; -1: fault-around does not find it."""
    found = np.full(-(-size // PAGE), -1, np.int8)
    with proc.opened("/proc/self/pagemap") as pagemap:
        for first in range(0, len(found), AT_A_TIME):      # not all of it: page tables cost memory too
            length = min(AT_A_TIME * PAGE, size - first * PAGE)
            with mmap.mmap(descriptor, length, mmap.MAP_SHARED, mmap.PROT_READ, offset=first * PAGE) as area:
                there, flags = cached(area, pagemap, frames)
            found[first + there] = orders_by_flags(there + first, flags)
    return found


def cached(area, pagemap, frames):
    """(pages, what kpageflags says of each) of a mapped part of a file that are in the page cache."""
    whole = np.frombuffer(area, np.uint8)      # only for its address
    start, pages = whole.ctypes.data, -(-len(area) // PAGE)
    del whole
    marks = np.zeros(pages, np.uint8)
    if ctypes.CDLL(None).mincore(ctypes.c_void_p(start), ctypes.c_size_t(pages * PAGE), marks.ctypes.data_as(ctypes.c_void_p)):
        raise OSError("mincore does not tell")
    area.madvise(mmap.MADV_RANDOM)             # or the mark of readahead would be taken, and more read
    for first, length in runs(np.flatnonzero(marks & 1)):
        area.madvise(ADVICE["populate_read"], first, length)
    words = proc.words(pagemap, start // PAGE, start // PAGE + pages)
    there = np.flatnonzero(words & proc.PRESENT)
    return there, frames.look(words[there] & np.uint64(proc.PLACE))[1]


def orders_by_flags(pages, flags):
    """By what kpageflags says of pages of a file, ascending: a head is followed by the others of its folio.

    -1 where the page, or the head, has the mark of readahead (the bit of PG_reclaim, include/linux/page-flags.h).
    """
    heads = np.flatnonzero(flags & proc.KPF_COMPOUND_HEAD)
    tails = flags & proc.KPF_COMPOUND_TAIL != 0
    marked = flags & proc.KPF_RECLAIM != 0
    found = np.where(marked, np.int8(-1), np.int8(0))
    ends = np.flatnonzero(np.concatenate([~tails[1:], [True]])) + 1
    for head in heads.tolist():
        size = int(ends[np.searchsorted(ends, head + 1)]) - head
        order = size.bit_length() - 1
        neighbours = pages[head + size - 1] - pages[head] == size - 1
        if size == 1 << order and pages[head] % size == 0 and neighbours:      # else it was looked at in the midst of a change
            found[head:head + size] = -1 if marked[head] else order
    return found


def runs_of(found):
    """[(order, first, length)] of neighbours of one order; none at all if all are of order 0."""
    if not found.any():
        return []
    edges = np.flatnonzero(np.diff(np.concatenate([[-2], found, [-2]]))).tolist()
    return [(int(found[first]), first, end - first) for first, end in pairwise(edges) if found[first] >= 0]
