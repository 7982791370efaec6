"""Whether what a case expects holds in an observed state.

Expectations name pages of the window and of named places; both sides are turned into pages relative to the window, so
that two names of one place mean the same.
"""
from itertools import combinations

from rmapcore.verify.fields import OBJECTS, split_place
from rmapcore.verify.state import areas_text, coalesced, label, runs_of
from rmapcore.verify.universal import LAZY, WHY_LAZY, apart, lazy

MOST_RUNS = 3                          # of pages, told of one row that does not hold


class Seen:
    """A state, its pages and areas by page relative to the window. origin: name of a place -> its first page."""

    def __init__(self, state, origin):
        self.state = state
        self.origin = origin
        self.pages = {name: {origin(place) + page: what for (place, page), what in process.pages.items()}
                      for name, process in state.items()}
        self.areas = {name: sorted([origin(area.place) + area.start, origin(area.place) + area.end, area.perms, area.kind,
                                    area.pgoff, area.flags] for area in process.areas)
                      for name, process in state.items()}

    def at(self, value):
        place, page = split_place(value)
        return self.origin(place) + page

    def page(self, process, value):
        """The Page, or None."""
        return self.pages[process].get(self.at(value))

    def private(self, process, page):
        """Whether a page, relative to the window, is in a private area."""
        return any(area[0] <= page < area[1] and area[2].endswith("p") for area in self.areas[process])

    def identity(self, process, value):
        """Of the frame or slot that is there; None for none."""
        return identity(self.page(process, value))


def identity(page):
    """What two pages have in common that share a frame or a slot; None where neither is."""
    if page is None or (page.frame is None and page.slot is None):
        return None
    return ("slot", page.slot) if page.frame is None else ("frame", page.frame)


def check(expect, state, remembered=None, objects=None, origin=lambda name: 0, universal=False, sharing=True,
          objects_within=0.0, left_out=None):
    """Short texts that say what of an expectation does not hold.

    remembered: name -> identities of frames.  objects: counts to compare with expect["objects"].
    origin: name of a place -> its first page, relative to the window.
    universal: leave out what depends on kernel and scheme: borders between areas that look alike, area flags, counts of
    objects, and whether a frame was reused.
    sharing: compare mapcounts, and which pages share a frame.
    left_out: None, or a dict that takes what else was found different and left out -> why.
    """
    seen = Seen(state, origin)
    texts = []
    named = [set(expect.get(key, ())) for key in ("vmas", "pages", "rss", "flags")]
    named += [{page[0] for group in expect.get(key, ()) for page in group} for key in ("same", "differ")]
    named.append({row[0] for row in expect.get("frames", ())})
    gone = set().union(*named) - state.keys()
    if gone:
        return [f"{', '.join(sorted(gone))} expected, not alive"]
    for process, rows in expect.get("vmas", {}).items():
        texts += areas(seen, process, rows, universal)
    for process, rows in expect.get("pages", {}).items():
        for row in rows:
            texts += pages(seen, process, row if sharing else row[:3], universal, sharing,
                           {} if left_out is None else left_out)
    texts += groups(seen, expect) if sharing else ()
    for process, page, name, index, same in expect.get("frames", ()) if sharing else ():
        texts += frame(seen, process, page, name, index, same, remembered or {}, universal)
    for process, sizes in expect.get("rss", {}).items():
        texts += sums(seen, process, sizes, universal, sharing)
    if not universal:
        for process, rows in expect.get("flags", {}).items():
            for row in rows:
                texts += flags(seen, process, *row)
        texts += counts(expect.get("objects", {}), objects, objects_within)
    return texts


def areas(seen, process, rows, universal):
    """All areas of a process against the rows of `vmas`."""
    wanted = sorted([seen.at(start), seen.at(end), *rest] for start, end, *rest in rows)
    shown = [row[:4] if row[4] is None else row[:5] for row in seen.areas[process]]
    if universal:
        shown, wanted = (coalesced(row[:4] for row in side) for side in (shown, wanted))
    elif len(shown) == len(wanted):            # an offset that is not given is not compared
        shown = [mine[:len(row)] for mine, row in zip(shown, wanted, strict=True)]
    if shown == wanted:
        return []
    return [f"{process} areas: {areas_text(shown, wanted)} here, {areas_text(wanted, shown)} expected"]


def pages(seen, process, row, universal, sharing, left_out):
    """One row of `pages`: every page of a range is of one kind, and mapped so many times."""
    start, end, kind, *mapcount = row
    place, _ = split_place(start)
    wrong = []
    for at in range(seen.at(start), seen.at(end)):
        page = seen.pages[process].get(at)
        shown = page.kind if page else "none"
        if universal and shown != kind:
            if lazy(shown, kind, seen.private(process, at)):
                left_out[LAZY] = WHY_LAZY
                continue
            if not sharing and apart(shown, kind):
                continue
        if shown != kind or (mapcount and page and page.mapcount != mapcount[0]):
            shown += f" mapcount {page.mapcount}" if page and mapcount else ""
            wrong.append((label(place, at - seen.origin(place)), shown))
    if not wrong:
        return []
    texts = [f"{where} {shown}" for where, shown in runs_of(wrong)]
    more = f" and {len(texts) - MOST_RUNS} more" if len(texts) > MOST_RUNS else ""
    wanted = kind + (f" mapcount {mapcount[0]}" if mapcount else "")
    return [f"{process} {', '.join(texts[:MOST_RUNS])}{more} here, {wanted} expected"]


def groups(seen, expect):
    """`same` and `differ`."""
    for group in expect.get("same", ()):
        found = [seen.identity(*page) for page in group]
        if None in found:
            yield f"{group[found.index(None)]} has no frame, one shared with {len(group) - 1} others expected"
        elif len(set(found)) > 1:
            other = next(at for at, value in enumerate(found) if value != found[0])
            yield f"{group[0]} and {group[other]} are in different frames, one expected"
    for group in expect.get("differ", ()):
        for one, other in combinations(group, 2):
            if seen.identity(*one) is None or seen.identity(*one) == seen.identity(*other):
                yield f"{one} and {other} are in one frame or none, different ones expected"
                break


def frame(seen, process, page, name, index, same, remembered, universal):
    """One row of `frames`."""
    known = remembered.get(name, [])
    if index >= len(known):
        yield f"{name} holds {len(known)} frames, number {index} expected"
        return
    found = seen.identity(process, page)
    if (found is not None and found == known[index]) != same and not (universal and same):
        yield (f"{process} page {page} is {'not ' if same else ''}in the frame remembered as {name} number {index}, "
               f"which it should{'' if same else ' not'} be")


def sums(seen, process, sizes, universal, sharing):
    """One row of `rss`. What pages are left out of is left out of their sums too (`universal.py`)."""
    if universal and not sharing:
        return
    lazily = universal and any(area[2].endswith("p") and area[3] != "anon" for area in seen.areas[process])
    for what, wanted in sizes.items():
        found = seen.state[process].rss[what]
        if found != wanted and not (lazily and what in ("rss", "locked")):
            yield f"{process} {what} {found} pages here, {wanted} expected"


def flags(seen, process, page, has, has_not):
    """One row of `flags`."""
    at = seen.at(page)
    for row in seen.areas[process]:
        if row[0] <= at < row[1]:
            missing, present = set(has) - row[5], set(has_not) & row[5]
            if missing or present:
                yield (f"{process} page {page}: area flags {' '.join(sorted(row[5])) or 'none'} here, "
                       f"{' '.join(sorted(has)) or 'none'} expected" + (f", not {' '.join(has_not)}" if has_not else ""))
            return
    yield f"{process} page {page} is in no area, one with flags {' '.join(has) or 'none'} expected"


def counts(wanted, found, within):
    """`objects`; within: by how much of 1 each may be off."""
    for what in OBJECTS:
        if what in wanted and abs(found[what] - wanted[what]) > within * max(wanted[what], 1):
            yield f"{found[what]:g} {what} here, {wanted[what]} expected"
