"""Workloads of areas that split, or do not merge.

mprotect_loop        Hugh Dickins', 29 March 2004: map a page, write it, make it read-only, and again beside it
split_by_mprotect    Michel Lespinasse's, 4 September 2012: one faulted area is cut into an area a page
"""
import numpy as np

from rmapcore.core.program import make
from rmapcore.operations import Op
from rmapcore.units import PAGE, PROTS
from rmapcore.workloads.bricks import (
    BASE_VPN,
    anonymous,
    exits,
    interleaved,
    need_room,
    phase,
    program,
    reclaim,
    touches,
)
from rmapcore.workloads.parameters import Parameter, Workload


def mprotect_loop(parameters, seed, archs):
    loops = parameters["loops"]
    need_room(archs, "loops", loops)
    vpns = BASE_VPN + np.arange(loops)
    protect = make(Op.MPROTECT, loops, process=1, addr=vpns * PAGE, length=PAGE, prot=PROTS["r"])
    phases = [
        phase("loop", "faults", make(Op.SPAWN, process=1),
              interleaved(anonymous(1, vpns, 1, loops), touches(1, vpns, 1, loops), protect)),
        reclaim(loops),
        phase("exit", "entries", exits([1])),
    ]
    return program("mprotect_loop", parameters, seed, phases)


def split_by_mprotect(parameters, seed, archs):
    pages = parameters["pages"]
    need_room(archs, "pages", pages)
    every_other = BASE_VPN + np.arange(1, pages, 2)
    phases = [
        phase("fill", "faults", make(Op.SPAWN, process=1), anonymous(1, BASE_VPN, pages), touches(1, BASE_VPN, pages)),
        phase("split", len(every_other), make(Op.MPROTECT, len(every_other), process=1, addr=every_other * PAGE,
                                              length=PAGE, prot=PROTS["r"])),
        reclaim(pages),
        phase("exit", "entries", exits([1])),
    ]
    return program("split_by_mprotect", parameters, seed, phases)


WORKLOADS = {
    "mprotect_loop": Workload(
        mprotect_loop, "map a page, write it, make it read-only, again beside it: do the areas merge? (Dickins, March 2004)",
        {"loops": Parameter(10_000, int, "pages", 1, 1_000_000)},
    ),
    "split_by_mprotect": Workload(
        split_by_mprotect, "one faulted area, cut into an area a page (Lespinasse, September 2012)",
        {"pages": Parameter(10_000, int, "of the area", 2, 65_000)},
    ),
}
