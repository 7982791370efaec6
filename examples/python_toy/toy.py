"""A toy memory simulator in Python: rmapcore in batches, beside a dict and an OrderedDict as an LRU table.

Two streams of accesses go through each: one whose pages all stay in RAM, so that it has no faults, and one under memory
pressure, most of whose accesses fall on few pages. What a fault costs is the time of the second stream less what its accesses
would have cost without faults, by fault. Times are of the processor.
"""
import argparse
import time
from collections import OrderedDict

import numpy as np

import rmapcore

PAGE = 4096
HOT = 0.9                              # of the accesses go to a tenth of the pages


def streams(pages, frames, accesses, seed):
    """(page numbers, whether written) of the stream without faults and of the one under pressure."""
    rng = np.random.default_rng(seed)
    written = rng.random(accesses) < 0.3
    calm = rng.integers(0, frames // 2, accesses)
    hot = rng.random(accesses) < HOT
    tight = np.where(hot, rng.integers(0, pages // 10, accesses), rng.integers(0, pages, accesses))
    return (calm, written), (tight, written)


class Rmapcore:
    """An emulated x86-64 machine, which swaps what does not fit. batch: accesses in one call."""

    def __init__(self, pages, frames, batch):
        self.machine = rmapcore.Machine(ram=frames * PAGE, swap=2 * pages * PAGE)
        self.process = self.machine.spawn()
        self.base = self.process.mmap(length=pages * PAGE, prot="rw")
        self.batch = batch

    def run(self, numbers, written):
        """Faults."""
        addresses = (self.base + numbers * PAGE).astype(np.uint64)
        faults = 0
        for start in range(0, len(addresses), self.batch):
            part = slice(start, start + self.batch)
            faults += np.count_nonzero(self.process.touch(addresses[part], written[part], out="kinds"))
        return faults


class Dict:
    """A dict from page to frame that forgets an arbitrary page: the least that Python must do."""

    def __init__(self, pages, frames):
        self.table, self.free = {}, list(range(frames))

    def run(self, numbers, written):
        """Faults."""
        table, free, faults = self.table, self.free, 0
        dirty = set()
        for page, write in zip(numbers.tolist(), written.tolist(), strict=True):
            if page not in table:
                faults += 1
                if not free:
                    gone, frame = table.popitem()
                    dirty.discard(gone)
                    free.append(frame)
                table[page] = free.pop()
            if write:
                dirty.add(page)
        return faults


class Lru:
    """An OrderedDict from page to frame, the page used last at its end."""

    def __init__(self, pages, frames):
        self.table, self.free = OrderedDict(), list(range(frames))

    def run(self, numbers, written):
        """Faults."""
        table, free, faults = self.table, self.free, 0
        dirty = set()
        for page, write in zip(numbers.tolist(), written.tolist(), strict=True):
            if page in table:
                table.move_to_end(page)
            else:
                faults += 1
                if not free:
                    gone, frame = table.popitem(last=False)
                    dirty.discard(gone)
                    free.append(frame)
                table[page] = free.pop()
            if write:
                dirty.add(page)
        return faults


def measured(make, calm, tight):
    """(nanoseconds an access without faults, nanoseconds a fault, faults) of a simulator."""
    quiet = make()
    quiet.run(*calm)                   # every page comes in
    began = time.process_time()
    faults = quiet.run(*calm)
    hit = (time.process_time() - began) / len(calm[0])
    if faults:
        raise AssertionError(f"{faults} faults in a stream that has none")
    pressed = make()
    pressed.run(*tight)
    began = time.process_time()
    faults = pressed.run(*tight)
    return hit * 1e9, max(0.0, time.process_time() - began - hit * len(tight[0])) / max(faults, 1) * 1e9, faults


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pages", type=int, default=1 << 16, help="of the process; default %(default)s")
    parser.add_argument("--frames", type=int, default=1 << 14, help="of RAM; default %(default)s")
    parser.add_argument("--accesses", type=int, default=1 << 20, help="of each stream; default %(default)s")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    sizes = options.pages, options.frames
    calm, tight = streams(*sizes, options.accesses, options.seed)
    print(f"{options.accesses:,} accesses, {options.pages:,} pages, {options.frames:,} frames\n")
    print(f"{'':28}{'ns an access':>14}{'ns a fault':>14}{'faults':>12}")
    for name, make in (
        ("rmapcore, all in one call", lambda: Rmapcore(*sizes, options.accesses)),
        ("rmapcore, batches of 4,096", lambda: Rmapcore(*sizes, 4096)),
        ("rmapcore, batches of 64", lambda: Rmapcore(*sizes, 64)),
        ("dict", lambda: Dict(*sizes)),
        ("OrderedDict, LRU", lambda: Lru(*sizes)),
    ):
        hit, fault, faults = measured(make, calm, tight)
        print(f"{name:28}{hit:14.1f}{fault:14.1f}{faults:12,}")


if __name__ == "__main__":
    main()
