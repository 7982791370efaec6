"""Arenas: numpy arrays over private mappings that are reserved at full capacity and cost memory only where written.

The mapping is MAP_NORESERVE (a plain allocation of that size would be refused) and aligned to 2 MiB. Arenas never move
and never grow, so pointers and views into them stay good as long as the arena lives.
"""
import contextlib
import mmap

import numpy as np

MAP_NORESERVE = 0x4000                 # Linux; mmap has the name from Python 3.13 on only
HUGE = 2 << 20
SMALL = 32 << 20                       # the first bytes of an arena keep small pages, so that small machines stay small


class Arena:
    """`capacity` records of `dtype`, `stride` of them per number of the pool that says how many are in use.

    name: for save() and for errors.  pool: number of the pool whose `bump` bounds what was ever written.
    """

    def __init__(self, name, dtype, capacity, pool, stride=1):
        self.name = name
        self.pool = pool
        self.stride = stride
        self.capacity = capacity
        dtype = np.dtype(dtype)
        size = max(1, capacity * stride) * dtype.itemsize
        block = mmap.mmap(-1, size + HUGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | MAP_NORESERVE)
        raw = np.frombuffer(block, dtype=np.uint8)
        start = -raw.ctypes.data % HUGE
        if size > SMALL:
            with contextlib.suppress(OSError):     # a kernel without huge pages
                block.madvise(mmap.MADV_HUGEPAGE, start + SMALL, size - SMALL)
        self.array = raw[start:start + size].view(dtype)

    @property
    def address(self):
        return self.array.ctypes.data

    def used(self, bump):
        """The records ever written, given the pool's bump."""
        return self.array[:min(bump, self.capacity) * self.stride]
