"""Objects, links and steps of a walk as boxes and lines: what is drawn, in which order, and how much of it.

Pages stand on the left, the processes with their areas and entries on the right, between them what the scheme has. Pages that
are alike, side by side in frames and addresses, are one box. What the walk comes by is drawn always, and numbered in its
order; of the rest as much as can be read, and how much more there is.
"""
from dataclasses import dataclass, field

from rmapcore.studies.explain.scenes import MACHINES
from rmapcore.units import PAGE

MOST = {"frame": 16, "area": 24, "entry": 8, "slot": 8, "file": 8}     # boxes of a kind; entry: lines of an area
MOST_OTHERS = 32                       # of each of the scheme's kinds
MOST_TIES = 6                          # that one line names
FOUND, ABSENT, MISSED, ASKED, PLAIN = "found", "not it", "missed", "asked", ""


@dataclass
class Line:
    """A line in a box. marks: numbers of the steps of the walk.  state: FOUND, ABSENT, MISSED, ASKED or PLAIN.  port: a name
    for edges that end here.  head: something begins with it.
    """

    text: str
    marks: list = field(default_factory=list)
    state: str = PLAIN
    port: str | None = None
    head: bool = False


@dataclass
class Box:
    """kind: as objects have it; "walked": the page whose walk it is, "gone": what is not in use, "scheme": all of its kinds."""

    name: str
    kind: str
    lines: list


@dataclass
class Edge:
    """start, end: names of boxes; port: of a line in the end's.  state: as of Line.  orders: the end stands on the right of
    the start.  back: on its left.
    """

    start: str
    end: str
    text: str = ""
    port: str | None = None
    state: str = PLAIN
    orders: bool = True
    back: bool = False


class Drawing:
    """boxes, edges, title and told, lines below it.  apart: pairs of boxes of which the second stands on the right."""

    def __init__(self, scene, objects, walk):
        self.scene, self.objects, self.walk = scene, objects, walk
        self.title = scene.title
        self.steps = {}                # object -> numbers of the steps that come by it
        self.outcome = {}              # (pid, address) -> found, absent
        for number, step in enumerate(walk["steps"] if walk else (), 1):
            name = step.get("asked") or ("entry", step["entry"])
            self.steps.setdefault(name, []).append(number)
            if "entry" in step:
                self.outcome[step["entry"]] = FOUND if step["found"] or self.outcome.get(step["entry"]) == FOUND else ABSENT
        for place in walk["missed"] if walk else ():
            self.outcome[place] = MISSED
        self.frames = self.alike()
        self.boxes, self.edges, self.names, self.left_out = [], [], {}, {}
        self.choose()
        self.pairs = {(name, to) for name, _, to in self.linked()}
        self.draw_pages()
        self.draw_others()
        self.draw_processes()
        self.draw_links()
        self.told = list(self.summary())

    # --- which ------------------------------------------------------------------------------------------------------------

    def alike(self):
        """{frame: (first, last) of those drawn as one}: neighbours with equal links, mapped side by side in the same areas."""
        users, groups, last = {}, {}, None
        for name, one in self.objects.items():
            for entry in one["links"].get("entries", ()) if name[0] == "area" else ():
                to = self.objects[entry]["links"]["maps"]
                users.setdefault(to, []).append((name, entry[1][1]))
        for name in sorted(name for name in self.objects if name[0] == "frame"):
            one, number = self.objects[name], name[1]
            places = tuple((area, address - number * PAGE) for area, address in users.get(name, ()))
            key = repr((one["links"], one["fields"].get("mapcount"), places)), self.index(name) - number
            whole = last and last[0] == key and last[1] == number - 1
            if number == 0 or not whole or self.walked(number) or self.walked(number - 1):
                first = number
            groups[number] = first
            last = key, number
        ends = {}
        for number, first in groups.items():
            ends[first] = number
        return {number: (first, ends[first]) for number, first in groups.items()}

    def index(self, name):
        """A frame's index in pages; schemes that keep an address there have it in bytes."""
        index = self.objects[name]["fields"].get("index", 0)
        return index >> 12 if index and index % PAGE == 0 and index >> 36 else index

    def walked(self, number):
        return bool(self.walk) and self.walk["frame"] == number

    def choose(self):
        """Which objects are drawn: those of the walk, then the first of each kind."""
        kinds = {}
        for name in self.objects:
            if name[0] == "frame" and self.frames[name[1]][0] != name[1]:
                continue
            if name[0] not in ("process", "entry"):
                kinds.setdefault(name[0], []).append(name)
        asked = set(self.steps) | {("frame", self.walk["frame"] if self.walk else None)}
        asked |= {name for name, one in self.objects.items() if name[0] == "area"
                  and any(self.outcome.get(entry[1]) for entry in one["links"].get("entries", ()))}
        self.chosen = set()
        for kind, names in kinds.items():
            most = MOST.get(kind, MOST_OTHERS)
            first = [name for name in names if name in asked]
            kept = {*first, *[name for name in names if name not in asked][:max(most - len(first), 0)]}
            self.chosen |= kept
            if len(names) > len(kept):
                self.left_out[kind] = len(names) - len(kept)

    # --- boxes ------------------------------------------------------------------------------------------------------------

    def box(self, name, kind, lines):
        """Adds a box for an object."""
        self.names[name] = f"n{len(self.boxes)}", None
        self.boxes.append(Box(self.names[name][0], kind, lines))

    def line(self, name, text, port=None):
        """A first line: asked or not, and when."""
        marks = self.steps.get(name, [])
        return Line(text, marks, ASKED if marks else PLAIN, port, True)

    def fields(self, name, left_out=()):
        """Lines of an object's fields."""
        return [Line(f"{key}: {self.scene.value(value)}") for key, value in self.objects[name]["fields"].items()
                if key not in left_out]

    def draw_pages(self):
        for name in sorted(name for name in self.chosen if name[0] in ("frame", "slot")):
            kind, number = name
            if kind == "slot":
                self.box(name, "slot", [self.line(name, f"swap slot {number}")])
                continue
            one = self.objects[name]
            first, last = self.frames[number]
            if number == 0:
                lines = [self.line(name, "the zero page")]
            else:
                pages = f"page {first}" if first == last else f"pages {first} to {last}"
                lines = [self.line(name, pages), Line(f"mapped {times(one['fields']['mapcount'])}")]
                if one["fields"]["index"] or "file" in one["links"]:   # else nobody has put one there
                    index = self.scene.value(one["fields"]["index"])
                    lines[1].text = f"index {index}{' on' if last > first else ''}, {lines[1].text}"
                lines += self.fields(name, ("index", "mapcount"))
            self.box(name, "walked" if self.walked(number) else "frame", lines)

    def draw_others(self):
        """Files and what the scheme has; what somebody names and is not there any more too."""
        named = dict.fromkeys(name for name in self.objects if name in self.chosen and name[0] not in ("frame", "slot", "area"))
        gone = [to for _, _, to in self.linked() if to not in self.objects and to[0] not in MACHINES]
        for name in [*named, *dict.fromkeys([*gone, *(name for name in self.steps if name[0] not in MACHINES)])]:
            if name in self.names:
                continue
            if name not in self.objects:
                self.box(name, "gone", [self.line(name, f"{self.scene.called(name)}"), Line("not in use")])
            elif name[0] == "file":
                fields = self.objects[name]["fields"]
                text = f"file {fields.get('name') or name[1]}"
                self.box(name, "file", [self.line(name, text), Line(f"{fields.get('pages', 0):,} pages")])
            else:
                self.box(name, "scheme", [self.line(name, self.scene.called(name)), *self.fields(name)])

    def draw_processes(self):
        """A box each: the process, then its areas, with their entries below."""
        for name in [name for name in self.objects if name[0] == "process"]:
            areas = self.objects[name]["links"].get("areas", ())
            lines = [self.line(name, self.scene.process(name[1]), "p"), *self.fields(name, ("name",)), *self.ties(name)]
            inside = {place for area in areas for place in self.covered(area)}
            lines += [Line(f"{self.scene.where(place[1])}: no area", self.steps[("entry", place)], state, self.port(place))
                      for place, state in self.outcome.items() if place[0] == name[1] and place not in inside]
            for area in areas:
                lines += self.area_lines(area) if area in self.chosen else ()
            left_out = sum(area not in self.chosen for area in areas)
            self.box(name, "process", lines + [Line(f"and {left_out:,} more areas")] * (left_out > 0))
            for area in areas:
                self.names[area] = self.names[name][0], f"a{area[1]}"
            self.names[name] = self.names[name][0], "p"

    def covered(self, area):
        """Places of the walk that lie in an area."""
        fields = self.objects[area]["fields"]
        pid = self.objects[area]["links"]["process"][1]
        return [place for place in self.outcome if place[0] == pid and fields["start"] <= place[1] < fields["end"]]

    def port(self, place):
        return f"e{place[1]:x}"

    def ties(self, name):
        """Lines of the links that an area or process has to others, but for those by which others lead here."""
        for key, to in self.objects[name]["links"].items():
            others = [other for other in (to if isinstance(to, list) else [to]) if (other, name) not in self.pairs]
            if key not in ("entries", "areas", "process", "file") and others:
                told = ", ".join(self.scene.called(other) for other in others[:MOST_TIES])
                more = f" and {len(others) - MOST_TIES:,} more" * (len(others) > MOST_TIES)
                yield Line(told + more if key == others[0][0] else f"{key}: {told}{more}")

    def area_lines(self, area):
        fields = self.objects[area]["fields"]
        first, last = (self.scene.where(address) for address in (fields["start"], fields["end"] - PAGE))
        text = f"{self.scene.called(area)}: {first if first == last else f'{first} to {last}'}"
        kind = "shared" if fields["shared"] else "private"
        lines = [self.line(area, text, f"a{area[1]}"),
                 Line(f"{fields['prot']}, {kind}, pgoff {self.scene.value(fields['pgoff'])}"),
                 *self.fields(area, ("start", "end", "prot", "shared", "pgoff")), *self.ties(area)]
        entries = list(self.runs(area))
        kept = [run for number, run in enumerate(entries) if run.marks or run.state or number < MOST["entry"]]
        more = len(entries) - len(kept)
        return lines + kept + [Line(f"and {more:,} more lines of entries")] * (more > 0)

    def runs(self, area):
        """Lines of an area's entries: what they map, neighbours in one where pages are drawn as one."""
        entries = {entry[1]: self.objects[entry]["links"]["maps"] for entry in self.objects[area]["links"].get("entries", ())}
        last = None
        for place in sorted({*entries, *self.covered(area)}):
            to, state = entries.get(place), self.outcome.get(place, PLAIN)
            first = self.frames[to[1]][0] if to and to[0] == "frame" else None
            if last and not state and first is not None and last[0] == first and last[1] == place[1] - PAGE:
                last[1] = place[1]
                last[2].text = f"{self.scene.where(last[3])} to {self.scene.where(place[1])}: {self.pages(to[1])}"
                continue
            if last:
                yield last[2]
            text = "nothing" if to is None else self.pages(to[1]) if to[0] == "frame" else f"swap slot {to[1]}"
            line = Line(f"{self.scene.where(place[1])}: {text}", self.steps.get(("entry", place), []), state, self.port(place))
            last = [first if not state else None, place[1], line, place[1]]
        if last:
            yield last[2]

    def pages(self, number):
        first, last = self.frames[number]
        return "the zero page" if number == 0 else f"page {first}" if first == last else f"pages {first} to {last}"

    # --- lines ------------------------------------------------------------------------------------------------------------

    def linked(self):
        """(object, name of the link, other) of all links from what is drawn; lines tell those of processes and areas."""
        for name in self.objects:
            for key, to in self.objects[name]["links"].items() if name in self.chosen and name[0] != "area" else ():
                yield from ((name, key, other) for other in (to if isinstance(to, list) else [to]))

    def draw_links(self):
        drawn = {}
        for name, key, to in self.linked():
            if name == to or drawn.get((to, name), key) != key or (name, to) in drawn:
                continue
            start, _ = self.names.get(name, (None, None))
            end, port = self.entry_place(to[1]) if to[0] == "entry" else self.names.get(to, (None, None))
            if start and end:
                drawn[name, to] = key
                listed = isinstance(self.objects[name]["links"][key], list)
                text = "" if listed or to[0] == "entry" or key in (name[0], to[0]) or (to, name) in drawn else key
                self.edges.append(Edge(start, end, text, port, orders=to[0] != name[0],
                                       back=key == "parent" and to[0] == name[0]))
        led = {edge.end for edge in self.edges}
        pages = [box.name for box in self.boxes if box.kind in ("frame", "walked")]
        self.apart = [(page, box.name) for box in self.boxes for page in pages
                      if box.kind == "process" and box.name not in led]
        page, _ = self.names.get(("frame", self.walk["frame"])) if self.walk else (None, None)
        for place in self.walk["missed"] if page else ():      # nobody else leads there
            end, port = self.entry_place(place)
            if end:
                self.edges.append(Edge(page, end, "missed", port, MISSED, orders=False))

    def entry_place(self, place):
        """Box and port of an entry: its line, or its area's where it is one of several in a line."""
        box = self.names.get(("process", place[0]), (None, None))[0]
        ports = {line.port for one in self.boxes if one.name == box for line in one.lines}
        if self.port(place) in ports:
            return box, self.port(place)
        area = next((area for area in self.objects if area[0] == "area"
                     and ("entry", place) in self.objects[area]["links"].get("entries", ())), None)
        return (box, f"a{area[1]}") if area in self.chosen else (None, None)

    def summary(self):
        if self.walk is None:
            yield "No page is mapped."
        else:
            counts = ", ".join(f"{name} {count:,}" for name, count in self.walk["counters"].items())
            what = "a sweep that looks for" if self.scene.machine.sweeps else "the walk of"
            yield f"The numbers are the steps of {what} page {self.walk['frame']}.{f' It counts {counts}.' * bool(counts)}"
            if self.walk["missed"]:
                places = ", ".join(self.scene.called(("entry", place)) for place in self.walk["missed"])
                yield f"Missed: {places}"
        yield from self.scene.remarks
        if self.left_out:
            yield "Not drawn: " + ", ".join(f"{count:,} more of {kind}" for kind, count in self.left_out.items())


def times(count):
    """Once, twice, 3 times."""
    return {1: "once", 2: "twice"}.get(count, f"{count:,} times")
