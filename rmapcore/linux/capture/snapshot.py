"""Running processes as a program that builds them: spawn, mappings, touches and forks, in the order of their ancestry.

What /proc shows is a state, and compare needs operations. A frame that several processes map was there before they
parted, so it is written in their nearest common ancestor before the fork that leads to them; what a process does not share
with a child is written after the fork, and where the child has other pages they are copied. If the common ancestor is not
among the processes, one is made up, forks them and exits. In each process, in the order in which its children were born:

    areas ──> for each child: the pages that go to it, swapped ones paged out ──> fork ──> pages it no longer has given back
          ──> its own other pages written ──> pages of files read ──> areas and protections as they are

It is built on a machine while it is written down, which says what a read maps around besides and, in the end, what came
out: `differences` in the summary counts the pages that did not come out alike.

What cannot be seen and is therefore not the same: in which order pages were touched, offsets of anonymous areas that mremap
has moved, areas that Linux could merge and has not, locked areas, which shared pages were written. A frame at different
addresses (after mremap, or merged by KSM) becomes a frame for each. Processes go on running while they are read; stop
them for an exact picture. Without root the frames are hidden: then a page that others map too is taken as shared with
every process of the family that has a shared page at the same address.
"""
from contextlib import suppress
from itertools import pairwise

import numpy as np

from rmapcore.arguments import several, whole
from rmapcore.core.program import make
from rmapcore.errors import BusError, CaptureError, SegmentationFault
from rmapcore.linux.capture import family
from rmapcore.linux.capture.layout import Layout, changes, layout_of, runs
from rmapcore.linux.capture.seen import read
from rmapcore.linux.proc import ask_for_memory
from rmapcore.linux.uapi import MADV_DONTNEED, MADV_PAGEOUT, MAP_FIXED, PROT_READ, PROT_WRITE
from rmapcore.machine import MOST_ROOM, Machine
from rmapcore.operations import Op
from rmapcore.traces import Trace
from rmapcore.traces.files import Files
from rmapcore.units import PAGE, within

KERNEL = "6.18"
LEAST_RAM = 64 << 20
CHUNK_PAGES = 1 << 16                          # of an area that is compared at a time


def snapshot_of(pids, progress=None):
    """The running processes `pids` as a Trace: the operations that build them, after which all of them live.

    summary holds, beside what a recording's has, "snapshot": {"processes": [{"pid", "name", "areas", "present", "swapped",
    "shared": of the live process; "built": the same four of the emulated one}], "made_up": ancestors, "frames": whether
    frames could be seen, "differences": pages}. Shared are anonymous pages that another of the processes maps too.
    progress: None or called as progress(done, total, text). Raises CaptureError if a process cannot be read.
    """
    pids = list(dict.fromkeys(whole(pid, "pids") for pid in several(pids, "pids")))
    if not pids:
        raise CaptureError("no process to look at")
    seen = []
    for pid in pids:
        if progress:
            progress(len(seen), 2 * len(pids), f"reading process {pid}")
        seen.append(read(pid))
    return Builder(seen, progress).trace()


class Held:
    """The anonymous pages of a process while it is built: ascending page numbers, and the label of each."""

    def __init__(self, vpns=(), labels=()):
        self.vpns = np.asarray(vpns, np.int64)
        self.labels = np.asarray(labels, np.int64)

    def missing(self, vpns, labels):
        """Which of these pages are not held with these labels."""
        if not len(self.vpns):
            return np.ones(len(vpns), bool)
        at = np.minimum(np.searchsorted(self.vpns, vpns), len(self.vpns) - 1)
        return (self.vpns[at] != vpns) | (self.labels[at] != labels)

    def put(self, vpns, labels):
        """The pages with those put in their place."""
        kept = ~np.isin(self.vpns, vpns)
        vpns, labels = np.concatenate([self.vpns[kept], vpns]), np.concatenate([self.labels[kept], labels])
        order = np.argsort(vpns)
        return Held(vpns[order], labels[order])

    def without(self, start, end):
        """The pages outside of a range of bytes."""
        kept = (self.vpns < start // PAGE) | (self.vpns >= end // PAGE)
        return Held(self.vpns[kept], self.labels[kept])


class Builder:
    """Builds the processes on a machine and writes down how."""

    def __init__(self, seen, progress):
        self.progress = progress
        self.files = Files()
        self.nodes, self.frames_seen = family.nodes(seen)
        self.holders = family.Holders(self.nodes)
        self.roots, self.n_made_up = family.trees(self.nodes, self.holders)
        self.layouts = {node: layout_of(node.seen, self.files) for node in self.nodes}
        pages = sum(len(node.vpns) for node in self.nodes)
        ask_for_memory("the processes", pages)
        ram = max(4 * pages * PAGE, LEAST_RAM)
        self.machine = Machine(kernel=KERNEL, ram=ram, swap=ram, **MOST_ROOM)
        for name, size, kind in self.files.table:
            self.machine.file(name, size, kind)
        self.records = []
        self.n_built = 0
        for root in self.roots:
            self.emit(Op.SPAWN, process=root.pid)
            self.build(root, Layout(), Held(), False)

    def emit(self, op, **fields):
        """Writes an operation down and runs it; what fails in the emulation changes nothing and shows in the end."""
        self.records.append(make(op, **fields))
        with suppress(OSError, SegmentationFault, BusError):
            self.machine._operate(op=op, **fields)

    def touch(self, op, node, vpns, **fields):
        for start, length in runs(vpns):
            self.emit(op, process=node.pid, addr=start, length=length, **fields)

    def build(self, node, layout, held, inherits):
        """Makes of a process with `layout` and the pages `held`, inherited or none, what it is; then its children."""
        passed = [self.holders.passed_on(child) for child in node.children]
        target = self.layouts.get(node, Layout())
        work = target
        for child, (vpns, _, _) in zip(node.children, passed, strict=True):
            work = work.with_gaps_filled(self.lenders(child, vpns[work.at(vpns) < 0]))
        anon = node.labels >= 0
        work = work.allowing(np.concatenate([node.vpns[anon], *(vpns for vpns, _, _ in passed)]), PROT_READ | PROT_WRITE)
        work = work.allowing(node.vpns[~anon], PROT_READ)
        held = self.become(node, layout, work, held)
        inherited = []
        for child, pages in zip(node.children, passed, strict=True):
            held = self.write(node, held, *pages)
            self.emit(Op.FORK, process=node.pid, other=child.pid)
            inherited.append(held)
        if node.seen is None:
            self.emit(Op.EXIT, process=node.pid)
        else:
            self.finish(node, work, held, inherits)
            self.become(node, work, target, held)
        self.n_built += 1
        if self.progress:
            total = len(self.nodes) + self.n_made_up
            self.progress(total + self.n_built, 2 * total, f"building process {node.pid}")
        for child, theirs in zip(node.children, inherited, strict=True):
            self.build(child, work, theirs, True)

    def lenders(self, child, vpns):
        """Segments of a child or its descendants around pages for which its parent has no area any more."""
        found = []
        for member in child.members():
            if len(vpns) and member.seen:
                index = self.layouts[member].at(vpns)
                found += [self.layouts[member].segments[one] for one in np.unique(index[index >= 0])]
                vpns = vpns[index < 0]
        return found

    def become(self, node, old, new, held):
        """Changes the areas of a process; the pages that it still holds."""
        for op, start, end, prot, object in changes(old, new):
            fields = {"process": node.pid, "addr": start, "length": end - start}
            if op == Op.MMAP:
                fields |= {"flags": object.flags | MAP_FIXED, "other": object.file}
                fields["arg"] = object.origin + start if object.file else 0
            if op != Op.MUNMAP:
                fields["prot"] = prot
            if op != Op.MPROTECT:
                held = held.without(start, end)
            self.emit(op, **fields)
        return held

    def write(self, node, held, vpns, labels, swapped):
        """Gives a process these pages where it does not hold them: written, and paged out if they are swapped."""
        missing = held.missing(vpns, labels)
        self.touch(Op.WRITE, node, vpns[missing])
        self.touch(Op.MADVISE, node, vpns[missing & swapped], arg=MADV_PAGEOUT)
        return held.put(vpns, labels)

    def finish(self, node, layout, held, inherits):
        """The pages of a process that has no children any more to be born."""
        anon = node.labels >= 0
        own = node.vpns[anon]
        if inherits or node.children:          # by hand, not by what is there: other kernels' forks copy other pages
            for one in layout.segments:
                first, last = np.searchsorted(own, [one.start // PAGE, one.end // PAGE])
                borders = [one.start - PAGE, *(own[first:last] * PAGE).tolist(), one.end]
                for before, after in pairwise(borders):
                    if after - before > PAGE:
                        self.emit(Op.MADVISE, process=node.pid, addr=before + PAGE, length=after - before - PAGE,
                                  arg=MADV_DONTNEED)
        self.write(node, held, own, node.labels[anon], node.swapped[anon])
        self.touch(Op.READ, node, node.vpns[~anon])
        for vpns in self.present(node, layout):
            self.touch(Op.MADVISE, node, np.setdiff1d(vpns, node.vpns, True), arg=MADV_DONTNEED)

    def present(self, node, layout):
        """The pages that the emulated process has in memory, some at a time: a read may have mapped others around."""
        for start, entries in self.entries(node, layout):
            yield np.flatnonzero(entries["present"]) + start // PAGE

    def entries(self, node, layout):
        """(address, records of pagemap) of the emulated process where it has page tables, some at a time."""
        process = self.machine.process(node.pid)
        tabled = process.tabled()
        for one in layout.segments:
            for first, last in within(tabled, one.start, one.end):     # areas of terabytes are mostly empty
                for start in range(first, last, CHUNK_PAGES * PAGE):
                    yield start, process.pagemap(start, min(CHUNK_PAGES * PAGE, last - start))

    # --- what came out -------------------------------------------------------------------------------------------

    def trace(self):
        """The Trace, with what was seen beside what was built."""
        operations = np.concatenate(self.records)
        operations.flags.writeable = False
        processes = [self.compared(node) for node in self.nodes]
        ops = operations["op"]
        summary = {
            "lines": 0, "events": 0, "faults": 0, "calls": int(np.isin(ops, (Op.READ, Op.WRITE), invert=True).sum()),
            "processes": len(self.nodes) + self.n_made_up, "forks": int((ops == Op.FORK).sum()), "threads": 0,
            "alive": len(self.nodes), "lost": 0, "left_out": {}, "assumed": {},
            "snapshot": {"processes": processes, "made_up": self.n_made_up, "frames": self.frames_seen,
                         "differences": sum(one.pop("differences") for one in processes)},
        }  # fmt: skip
        source = "processes " + ", ".join(str(node.pid) for node in self.nodes)
        return Trace(operations, self.files.table, summary, source, names={one["pid"]: one["name"] for one in processes})

    def compared(self, node):
        """What a process has, and what the emulated one has."""
        process = self.machine.process(node.pid)
        present, swapped, shared, vpns = 0, 0, 0, []
        for start, entries in self.entries(node, self.layouts[node]):
            present += int(entries["present"].sum())
            swapped += int(entries["swapped"].sum())
            is_shared = (entries["present"] & entries["anon"] & (entries["mapcount"] > 1))
            shared += int(is_shared.sum())
            state = entries["present"] + 2 * entries["swapped"] + 4 * is_shared
            here = np.flatnonzero(state)
            vpns.append((here + start // PAGE) << 3 | state[here])
        live = node.vpns << 3 | np.where(node.swapped, 2, 1) + 4 * (self.holders.shared(node) & ~node.swapped)
        built = np.concatenate([np.empty(0, np.int64), *vpns])
        differing = np.unique(np.setxor1d(live, built) >> 3)
        return {"pid": node.pid, "name": node.seen.name, "areas": len(self.layouts[node].segments),
                "present": int((~node.swapped).sum()), "swapped": int(node.swapped.sum()),
                "shared": int((self.holders.shared(node) & ~node.swapped).sum()), "differences": len(differing),
                "built": {"areas": len(process.maps()), "present": present, "swapped": swapped, "shared": shared}}
