"""Replays a stream with a hot tenth through TLB and cache, under memory pressure: replay.py PAGES FRAMES ACCESSES."""
import sys
import time

import numpy as np
from cache import Hierarchy

import rmapcore

PAGE = 4096


def stream(accesses, pages, seed=0):
    """Addresses and writes: nine of ten go to a tenth of the pages."""
    draw = np.random.default_rng(seed)
    hot = draw.integers(0, max(pages // 10, 1), accesses) * 10 % pages
    anywhere = draw.integers(0, pages, accesses)
    where = np.where(draw.random(accesses) < 0.9, hot, anywhere)
    return (where * PAGE + draw.integers(0, PAGE, accesses)).astype(np.uint64), (draw.random(accesses) < 0.3).astype(np.uint8)


def main(pages=1 << 16, frames=1 << 13, accesses=1 << 20):
    machine = rmapcore.Machine("anon_vma", kernel="6.18", ram=frames * PAGE, swap=2 * pages * PAGE, watch=1 << 12)
    process = machine.spawn()
    base = process.mmap(length=pages * PAGE, prot="rw")
    addresses, writes = stream(accesses, pages)
    simulator = Hierarchy(machine)
    began = time.perf_counter()
    counts = simulator.run(process.pid, addresses + np.uint64(base), writes)
    took = time.perf_counter() - began
    machine.check()
    print("  ".join(f"{name} {count:,}" for name, count in counts.items()))
    each, of_faults = (took / n * 1e9 for n in (accesses, max(counts["faults"], 1)))
    print(f"{each:.1f} ns an access, {of_faults:.1f} ns a fault if hits cost nothing")
    return counts


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
