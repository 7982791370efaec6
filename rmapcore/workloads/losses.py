"""Programs on which schemes of history lose pages: under the faulty one a run misses entries, under others none."""
import numpy as np

from rmapcore.core.program import make
from rmapcore.linux.uapi import MREMAP_FIXED, MREMAP_MAYMOVE
from rmapcore.operations import Op
from rmapcore.units import PAGE, PROTS
from rmapcore.workloads.bricks import BASE_VPN, anonymous, exits, need_room, phase, program, reclaim, touches
from rmapcore.workloads.parameters import Parameter, Workload

AREAS = 2                              # pages of each member of a family of `reused_twice`, an area each
FAMILY = 6


def protect(process, vpn, pages, prot):
    """MPROTECTs of one range in one process or several."""
    count = len(process) if isinstance(process, np.ndarray) else 1
    return make(Op.MPROTECT, count, process=process, addr=vpn * PAGE, length=pages * PAGE, prot=PROTS[prot])


def moved_border(parameters, seed, archs):
    pages = parameters["pages"]
    need_room(archs, "pages", 2 * pages)
    phases = [
        phase("fill", "faults", make(Op.SPAWN, process=1), anonymous(1, BASE_VPN, 2 * pages), protect(1, BASE_VPN, pages, "r"),
              touches(1, BASE_VPN + pages, pages)),
        phase("move", pages - 1, protect(1, BASE_VPN + pages, pages - 1, "r")),
        reclaim(pages),
        phase("exit", "entries", exits([1])),
    ]
    return program("moved_border", parameters, seed, phases)


def reused_twice(parameters, seed, archs):
    count = parameters["families"]
    first = 1 + FAMILY * np.arange(count)
    p, a, b, c, z, y = (first + member for member in range(FAMILY))
    second = BASE_VPN + 1

    def forks(parents, children):
        return make(Op.FORK, count, process=parents, other=children)

    phases = [
        phase("fill", "faults", make(Op.SPAWN, count, process=p), anonymous(p, BASE_VPN, AREAS, count),
              touches(p, BASE_VPN, AREAS, count)),
        phase("fork", "copies", forks(p, a), forks(a, b), exits(a), forks(b, c), protect(b, second, 1, "rwx"),
              protect(c, second, 1, "rwx"), forks(c, z), exits(b), touches(z, BASE_VPN, AREAS, count), forks(z, y),
              protect(y, second, 1, "rw")),
        reclaim(2 * AREAS * count),
        phase("exit", "entries", exits(np.concatenate([p, c, z, y]))),
    ]
    return program("reused_twice", parameters, seed, phases)


def moved_or_left(parameters, seed, archs):
    """Four families, each with one of the holes H1, H2, H5 and H6 (docs/facts/cow-context.md)."""
    n = parameters["pages"]
    there, further = BASE_VPN + 4 * n, BASE_VPN + 8 * n
    need_room(archs, "pages", 12 * n)
    moved, parent, child, grown, grown_child, cut, cut_child = range(1, 8)

    def moves(process, vpn, pages, to):
        return make(Op.MREMAP, process=process, addr=vpn * PAGE, length=pages * PAGE, arg=pages * PAGE,
                    flags=MREMAP_MAYMOVE | MREMAP_FIXED, arg2=to * PAGE)

    grows = make(Op.MREMAP, process=grown, addr=there * PAGE, length=n * PAGE, arg=2 * n * PAGE)
    phases = [
        phase("fill", "faults", *(made for process, pages in ((moved, n), (parent, n), (grown, n), (cut, 2 * n)) for made in (
            make(Op.SPAWN, process=process), anonymous(process, BASE_VPN, pages), touches(process, BASE_VPN, pages)))),
        phase("move", 5 * n, moves(moved, BASE_VPN, n, there), moves(grown, BASE_VPN, n, there), grows,
              touches(grown, there + n, n), moves(cut, BASE_VPN, 2 * n, there), moves(cut, there, n, further)),
        phase("fork", "copies", *(make(Op.FORK, process=one, other=other) for one, other in (
            (parent, child), (grown, grown_child), (cut, cut_child))), touches(parent, BASE_VPN, n)),
        reclaim(7 * n),
        phase("exit", "entries", exits([moved, child, parent, grown_child, grown, cut_child, cut])),
    ]
    return program("moved_or_left", parameters, seed, phases)


WORKLOADS = {
    "moved_border": Workload(
        moved_border, "mprotect moves a border over written pages to an area that had none: anon_vma_2_6_7 loses them",
        {"pages": Parameter(1000, int, "of either area; all but one of the second change areas", 2, 1 << 20)},
    ),
    "reused_twice": Workload(
        reused_twice, "two areas reuse one anon_vma of different chains, and merge: anon_vma_chain_degree loses a page",
        {"families": Parameter(100, int, "of six processes, each of which loses one page", 1, 10_000)},
    ),
    "moved_or_left": Workload(
        moved_or_left, "areas that were moved, grew or were cut, and pages that only a child has still: cow_context_2026_05 "
        "loses them",
        {"pages": Parameter(1000, int, "of each area", 1, 1 << 16)},
    ),
}
