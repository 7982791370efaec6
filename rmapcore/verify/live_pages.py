"""What the kernel shows of running processes: areas from smaps, pages from pagemap, frames from kpagecount and kpageflags.

Everything is read in bulk: one smaps a process, one read of pagemap for each stretch of areas, one read of the two frame
files for each stretch of frames. Processes must stand still meanwhile. Formats: Documentation/filesystems/proc.rst and
Documentation/admin-guide/mm/pagemap.rst of Linux.

Frame numbers, swap slots and the frame files are for root. Without them a page has no frame, slot and mapcount here (None),
and the zero page is told from others by PAGEMAP_SCAN, which Linux has since 6.7.
"""
import os
from itertools import pairwise

import numpy as np

from rmapcore.linux import proc
from rmapcore.linux.frames import GAP
from rmapcore.units import PAGE
from rmapcore.verify.fields import AREA_FLAGS, HEAP
from rmapcore.verify.state import Area, Page, ProcessState

SHARED_ANONYMOUS = b"/dev/zero (deleted)"


def kind_of(path):
    """"anon", "shm", or the file's path as bytes."""
    return "anon" if path is None or path.startswith(b"[") else "shm" if path == SHARED_ANONYMOUS else path


def stretches(ranges):
    """Joins (start, end) in rising order whose gaps are small."""
    joined = []
    for start, end in ranges:
        if joined and start - joined[-1][1] <= GAP:
            joined[-1][1] = max(end, joined[-1][1])
        else:
            joined.append([start, end])
    return joined


def observed(pids, located, files, frames):
    """{name: ProcessState}. pids: name -> pid.  located: first and end page -> (place, its first page), or None: not looked at.

    files: path as bytes -> name in the case.  frames: Frames.
    """
    seen = []
    for name, pid in pids.items():
        # (area, place, first page of the place, first page looked at)
        shown = [(area, place, origin, max(area.start, origin) if place == HEAP else area.start)
                 for area, (place, origin) in proc.mappings(pid, located)]
        seen.append((name, shown, *page_entries(pid, [(start, area.end) for area, _, _, start in shown], frames.readable)))
    counts = kinds = None
    if frames.readable:
        all_entries = np.concatenate([words for _, _, words, _ in seen]) if seen else np.zeros(0, np.uint64)
        present = (all_entries & np.uint64(proc.PRESENT)) != 0
        counts, kinds = np.zeros(len(all_entries), np.uint64), np.zeros(len(all_entries), np.uint64)
        counts[present], kinds[present] = frames.look(all_entries[present] & np.uint64(proc.PLACE))
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
    with proc.opened(f"/proc/{pid}/pagemap") as descriptor:
        whole = iter(stretches(ranges))
        high = done = 0
        for start, end in ranges:
            if end > high:
                low, high = next(whole)
                words = proc.words(descriptor, low, high)
            found[done:done + end - start] = words[start - low:end - low]
            done += end - start
        if not with_frames:
            zeros.update(*(proc.zero_pages(descriptor, start, end) for start, end in ranges))
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
        kind = kind_of(area.path)
        kind = files.get(kind, kind)
        if isinstance(kind, bytes):
            kind = os.fsdecode(kind)
        pgoff = None if kind == "anon" else area.pgoff + start - area.start
        areas.append(Area(start - origin, area.end - origin, area.perms, kind, pgoff, AREA_FLAGS & area.flags, place))
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
    if entry & proc.PRESENT:
        if flags & proc.KPF_ZERO_PAGE:
            return Page("zero")
        kind = of_file if entry & proc.OF_FILE else "ksm" if flags & proc.KPF_KSM else "anon"
        return Page(kind, entry & proc.PLACE, None, mapcount)
    if entry & proc.GUARD:
        return Page("guard")
    if entry & proc.SWAPPED:
        return Page("swapped", None, entry & proc.PLACE)
    return None


def unknown_page(entry, of_file, is_zero):
    """The same without frame numbers."""
    if entry & proc.PRESENT:
        return Page("zero") if is_zero else Page(of_file if entry & proc.OF_FILE else "anon", None, None, None)
    if entry & proc.GUARD:
        return Page("guard")
    return Page("swapped") if entry & proc.SWAPPED else None
