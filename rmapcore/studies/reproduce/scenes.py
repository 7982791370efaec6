"""Machines in a given state, and what a walk of their pages costs.

A scene runs the phases of a workload, or operations of its own. Walks are those of `whomaps`: they change nothing, stop at
mapcount as the kernels' do, and count like those of reclaim.
"""
import numpy as np

from rmapcore.core.running import Run
from rmapcore.errors import RmapcoreError
from rmapcore.linux.proc import available_bytes
from rmapcore.machine import MOST_ROOM, Machine
from rmapcore.units import PAGE, format_size
from rmapcore.workloads import build

WALKS = 1 << 22                        # candidates that one call of whomaps may look at: Ctrl-C is heard in between
PART_OF_MEMORY = 3                     # the 3rd part of what the host has available may be used
ROOM = 1 << 28                         # bytes that every host is taken to have
AREA_BYTES, ENTRY_BYTES, FRAME_BYTES = 300, 16, 200        # of the host, rather more than less
CHAINED = ("anon_vma_chain_2010", "anon_vma_chain_degree", "anon_vma_chain")
OBJECTS = {"anon_vmas": "anon_vma", "avcs": "anon_vma_chain"}        # of these schemes: what rows call them -> structures


class Scene:
    """A machine, and what is left of a workload's program.

    scheme, file_rmap, arch: of the Machine, whose kernel is 6.18 for chains of anon_vmas, 2.6.7 for all that was before
    them.  frames: of its RAM; there is no swap, and nothing is reclaimed unasked.
    program: None, or the Program whose phases `play` runs.
    """

    def __init__(self, scheme, frames, file_rmap=None, arch="i386", program=None):
        self.machine = Machine(scheme, "6.18" if scheme in CHAINED else "2.6.7", arch, (frames + 2) * PAGE, 0, file_rmap,
                               **MOST_ROOM)
        self.phases = list(program.phases) if program else []
        self.files = []
        for name, size, kind in program.files if program else ():
            self.file(name, size, kind)

    def file(self, name, size, kind="shmem"):
        """Another file; operations number them from 1 in this order."""
        self.files.append(self.machine.file(name, size, kind))

    def play(self, until=None, strict=True):
        """Runs the phases before `until`, or all that are left.

        strict: a call that fails ends it with its exception; else it is passed over, as a program might do.
        """
        while self.phases and self.phases[0].name != until:
            self.run(self.phases.pop(0).operations, strict=strict)

    def run(self, *operations, strict=True):
        """Runs arrays of operations."""
        operations = np.concatenate(operations)
        run = Run(self.machine, operations, self.files, strict=strict)
        self.machine.hold(run.to, len(operations))

    def structure(self, name):
        """A structure of memory(): live, size, bytes and so on."""
        return self.machine.memory()["structures"][name]

    def pfns(self, pid, vpn, pages=1):
        """Frames of a range that is present."""
        return self.machine.processes[pid].pagemap(vpn * PAGE, pages * PAGE)["pfn"]

    def mapped(self):
        """Frames that are mapped, the zero page aside."""
        return np.flatnonzero(self.machine.frames["mapcount"]).astype(np.uint32)

    def walk(self, frames, most=1):
        """Counters of one walk of each frame.  most: candidates that a walk may look at; bounds the time of a call."""
        before = self.machine.counters
        step = max(1, WALKS // max(most, 1))
        for first in range(0, len(frames), step):
            self.machine.whomaps(frames[first:first + step])
        return self.machine.counters.since(before)


def workload(name, parameters, seed=0, arch="i386"):
    """The Program of a workload."""
    return build(name, parameters, seed, (arch,))


def room():
    """Bytes of the host's memory that a scene may take."""
    there = available_bytes()
    return ROOM if there is None else max(ROOM, there // PART_OF_MEMORY)


def needs(what, areas=0, entries=0, frames=0):
    """RmapcoreError if a scene with so many of them would not fit."""
    n_bytes = areas * AREA_BYTES + entries * ENTRY_BYTES + frames * FRAME_BYTES
    if n_bytes > room():
        raise RmapcoreError(f"{what}: the machines take about {format_size(n_bytes)} of memory, and a third of what is "
                            f"available is {format_size(room())}; choose smaller parameters")
