"""anon_vma and its kin (rules G5, G6, G6a, D9)."""

from collections import Counter

from ..common.check import require
from ..common.scheme import Scheme
from ..common.state import VM_ACCESS


class AnonVma(Scheme):
    """Rules G5, G6, D9. An area's or page's word is the list of areas that share an anon_vma.

    A list that has become empty is the next to be used again.
    """

    linear = True

    def __init__(self, machine):
        super().__init__(machine)
        self.free = []

    def lock(self, anon_vma):
        self.take("anon_vma", anon_vma)

    def join(self, area):
        """At the list's head, under its lock."""
        if area.word is not None:
            self.lock(area.word)
            area.word.insert(0, area)

    def area_clone(self, piece, source):
        self.join(piece)

    def area_unlink(self, area):
        if area.word is not None:
            self.lock(area.word)
            self.leave(area)

    def area_emptied(self, area):
        self.area_unlink(area)
        area.word = None

    def leave(self, area):
        area.word.remove(area)
        if not area.word:
            self.free.append(area.word)

    def bounds_change(self, area, moved):
        """One lock for all that an adjust does to the list: import, split, swallowing."""
        if area.word is not None or (moved and moved.word is not None):
            self.lock(area.word if area.word is not None else moved.word)

    def area_split(self, piece):
        if piece.word is not None:
            piece.word.insert(0, piece)

    def area_import(self, area, giver):
        if area.word is None and giver.word is not None:
            area.word = giver.word
            area.word.insert(0, area)

    def area_merge(self, area, gone):
        if gone.word is not None:
            self.leave(gone)

    def area_fork(self, child, parent):
        child.word = parent.word
        self.join(child)

    def compatible(self, area, source):
        """source None: a fresh range, which has no anon_vma."""
        return source is None or area.word is None or source.word is None or area.word is source.word

    def anon_prepare(self, area):
        if area.word is not None:
            return
        area.word = self.adoptable(area)
        if area.word is not None:
            self.join(area)
        else:
            self.found(area)

    def found(self, area):
        """An anon_vma of its own."""
        area.word = self.free.pop() if self.free else []
        area.word.append(area)

    def adoptable(self, area):
        """The anon_vma of the area after or before, where a later mprotect could make the two mergeable."""
        after, before = area.mm.after(area), area.mm.before(area.start)
        if after and area.end == after.start and self.goes_on(area, after) and self.alike(area, after):
            return after.word
        if before and before.end == area.start and self.goes_on(before, area) and self.alike(area, before):
            return before.word
        return None

    def alike(self, area, near):
        return (near.word is not None and near.file is area.file and near.policy == area.policy
                and not (near.flags ^ area.flags) & ~VM_ACCESS)

    def stack_grows(self, area):
        self.lock(area.word)

    def page_first(self, frame, area, vpn):
        frame.word = area.word
        frame.index = area.anon_index(vpn)

    def page_last(self, frame):
        frame.word = None

    def candidates(self, frame, purpose):
        self.lock(frame.word)
        for area in frame.word or ():
            self.count["vmas_tried"] += 1
            self.count["lock_anon_vma_held"] += 1
            vpn = area.anon_address(frame.index)
            if area.mm.rss and vpn is not None:
                yield area.mm, area, vpn

    def check(self):
        machine = self.machine
        members = Counter(id(area) for mm in machine.mms for area in mm.areas if area.word is not None)
        for mm in machine.mms:
            for area in mm.areas:
                if area.word is not None:
                    require(sum(one is area for one in area.word) == 1, "G5: on the list once", mm.pid, area.start)
                    require(all(id(one) in members for one in area.word), "G5: only living areas", mm.pid, area.start)
            for vpn, entry in mm.entries.items():
                area = mm.find(vpn)
                if entry.slot:
                    require(area.word is not None, "G5: swap entry without anon_vma", mm.pid, vpn)
                elif entry.pfn > 0 and machine.frames[entry.pfn].anon:
                    frame = machine.frames[entry.pfn]
                    require(frame.word is area.word is not None, "G5: page and area", mm.pid, vpn)
                    require(area.anon_address(frame.index) == vpn, "G6: address", mm.pid, vpn)


class AnonVmaUnshared(AnonVma):
    """Rule G6a."""

    def adoptable(self, area):
        return None


class AnonVma267(AnonVma):
    """Rule G6a: no lock at adoption, and no anon_vma for an area that takes over pages."""

    def anon_prepare(self, area):
        if area.word is not None:
            return
        area.word = self.adoptable(area)
        if area.word is not None:
            area.word.insert(0, area)
        else:
            self.found(area)

    def area_import(self, area, giver): ...

    def area_merge(self, area, gone):
        if area.word is None and gone.word is not None:
            area.word = gone.word
            area.word[area.word.index(gone)] = area
        elif gone.word is not None:
            self.leave(gone)
