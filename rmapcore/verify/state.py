"""What is observed of all processes of a case, the form in which golden files record it, and how two of them differ.

Frames and swap slots have no numbers that could be compared between two machines; who shares them with whom can be. The
recorded form therefore numbers them as classes in order of first sight: processes by number, then pages by address.
Two recorded states are equal if they are the same word for word, and else are compared page for page, so that one page
too many does not shift all classes behind it.
"""
import re
from typing import NamedTuple

from rmapcore.units import within
from rmapcore.verify.universal import LAZY, WHY_LAZY, apart, lazy

CODES = {"anon": "a", "file": "f", "shmem": "s", "zero": "z", "ksm": "k", "swapped": "w", "guard": "g"}
KINDS = {code: kind for kind, code in CODES.items()}
ZERO_CLASS = -1                        # of the zero page; guards have it too, which stand for no frame
MOST_TEXTS = 6                         # differences of one state that are told


class Area(NamedTuple):
    """One area. start, end: pages relative to `place`, end exclusive; place: "" the window, or the name of a place.

    perms: like "rw-p".  kind: "anon" (private anonymous), "shm" (shared anonymous) or a file's name.
    pgoff: offset in the object, pages; None for anon.  flags: smaps codes that the area has.
    """

    start: int
    end: int
    perms: str
    kind: str
    pgoff: int | None = None
    flags: frozenset = frozenset()
    place: str = ""


class Page(NamedTuple):
    """One page that is in a page table. kind: one of CODES; frame, slot: any identity, None for none.

    mapcount: page-table entries that map the frame; 0 for the zero page, swapped and guard pages.
    """

    kind: str
    frame: object = None
    slot: object = None
    mapcount: int = 0


class ProcessState(NamedTuple):
    """A process. areas: in order of their addresses.  pages: (place, page) -> Page, of what is not none.

    rss: {"rss", "anon", "swap", "locked"} in pages, summed over the window and the named places, as smaps does.
    tables: page tables that the case takes (`page_tables`); None where that cannot be told.
    """

    areas: list
    pages: dict
    rss: dict
    tables: int | None = None


def process_order(name):
    """Sorts p2 before p10."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]


def label(place, page):
    """A page number as files have it."""
    return f"{place}+{page}" if place else page


def golden_form(state):
    """{process: ProcessState} in the form of a recorded state: {process: {"vmas": [...], "pages": [runs]}}.

    A run is [first, count, code, mapcount, class]: pages of one code and mapcount whose classes follow one another (the
    zero page's stay -1). Pages outside of the window have "NAME+page" as first.
    """
    classes = {"frame": {}, "slot": {}}
    return {name: {"vmas": [area_row(area) for area in state[name].areas], "pages": runs(state[name].pages, classes)}
            for name in sorted(state, key=process_order)}


def area_row(area):
    row = [label(area.place, area.start), label(area.place, area.end), area.perms, area.kind]
    return row if area.kind == "anon" else [*row, area.pgoff]


def runs(pages, classes):
    """The runs of one process; classes: {"frame": {identity: class}, "slot": {...}}, which it goes on numbering."""
    frames, slots = classes["frame"], classes["slot"]
    found = []
    last = None                        # of the run: place, page that follows, code, mapcount, class that follows
    run = None
    for (place, number), page in sorted(pages.items()):
        kind = page.kind
        if kind == "swapped":
            known = slots.setdefault(page.slot, len(slots))
        elif kind in ("zero", "guard"):
            known = ZERO_CLASS
        else:
            known = frames.setdefault(page.frame, len(frames))
        code = CODES[kind]
        if (place, number, code, page.mapcount, known) == last:
            run[1] += 1
        else:
            run = [label(place, number), 1, code, page.mapcount, known]
            found.append(run)
        last = (place, number + 1, code, page.mapcount, known if known == ZERO_CLASS else known + 1)
    return found


def expanded(rows):
    """Page -> (code, mapcount, class) of the runs of one process; pages of other places as "NAME+page"."""
    pages = {}
    for first, count, code, mapcount, known in rows:
        place, _, number = first.partition("+") if isinstance(first, str) else ("", "", first)
        for at in range(count):
            pages[label(place, int(number) + at)] = (code, mapcount, known if known == ZERO_CLASS else known + at)
    return pages


def coalesced(rows):
    """Rows of areas, those put together that lie side by side and show the same: their border is the kernel's affair."""
    joined = []
    for row in rows:
        before = joined[-1] if joined else None
        if before and before[1] == row[0] and before[2:4] == row[2:4] and continues(before, row):
            before[1] = row[1]
        else:
            joined.append(list(row))
    return joined


def continues(before, row):
    if len(row) < 5:
        return True
    return before[4] + length(before) == row[4]


def length(row):
    start, end = (int(str(at).rpartition("+")[2]) for at in row[:2])
    return end - start


def difference(here, there, names=("here", "recorded"), universal=False, sharing=True, left_out=None):
    """Short texts that say how two recorded states differ; empty if they are equal.

    universal: leave out what depends on the scheme (`universal.py`).
    sharing: compare which pages share a frame or slot, and mapcounts.
    left_out: None, or a dict that takes what else was found different and left out -> why.
    """
    if here == there:
        return []
    left_out = {} if left_out is None else left_out
    texts = []
    for name in sorted(here.keys() | there.keys(), key=process_order):
        if name not in here or name not in there:
            texts.append(f"{name} is alive {names[name not in here]} only")
    common = sorted(here.keys() & there.keys(), key=process_order)
    for name in common:
        texts += differing_areas(name, here[name]["vmas"], there[name]["vmas"], names, universal)
    pages = [(name, expanded(here[name]["pages"]), expanded(there[name]["pages"])) for name in common]
    lenient = set()                    # pages, and pages of files whose mapcounts go with theirs
    if universal:
        privates = {name: private_pages(here[name]["vmas"]) for name in common}
        lenient = lazy_pages(pages, privates)
        if lenient:
            left_out[LAZY] = WHY_LAZY
    texts += differing_pages(pages, names, sharing, lenient, universal and not sharing)
    return texts if len(texts) <= MOST_TEXTS else [*texts[:MOST_TEXTS], f"and {len(texts) - MOST_TEXTS} more"]


def differing_areas(name, here, there, names, universal):
    """One text for a process whose areas differ."""
    if universal:
        here, there = coalesced(here), coalesced(there)
    if here == there:
        return []
    own, other = areas_text(here, there), areas_text(there, here)
    return [f"{name} areas: {own} {names[0]}, {other} {names[1]}"]


def areas_text(rows, others):
    """The areas that are not among the others."""
    known = set(map(tuple, others))
    texts = [f"{row[0]}-{row[1]} {row[2]} {row[3]}" + (f" from {row[4]}" if len(row) > 4 else "")
             for row in rows if tuple(row) not in known]
    more = [f"{len(texts) - MOST_TEXTS} more"] if len(texts) > MOST_TEXTS else []
    return ", ".join(texts[:MOST_TEXTS] + more) or "no other"


def page_text(page):
    if page is None:
        return "none"
    code, mapcount, _ = page
    return f"{KINDS[code]} mapcount {mapcount}" if code in "afsk" else KINDS[code]


def private_pages(rows):
    """Page labels of private areas, as a function."""
    ranges = [(*split_label(row[0]), split_label(row[1])[1]) for row in rows if row[2].endswith("p")]

    def private(page):
        place, at = split_label(page)
        return any(place == where and start <= at < end for where, start, end in ranges)
    return private


def split_label(page):
    """("", 3) of 3, ("L", 3) of "L+3"."""
    if isinstance(page, int):
        return "", page
    place, _, at = page.partition("+")
    return place, int(at)


def kind_of(page):
    return KINDS[page[0]] if page else "none"


def lazy_pages(pages, privates):
    """(process, page) of pages that one side has yet to fault in, and of those that map the same frames of files."""
    found = set()
    frames = (set(), set())            # classes, of either side
    for name, *sides in pages:
        for at in sides[0].keys() ^ sides[1].keys():
            if lazy(*(kind_of(side.get(at)) for side in sides), privates[name](at)):
                found.add((name, at))
                for known, side in zip(frames, sides, strict=True):
                    known.update([side[at][2]] if at in side and side[at][0] != "z" else ())
    if frames[0] or frames[1]:
        for name, *sides in pages:
            found.update((name, at) for known, side in zip(frames, sides, strict=True)
                         for at, page in side.items() if page[0] in "fs" and page[2] in known)
    return found


def differing_pages(pages, names, sharing, lenient, swapping):
    """A text for each run of pages that differ alike. pages: [(process, {page: what}, {page: what})].

    Classes may be numbered otherwise: what matters is that they lead to each other one by one.
    lenient: (process, page) that need not be there, nor agree in mapcount.  swapping: no page need agree in where it is
    (`apart`), and pages may be in several frames here that are in one there, but never the other way round.
    """
    texts = []
    forth, back = {}, {}
    for name, here, there in pages:
        wrong = []
        for at in sorted(here.keys() | there.keys(), key=lambda page: process_order(str(page))):
            mine, other = here.get(at), there.get(at)
            if (name, at) in lenient and (mine is None or other is None):
                continue
            if swapping and apart(kind_of(mine), kind_of(other)):
                continue
            counted = sharing and (name, at) not in lenient
            if mine is None or other is None or mine[0] != other[0] or (counted and mine[1] != other[1]):
                text = f"{page_text(mine)} {names[0]}, {page_text(other)} {names[1]}"
            elif (sharing or swapping) and mine[2] != ZERO_CLASS:
                slot = mine[0] == "w"
                first = forth.setdefault((slot, mine[2]), (other[2], name, at))
                second = back.setdefault((slot, other[2]), (mine[2], name, at))
                if first[0] == other[2] and (second[0] == mine[2] or not sharing):
                    continue
                what = "slot" if slot else "frame"
                shared, place = (names[0], first) if first[0] != other[2] else (names[1], second)
                text = f"in one {what} with {place[1]} page {place[2]} {shared} only"
            else:
                continue
            wrong.append((at, text))
        texts += [f"{name} {where}: {text}" for where, text in runs_of(wrong)]
    return texts


def runs_of(wrong):
    """("page 3", text) or ("pages 3-5", text) for [(page, text)] whose neighbours have the same text."""
    groups = []
    for at, text in wrong:
        if groups and groups[-1][2] == text and isinstance(at, int) and groups[-1][1] == at - 1:
            groups[-1][1] = at
        else:
            groups.append([at, at, text])
    return [(f"page {first}" if first == last else f"pages {first}-{last}", text) for first, last, text in groups]


def where_tabled(process):
    """(area, records of pagemap) of an emulated process, where there are page tables: areas of terabytes are mostly empty."""
    tabled = process.tabled()
    for area in process.maps():
        for start, end in within(tabled, int(area["start"]), int(area["end"])):
            yield area, process.pagemap(start, end - start)
