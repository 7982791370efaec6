"""Scenes: machines whose one process has written all of its pages, in one of three orders.

   sequential        pages ascending get frames ascending, and reclaim meets them so
   frames_shuffled   pages in random order get frames ascending, and reclaim meets them so: entries are random
   lru_shuffled      pages in random order get frames in another random order: frames and entries are random

LRU order is the order of the writes: that of the active list, on which frames are to begin with, and of the inactive list
once `age` has moved them there. What the ideal pass knows of a scene are the victims' frames and the slots of their entries,
in LRU order. The host's memory is touched before anything is timed.
"""
from dataclasses import dataclass

import numpy as np

from rmapcore.machine import Machine
from rmapcore.process import Process
from rmapcore.pyx.look import probe
from rmapcore.studies.bench.inside import entry_pool, pools, set_one_by_one, step, store
from rmapcore.units import PAGE

ORDERS = ("sequential", "frames_shuffled", "lru_shuffled")
SPARE_FRAMES = 64
ADDRESS = 0x2AAAAAAAB000               # of the area: where 2.6.7 puts it; above is room for a move under any kernel
TABLE_ENTRIES = 512
CHUNK = 1 << 20                        # pages asked about at a time: records of pagemap are much larger than a frame's


@dataclass
class Scene:
    """machine, its first process, and where that one's area begins (bytes); the rest by victim, in LRU order.

    numbers: pages of the area.  pfns: frames.  slots: places of their entries; all uint32.
    """

    machine: Machine
    process: Process
    address: int
    numbers: np.ndarray
    pfns: np.ndarray
    slots: np.ndarray

    @property
    def addresses(self):
        """Where the pages are, in LRU order: bytes, uint64."""
        return addresses_of(self.address, self.numbers)

    def renew(self):
        """Every frame on the active list, in order, also under a kernel whose frames begin on the inactive one."""
        step(self.machine, probe.activate, self.pfns)

    def age(self):
        """Every frame to the inactive list, in order, and no sign of use left: the next reclaim takes them all."""
        for pid in self.machine.processes:
            step(self.machine, probe.clear_young, pid)
        step(self.machine, probe.deactivate, self.pfns)

    def aged(self):
        """The ageing of reclaim, for all frames of the active list; how many it looked at."""
        return step(self.machine, probe.aged, len(self.pfns))

    def ideal(self):
        """One ideal memory pass; how many victims it found right. Two leave the machine as it was."""
        return step(self.machine, probe.ideal, self.pfns, self.slots)

    def one_by_one(self, alone=True):
        """Whether reclaim works on one frame after the other from now on, not on groups. Results are the same."""
        set_one_by_one(self.machine, alone)


def kernel_of(subject):
    """The kernel that a subject names: SCHEME@KERNEL; None if it does not."""
    kernel = subject.rpartition("@")[2] if "@" in subject else ""
    return kernel if kernel and ":" not in kernel else None                # the path of a file may have one, too


def machine_of(subject, **sizes):
    """A Machine for what is measured: a scheme, or SCHEME@KERNEL for one under another kernel's rules than the usual."""
    kernel = kernel_of(subject)
    if kernel is None:
        return Machine(subject, **sizes)
    return Machine(subject.removesuffix(f"@{kernel}"), kernel=kernel, **sizes)


def fresh(scheme, pages, spare=SPARE_FRAMES):
    """A machine with one process that has mapped `pages` pages: both, and where. Of the host's memory nothing is touched."""
    room = pages + spare
    machine = machine_of(scheme, ram=room * PAGE, swap=room * PAGE)
    process = machine.spawn()
    return machine, process, process.mmap(ADDRESS, pages * PAGE)


def empty(scheme, pages, spare=SPARE_FRAMES, mappers=2):
    """The same, and what so many processes with these pages will use of the host's memory has been touched.

    spare: room in RAM and swap beyond `pages`.
    """
    machine, process, address = fresh(scheme, pages, spare)
    room = pages + spare
    n_tables = mappers * (pages // TABLE_ENTRIES + pages // TABLE_ENTRIES ** 2 + 8)
    pool = pools(machine)
    sizes = {pool["frames"]: room, pool["tables"]: n_tables, pool["swap_map"]: room}
    if mappers > 1 and entry_pool(machine):
        sizes[entry_pool(machine)] = room
    store(machine, {name: sizes[number] for name, number in pool.items() if number in sizes})
    return machine, process, address


def addresses_of(address, numbers):
    """Bytes, uint64, of pages of an area that begins at `address`."""
    addresses = numbers.astype(np.uint64)
    addresses *= PAGE
    addresses += np.uint64(address)
    return addresses


def chunks(numbers):
    """An array piece by piece."""
    return (numbers[start:start + CHUNK] for start in range(0, len(numbers), CHUNK))


def touch(process, address, numbers):
    """Writes to pages of an area, in order."""
    for piece in chunks(numbers):
        process.touch(addresses_of(address, piece), True)


def scene(scheme, pages, order="sequential", seed=0, spare=SPARE_FRAMES, mappers=2):
    """A Scene of `pages` pages in one of ORDERS; arguments as for `empty`."""
    machine, process, address = empty(scheme, pages, spare, mappers)
    numbers = np.arange(pages, dtype=np.uint32)
    rng = np.random.default_rng(seed)
    if order == "sequential":
        process.write(address, pages * PAGE)
    else:
        rng.shuffle(numbers)
        touch(process, address, numbers)
    if order == "lru_shuffled":
        process.madvise(address, pages * PAGE, "dontneed")     # ascending pages, so the free frames are in random order
        rng.shuffle(numbers)
        touch(process, address, numbers)
    one = Scene(machine, process, address, numbers, *frames_and_slots(machine, process, address, numbers))
    one.renew()
    return one


def frames_and_slots(machine, process, address, numbers):
    """Frames of these pages and slots of their entries: uint32, in this order."""
    pages = len(numbers)
    pfns = np.empty(pages, np.uint32)
    for start in range(0, pages, CHUNK):
        piece = process.pagemap(address + start * PAGE, min(CHUNK, pages - start) * PAGE)
        pfns[start:start + CHUNK] = piece["pfn"]
    slots = [step(machine, probe.places, process.pid, addresses_of(address, piece)) for piece in chunks(numbers)]
    return pfns[numbers], np.concatenate(slots)
