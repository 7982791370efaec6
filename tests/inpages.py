"""Small programs of anonymous memory, told in pages, and what the reverse map then is. Bytes are those of x86_64."""
import numpy as np

import rmapcore

PAGE = 4096
RW, R, FIXED = 3, 1, 0x32
MOVE = 3                                       # MREMAP_MAYMOVE | MREMAP_FIXED
A, B, D = 0x100000, 0x200000, 0x300000         # pages
LAZY_WORD = 1 << 31                            # of a word that names a root


class Program:
    """Calls in pages, and what the reverse map then is."""

    def __init__(self, scheme="anon_vma_lazy", kernel="6.18", ram=4096, swap=4096):
        self.machine = rmapcore.Machine(scheme, kernel=kernel, ram=ram * PAGE, swap=swap * PAGE)
        self.p = self.machine.spawn()

    def area(self, process, at, pages, prot=RW):
        process.mmap(at * PAGE, pages * PAGE, prot, FIXED)
        process.write(at * PAGE, pages * PAGE)

    def write(self, process, at, pages=1):
        process.write(at * PAGE, pages * PAGE)

    def move(self, process, at, pages, to, flags=MOVE):
        process.mremap(at * PAGE, pages * PAGE, pages * PAGE, flags, to * PAGE)

    def protect(self, process, at, pages, prot):
        process.mprotect(at * PAGE, pages * PAGE, prot)

    def unmap(self, process, at, pages):
        process.munmap(at * PAGE, pages * PAGE)

    def objects(self):
        """(anon_vmas, avcs, areas that are kept though nothing maps them)"""
        found = self.machine.memory()["structures"]
        return tuple(found[name]["live"] if name in found else 0 for name in ("anon_vma", "anon_vma_chain", "detached_vma"))

    def bytes(self):
        anon_vmas, avcs, _ = self.objects()
        return 104 * anon_vmas + 64 * avcs

    def pfn(self, process, at):
        return int(process.pagemap(at * PAGE, PAGE)["pfn"][0])

    def walk(self, process, at):
        """({(process, page)}, entries tried) of the frame there."""
        before = self.machine.counters
        _, pids, addresses = self.machine.whomaps([self.pfn(process, at)])
        return ({(int(pid), int(address) // PAGE) for pid, address in zip(pids, addresses, strict=True)},
                self.machine.counters.since(before)["ptes_tried"])

    def lazy(self, process, at):
        """Does the page there name a root?"""
        return bool(self.machine.frames["rmap"][self.pfn(process, at)] & LAZY_WORD)

    def missed(self):
        """Mappings that the scheme does not find."""
        pfns = np.flatnonzero(self.machine.frames["mapcount"] > 0)
        _, found, _ = self.machine.whomaps(pfns)
        _, there, _ = self.machine.mappings(pfns)
        return len(there) - len(found)

    def since(self, names, act):
        before = self.machine.counters
        act()
        return tuple(self.machine.counters.since(before)[name] for name in names)
