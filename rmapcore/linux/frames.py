"""What the kernel says of frames: mapcounts and flags, read in bulk from kpagecount and kpageflags, which are for root."""
from contextlib import ExitStack
from itertools import pairwise

import numpy as np

from rmapcore.linux import proc

GAP = 64                               # entries not asked for that are read along rather than read around


class Frames:
    """Whether a frame is the zero page or KSM's, and its mapcount; `readable` is False where the kernel does not say."""

    def __init__(self):
        self.reason = ""               # why it is not readable
        self.fds = []
        with ExitStack() as stack:
            try:
                fds = [stack.enter_context(proc.opened(name)) for name in ("/proc/kpagecount", "/proc/kpageflags")]
                if proc.shows_frames():
                    frame = proc.own_frame()
                    for one in fds:
                        self.try_one(one, frame)
                    self.fds = fds
                    self.stack = stack.pop_all()
                else:
                    self.reason = "pagemap shows no frame numbers (CAP_SYS_ADMIN is missing)"
            except OSError as error:
                self.reason = f"{error.filename}: {error.strerror}" if error.filename else error.strerror

    @staticmethod
    def try_one(descriptor, frame):
        """OSError if it does not tell of a frame that there is: in containers an empty file may lie over it."""
        try:
            proc.words(descriptor, frame, frame + 1)
        except OSError as error:
            raise OSError(error.errno, f"{error.strerror}: it is masked here, as in containers") from None

    @property
    def readable(self):
        return bool(self.fds)

    def look(self, pfns):
        """(mapcounts, flags) of an array of frame numbers, as two arrays in its order."""
        unique, back = np.unique(pfns, return_inverse=True)
        counts, flags = np.empty(len(unique), np.uint64), np.empty(len(unique), np.uint64)
        cuts = [0, *(np.flatnonzero(np.diff(unique) > GAP) + 1).tolist(), len(unique)]
        for first, last in pairwise(cuts):
            if first == last:
                continue
            low, high = int(unique[first]), int(unique[last - 1]) + 1
            index = (unique[first:last] - np.uint64(low)).astype(np.int64)
            counts[first:last] = proc.words(self.fds[0], low, high)[index]
            flags[first:last] = proc.words(self.fds[1], low, high)[index]
        return counts[back], flags[back]

    def close(self):
        if self.fds:
            self.stack.close()
