"""`rmapcore explain`: a picture of what a machine is made of after some calls, and of the walk of one page through it.

   scenes    a case, a workload or a recording, run up to a point; how its processes and addresses are called
   drawing   objects, links and steps of the walk as nodes and edges, as many as can be read
   dot       these in Graphviz's language
   picture   that as SVG

Schemes say themselves what they are made of and whom a walk asks (Scheme.structure, Scheme.route): nothing here knows one.
"""
import os

import numpy as np

from rmapcore.arguments import whole
from rmapcore.core.files import check_writable, write_text
from rmapcore.lab.layout import as_html, render
from rmapcore.studies.explain import picture
from rmapcore.studies.explain.dot import text_of
from rmapcore.studies.explain.drawing import Drawing
from rmapcore.studies.explain.scenes import scene
from rmapcore.version import VERSION

SUFFIXES = (".dot", ".svg")


def suffix_of(path):
    """".dot" or ".svg"; ValueError names the path."""
    suffix = os.path.splitext(path)[1].lower()
    if suffix not in SUFFIXES:
        raise ValueError(f"{path}: the name must end in {' or '.join(SUFFIXES)}")
    return suffix


def check_output(path):
    """Fails before a run if the picture could not be written after it."""
    if suffix_of(path) == ".svg":
        picture.available()
    check_writable(path)


def explain(program, scheme, kernel=None, at=None, page=None, limits=None, **parameters):
    """Runs a program up to a point and looks; an Explanation.

    program: the path of a case (of several: FILE.jsonl:ID), the name of a workload, the path of a recording, or a Trace.
    scheme, kernel: as in Machine; kernel None: 6.18 for cases, the nearest for a recording that names its own, else 2.6.7.
    at: steps of the case, or operations of another program, that are done; None: all of a case, of another as many as come
    before its first exit.  page: "PROCESS:PAGE" whose walk is shown, as the picture names them; None: one that the scheme
    misses, else the one that is mapped most.  parameters: of a workload.  limits: of cases (verify.case.Limits).
    Raises ValueError, UnknownName, CaseError, TraceError for what is no such program, point or page, or too large to draw.
    """
    shown = scene(program, scheme, kernel, None if at is None else whole(at, "at", 0), limits, parameters)
    machine = shown.machine
    objects = shown.visible_objects(machine.structure())
    frame = chosen(machine, objects) if page is None else frame_at(shown, machine, page)
    return Explanation(shown, objects, None if frame is None else machine.walk(frame))


def chosen(machine, objects):
    """The frame that is shown unasked: the first that a walk misses somewhere, else the first of those mapped most."""
    frames = sorted({one["links"]["maps"][1] for name, one in objects.items()
                     if name[0] == "entry" and one["links"]["maps"][0] == "frame"} - {0})
    if not frames:
        return None
    found, true = np.diff(machine.whomaps(frames)[0]), np.diff(machine.mappings(frames)[0])
    lost = np.flatnonzero(found < true)
    return frames[lost[0] if len(lost) else np.argmax(true)]


def frame_at(shown, machine, page):
    """The frame of "PROCESS:PAGE"."""
    pid, address = shown.place(page)
    record = machine.process(pid).pagemap(address, 1)[0]
    if not record["present"] or record["pfn"] == 0:
        what = "swapped out" if record["swapped"] else "the zero page" if record["present"] else "not there"
        raise ValueError(f"page {page} is {what}: there is no walk of it")
    return int(record["pfn"])


class Explanation:
    """What explain() saw. objects: as Machine.structure().  walk: as Machine.walk(), or None where no page is mapped."""

    def __init__(self, shown, objects, walk):
        self.objects, self.walk = objects, walk
        self._scene = shown

    def __repr__(self):
        return f"<Explanation of {self._scene.title}>"

    def _repr_html_(self):
        return as_html(self.table())

    @property
    def title(self):
        """Which program, at which point, under which scheme."""
        return self._scene.title

    def dot(self):
        """The picture in Graphviz's language; the same for the same input."""
        return text_of(Drawing(self._scene, self.objects, self.walk))

    def svg(self):
        """The picture as SVG. Needs the extra `report`; RmapcoreError says so."""
        return picture.svg(self.dot())

    def save(self, path):
        """Writes the picture to a path, .dot or .svg, which appears complete or not at all."""
        write_text(path, self.svg() if suffix_of(os.fspath(path)) == ".svg" else self.dot())

    def table(self, color=False, width=None):
        """The steps of the walk, one a line, and what it counts."""
        return render([self.title, *self._scene.told(self.walk)], color, width)

    def to_dict(self):
        """{"rmapcore", "program", "scheme", "kernel", "at", "objects": [{"kind", "number", "fields", "links"}], "walk"}."""
        scene = self._scene
        return {"rmapcore": VERSION, "program": scene.name, "scheme": scene.scheme, "kernel": scene.machine.kernel,
                "at": scene.at, "objects": [{"kind": kind, "number": number, **one}
                                            for (kind, number), one in self.objects.items()], "walk": self.walk}
