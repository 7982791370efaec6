"""The twin as a subject of cases: the emulator's subject with a machine of the twin's inside."""
from types import SimpleNamespace

import numpy as np

from reference import Machine, SegmentationFault
from rmapcore.schemes import choose
from rmapcore.units import PAGE, parse_advice, parse_prot
from rmapcore.verify.emulator import Emulator
from rmapcore.verify.fields import FAULT

RAM = SWAP = 4096 * PAGE
MAPS = np.dtype([(name, np.int64) for name in ("start", "end", "prot", "flags", "pgoff", "file")])
PAGES = np.dtype([(name, np.int64) for name in ("present", "swapped", "anon", "writable", "young", "dirty", "pfn", "mapcount",
                                                "slot", "guard")])


class TwinProcess:
    """A process of the twin, with words where the emulator takes words, and with arrays."""

    def __init__(self, process):
        self.process = process

    def __getattr__(self, name):
        return getattr(self.process, name)

    def mmap(self, addr, length, prot, flags, file=None, offset=0):
        return self.process.mmap(addr, length, parse_prot(prot), flags, file, offset)

    def madvise(self, addr, length, advice):
        self.process.madvise(addr, length, parse_advice(advice))

    def fork(self):
        return TwinProcess(self.process.fork())

    def maps(self):
        return np.array(self.process.maps(), MAPS)

    def tabled(self):
        return np.array(self.process.tabled(), np.uint64).reshape(-1, 2)

    def pagemap(self, addr, length):
        return np.array(self.process.pagemap(addr, length), PAGES)

    def stamps(self, addr, length):
        return np.array(self.process.stamps(addr, length))


class TwinMachine:
    """What the emulator's subject asks of a machine."""

    def __init__(self, scheme, kernel, ram, swap, track_contents):
        self._engine = Machine(scheme, kernel=kernel, ram=RAM, swap=SWAP)
        self.scheme = scheme
        self._choice = choose(scheme)

    def __getattr__(self, name):
        return getattr(self._engine, name)

    def spawn(self, name=""):
        return TwinProcess(self._engine.spawn(name))

    @property
    def sweeps(self):
        return self._engine.anon.sweeps

    @property
    def totals(self):
        return {"operations": self._engine.op_index}

    def reclaim(self, pages):
        return SimpleNamespace(**self._engine.reclaim(pages))

    def files_in_swap(self):
        return {number: np.array([page in file.swapped for page in range(file.pages)])
                for number, file in self._engine.files.items() if file.swapped}


class Twin(Emulator):
    machine_class = TwinMachine

    def step(self, step):
        try:
            return super().step(step)
        except SegmentationFault:
            return FAULT
