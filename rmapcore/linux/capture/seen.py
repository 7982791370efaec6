"""A running process as it was read: its areas, its pages and its ancestors. A page neither present nor swapped is not kept."""
import errno
from dataclasses import dataclass

import numpy as np

from rmapcore.errors import CaptureError
from rmapcore.linux import proc
from rmapcore.units import PAGE

CHUNK_PAGES = 1 << 18                          # entries read at a time: 2 MiB
NEAR_PAGES = 512                               # so few are read whether something is there or not
SPECIAL = ("[vdso]", "[vvar]", "[vvar_vclock]", "[vsyscall]", "[uprobes]")


@dataclass
class Seen:
    """A process as it was read.

    ancestors: pids, the parent first; started: clock ticks after boot; areas: proc.Areas, without vdso and the like.
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
        name, _ = proc.stat(pid)
        parent, started = proc.parent_and_start(pid)
        areas = [one for one in proc.areas(pid) if one.path not in SPECIAL]
        with proc.opened(f"/proc/{pid}/pagemap") as descriptor:
            pages = [entries(descriptor, one) for one in areas]
    except (FileNotFoundError, ProcessLookupError):
        raise CaptureError(f"process {pid}: there is none") from None
    except PermissionError:
        raise CaptureError(f"process {pid}: reading its memory is not allowed; run as its user or as root") from None
    except OSError as error:
        raise CaptureError(f"process {pid}: it ended while it was read ({error.strerror})") from None
    if not areas:
        raise CaptureError(f"process {pid}: it has no memory of its own (a kernel thread, or it has ended)")
    return Seen(pid, ancestors(parent), started, name, areas,
                np.concatenate([vpns for vpns, _ in pages]), np.concatenate([words for _, words in pages]))


def ancestors(parent):
    """pids from a parent on upwards, as far as they live."""
    found = []
    while parent:
        found.append(parent)
        try:
            parent, _ = proc.parent_and_start(parent)
        except (FileNotFoundError, ProcessLookupError):
            break
    return found


def entries(descriptor, one):
    """(page numbers, pagemap's words) of the present and swapped pages of an area."""
    vpns, words = [np.empty(0, np.int64)], [np.empty(0, np.uint64)]
    for first, end in held(descriptor, one.start // PAGE, one.end // PAGE):
        for vpn in range(first, end, CHUNK_PAGES):
            got = proc.words(descriptor, vpn, min(vpn + CHUNK_PAGES, end))
            here = np.flatnonzero((got & (proc.PRESENT | proc.SWAPPED) != 0) & (got & proc.GUARD == 0))
            vpns.append(here + vpn)
            words.append(got[here])
    return np.concatenate(vpns), np.concatenate(words)


def held(descriptor, start, end):
    """Gives ranges of pages outside of which nothing is present or swapped: programs reserve terabytes, and use little of them.

    Holes up to NEAR_PAGES are no reason to read twice.
    """
    if end - start <= NEAR_PAGES:
        yield start, end
        return
    first = last = start
    try:
        for here, after in proc.scanned(descriptor, start, end, proc.PAGE_IS_PRESENT | proc.PAGE_IS_SWAPPED):
            if here - last > NEAR_PAGES:
                if first < last:
                    yield first, last
                first = here
            last = after
    except OSError as error:
        if error.errno != errno.ENOTTY:
            raise
        last = end                             # a kernel that cannot tell: all of it
    if first < last:
        yield first, last
