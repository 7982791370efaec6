"""The arrays of a saved machine's file, read with suspicion: what is asked for is what may come, and no more is read.

A file may be damaged, cut off or made up. The header of each array is read before its data: another dtype or length than the
one asked for is refused, so that a small file cannot unfold into gigabytes.
"""
import struct
import tokenize
import zipfile
import zlib

import numpy as np
from numpy.lib import format as npy

from rmapcore.pyx.base.records import MOST_FOLIO_ORDER, NOT_CACHED

ENCRYPTED = 1                          # a flag of zip
HEADER_BYTES = 1 << 26                 # most of the JSON: names of processes and files
# What a damaged file has been seen to raise in zipfile, zlib, numpy's header and JSON.
DAMAGE = (ValueError, KeyError, TypeError, EOFError, AttributeError, IndexError, OverflowError, MemoryError, RecursionError,
          NotImplementedError, SyntaxError, OSError, struct.error, tokenize.TokenError, zlib.error, zipfile.BadZipFile)


class SavedArrays:
    """stream: the open file. Raises one of DAMAGE, as all methods do."""

    def __init__(self, stream):
        self.archive = zipfile.ZipFile(stream)
        self.names = {name.removesuffix(".npy") for name in self.archive.namelist() if name.endswith(".npy")}

    def text(self):
        """The JSON text in array `machine`."""
        return self._read("machine", np.dtype(np.uint8), None, HEADER_BYTES, None).tobytes()

    def take(self, name, dtype, length, older=None):
        """Array `name` of so many records. Unsigned numbers may stand there in fewer bytes each.

        older: a dtype that may stand there as well, whose bytes mean the same.
        """
        array = self._read(name, dtype, length, length, older)
        return array if older is None or array.dtype != older else array.view(dtype)

    def _read(self, name, dtype, length, most, older):
        if name not in self.names:
            raise ValueError(f"it has no array {name!r}")
        if self.archive.getinfo(f"{name}.npy").flag_bits & ENCRYPTED:      # zipfile would raise a RuntimeError
            raise ValueError(f"array {name!r} is encrypted")
        with self.archive.open(f"{name}.npy") as stream:
            version = npy.read_magic(stream)
            read_header = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}.get(version)
            if read_header is None:
                raise ValueError(f"array {name!r} has format {version}")
            shape, _, found = read_header(stream)
            fits = holds(dtype, found) or (older is not None and found == older)       # numpy takes None for float64
            if len(shape) != 1 or shape[0] > most or (length is not None and shape[0] != length) or not fits:
                raise ValueError(f"array {name!r} has {shape} records of {found}, where {most} of {dtype} are expected")
            data = stream.read(shape[0] * found.itemsize)
            if stream.read(1):
                raise ValueError(f"array {name!r} is followed by more")
        return np.frombuffer(data, found, shape[0])


def holds(wanted, found):
    """Whether records are the ones wanted, or numbers that these can hold."""
    return wanted == found or (wanted.kind == found.kind == "u" and found.itemsize < wanted.itemsize)


def checked_pools(fresh, saved, shrunk):
    """The pools of a fresh machine, filled as the saved ones are. fresh, saved: arrays of records of POOL.

    shrunk: the saved ones may have been larger.
    """
    pools = fresh.copy()
    for number, (own, other) in enumerate(zip(fresh, saved, strict=True)):
        used, capacity = int(other["bump"]), int(own["capacity"])
        for field in ("capacity", "rmap_bytes", "low_bytes"):
            if other[field] != own[field] and not (shrunk and field == "capacity" and other[field] > own[field]):
                raise ValueError(f"pools: number {number} has {field} {int(other[field])}, its machine {int(own[field])}")
        if not int(own["bump"]) <= used <= max(capacity, int(own["bump"])):
            raise ValueError(f"pools: number {number} has {used} records in use, and room for {capacity}")
        for field in ("live", "peak", "free"):
            if int(other[field]) > used and not (field == "peak" and int(other[field]) <= capacity):
                raise ValueError(f"pools: number {number} has {field} {int(other[field])} of {used} records in use")
        for field in ("bump", "live", "peak", "free"):
            pools[number][field] = other[field]
    return pools


def check_nobody(arenas, arrays):
    """Number 0, which says that there is none, has nothing. check() does not look at it. arenas: name -> Arena, of a fresh
    machine.  arrays: as of check_hints.
    """
    for name, array in arrays.items():
        arena = arenas[name]
        if arena.pool >= 0 and not arena.anchor and array[:arena.stride].tobytes().strip(b"\0"):
            raise ValueError(f"{name}: number 0 is not empty")


def check_hints(arrays):
    """What check() does not see: what only says where to look first, and the ends of large files.

    arrays: name -> array, of a whole machine.
    """
    head, n_frames = arrays["head"][0], len(arrays["frames"])
    places = [("head.recent", head["recent"]), ("lru_ahead", arrays["lru_ahead"])]
    for name, frames in places:
        if len(frames) and int(frames.max()) >= max(n_frames, 1):
            raise ValueError(f"{name} names frame {int(frames.max())} of {n_frames}")
    orders = arrays["folio_orders"]
    if ((orders > MOST_FOLIO_ORDER) & (orders != NOT_CACHED)).any():
        raise ValueError(f"folio_orders has {int(orders[orders != NOT_CACHED].max())}")
    if int(head["recent_at"].max()) >= len(head["recent"]) // 2:
        raise ValueError(f"head.recent_at is {head['recent_at'].tolist()}")
