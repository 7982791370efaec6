"""The slow twin of rmapcore: the whole machine in plain Python, an independent second opinion on docs/rules.

    common            what no kernel decides
    v2_6_7, v6_18     what a kernel decides, in files of the same names, so that diff shows what changed
    v7_3              what 7.0 and 7.3 make of 6.18
    schemes, filemap  who may map an anonymous page, and a page of a file

A kernel or a scheme of rmapcore that has no twin is not here: whoever compares asks for it and says what it leaves out.
"""

from .common.machine import File, Process
from .common.state import COUNTERS, BusError, OutOfMemory, RmapcoreError, SegmentationFault
from .filemap import FILE_SIDES
from .schemes import SCHEMES
from .v2_6_7.machine import Machine as Machine267
from .v6_18.machine import Machine as Machine618
from .v7_3.machine import Machine70, Machine73

__all__ = ["COUNTERS", "FILE_SIDES", "KERNELS", "SCHEMES", "BusError", "File", "Machine", "OutOfMemory", "Process",
           "RmapcoreError", "SegmentationFault", "twin_of"]

KERNELS = {"2.6.7": Machine267, "6.18": Machine618, "7.0": Machine70, "7.3": Machine73}


def twin_of(scheme):
    """The twin's class of a scheme, by name without options; None if it has no twin."""
    return SCHEMES.get(scheme)


def Machine(scheme="anon_vma", *arguments, kernel="2.6.7", file_rmap=None, **options):
    """The machine of a kernel; what else it takes: common.machine.Machine."""
    anon = SCHEMES[scheme]
    return KERNELS[kernel](anon, FILE_SIDES[file_rmap or anon.files], *arguments, **options)
