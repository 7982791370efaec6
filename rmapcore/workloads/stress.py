"""Workloads after stress-ng's stressors: what mappings suffer that are made, cut, moved and dropped without a pause.

stress_rmap       --rmap: windows of one file, each a page further on, so that they overlap like stairs; children write all
stress_mremap     --mremap: an area is halved down to a page and doubled again, on the spot or at a random address
stress_vma        --vma: calls on single pages of a small arena, drawn at random; many fail, as they do in the original
stress_fork       --fork: children that exit at once
stress_mmapfork   --mmapfork: children that each fill a share of memory, drop it and unmap it
stress_mmapmany   --mmapmany: three pages are mapped, the outer two written, the middle one unmapped, again and again

What the originals do beside the mappings (patterns that are verified, msync, mincore, threads of one process) is left out.
"""
import numpy as np

from rmapcore.core.program import make
from rmapcore.linux.uapi import MAP_FIXED, MREMAP_FIXED, MREMAP_MAYMOVE
from rmapcore.operations import Op
from rmapcore.pyx.machine.core import ARCHES
from rmapcore.units import ADVICE, DEFAULT_FLAGS, PAGE, PROTS
from rmapcore.workloads.bricks import (
    BASE_VPN,
    anonymous,
    exits,
    forks,
    interleaved,
    mapped,
    need_room,
    phase,
    program,
    reclaim,
    touches,
)
from rmapcore.workloads.parameters import Parameter, Workload

RANDOM_PAGES = 1 << 26                 # how far apart random addresses are at most: 256 GiB


def stress_rmap(parameters, seed, archs):
    """A child's pass goes through the windows upwards, downwards or in a random order, each third likely."""
    windows, pages, n, passes = (parameters[name] for name in ("windows", "pages", "children", "passes"))
    need_room(archs, "windows and pages", windows * (pages + 1))
    rng = np.random.default_rng(seed)
    number = np.arange(windows)
    vpns = BASE_VPN + number * (pages + 1)
    children = np.arange(2, 2 + n)
    orders = np.array([(number, number[::-1], rng.permutation(windows))[rng.integers(3)] for _ in range(n * passes)])
    orders = orders.reshape(passes, n, windows).transpose(0, 2, 1)         # children take turns, window by window
    writes = touches(np.broadcast_to(children, orders.shape).reshape(-1), vpns[orders].reshape(-1), pages, orders.size)
    file_pages = windows + pages - 1
    phases = [
        phase("map", windows, make(Op.SPAWN, process=1),
              interleaved(mapped(1, vpns, pages, 1, number, windows), anonymous(1, vpns + pages, 1, windows))),
        phase("fork", n, forks(1, children)),
        phase("write", orders.size * pages, writes),
        reclaim(file_pages),
        phase("exit", "entries", exits(np.append(children, 1))),
    ]
    return program("stress_rmap", parameters, seed, phases, [("stress-rmap", file_pages * PAGE, "disk")])


def stress_mremap(parameters, seed, archs):
    """Every step is on the spot or to a random address; addresses are multiples of the size, another one each time."""
    halvings, rounds = parameters["halvings"], parameters["rounds"]
    pages = 1 << halvings
    need_room(archs, "halvings", 2 * pages)
    places = min(RANDOM_PAGES, *(ARCHES[arch][4] - BASE_VPN for arch in archs)) // pages
    rng = np.random.default_rng(seed)
    once = np.concatenate([np.arange(halvings)[::-1], np.arange(1, halvings + 1)])
    new = pages >> halvings << np.tile(once, rounds)
    old = np.concatenate([[pages], new[:-1]])
    moves = rng.integers(0, 2, len(new))
    at = np.cumsum(moves * rng.integers(1, places, len(new))) % places * pages + BASE_VPN
    before = np.concatenate([[BASE_VPN], at[:-1]])
    steps = make(Op.MREMAP, len(new), process=1, addr=before * PAGE, length=old * PAGE, arg=new * PAGE,
                 flags=MREMAP_MAYMOVE | MREMAP_FIXED * moves, arg2=at * PAGE * moves)
    phases = [
        phase("fill", "faults", make(Op.SPAWN, process=1), anonymous(1, BASE_VPN, pages), touches(1, BASE_VPN, pages)),
        phase("mremap", int(np.minimum(old, new).sum()), interleaved(steps, touches(1, at, new, len(new)))),
        reclaim(pages),
        phase("exit", "entries", exits([1])),
    ]
    return program("stress_mremap", parameters, seed, phases)


def stress_vma(parameters, seed, archs):
    """Processes, pages and calls are drawn independently of one another."""
    pages, steps, n = parameters["arena"], parameters["operations"], parameters["processes"]
    need_room(archs, "arena", pages)
    rng = np.random.default_rng(seed)
    kinds = np.array([Op.MMAP, Op.MUNMAP, Op.MPROTECT, Op.MADVISE, Op.MLOCK, Op.MUNLOCK, Op.READ, Op.WRITE])
    protections = np.array([PROTS[name] for name in ("none", "r", "rw")])
    advice = np.array([ADVICE[name] for name in ("normal", "random", "dontneed", "willneed")])
    drawn = make(Op.READ, steps, process=rng.integers(1, 1 + n, steps),
                 addr=(BASE_VPN + rng.integers(0, pages, steps)) * PAGE, length=PAGE)
    drawn["op"] = rng.choice(kinds, steps)
    of = {kind: drawn["op"] == kind for kind in kinds}
    drawn["flags"][of[Op.MMAP]] = DEFAULT_FLAGS | MAP_FIXED
    drawn["prot"] = np.where(of[Op.MPROTECT], rng.choice(protections, steps), PROTS["rw"] * of[Op.MMAP])
    drawn["arg"][of[Op.MADVISE]] = rng.choice(advice, steps)[of[Op.MADVISE]]
    pids = np.arange(1, 1 + n)
    phases = [
        phase("map", "faults", make(Op.SPAWN, process=1), anonymous(1, BASE_VPN, pages), touches(1, BASE_VPN, pages),
              forks(1, pids[1:])),
        phase("calls", steps, drawn),
        reclaim(pages * n),
        phase("exit", "entries", exits(pids)),
    ]
    return program("stress_vma", parameters, seed, phases)


def stress_fork(parameters, seed, archs):
    pages, n, alive = (parameters[name] for name in ("pages", "children", "alive"))
    need_room(archs, "pages", pages)
    children = np.arange(2, 2 + n)
    steps = [part for first in range(0, n, alive)
             for part in (forks(1, children[first:first + alive]), exits(children[first:first + alive]))]
    phases = [
        phase("fill", "faults", make(Op.SPAWN, process=1), anonymous(1, BASE_VPN, pages), touches(1, BASE_VPN, pages)),
        phase("fork", "copies", *steps),
        phase("exit", "entries", exits([1])),
    ]
    return program("stress_fork", parameters, seed, phases)


def stress_mmapfork(parameters, seed, archs):
    """A child's share of memory is half of it divided by the children."""
    n = parameters["children"]
    share = parameters["pages"] // (2 * n)
    if share < 1:
        raise ValueError(f"pages: {parameters['pages']:,} are less than two for each of {n:,} children")
    need_room(archs, "pages", share)
    children = np.arange(2, 2 + n)
    places = {"process": children, "addr": BASE_VPN * PAGE, "length": share * PAGE}
    phases = [
        phase("fork", n, make(Op.SPAWN, process=1), forks(1, children)),
        phase("populate", "faults", anonymous(children, BASE_VPN, share, n), touches(children, BASE_VPN, share, n)),
        phase("memset", share * n, touches(children, BASE_VPN, share, n)),
        phase("dontneed", "entries", make(Op.MADVISE, n, arg=ADVICE["dontneed"], **places)),
        phase("exit", n, make(Op.MUNMAP, n, **places), exits(np.append(children, 1))),
    ]
    return program("stress_mmapfork", parameters, seed, phases)


def stress_mmapmany(parameters, seed, archs):
    n, gap = parameters["maps"], parameters["gap"]
    need_room(archs, "maps and gap", n * (3 + gap))
    vpns = BASE_VPN + np.arange(n) * (3 + gap)
    phases = [
        phase("map", 3 * n, make(Op.SPAWN, process=1), interleaved(
            anonymous(1, vpns, 3, n), touches(1, vpns, 1, n), touches(1, vpns + 2, 1, n),
            make(Op.MUNMAP, n, process=1, addr=(vpns + 1) * PAGE, length=PAGE))),
        reclaim(2 * n),
        phase("exit", "entries", exits([1])),
    ]
    return program("stress_mmapmany", parameters, seed, phases)


WORKLOADS = {
    "stress_rmap": Workload(
        stress_rmap, "stress-ng --rmap: overlapping windows of one file, written by children in any order",
        {
            "windows": Parameter(64, int, "shared mappings of the file, each begins a page further on", 1, 30_000),
            "pages": Parameter(16, int, "of a window", 1, 65_000),
            "children": Parameter(16, int, "that inherit all windows (8 to 256 in the original)", 1, 30_000),
            "passes": Parameter(20, int, "of each child over all windows", 1, 100_000),
        },
    ),
    "stress_mremap": Workload(
        stress_mremap, "stress-ng --mremap: one process halves its area to a page and doubles it again, and moves it",
        {
            "halvings": Parameter(16, int, "the area has two to the power of this many pages", 1, 18),
            "rounds": Parameter(10, int, "down to a page and up again", 1, 100_000),
        },
    ),
    "stress_vma": Workload(
        stress_vma, "stress-ng --vma: calls and accesses on single pages of a small arena, many of which fail",
        {
            "arena": Parameter(32, int, "pages", 1, 100_000),
            "operations": Parameter(200_000, int, "calls and accesses in all processes", 1),
            "processes": Parameter(2, int, "that inherit the arena and share nothing else", 1, 30_000),
        },
    ),
    "stress_fork": Workload(
        stress_fork, "stress-ng --fork: children that exit at once",
        {
            "pages": Parameter(300, int, "that the parent has written", 1),
            "children": Parameter(5000, int, "in all", 1, 1_000_000),
            "alive": Parameter(1, int, "children forked before the first of them exits", 1, 30_000),
        },
    ),
    "stress_mmapfork": Workload(
        stress_mmapfork, "stress-ng --mmapfork: children fill half of memory, drop it, unmap it",
        {
            "pages": Parameter(262_144, int, "of free memory", 2),
            "children": Parameter(32, int, "at a time", 1, 30_000),
        },
    ),
    "stress_mmapmany": Workload(
        stress_mmapmany, "stress-ng --mmapmany: map three pages, write the outer ones, unmap the middle one, again and again",
        {
            "maps": Parameter(30_000, int, "steps; two areas each (the original goes on until mmap fails)", 1, 32_000),
            "gap": Parameter(1, int, "pages left free between two steps; 0: neighbours merge", 0, 1000),
        },
    ),
}
