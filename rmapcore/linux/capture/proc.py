"""What /proc says of a running process: its areas and its page-table entries.

An entry of /proc/PID/pagemap (Documentation/admin-guide/mm/pagemap.rst) says whether a page is present or swapped, whether
it is of a file (or of shared memory), whether nobody else maps it, and, to root only, its frame or its place in swap. A
page that is neither present nor swapped is not kept.
"""
import mmap
import os
import re
from dataclasses import dataclass

import numpy as np

from rmapcore.errors import CaptureError
from rmapcore.units import PAGE

PRESENT, SWAPPED, OF_FILE, EXCLUSIVE, GUARD = 1 << 63, 1 << 62, 1 << 61, 1 << 56, 1 << 58
PLACE = (1 << 55) - 1                          # frame, or swap type and offset
CHUNK_PAGES = 1 << 18                          # entries read at a time: 2 MiB
SPECIAL = ("[vdso]", "[vvar]", "[vvar_vclock]", "[vsyscall]", "[uprobes]")
_AREA = re.compile(r"([0-9a-f]+)-([0-9a-f]+) ([r-])([w-])([x-])([ps]) ([0-9a-f]+) (\S+) (\d+)\s*(.*)")


@dataclass(frozen=True)
class Area:
    """One line of maps; start, end, offset in bytes. path is empty for anonymous memory, shared: MAP_SHARED."""

    start: int
    end: int
    prot: int
    shared: bool
    offset: int
    device: str
    inode: str
    path: str

    @property
    def stack(self):
        """Whether it grows downwards."""
        return self.path == "[stack]"


@dataclass
class Seen:
    """A process as it was read.

    ancestors: pids, the parent first; started: clock ticks after boot; areas without vdso and the like.
    vpns, entries: page numbers in ascending order, and pagemap's word for each: present and swapped pages only.
    """

    pid: int
    ancestors: list
    started: int
    name: str
    areas: list
    vpns: np.ndarray
    entries: np.ndarray

    @property
    def stack_end(self):
        """Where the stack begins, None without one. execve draws it at random, fork leaves it."""
        return next((one.end for one in self.areas if one.stack), None)


def read(pid):
    """A Seen. CaptureError if there is no such process, it has no memory of its own, or reading it is not allowed."""
    try:
        name, parent, started = stat(pid)
        with open(f"/proc/{pid}/maps", encoding="latin-1") as stream:
            found = [area(line) for line in stream.read().splitlines()]
        areas = [one for one in found if one.path not in SPECIAL]
        with open(f"/proc/{pid}/pagemap", "rb", buffering=0) as stream:
            pages = [entries(stream.fileno(), one) for one in areas]
    except (FileNotFoundError, ProcessLookupError):
        raise CaptureError(f"process {pid}: there is none") from None
    except PermissionError:
        raise CaptureError(f"process {pid}: reading its memory is not allowed; run as its user or as root") from None
    if not areas:
        raise CaptureError(f"process {pid}: it has no memory of its own (a kernel thread, or it has ended)")
    ancestors = []
    while parent:
        ancestors.append(parent)
        try:
            _, parent, _ = stat(parent)
        except (FileNotFoundError, ProcessLookupError):
            break
    return Seen(pid, ancestors, started, name, areas,
                np.concatenate([vpns for vpns, _ in pages]), np.concatenate([words for _, words in pages]))


def stat(pid):
    """(name, parent, start in clock ticks after boot) of a process; the name may hold anything."""
    with open(f"/proc/{pid}/stat", encoding="latin-1") as stream:
        head, _, tail = stream.read().rpartition(")")
    fields = tail.split()
    return head.partition("(")[2], int(fields[1]), int(fields[19])


def area(line):
    """An Area from a line of maps."""
    start, end, read, write, execute, kind, offset, device, inode, path = _AREA.fullmatch(line).groups()
    prot = (read == "r") | (write == "w") << 1 | (execute == "x") << 2
    return Area(int(start, 16), int(end, 16), prot, kind == "s", int(offset, 16), device, inode, path)


def entries(descriptor, one):
    """(page numbers, pagemap's words) of the present and swapped pages of an area."""
    vpns, words = [], []
    for vpn in range(one.start // PAGE, one.end // PAGE, CHUNK_PAGES):
        count = min(CHUNK_PAGES, one.end // PAGE - vpn)
        got = np.frombuffer(os.pread(descriptor, 8 * count, 8 * vpn), "<u8")
        here = np.flatnonzero((got & (PRESENT | SWAPPED) != 0) & (got & GUARD == 0))
        vpns.append(here + vpn)
        words.append(got[here])
    if not vpns:
        return np.empty(0, np.int64), np.empty(0, np.uint64)
    return np.concatenate(vpns), np.concatenate(words)


def zero_frame():
    """The frame of the zero page, 0 if this user is not told frames."""
    with mmap.mmap(-1, PAGE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as page:
        page.read(1)
        view = np.frombuffer(page, np.uint8)
        vpn = view.ctypes.data // PAGE
        del view
        with open("/proc/self/pagemap", "rb", buffering=0) as stream:
            word = int.from_bytes(os.pread(stream.fileno(), 8, 8 * vpn), "little")
    return word & PLACE if word & PRESENT else 0
