"""THE REGISTRY: every kernel whose rules a machine can follow, one line each, oldest first; resolved when first used.

A kernel says what happens: calls, faults, placement, what merges, how reclaim judges. A new one is one folder in pyx/kernels/
and one line here.
"""
import re
from dataclasses import dataclass
from functools import cache
from importlib import import_module

from rmapcore.arguments import one_of


@cache
def _class(where):
    module, name = where.split(":")
    return getattr(import_module(module), name)


@dataclass(frozen=True)
class Kernel:
    """where: module:class.  about: one line.  since: year and month of its release, "2004-06".  shown: whether its rules were
    compared with a live one.
    """

    where: str
    about: str
    since: str
    shown: bool = False

    def load(self):
        """The class."""
        return _class(self.where)


KERNELS = {
    "2.6.7": Kernel("rmapcore.pyx.kernels.v2_6_7.linux:Linux267", "June 2004, in the year of the great argument",
                    "2004-06"),
    "6.18": Kernel("rmapcore.pyx.kernels.v6_18.linux:Linux618", "November 2025: today's rules, shown on the live kernel",
                   "2025-11", True),
    "7.0": Kernel("rmapcore.pyx.kernels.v7_3.linux:Linux70", "6.18 with another order in which a family's areas join",
                  "2026-04"),
    "7.3": Kernel("rmapcore.pyx.kernels.v7_3.linux:Linux73", "7.0 with an anonymous page offset of each area, and the file's",
                  "2026-10"),
}


def kernels():
    """Known kernels: name -> one-line description."""
    return {name: kernel.about for name, kernel in KERNELS.items()}


def newest():
    """Name of the newest kernel whose rules were compared with a live one."""
    return [name for name, kernel in KERNELS.items() if kernel.shown][-1]


def find(name):
    """The class of a kernel; UnknownName for one that is not here."""
    return KERNELS[one_of(name, "kernel", KERNELS)].load()


def nearest(release):
    """Name of the kernel nearest to a release as uname says it, "6.1.0-18-amd64"; None: it says none."""
    def place(name):
        version = re.match(r"(\d{1,3})\.(\d{1,3})", name)
        return version and int(version[1]) + int(version[2]) / 100

    here = place(release)
    return None if here is None else min(KERNELS, key=lambda name: abs(place(name) - here))
