"""What several workloads are built of: phases, forks, ends, the reclaim of everything, and the room there is."""
import numpy as np

from rmapcore.core.program import Phase, Program, make
from rmapcore.linux.uapi import MAP_FIXED, MAP_SHARED
from rmapcore.operations import Op
from rmapcore.pyx.machine.core import ARCHES
from rmapcore.units import DEFAULT_FLAGS, PAGE, PROTS

BASE_VPN = 0x40000                     # i386's mmap base, free on every architecture: 1 GiB
LOW_VPN = 0x10000                      # above every heap that is not used: 256 MiB, for mappings that need the room
TABLE_ENTRIES = 1024                   # of the largest leaf table: an area's ends may fill two of them
SMALL_VPN, SMALL_PAGES = 0x1000, 4     # of a process that has all but nothing: 16 MiB
RECLAIMS = 8                           # parts of a reclaim, so that check points fall in between


def phase(name, counts, *arrays):
    """A Phase of these operation arrays, one behind the other; there may be none."""
    return Phase(name, np.concatenate([make(Op.READ, 0), *arrays]), counts)


def program(name, parameters, seed, phases, files=(), **facts):
    """A Program whose pages, entries and peak a dry run finds out."""
    return Program(name, parameters, seed, phases, list(files), facts=facts)


def anonymous(process, vpn, pages, count=1):
    """MMAPs of private read-write memory at fixed places."""
    return make(Op.MMAP, count, process=process, addr=vpn * PAGE, length=pages * PAGE, prot=PROTS["rw"],
                flags=DEFAULT_FLAGS | MAP_FIXED)


def mapped(process, vpn, pages, file, first_page, count=1, prot="rw", flags=MAP_SHARED):
    """MMAPs of file pages at fixed places."""
    return make(Op.MMAP, count, process=process, addr=vpn * PAGE, length=pages * PAGE, prot=PROTS[prot],
                flags=flags | MAP_FIXED, other=file, arg=first_page * PAGE)


def touches(process, vpn, pages, count=1, write=True):
    """Every page of ranges is written or read once, a range an operation."""
    return make(Op.WRITE if write else Op.READ, count, process=process, addr=vpn * PAGE, length=pages * PAGE)


def forks(parent, children):
    """Children of one parent, or each of its own."""
    return make(Op.FORK, len(children), process=parent, other=children)


def parent_with_pages(pages, vpn=BASE_VPN):
    """Operations: process 1 and its area, all written."""
    return [make(Op.SPAWN, process=1), anonymous(1, vpn, pages), touches(1, vpn, pages)]


def small_parent():
    """The same with a few pages, far below all that others map."""
    return parent_with_pages(SMALL_PAGES, SMALL_VPN)


def exits(processes):
    return make(Op.EXIT, len(processes), process=processes)


def reclaim(frames):
    """The phase in which everything is asked back, `frames` at most, in parts."""
    part = frames // RECLAIMS
    return phase("reclaim", "freed", make(Op.RECLAIM, RECLAIMS if part else 0, arg=part), make(Op.RECLAIM, arg=frames))


def interleaved(*arrays):
    """Arrays of equal length as one: the first of each, then the second of each."""
    return np.stack(arrays, axis=1).reshape(-1)


def need_room(archs, what, pages, base=BASE_VPN):
    """ValueError if a process cannot map that many pages from `base` on, on one of the architectures."""
    for arch in archs:
        room = ARCHES[arch][4] - base
        if pages > room:
            raise ValueError(f"{what}: {pages:,} pages in one process are more than the {room:,} that {arch} has room for")
