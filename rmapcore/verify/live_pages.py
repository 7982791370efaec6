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
    sizes: dict                        # "rss", "anon", "swap", "locked" in pages


def mappings(pid, low, high):
    """The areas of a process that lie between two addresses, by address."""
    with open(f"/proc/{pid}/smaps", "rb", buffering=0) as file:
        text = file.readall()
    found = []
    headers = list(HEADER.finditer(text))
    for header, following in zip(headers, [*headers[1:], None], strict=True):
        start, end = int(header[1], 16), int(header[2], 16)
        if end <= low or start >= high:
            continue
        last = following.start() if following else len(text)
        sizes = {}
        for name, label in SIZES.items():
            at = text.find(label, header.end() - 1, last)
            sizes[name] = 0 if at < 0 else int(text[at + len(label):text.index(b"kB", at)]) * 1024 // PAGE
        at = text.find(b"\nVmFlags:", header.end() - 1, last)
        flags = frozenset() if at < 0 else frozenset(text[at + 9:text.index(b"\n", at + 1)].decode("ascii").split())
        path = header[5]
        kind = "shm" if path == SHARED_ANONYMOUS else "anon" if not path or path.startswith(b"[") else path
        found.append(Mapping(start // PAGE, end // PAGE, header[3].decode("ascii"), kind, int(header[4], 16) // PAGE,
                             flags & AREA_FLAGS, sizes))
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
        for first, last in zip(cuts, cuts[1:], strict=False):
            if first == last:
                continue
            low, high = int(unique[first]), int(unique[last - 1]) + 1
            index = (unique[first:last] - np.uint64(low)).astype(np.int64)
            counts[first:last] = entries(self.fds[0], low, high)[index]
            flags[first:last] = entries(self.fds[1], low, high)[index]
        return counts[back], flags[back]

    def close(self):
        self.stack.close()


class Place(NamedTuple):
    """Where areas are looked for: name ("" the window), first page, page behind the last."""

    name: str
    start: int
    end: int


def observed(pids, places, files, frames):
    """{name: ProcessState}. pids: name -> pid.  places: of Place, by rising pages.  files: path as bytes -> name in the case."""
    seen = []
    for name, pid in pids.items():
        areas = mappings(pid, places[0].start * PAGE, places[-1].end * PAGE) if places else []
        located = [(area, place) for area in areas for place in places if area.end > place.start and area.start < place.end]
        seen.append((name, located, page_entries(pid, located)))
    counts = kinds = None
    if frames.readable:
        all_entries = np.concatenate([words for _, _, words in seen]) if seen else np.zeros(0, np.uint64)
        present = (all_entries & np.uint64(PRESENT)) != 0
        counts, kinds = np.zeros(len(all_entries), np.uint64), np.zeros(len(all_entries), np.uint64)
        counts[present], kinds[present] = frames.look(all_entries[present] & np.uint64(PFN))
    states, done = {}, 0
    for name, located, words in seen:
        ours = slice(done, done + len(words))
        done += len(words)
        states[name] = process_state(located, words, files, frames.readable and (counts[ours], kinds[ours]))
    return states


def page_entries(pid, located):
    """pagemap of all pages of the located areas, one after the other."""
    ranges = [clipped(area, place) for area, place in located]
    if not ranges:
        return np.zeros(0, np.uint64)
    found = np.empty(sum(end - start for start, end in ranges), np.uint64)
    fd = os.open(f"/proc/{pid}/pagemap", os.O_RDONLY | os.O_CLOEXEC)
    try:
        whole = iter(stretches(ranges))
        low = high = done = 0
        for start, end in ranges:
            if end > high:
                low, high = next(whole)
                words = entries(fd, low, high)
            found[done:done + end - start] = words[start - low:end - low]
            done += end - start
    finally:
        os.close(fd)
    return found


def clipped(area, place):
    """The part of an area that is in a place: (first page, page behind the last)."""
    return max(area.start, place.start), min(area.end, place.end)


def process_state(located, words, files, known):
    """ProcessState. known: (mapcounts, kpageflags) of each entry, or False."""
    areas, pages = [], {}
    rss = dict.fromkeys(SIZES, 0)
    done = 0
    for area, place in located:
        start, end = clipped(area, place)
        kind = files.get(area.kind, area.kind)
        if isinstance(kind, bytes):
            kind = os.fsdecode(kind)
        areas.append(Area(start - place.start, end - place.start, area.perms, kind, None if kind == "anon" else area.pgoff,
                          area.flags, place.name))
        for name, size in area.sizes.items():
            rss[name] += size
        ours = slice(done, done + end - start)
        done += end - start
        of_file = "shmem" if kind == "shm" or kind.startswith("M") else "file"
        there = np.flatnonzero(words[ours])
        if known:
            page_facts = zip(there.tolist(), words[ours][there].tolist(), known[0][ours][there].tolist(),
                             known[1][ours][there].tolist(), strict=True)
            for at, entry, mapcount, flags in page_facts:
                page = known_page(entry, mapcount, flags, of_file)
                if page:
                    pages[place.name, start - place.start + at] = page
        else:
            entries_here = words[ours][there].tolist()
            zero = zero_pages(entries_here, area.sizes["anon"])
            for at, entry in zip(there.tolist(), entries_here, strict=True):
                page = unknown_page(entry, of_file, zero)
                if page:
                    pages[place.name, start - place.start + at] = page
    return ProcessState(areas, pages, rss)


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


def heap_place(address, end):
    """The place of the heap above an address."""
    return Place(HEAP, address // PAGE, end // PAGE)
