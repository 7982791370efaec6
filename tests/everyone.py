"""A scheme in Python for tests: everybody is asked, at the page's own address, and whoever mapped a page first is asked first.

Not a test: a file as somebody outside would write it. What it knows stands in declared arrays.
"""
import numpy as np

from rmapcore import Prototype
from rmapcore.schemes import SCHEMES


class Everyone(Prototype):
    """Every address space is asked about every page, its first one before the others."""

    traits = {"linear": True}
    arrays = {"owner": ("frame", np.uint32, "word"), "place": ("frame", np.uint64, 8), "children": ("mm", np.uint16, 2),
              "prepared": ("area", np.bool_, 1)}

    def mm_exec(self, mm):
        self.children[mm] = 0

    def mm_fork(self, child, parent):
        self.children[child] = 0
        self.children[parent] += 1

    def area_link(self, v):
        self.prepared[v] = False

    def anon_prepare(self, v):
        self.prepared[v] = True

    def page_first(self, pfn, v, vpn):
        self.owner[pfn] = self.core.view("areas")["mm"][v]
        self.place[pfn] = vpn

    def may_move(self, pfn, vpn):
        return bool(self.core.view("frames")["mapcount"][pfn] == 1 or self.place[pfn] == vpn)

    def page_moved(self, pfn, v, vpn, old, new):
        self.place[pfn] = vpn

    def may_swapin(self, pfn, vpn):
        return bool(self.core.view("frames")["mapcount"][pfn] == 0 or self.place[pfn] == vpn)

    def walk(self, pfn, purpose):
        mms, first, vpn = self.core.view("mms"), int(self.owner[pfn]), int(self.place[pfn])
        if mms["alive"][first]:
            yield first, 0, vpn
        mm = int(self.core.view("head")["mm_first"][0])
        while mm:
            if mm != first:
                yield mm, 0, vpn
            mm = int(mms["next"][mm])


class Patient(Everyone):
    """The same, with an option that does nothing."""

    def __init__(self, tries="1"):
        super().__init__()
        if not tries.isdecimal():
            raise ValueError(f"patient: tries: {tries!r} is not a number")
        self.tries = int(tries)


class Forgetful(Everyone):
    """Everyone, but a forked child is never found."""

    defects = ("children of a fork are not asked",)

    def walk(self, pfn, purpose):
        if self.core.view("mms")["alive"][self.owner[pfn]]:
            yield int(self.owner[pfn]), 0, int(self.place[pfn])


class Compiled(SCHEMES["anonmm"].load()):
    """anonmm as it is, under another class."""


class NoScheme:
    """Not one."""
