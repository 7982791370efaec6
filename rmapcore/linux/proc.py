"""What /proc says: of processes their areas (maps, smaps), page-table entries (pagemap) and descent, of frames their users
and flags (kpagecount, kpageflags), of the machine its memory, swap, mounts and slabs. The one reader of it.

Formats: Documentation/filesystems/proc.rst and Documentation/admin-guide/mm/pagemap.rst of Linux. Failures are OSError, as
of open; also where a file ends before what was asked for. Frames and places in swap are told to root only.
"""
import errno
import fcntl
import mmap
import os
import re
import struct
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from rmapcore.errors import RmapcoreError
from rmapcore.units import PAGE, format_size

PRESENT, SWAPPED, OF_FILE, EXCLUSIVE, GUARD = 1 << 63, 1 << 62, 1 << 61, 1 << 56, 1 << 58      # pagemap
BYTES_A_PAGE = 100                             # of memory that a machine takes for each page, and what maps it: 100 to 150
PLACE = (1 << 55) - 1                          # its frame, or swap type and offset
KPF_RECLAIM, KPF_COMPOUND_HEAD, KPF_COMPOUND_TAIL = 1 << 9, 1 << 15, 1 << 16         # kpageflags
KPF_KSM, KPF_THP, KPF_ZERO_PAGE = 1 << 21, 1 << 22, 1 << 24
PAGEMAP_SCAN, SCAN_REGIONS = 0xC060_6610, 256
PAGE_IS_PRESENT, PAGE_IS_SWAPPED, PAGE_IS_PFNZERO = 1 << 3, 1 << 4, 1 << 5
_AREA = re.compile(r"([0-9a-f]+)-([0-9a-f]+) (\S{4}) ([0-9a-f]+) (\S+) (\d+)\s*(.*)")
_FLAGS = b"\nVmFlags:"                         # the last line of every area in smaps
_SIZES = (("rss", b"\nRss:"), ("anon", b"\nAnonymous:"), ("swap", b"\nSwap:"), ("locked", b"\nLocked:"))


# --- processes --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Area:
    """One line of maps; start, end, offset in bytes; perms as "r-xp"; device as "08:02". path is empty for anonymous memory."""

    start: int
    end: int
    perms: str
    offset: int
    device: str
    inode: str
    path: str

    @property
    def prot(self):
        """Of PROT_READ, PROT_WRITE, PROT_EXEC."""
        return sum(1 << bit for bit, letter in enumerate(self.perms[:3]) if letter != "-")

    @property
    def shared(self):
        """MAP_SHARED."""
        return self.perms[3] == "s"

    @property
    def stack(self):
        """Whether it grows downwards."""
        return self.path == "[stack]"


class Mapping(NamedTuple):
    """One area of smaps: page numbers, end exclusive; path: bytes or None; flags: the words of VmFlags; kib: "rss", "anon",
    "swap", "locked".
    """

    start: int
    end: int
    perms: str
    path: bytes | None
    pgoff: int
    flags: frozenset
    kib: dict


def areas(pid):
    """The Areas of a process, ascending."""
    with open(f"/proc/{pid}/maps", encoding="latin-1") as stream:
        lines = stream.read().splitlines()
    found = []
    for line in lines:
        start, end, perms, offset, device, inode, path = _AREA.fullmatch(line).groups()
        found.append(Area(int(start, 16), int(end, 16), perms, int(offset, 16), device, inode, path))
    return found


def mappings(pid, chosen):
    """[(Mapping, chosen(start, end))] of those areas of a process, ascending, for which that is not None."""
    with open(f"/proc/{pid}/smaps", "rb", buffering=0) as file:
        text = file.readall()
    found, known_flags = [], {}
    line = 0                                   # where the header of the next area begins
    while line < len(text):
        at = text.index(b"\n", line)
        borders, perms, pgoff, _, _, *path = text[line:at].split(None, 5)
        last = text.index(_FLAGS, at)
        line = text.index(b"\n", last + 1) + 1
        start, end = (int(border, 16) // PAGE for border in borders.split(b"-"))
        choice = chosen(start, end)
        if choice is None:
            continue
        kib = {}
        for name, label in _SIZES:
            size = text.find(label, at, last)
            kib[name] = 0 if size < 0 else int(text[size + len(label):text.index(b"kB", size)])
        words = text[last + len(_FLAGS):line]
        if words not in known_flags:
            known_flags[words] = frozenset(words.decode("ascii").split())
        found.append((Mapping(start, end, perms.decode("ascii"), path[0] if path else None, int(pgoff, 16) // PAGE,
                              known_flags[words], kib), choice))
    return found


def stat(pid):
    """(name, [the fields behind it, from the state on]) of a process; the name may hold anything."""
    with open(f"/proc/{pid}/stat", encoding="latin-1") as stream:
        head, _, tail = stream.read().rpartition(")")
    return head.partition("(")[2], tail.split()


def parent_and_start(pid):
    """(parent's pid, start in clock ticks after boot)."""
    _, fields = stat(pid)
    return int(fields[1]), int(fields[19])


def page_tables(pid):
    """How many page tables a process has, the top one not counted: VmPTE of its status."""
    with open(f"/proc/{pid}/status", "rb") as file:
        kib = re.search(rb"^VmPTE:\s+(\d+) kB", file.read(), re.MULTILINE)
    if kib is None:
        raise OSError(errno.ESRCH, "has no address space", f"/proc/{pid}/status")
    return int(kib[1]) * 1024 // PAGE


def current_cpu():
    """The processor that the caller runs on."""
    return int(stat("thread-self")[1][36])


def children(pid):
    """pids, those of each thread oldest first; empty if there are none, or no such process."""
    found = []
    with suppress(OSError):
        for tid in sorted(map(int, os.listdir(f"/proc/{pid}/task"))):
            with suppress(OSError), open(f"/proc/{pid}/task/{tid}/children", encoding="ascii") as stream:
                found += map(int, stream.read().split())
    return found


def resident_bytes():
    """Of this process, exactly: `Rss` of smaps_rollup (the counters of statm lag behind)."""
    with open("/proc/self/smaps_rollup", encoding="ascii") as stream:
        return next(int(line.split()[1]) << 10 for line in stream if line.startswith("Rss:"))


# --- pages and frames -------------------------------------------------------------------------------------------------


@contextmanager
def opened(path):
    """Descriptor of a file of 64-bit words: /proc/PID/pagemap, /proc/kpagecount, /proc/kpageflags."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def words(descriptor, start, end):
    """Words [start, end) of such a file: uint64. Of a process that has ended, and of frames that there are not: OSError."""
    data = b""
    while len(data) < 8 * (end - start):
        piece = os.pread(descriptor, 8 * (end - start) - len(data), 8 * start + len(data))
        if not piece:
            path = os.readlink(f"/proc/self/fd/{descriptor}")
            raise OSError(errno.ENODATA, f"{path} has no entry {start + len(data) // 8:,}")
        data += piece
    return np.frombuffer(data, "<u8")


def scanned(descriptor, start, end, categories):
    """Gives the ranges (first page, end) of a process that are in any of the categories, without a look at each page.

    Linux has PAGEMAP_SCAN since 6.7; it needs no rights. Before, it is an OSError: ENOTTY.
    """
    regions = np.zeros((SCAN_REGIONS, 3), np.uint64)               # start, end, categories
    start, end = start * PAGE, end * PAGE
    while start < end:
        asked = bytearray(struct.pack("<12Q", 96, 0, start, end, 0, regions.ctypes.data, SCAN_REGIONS, 0, 0, 0, categories,
                                      categories))
        count = fcntl.ioctl(descriptor, PAGEMAP_SCAN, asked)
        yield from ((first // PAGE, last // PAGE) for first, last, _ in regions[:count].tolist())
        start = struct.unpack_from("<Q", asked, 32)[0]             # where the walk ended


def zero_pages(descriptor, start, end):
    """The pages of a range of a process that are the zero page."""
    return {page for first, last in scanned(descriptor, start, end, PAGE_IS_PFNZERO) for page in range(first, last)}


def own_word(page):
    """pagemap's word for a page of this process, given as an array in it."""
    vpn = page.ctypes.data // PAGE
    with opened("/proc/self/pagemap") as descriptor:
        return int(words(descriptor, vpn, vpn + 1)[0])


def shows_frames():
    """Whether this user is told frames: pagemap gives 0 instead; some page of our own is certainly there."""
    word = own_word(np.ones(PAGE, np.uint8))
    return bool(word & PRESENT and word & PLACE)


def own_frame():
    """The frame of some page of our own; only where frames are shown."""
    return own_word(np.ones(PAGE, np.uint8)) & PLACE


def zero_frame():
    """The frame of the zero page, 0 if this user is not told frames."""
    with mmap.mmap(-1, PAGE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as page:
        page.read(1)
        view = np.frombuffer(page, np.uint8)
        word = own_word(view)
        del view                               # else the mapping could not be closed
    return word & PLACE if word & PRESENT else 0


# --- the machine ------------------------------------------------------------------------------------------------------


def available_bytes():
    """What this program can still have without swapping: MemAvailable, or less if a memory control group has a limit; None
    where the kernel does not say it."""
    there = group_bytes()
    with suppress(OSError):
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            name, value, *_ = line.split()
            if name == "MemAvailable:":
                there.append(int(value) * 1024)
    return min(there, default=None)


def ask_for_memory(name, pages, there=None):
    """RmapcoreError if a machine that keeps so many pages would not fit: Linux ends who asks for too much, without a word.

    name: what needs it.  there: bytes; None: what is available now.
    """
    there = available_bytes() if there is None else there
    if there is not None and pages * BYTES_A_PAGE > there:
        raise RmapcoreError(f"{name}: a machine with {pages:,} pages takes about {format_size(pages * BYTES_A_PAGE)} of "
                            f"memory, and {format_size(there)} is available; choose fewer")


def group_bytes():
    """What the control groups (version 2) of this process leave it: a list, empty if none has a limit."""
    left = []
    with suppress(OSError, StopIteration):
        lines = Path("/proc/self/cgroup").read_text(encoding="utf-8", errors="surrogateescape").splitlines()
        own = Path("/sys/fs/cgroup") / next(line[3:] for line in lines if line.startswith("0::")).lstrip("/")
        for group in (own, *own.parents):
            with suppress(OSError, ValueError):                    # the root has no limit; "max" is none
                limit = int((group / "memory.max").read_text(encoding="ascii"))
                used = int((group / "memory.current").read_text(encoding="ascii"))
                left.append(max(limit - used, 0))
    return left


def swap_is_on():
    """Whether there is any swap space."""
    with suppress(OSError):
        return len(Path("/proc/swaps").read_text(encoding="utf-8").splitlines()) > 1
    return False


def mounts():
    """[(device as "8:2", mount point, type of the file system, its options)] that this process sees."""
    found = []
    for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="replace").splitlines():
        fields = line.split()
        kind, _, options = fields[fields.index("-") + 1:][:3]
        found.append((fields[2], Path(fields[4]), kind, options.split(",")))
    return found


def slabs():
    """Slab cache -> objects in use, of the whole machine."""
    text = Path("/proc/slabinfo").read_text(encoding="ascii")
    return {name: int(active) for name, active in re.findall(r"^(\S+) +(\d+) ", text, re.MULTILINE)}
