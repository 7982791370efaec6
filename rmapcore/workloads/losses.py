"""Programs on which schemes of history lose pages: under the faulty one a run misses entries, under others none."""
import numpy as np

from rmapcore.core.program import make
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


WORKLOADS = {
    "moved_border": Workload(
        moved_border, "mprotect moves a border over written pages to an area that had none: anon_vma_2_6_7 loses them",
        {"pages": Parameter(1000, int, "of either area; all but one of the second change areas", 2, 1 << 20)},
    ),
    "reused_twice": Workload(
        reused_twice, "two areas reuse one anon_vma of different chains, and merge: anon_vma_chain_degree loses a page",
        {"families": Parameter(100, int, "of six processes, each of which loses one page", 1, 10_000)},
    ),
}
