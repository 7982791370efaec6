"""Whose fault a program shows: the twin of a scheme with one of its defects mended. A fault that is gone then was that one's.

Written for tests of `hunt`, which knows nothing of this: defects by the names of docs/facts; A is the only one of a scheme.

    PYTHONPATH=tests python -m mended        how many programs `hunt` tries until it has found each: docs/hunt.md
"""
import statistics
import time
from functools import partial

import numpy as np

import reference
from reference.schemes import AnonVma, AnonVma267, AnonVmaChainDegree, CowContext202605
from reference.schemes.cow_context import tracked
from rmapcore.studies.hunt.judge import at_the_end
from rmapcore.studies.hunt.search import Losses, Search
from twin_subject import Twin, TwinMachine


class Walks(CowContext202605):
    """The exclusive rule in three parts: each ends the walk of a page that has one mapping, at its first living context."""

    elsewhere = False                  # H1 mended: not before other offsets were tried there
    further = False                    # H2 mended: not before a mapping was found
    read_once = False                  # H9 mended: only of a page that had one mapping when the walk began

    def candidates(self, frame, purpose):
        began = frame.mapcount < 2
        for context in self.order(frame.word):
            if context.mm is None:
                continue
            self.count["mms_tried"] += 1
            exclusive = frame.mapcount < 2
            yield from self.tried(context.mm, frame.index, 0)
            ends = exclusive and frame.mapcount < 2 and (began or not self.read_once)
            if ends and not self.elsewhere:
                if self.further:
                    continue
                return
            for span in context.overlapping(frame.index, frame.index):
                for off in span.offsets:
                    yield from self.tried(context.mm, frame.index, off)
            if ends and not self.further:
                return


class H1(Walks):
    elsewhere = True


class H2(Walks):
    further = True


class H3(CowContext202605):
    def page_first(self, frame, area, vpn):
        fresh = frame.word is None
        super().page_first(frame, area, vpn)
        if fresh and not self.machine.comes_back_alone(frame):
            root = frame.word
            while root.parent:
                root = root.parent
            root.refs += 1
            self.put(frame.word)
            frame.word = root


class H4(CowContext202605):
    def append(self, span, off):
        if off not in span.offsets:
            span.offsets = sorted([*span.offsets, off])


class H5(CowContext202605):
    def area_import(self, area, giver):
        super().area_import(area, giver)
        if giver.word is not None and tracked(area):
            self.record(area)

    def bounds_changed(self, area, moved):
        for one in (moved, area):
            if one and tracked(one):
                self.record(one)


class H6(CowContext202605):
    def area_clone(self, piece, source):
        if tracked(piece):
            self.record(piece)


class H9(Walks):
    read_once = True


class Border(AnonVma267):
    """The area at a moved border takes over the anon_vma as well."""

    area_import = AnonVma.area_import
    area_merge = AnonVma.area_merge


class Reuse(AnonVmaChainDegree):
    """An ancestor's anon_vma is used again by one area."""

    def reusable(self, anon_vma, own):
        return anon_vma.children < 2 and not anon_vma.users


MENDED = {
    "cow_context_2026_05": {"H1": H1, "H2": H2, "H3": H3, "H4": H4, "H5": H5, "H6": H6, "H9": H9},
    "anon_vma_2_6_7": {"A": Border},
    "anon_vma_chain_degree": {"A": Reuse},
}



class MendedMachine(TwinMachine):
    """A twin's machine with another class in the place of its scheme's, as `hunt` looks at it."""

    mended = None

    def __init__(self, scheme, **options):
        reference.SCHEMES[scheme], kept = self.mended, reference.SCHEMES[scheme]
        try:
            super().__init__(scheme, **options)
        finally:
            reference.SCHEMES[scheme] = kept

    @property
    def frames(self):
        return {"mapcount": np.array([frame.mapcount for frame in self._engine.frames])}

    def whomaps(self, frames):
        return packed(self._engine.whomaps(frames.tolist()))

    def mappings(self, frames):
        return packed(self._engine.mappings(frames.tolist()))

    def crosscheck(self):
        """Never that all is well: the comparison looks for itself."""
        return {"frames": 0, "missed": 1, "extra": 0}

    def check(self):
        """What the twin's scheme holds of itself is not asked for."""


def packed(answer):
    pairs = [pair for one in answer for pair in one]
    return (np.cumsum([0, *map(len, answer)]), np.array([pid for pid, _ in pairs], np.int64),
            np.array([address for _, address in pairs], np.int64))


def mended(scheme, kernel, cls):
    """A subject of cases, as `hunt` takes one."""
    machine = type("Machine", (MendedMachine,), {"mended": cls})
    return partial(type("Subject", (Twin,), {"machine_class": machine}), scheme=scheme, kernel=kernel)


def causes(finding, scheme, kernel):
    """The defects whose mending takes away a fault of this kind at the end of the program."""
    def shown(make):
        return any(fault.kind == finding.kind for fault in at_the_end(finding.case, make))

    assert shown(mended(scheme, kernel, reference.SCHEMES[scheme])), "the twin of the scheme has the fault"
    return [name for name, cls in MENDED[scheme].items() if not shown(mended(scheme, kernel, cls))]


def until_found(scheme, seed, kernel="6.18"):
    """({defect: how many programs were tried when it had been found}, seconds of the processor that the search took)."""
    search, known, asked, spent = Search(Losses(scheme, kernel, seed), map, None, None, lambda *_: None), {}, set(), 0.0
    while set(known) != set(MENDED[scheme]):
        begun = time.process_time()
        search.round()
        spent += time.process_time() - begun
        for finding in search.findings:
            if (key := (finding.kind, finding.words)) not in asked:
                asked.add(key)
                known |= {cause: search.programs for cause in causes(finding, scheme, kernel) if cause not in known}
    return {name: known[name] for name in MENDED[scheme]}, spent


def table(schemes=MENDED, seeds=range(5)):
    """Lines of docs/hunt.md, as they come: a row for each scheme and seed, and one with the medians."""
    for scheme in schemes:
        rows, names = [], list(MENDED[scheme])
        yield f"| `{scheme}`: seed | {' | '.join(names)} | seconds |"
        yield f"|{'---|' * (len(names) + 2)}"
        for seed in seeds:
            known, spent = until_found(scheme, seed)
            rows.append([*known.values(), spent])
            yield f"| {seed} | {' | '.join(f'{number:,}' for number in known.values())} | {spent:.1f} |"
        *middle, spent = map(statistics.median, zip(*rows, strict=True))
        yield f"| median | {' | '.join(f'{number:,}' for number in middle)} | {spent:.1f} |"
        yield ""


if __name__ == "__main__":
    for line in table():
        print(line, flush=True)
