"""Workload cold_beside_hot: a fixed number of pages has gone cold and is asked back, beside memory that stays in use.

    fill      a server maps two areas and forks `processes` - 1 workers; together they write `cold` pages, an equal part each
    age       `step` pages are asked back: what is cold comes to the inactive list, old
    heat      all write their `hot` pages: each its own (private), or all the same shared memory (shared)
    reclaim   round by round, all read their hot pages again, and `step` pages are asked back, until `cold` were
    exit      workers, then server

    page tables   |HHHHHHHHHHc|HHHHHHHHHHc|HHHHHHHHHHc|     H read again in every round, c never
                   server      worker      worker

How many pages are to be freed does not depend on `hot`: what they cost a scheme shows whether it looks for pages or through
page tables.
"""
import numpy as np

from rmapcore.core.program import Phase, Program, make
from rmapcore.linux.uapi import MAP_FIXED, MAP_PRIVATE, MAP_SHARED
from rmapcore.operations import Op
from rmapcore.pyx.machine.core import ARCHES, MOST_PTES
from rmapcore.units import DEFAULT_FLAGS, PAGE, PROTS
from rmapcore.workloads.bricks import BASE_VPN, TABLE_ENTRIES
from rmapcore.workloads.parameters import Parameter, Workload


def build(parameters, seed, archs):
    """The Program. ValueError for what cannot be: more than address spaces, frames or page tables hold."""
    cold, hot, processes, step = (parameters[name] for name in ("cold", "hot", "processes", "step"))
    shared = parameters["memory"] == "shared"
    part = np.diff(np.arange(processes + 1) * cold // processes)
    room = min(ARCHES[arch][4] for arch in archs) - BASE_VPN
    frames = hot * (1 if shared else processes) + cold
    most = min(ARCHES[arch][-1] for arch in archs) - 1
    entries = processes * ((hot + int(part.max()) + 1) // TABLE_ENTRIES + 6) * TABLE_ENTRIES
    if not part.all():
        raise ValueError(f"cold: {cold:,} pages are fewer than {processes:,} processes")
    if hot + 1 + part.max() > room:
        raise ValueError(f"hot: {hot + part.max() + 1:,} pages are more than the {room:,} that an address space has room for")
    if frames > most:
        raise ValueError(f"hot: {frames:,} pages are more than the {most:,} frames that {' and '.join(archs)} can address")
    if entries > MOST_PTES:
        raise ValueError(f"processes: {processes:,} of them need {entries:,} page-table entries, more than the {MOST_PTES:,} "
                         "of a machine")
    family = np.arange(1, processes + 1)
    at = {"hot": BASE_VPN * PAGE, "cold": (BASE_VPN + hot + 1) * PAGE}
    flags = DEFAULT_FLAGS | MAP_FIXED

    def area(name, pages, flags):
        return make(Op.MMAP, process=1, addr=at[name], length=pages * PAGE, prot=PROTS["rw"], flags=flags)

    def touch(op, name, pages):
        return make(op, processes, process=family, addr=at[name], length=pages * PAGE)

    def ask(pages):
        return make(Op.RECLAIM, arg=pages)

    steps = np.diff(np.append(np.arange(step, cold, step), cold))
    phases = [
        Phase("fill", np.concatenate([
            make(Op.SPAWN, process=1), area("hot", hot, flags & ~MAP_PRIVATE | MAP_SHARED if shared else flags),
            area("cold", int(part.max()), flags), make(Op.FORK, processes - 1, process=1, other=family[1:]),
            touch(Op.WRITE, "cold", part)]), "faults"),
        Phase("age", ask(min(step, cold)), "freed"),
        Phase("heat", touch(Op.WRITE, "hot", hot), "faults"),
        Phase("reclaim", np.concatenate([make(Op.RECLAIM, 0), *(
            operations for pages in steps for operations in (touch(Op.READ, "hot", hot), ask(int(pages))))]), "freed"),
        Phase("exit", make(Op.EXIT, processes, process=family[::-1]), "entries"),
    ]
    peak = sum(len(phase.operations) for phase in phases[:3])
    return Program("cold_beside_hot", parameters, seed, phases, [], frames, entries, peak)


WORKLOADS = {
    "cold_beside_hot": Workload(
        build,
        "asks a fixed number of cold pages back, beside pages that all processes go on using",
        {
            "cold": Parameter(4096, int, "pages of all processes together that are written once, and asked back", 1),
            "hot": Parameter(4096, int, "pages that each process reads again before every step", 1),
            "processes": Parameter(4, int, "a server and its workers", 1, 30_000),
            "memory": Parameter("private", ("private", "shared"), "hot pages: each process its own, or all the same"),
            "step": Parameter(32, int, "pages asked back at a time", 1),
        },
    ),
}
