"""What no case can say: on which list the live kernel has a page, and which marks it bears, beside the emulator's frames.

kpageflags tells it (Documentation/admin-guide/mm/pagemap.rst). All batches of the processor are emptied before each look. Pages
of memfds and anonymous ones only: what the flusher does to a file on a disk is its own affair.
"""
import platform
from contextlib import closing

import pytest

from rmapcore.linux import proc
from rmapcore.linux.swapdevice import temporary_swap
from rmapcore.units import PAGE
from rmapcore.verify.emulator import BASE, Emulator
from rmapcore.verify.live import Live
from rmapcore.verify.live_machine import LiveMachine
from rmapcore.verify.subject import Unsupported

REFERENCED, ACTIVE, ANON, SWAPCACHE, SWAPBACKED = 2, 6, 12, 13, 14         # bits of kpageflags
PG = {"referenced": 1 << 2, "active": 1 << 6, "swapcache": 1 << 16, "anon": 1 << 20, "lazyfree": 1 << 22}
AT = range(12)                             # pages that are looked at

# name -> (needs swap, steps): process, call, first page, pages, what else
PROGRAMS = {
    "new pages are inactive and not referenced (QB3, QF2)": (False, [
        ("p0", "mmap", 0, 4, {"prot": "rw"}), ("p0", "write", 0, 2), ("p0", "write", 0, 2), ("p0", "read", 2, 1),
        ("p0", "write", 2, 1), ("p0", "fork", "p1"), ("p1", "write", 0, 1), ("p0", "write", 0, 1)]),
    "populating marks as accessed, twice activates (QE7)": (False, [
        ("p0", "mmap", 0, 4, {"prot": "rw", "flags": ["populate"]}), ("p0", "madvise", 0, 2, {"advice": "populate_write"}),
        ("p0", "madvise", 0, 1, {"advice": "populate_read"}), ("p0", "mmap", 4, 4, {"prot": "rw"}), ("p0", "mlock", 4, 4),
        ("p0", "munlock", 4, 4), ("p0", "madvise", 4, 2, {"advice": "populate_read"})]),
    "MADV_COLD takes the marks away (QE9)": (False, [
        ("p0", "mmap", 0, 4, {"prot": "rw", "flags": ["populate"]}), ("p0", "madvise", 0, 2, {"advice": "populate_write"}),
        ("p0", "madvise", 0, 4, {"advice": "cold"}), ("p0", "fork", "p1"), ("p0", "madvise", 0, 4, {"advice": "cold"})]),
    "MADV_FREE puts what it gives up on the inactive list (QE9)": (True, [
        ("p0", "mmap", 0, 4, {"prot": "rw", "flags": ["populate"]}), ("p0", "madvise", 0, 3, {"advice": "populate_write"}),
        ("p0", "madvise", 0, 2, {"advice": "free"}), ("p0", "write", 0, 1), ("p0", "madvise", 0, 2, {"advice": "pageout"}),
        ("p0", "madvise", 0, 1, {"advice": "free"}), ("p0", "madvise", 0, 1, {"advice": "populate_write"})]),
    "a pin marks as referenced, and no more (QE13)": (False, [
        ("p0", "mmap", 0, 2, {"prot": "rw"}), ("p0", "write", 0, 1), ("p0", "pin", 0, {"as": "P"}),
        ("p0", "pin", 0, {"as": "Q"}), ("p0", "pin", 1, {"as": "R"}), ("p0", "fork", "p1"), ("p0", "write", 0, 1)]),
    "a young entry of a file marks when it goes; the second activates (QB4, F10)": (False, [
        ("p0", "mmap", 0, 4, {"prot": "rw", "share": "shared", "file": "M0"}), ("p0", "read", 0, 1), ("p0", "munmap", 0, 4),
        ("p0", "mmap", 0, 4, {"prot": "rw", "share": "shared", "file": "M0"}), ("p0", "write", 0, 1), ("p0", "munmap", 0, 4),
        ("p0", "mmap", 0, 4, {"prot": "r", "file": "M0"}), ("p0", "read", 0, 1)]),
    "hinted areas do not mark (QB4)": (False, [
        ("p0", "mmap", 0, 4, {"prot": "r", "file": "M0"}), ("p0", "madvise", 0, 2, {"advice": "random"}),
        ("p0", "madvise", 2, 2, {"advice": "sequential"}), ("p0", "read", 0, 4), ("p0", "munmap", 0, 4),
        ("p0", "mmap", 0, 4, {"prot": "r", "file": "M0"}), ("p0", "read", 0, 1)]),
    "an anonymous page that goes marks nothing (QB4)": (False, [
        ("p0", "mmap", 0, 4, {"prot": "rw"}), ("p0", "write", 0, 4), ("p0", "fork", "p1"), ("p1", "read", 0, 4),
        ("p1", "exit"), ("p0", "read", 0, 4)]),
    "a page that comes back is inactive and in the swap cache (QF5)": (True, [
        ("p0", "mmap", 0, 4, {"prot": "rw"}), ("p0", "write", 0, 4), ("p0", "madvise", 0, 4, {"advice": "pageout"}),
        ("p0", "read", 0, 1), ("p0", "read", 0, 1), ("p0", "madvise", 0, 1, {"advice": "cold"}),
        ("p0", "fork", "p1"), ("p1", "read", 0, 2)]),
}


def step(process, op, *more):
    fields = {"op": op, "proc": process}
    if more and isinstance(more[-1], dict):
        fields |= more[-1]
        more = more[:-1]
    names = {"fork": ["child"], "pin": ["at"]}.get(op, ["at", "len"])
    return fields | dict(zip(names, more, strict=False))


def of_kernel(live):
    """(process, page) -> marks of every present page but zero pages."""
    found = {}
    for name, agent in live.agents.items():
        with proc.opened(f"/proc/{agent.pid}/pagemap") as pages:
            words = proc.words(pages, live.base // PAGE, live.base // PAGE + len(AT)).tolist()
        for page, word in zip(AT, words, strict=True):
            if word & proc.PRESENT:
                frame = word & proc.PLACE
                flags = int(proc.words(live.frames.fds[1], frame, frame + 1)[0])
                if not flags & proc.KPF_ZERO_PAGE:
                    found[name, page] = marks(flags, {"referenced": 1 << REFERENCED, "active": 1 << ACTIVE, "anon": 1 << ANON,
                                                      "swapcache": 1 << SWAPCACHE},
                                              lazyfree=flags & 1 << ANON and not flags & 1 << SWAPBACKED)
    return found


def of_emulator(emulator):
    found, frames = {}, emulator.machine.frames
    for name, process in emulator.processes.items():
        for page, row in zip(AT, process.pagemap(BASE, len(AT) * PAGE), strict=True):
            if row["present"] and row["pfn"]:
                flags = int(frames["flags"][row["pfn"]])
                found[name, page] = marks(flags, {key: bit for key, bit in PG.items() if key != "lazyfree"},
                                          lazyfree=flags & PG["lazyfree"])
    return found


def marks(flags, bits, lazyfree):
    return {name for name, bit in bits.items() if flags & bit} | ({"lazyfree"} if lazyfree else set())


@pytest.fixture(scope="module")
def seeing():
    try:
        machine = LiveMachine()
    except Unsupported as error:
        pytest.skip(str(error))
    if machine.no_frames or not platform.release().startswith("6.18."):
        pytest.skip(machine.no_frames or "the rules are those of 6.18")
    return machine


@pytest.mark.live
@pytest.mark.parametrize("name", PROGRAMS)
def test_lists_and_marks_are_the_kernels(seeing, name):
    needs_swap, steps = PROGRAMS[name]
    if needs_swap:
        try:
            with temporary_swap(64 << 20, on_disk=True):
                return beside(seeing, steps)
        except OSError as error:
            pytest.skip(f"no swap: {error}")
    return beside(seeing, steps)


def beside(machine, steps):
    files = {"M0": 8}
    with closing(Live(files, machine=machine)) as live, closing(Emulator(files)) as emulator:
        for number, given in enumerate(steps, 1):
            what = step(*given)
            assert live.step(what) == emulator.step(what)
            live.empty_batches()
            assert of_emulator(emulator) == of_kernel(live), f"step {number}: {given}"
