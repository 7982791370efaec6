"""The digest of what programs see: equal for every scheme that keeps pages apart, swapped out or not.

Folded in for each process: pid; its areas, neighbours that no program could tell apart taken as one (schemes merge
differently); then (virtual page, stamp) of every page whose stamp is not 0. The object of an area is the program's
number of the file, or SHMEM for shared anonymous memory; anonymous areas have no offset.
"""
import hashlib
import struct

import numpy as np

from rmapcore.pyx.base.records import VM_GROWSDOWN, VM_LOCKED, VM_SHARED
from rmapcore.units import PAGE

VISIBLE = VM_SHARED | VM_GROWSDOWN | VM_LOCKED
SHMEM = 0xFFFFFFFF


def visible_areas(maps, n_files):
    """Areas as programs see them: int64, a row each: first page, pages, prot, flags, object, file page.

    maps: array of Process.maps().  n_files: machine files up to this number are the program's.
    """
    start, end = maps["start"] // PAGE, maps["end"] // PAGE
    file, prot = maps["file"], maps["prot"]
    flags = maps["flags"] & VISIBLE
    pgoff = np.where(file == 0, 0, maps["pgoff"])
    length = np.where(file == 0, 0, end - start)
    same = np.flatnonzero(
        (end[:-1] == start[1:]) & (prot[:-1] == prot[1:]) & (flags[:-1] == flags[1:]) & (file[:-1] == file[1:])
        & (pgoff[:-1] + length[:-1] == pgoff[1:])
    )
    first = np.delete(np.arange(len(maps)), same + 1)
    last = np.delete(np.arange(len(maps)), same)
    kind = np.where(file > n_files, SHMEM, file)
    columns = (start[first], end[last] - start[first], prot[first], flags[first], kind[first], pgoff[first])
    return np.stack([column.astype("<u8") for column in columns], axis=1)


class Digest:
    """A rolling BLAKE2b over the processes of one machine whose files 1..n_files are the program's."""

    def __init__(self, machine, n_files):
        self.machine = machine
        self.n_files = n_files
        self.hash = hashlib.blake2b(digest_size=16)

    def fold(self, pid):
        """Folds a living process in."""
        process = self.machine.process(pid)
        areas = visible_areas(process.maps(), self.n_files)
        pages = process.stamped_pages() if self.machine.track_contents else np.zeros((0, 2), np.uint64)
        self.hash.update(struct.pack("<QQQ", pid, len(areas), len(pages)))
        self.hash.update(np.ascontiguousarray(areas))
        self.hash.update(np.ascontiguousarray(pages, "<u8"))

    def finish(self, pids):
        """Folds the survivors in and gives the digest in hexadecimal."""
        for pid in sorted(pids):
            self.fold(pid)
        return self.hash.hexdigest()
