"""Schemes with a defect each, planted after `hunt` was made to see whether it finds what nobody had in mind.

All are tests/everyone.py but for a line or two. DEFECTS says what kinds of faults each may show.
"""
from everyone import Everyone
from rmapcore.pyx.prototype import UNMAP


class Twice(Everyone):
    """Who has forked twice is asked twice."""

    def walk(self, pfn, purpose):
        for mm, v, vpn in super().walk(pfn, purpose):
            yield mm, v, vpn
            if self.children[mm] > 1:
                yield mm, v, vpn


class Upwards(Everyone):
    """A page that goes to a lower address is looked for where it was."""

    def page_moved(self, pfn, v, vpn, old, new):
        if vpn > self.place[pfn]:
            super().page_moved(pfn, v, vpn, old, new)


class Three(Everyone):
    """After three address spaces a walk gives up."""

    def walk(self, pfn, purpose):
        for tried, candidate in enumerate(super().walk(pfn, purpose)):
            if tried == 3:
                return
            yield candidate


class Orphans(Everyone):
    """Pages of one that has gone are not looked for: its last exit forgets the walk."""

    def walk(self, pfn, purpose):
        if self.core.view("mms")["alive"][int(self.owner[pfn])]:
            yield from super().walk(pfn, purpose)


class Returning(Everyone):
    """Who brings a page back from swap is taken for the only one."""

    arrays = {**Everyone.arrays, "back": ("frame", bool, 1)}

    def page_first(self, pfn, v, vpn):
        super().page_first(pfn, v, vpn)
        self.back[pfn] = bool(self.core.view("frames")["flags"][pfn] & 1 << 16)

    def walk(self, pfn, purpose):
        for number, candidate in enumerate(super().walk(pfn, purpose)):
            if number and self.back[pfn]:
                return
            yield candidate


class Crowded(Everyone):
    """The fourth child is one too many for a hook."""

    def mm_fork(self, child, parent):
        super().mm_fork(child, parent)
        if self.children[parent] == 4:
            raise KeyError("a fourth child")


class Unmapping(Everyone):
    """A walk that unmaps leaves out the one that it asks last."""

    def walk(self, pfn, purpose):
        found = list(super().walk(pfn, purpose))
        last = len(found) - 1 if len(found) > 2 and purpose == UNMAP else None
        yield from (candidate for candidate in found[:last])


DEFECTS = {
    Twice: {"twice", "missed"}, Upwards: {"missed"}, Three: {"missed"}, Orphans: {"missed"}, Returning: {"missed"},
    Crowded: {"raised KeyError"}, Unmapping: {"left", "missed"},
}
