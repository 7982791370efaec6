"""The one place of the bench that looks inside of machines: single steps of the hot paths, and the arenas they work on.

Everything else measures what Machine and Process offer.
"""
import numpy as np


def step(machine, kernel, *arguments):
    """What a function of pyx.look.probe gives for a machine."""
    return kernel(machine._engine, *arguments)


def set_one_by_one(machine, alone):
    """Whether reclaim works on one frame after the other from now on, not on groups. Results are the same."""
    machine._engine.one_by_one = alone


def entry_pool(machine):
    """Number of the pool of what the scheme keeps for each page-table entry; 0: it keeps nothing."""
    return machine._engine.anon.entry_pool


def pools(machine):
    """{name of an arena: number of the pool that counts its records}."""
    return {name: arena.pool for name, arena in machine._core.arenas.items()}


def store(machine, sizes):
    """Writes zeros, which is what is there, into the first unused records of each arena of {name: records of its pool}."""
    for name, n_records in sizes.items():
        arena = machine._core.arenas[name]
        used = len(machine._core.view(name))
        arena.array[used:used + n_records * arena.stride].view(np.uint8)[...] = 0


def records_in_use(machine):
    """{name of an arena: records of its pool that were ever used}, for `store`."""
    core = machine._core
    return {name: len(core.view(name)) // arena.stride for name, arena in core.arenas.items()}


def bytes_in_use(machine):
    """Bytes of all records that were ever used."""
    return sum(machine._core.view(name).nbytes for name in machine._core.arenas)
