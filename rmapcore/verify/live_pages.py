"""What the kernel shows of running processes: areas from smaps, pages from pagemap, frames from kpagecount and kpageflags.

Everything is read in bulk: one smaps a process, one read of pagemap for each stretch of areas, one read of the two frame
files for each stretch of frames. Processes must stand still meanwhile. Formats: Documentation/filesystems/proc.rst and
Documentation/admin-guide/mm/pagemap.rst of Linux.

Frame numbers, swap slots and the frame files are for root. Without them a page has no frame, slot and mapcount here (0 is
told as None), and a page that several map is told from the zero page by what smaps counts for its area, as far as that goes.
"""
import os
import re
from contextlib import ExitStack
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from rmapcore.units import PAGE
from rmapcore.verify.fields import AREA_FLAGS, HEAP
from rmapcore.verify.state import Area, Page, ProcessState

PRESENT, SWAPPED, OF_FILE, GUARD, ALONE = (1 << bit for bit in (63, 62, 61, 58, 56))       # pagemap
PFN = (1 << 55) - 1
KPF_KSM, KPF_ZERO_PAGE = 1 << 21, 1 << 24                                                  # kpageflags
GAP = 256                              # entries not asked for that are read along rather than read around
HEADER = re.compile(rb"^([0-9a-f]+)-([0-9a-f]+) (....) ([0-9a-f]+) \S+ \d+ *([^\n]*)\n", re.MULTILINE)
SIZES = {"rss": b"\nRss:", "anon": b"\nAnonymous:", "swap": b"\nSwap:", "locked": b"\nLocked:"}
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


def mappings(pid):
    """The areas of a process, by address."""
    with open(f"/proc/{pid}/smaps", "rb", buffering=0) as file:
        text = file.readall()
    found = []
    headers = list(HEADER.finditer(text))
    for header, following in zip(headers, [*headers[1:], None], strict=True):
        last = following.start() if following else len(text)
        sizes = {}
        for name, label in SIZES.items():
            at = text.find(label, header.end() - 1, last)
            sizes[name] = 0 if at < 0 else int(text[at + len(label):text.index(b"kB", at)])
        at = text.find(b"\nVmFlags:", header.end() - 1, last)
        flags = frozenset() if at < 0 else frozenset(text[at + 9:text.index(b"\n", at + 1)].decode("ascii").split())
        path = header[5]
        kind = "shm" if path == SHARED_ANONYMOUS else "anon" if not path or path.startswith(b"[") else path
        start, end, pgoff = (int(header[group], 16) // PAGE for group in (1, 2, 4))
        found.append(Mapping(start, end, header[3].decode("ascii"), kind, pgoff, flags & AREA_FLAGS, sizes))
    return found


def stretches(ranges, gap=GAP):
    """Joins (start, end) in rising order whose gaps are small."""
    joined = []
    for start, end in ranges:
        if joined and start - joined[-1][1] <= gap:
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
        shown = []                     # (area, place, first page of the place, first page looked at)
        for area in mappings(pid):
            found = located(area.start, area.end)
            if found:
                place, origin = found
                shown.append((area, place, origin, max(area.start, origin) if place == HEAP else area.start))
        seen.append((name, shown, page_entries(pid, [(start, area.end) for area, _, _, start in shown])))
    counts = kinds = None
    if frames.readable:
        all_entries = np.concatenate([words for _, _, words in seen]) if seen else np.zeros(0, np.uint64)
        present = (all_entries & np.uint64(PRESENT)) != 0
        counts, kinds = np.zeros(len(all_entries), np.uint64), np.zeros(len(all_entries), np.uint64)
        counts[present], kinds[present] = frames.look(all_entries[present] & np.uint64(PFN))
    states, done = {}, 0
    for name, shown, words in seen:
        ours = slice(done, done + len(words))
        done += len(words)
        states[name] = process_state(shown, words, files, (counts[ours], kinds[ours]) if frames.readable else None)
    return states


def page_entries(pid, ranges):
    """pagemap of the pages of some ranges in rising order, one after the other."""
    if not ranges:
        return np.zeros(0, np.uint64)
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
    finally:
        os.close(fd)
    return found


def process_state(shown, words, files, known):
    """ProcessState. shown: see `observed`.  words: pagemap of the areas.  known: (mapcounts, kpageflags) of each, or None."""
    areas, pages = [], {}
    rss = dict.fromkeys(SIZES, 0)
    done = 0
    for area, place, origin, start in shown:
        kind = files.get(area.kind, area.kind)
        if isinstance(kind, bytes):
            kind = os.fsdecode(kind)
        pgoff = None if kind == "anon" else area.pgoff + start - area.start
        areas.append(Area(start - origin, area.end - origin, area.perms, kind, pgoff, area.flags, place))
        for name, size in area.kib.items():
            rss[name] += size
        ours = slice(done, done + area.end - start)
        done += area.end - start
        of_file = "shmem" if kind == "shm" or kind.startswith("M") else "file"
        there = np.flatnonzero(words[ours])
        numbers, found = (there + (start - origin)).tolist(), words[ours][there].tolist()
        if known:
            facts = zip(numbers, found, known[0][ours][there].tolist(), known[1][ours][there].tolist(), strict=True)
            told = ((number, known_page(entry, mapcount, flags, of_file)) for number, entry, mapcount, flags in facts)
        else:
            zero = zero_pages(found, area.kib["anon"] * 1024 // PAGE)
            told = ((number, unknown_page(entry, of_file, zero)) for number, entry in zip(numbers, found, strict=True))
        for number, page in told:
            if page:
                pages[place, number] = page
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


def unknown_page(entry, of_file, zero):
    """The same without frame numbers. zero: whether pages that are not of a file and not mapped once are zero pages."""
    if entry & PRESENT:
        if entry & OF_FILE:
            return Page(of_file, None, None, None)
        return Page("zero") if zero and not entry & ALONE else Page("anon", None, None, None)
    if entry & GUARD:
        return Page("guard")
    return Page("swapped", None, None) if entry & SWAPPED else None


def zero_pages(words, anonymous):
    """Whether the pages of an area that are not of a file and not mapped once are zero pages, by smaps' count."""
    own = [word for word in words if word & PRESENT and not word & OF_FILE]
    alone = sum(1 for word in own if word & ALONE)
    return anonymous == alone and alone < len(own)

