"""What the kernel shows of running processes: areas from smaps, pages from pagemap, frames from kpagecount and kpageflags.

Everything is read in bulk: one smaps a process, one read of pagemap for each stretch of areas, one read of the two frame
files for each stretch of frames. Processes must stand still meanwhile. Formats: Documentation/filesystems/proc.rst and
Documentation/admin-guide/mm/pagemap.rst of Linux.

Frame numbers, swap slots and the frame files are for root. Without them a page has no frame, slot and mapcount here (None),
and the zero page is told from others by PAGEMAP_SCAN, which Linux has since 6.7.
"""
import fcntl
import os
import struct
from contextlib import ExitStack
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from rmapcore.units import PAGE
from rmapcore.verify.fields import AREA_FLAGS, HEAP
from rmapcore.verify.state import Area, Page, ProcessState

PRESENT, SWAPPED, OF_FILE, GUARD = (1 << bit for bit in (63, 62, 61, 58))       # pagemap
PFN = (1 << 55) - 1
PAGEMAP_SCAN, PAGE_IS_PFNZERO, SCAN_REGIONS = 0xC060_6610, 1 << 5, 256
KPF_KSM, KPF_ZERO_PAGE = 1 << 21, 1 << 24                                                  # kpageflags
GAP = 64                               # entries not asked for that are read along rather than read around
FLAGS = b"\nVmFlags:"                   # the last line of every area
SIZES = (("rss", b"\nRss:"), ("anon", b"\nAnonymous:"), ("swap", b"\nSwap:"), ("locked", b"\nLocked:"))
SHARED_ANONYMOUS = b"/dev/zero (deleted)"


class Mapping(NamedTuple):
    """One area as smaps has it: page numbers, end exclusive; kind: "anon", "shm" or the file's path as bytes."""

    start: int
    end: int
    perms: str
    kind: object
    pgoff: int
    flags: frozenset
    kib: dict                          # "rss", "anon", "swap", "locked" in KiB


def mappings(pid, located):
    """(area, place, first page of the place) of the areas of a process that are in a place, by address; see `observed`."""
    with open(f"/proc/{pid}/smaps", "rb", buffering=0) as file:
        text = file.readall()
    found, known_flags = [], {}
    line = 0                           # where the header of the next area begins
    while line < len(text):
        at = text.index(b"\n", line)
        borders, perms, pgoff, _, _, *path = text[line:at].split(None, 5)
        last = text.index(FLAGS, at)
        line = text.index(b"\n", last + 1) + 1
        start, end = (int(border, 16) // PAGE for border in borders.split(b"-"))
        place = located(start, end)
        if place is None:
            continue
        kib = {}
        for name, label in SIZES:
            size = text.find(label, at, last)
            kib[name] = 0 if size < 0 else int(text[size + len(label):text.index(b"kB", size)])
        words = text[last + len(FLAGS):line]
        if words not in known_flags:
            known_flags[words] = AREA_FLAGS & set(words.decode("ascii").split())
        kind = "anon" if not path or path[0].startswith(b"[") else "shm" if path[0] == SHARED_ANONYMOUS else path[0]
        area = Mapping(start, end, perms.decode("ascii"), kind, int(pgoff, 16) // PAGE, known_flags[words], kib)
        found.append((area, *place))
    return found


def stretches(ranges):
    """Joins (start, end) in rising order whose gaps are small."""
    joined = []
    for start, end in ranges:
        if joined and start - joined[-1][1] <= GAP:
            joined[-1][1] = max(end, joined[-1][1])
        else:
            joined.append([start, end])
    return joined


def entries(fd, start, end):
    """64-bit entries of one of the files that have one for each page or frame; zeros behind the end of the file."""
    data = os.pread(fd, 8 * (end - start), 8 * start)
    words = np.zeros(end - start, np.uint64)
    got = np.frombuffer(data, np.uint64, len(data) // 8)
    words[:len(got)] = got
    return words


class Frames:
    """Whether a frame is the zero page or KSM's, and its mapcount; `readable` is False where the kernel does not say."""

    def __init__(self):
        self.reason = ""               # why it is not readable
        with ExitStack() as stack:
            self.fds = []
            try:
                for name in ("/proc/kpagecount", "/proc/kpageflags"):
                    self.fds.append(os.open(name, os.O_RDONLY | os.O_CLOEXEC))
                    stack.callback(os.close, self.fds[-1])
            except OSError as error:
                self.fds = []
                self.reason = f"{error.filename}: {error.strerror}"
            self.stack = stack.pop_all()
        if self.fds and not self.shows_frames():
            self.reason = "pagemap shows no frame numbers (CAP_SYS_ADMIN is missing)"
            self.stack.close()
            self.fds = []

    @staticmethod
    def shows_frames():
        """pagemap gives frame number 0 to who may not see it; some page of our own is certainly there."""
        here = np.ones(PAGE, np.uint8)
        with open("/proc/self/pagemap", "rb", buffering=0) as file:
            entry = int(entries(file.fileno(), here.ctypes.data // PAGE, here.ctypes.data // PAGE + 1)[0])
        return bool(entry & PRESENT and entry & PFN)

    @property
    def readable(self):
        return bool(self.fds)

    def look(self, pfns):
        """(mapcounts, flags) of an array of frame numbers, as two arrays in its order."""
        unique, back = np.unique(pfns, return_inverse=True)
        counts, flags = np.empty(len(unique), np.uint64), np.empty(len(unique), np.uint64)
        cuts = [0, *(np.flatnonzero(np.diff(unique) > GAP) + 1).tolist(), len(unique)]
        for first, last in pairwise(cuts):
            if first == last:
                continue
            low, high = int(unique[first]), int(unique[last - 1]) + 1
            index = (unique[first:last] - np.uint64(low)).astype(np.int64)
            counts[first:last] = entries(self.fds[0], low, high)[index]
            flags[first:last] = entries(self.fds[1], low, high)[index]
        return counts[back], flags[back]

    def close(self):
        self.stack.close()


def observed(pids, located, files, frames):
    """{name: ProcessState}. pids: name -> pid.  located: first and end page -> (place, its first page), or None: not looked at.

    files: path as bytes -> name in the case.  frames: Frames.
    """
    seen = []
    for name, pid in pids.items():
        # (area, place, first page of the place, first page looked at)
        shown = [(area, place, origin, max(area.start, origin) if place == HEAP else area.start)
                 for area, place, origin in mappings(pid, located)]
        seen.append((name, shown, *page_entries(pid, [(start, area.end) for area, _, _, start in shown], frames.readable)))
    counts = kinds = None
    if frames.readable:
        all_entries = np.concatenate([words for _, _, words, _ in seen]) if seen else np.zeros(0, np.uint64)
        present = (all_entries & np.uint64(PRESENT)) != 0
        counts, kinds = np.zeros(len(all_entries), np.uint64), np.zeros(len(all_entries), np.uint64)
        counts[present], kinds[present] = frames.look(all_entries[present] & np.uint64(PFN))
    states, done = {}, 0
    for name, shown, words, zeros in seen:
        ours = slice(done, done + len(words))
        done += len(words)
        states[name] = process_state(shown, words, files, (counts[ours], kinds[ours]) if frames.readable else None, zeros)
    return states


def page_entries(pid, ranges, with_frames):
    """(pagemap of the pages of some ranges in rising order, one after the other; without frames, which are zero pages)."""
    zeros = set()
    if not ranges:
        return np.zeros(0, np.uint64), zeros
    found = np.empty(sum(end - start for start, end in ranges), np.uint64)
    fd = os.open(f"/proc/{pid}/pagemap", os.O_RDONLY | os.O_CLOEXEC)
    try:
        whole = iter(stretches(ranges))
        high = done = 0
        for start, end in ranges:
            if end > high:
                low, high = next(whole)
                words = entries(fd, low, high)
            found[done:done + end - start] = words[start - low:end - low]
            done += end - start
        if not with_frames:
            zeros.update(*(zero_pages(fd, start, end) for start, end in ranges))
    finally:
        os.close(fd)
    return found, zeros


def process_state(shown, words, files, known, zeros):
    """ProcessState. shown: see `observed`.  words: pagemap of the areas.  known: (mapcounts, kpageflags) of each, or None.

    zeros: pages that are the zero page, if known is None.
    """
    areas, pages = [], {}
    rss = dict.fromkeys(("rss", "anon", "swap", "locked"), 0)
    there = np.flatnonzero(words)
    found = words[there].tolist()
    mapcounts, flags = (facts[there].tolist() for facts in known) if known else (None, None)
    lengths = np.cumsum([area.end - start for area, _, _, start in shown], dtype=np.int64)
    cuts = [0, *np.searchsorted(there, lengths).tolist()]
    numbers = there.tolist()
    done = 0
    for (area, place, origin, start), (first, last) in zip(shown, pairwise(cuts), strict=True):
        kind = files.get(area.kind, area.kind)
        if isinstance(kind, bytes):
            kind = os.fsdecode(kind)
        pgoff = None if kind == "anon" else area.pgoff + start - area.start
        areas.append(Area(start - origin, area.end - origin, area.perms, kind, pgoff, area.flags, place))
        for name, size in area.kib.items():
            rss[name] += size
        of_file = "shmem" if kind == "shm" or kind.startswith("M") else "file"
        shift = start - origin - done
        done += area.end - start
        for at in range(first, last):
            page = (known_page(found[at], mapcounts[at], flags[at], of_file) if known else
                    unknown_page(found[at], of_file, numbers[at] + shift + origin in zeros))
            if page:
                pages[place, numbers[at] + shift] = page
    return ProcessState(areas, pages, {name: size * 1024 // PAGE for name, size in rss.items()})


def known_page(entry, mapcount, flags, of_file):
    """Page of a pagemap entry and what is known of its frame; None for an empty entry."""
    if entry & PRESENT:
        if flags & KPF_ZERO_PAGE:
            return Page("zero")
        kind = of_file if entry & OF_FILE else "ksm" if flags & KPF_KSM else "anon"
        return Page(kind, entry & PFN, None, mapcount)
    if entry & GUARD:
        return Page("guard")
    if entry & SWAPPED:
        return Page("swapped", None, entry & PFN)
    return None


def unknown_page(entry, of_file, is_zero):
    """The same without frame numbers."""
    if entry & PRESENT:
        return Page("zero") if is_zero else Page(of_file if entry & OF_FILE else "anon", None, None, None)
    if entry & GUARD:
        return Page("guard")
    return Page("swapped") if entry & SWAPPED else None


def zero_pages(fd, start, end):
    """The pages of a range that are the zero page. fd: of the process's pagemap."""
    found = set()
    regions = np.zeros((SCAN_REGIONS, 3), np.uint64)               # start, end, categories
    start, end = start * PAGE, end * PAGE
    while start < end:
        asked = struct.pack("<12Q", 96, 0, start, end, 0, regions.ctypes.data, SCAN_REGIONS, 0, 0, PAGE_IS_PFNZERO, 0,
                            PAGE_IS_PFNZERO)
        asked = bytearray(asked)
        count = fcntl.ioctl(fd, PAGEMAP_SCAN, asked)
        for first, last, _ in regions[:count].tolist():
            found.update(range(first // PAGE, last // PAGE))
        start = struct.unpack_from("<Q", asked, 32)[0]             # where the walk ended
    return found
