"""Arenas that are full (rule A6): a call finds room or says ArenaFull, and then nothing has changed, but where the rule says so.

Random programs run on machines whose pools are lowered to little more than what is used. A call that says ArenaFull is made
again when the pool has its old capacity: it must then do what it would have done.
"""
import functools

import numpy as np
import pytest

import rmapcore
from programs import program, run_step
from programs import State as Made
from rmapcore.schemes import SCHEMES

PAGE = 4096
WARM = 70                              # steps before a pool is lowered
STEPS = 130
UNREAD = ("frames", "slots")           # their capacity is RAM and swap: a call that finds no frame is OutOfMemory's
LOCKED, MAP_LOCKED, MAP_POPULATE, MREMAP_FIXED = 0x2000, 0x2000, 0x8000, 2
# calls that go area by area or page by page: what was done before the arena was full stays (rule A6)
IN_PARTS = {"mprotect", "madvise", "munlock", "mbind", "mseal", "name"}
FILL = {"mlock", "mlockall", "munlockall", "remap_file_pages"}
FILE_SIDES = {"pte_chain": (None,), "virtual_scan": ("none",), "anonmm": (None, "list", "pte_chain")}


def lower(machine, pool, spare):
    """The pool ends `spare` records beyond what was ever used; its old capacity."""
    pools = machine._core.writable("pools")
    was = int(pools["capacity"][pool])
    pools["capacity"][pool] = pools["bump"][pool] + spare
    return was


def everything(machine):
    """All arenas as they are, but for hints where to look first, and the count of operations."""
    arrays = {name: machine._core.view(name).copy() for name in machine._core.arenas}
    arrays["mms"]["cache"] = 0
    arrays["head"]["op_index"] = 0
    del arrays["pools"]
    return arrays


def is_whole(machine, made, step, error):
    """Does this call promise that it changes nothing when an arena is full?"""
    name, index, *arguments = step
    if name in FILL:
        return False
    if name in ("touch", "read", "write"):
        return error.done == 0
    if name in ("spawn", "fork", "execve", "munmap", "truncate", "file", "exit", "pin"):
        return True
    areas = made.processes[index].maps()
    locked = bool((areas["flags"] & LOCKED).any()) or bool(
        machine._core.view("mms")["def_flags"].any())
    if name == "mmap":
        return not locked and not arguments[3] & (MAP_LOCKED | MAP_POPULATE)
    if name == "brk":
        return not locked
    if name == "mremap":
        return not locked and not arguments[3] & MREMAP_FIXED
    if name in IN_PARTS:
        start, length = made.address(arguments[0]), arguments[1]
        return not locked and int(((areas["start"] < start + length) & (areas["end"] > start)).sum()) <= 1 and not (
            name == "madvise" and arguments[2] in (22, 23))
    return False


def run_lowered(machine, steps, pool, spare):
    """Runs a program; the calls that found the pool full, and how many of them had to leave the machine as it was."""
    made, full, whole = Made(), [], 0
    for number, step in enumerate(steps):
        if number < WARM:
            run_step(machine, made, step)
            continue
        lengths = len(made.results), len(made.pins)
        before = everything(machine)
        was = lower(machine, pool, spare)
        try:
            run_step(machine, made, step)
        except rmapcore.ArenaFull as error:
            full.append(step[0])
            after = everything(machine)
            machine._core.writable("pools")["capacity"][pool] = was
            machine.check()
            if is_whole(machine, made, step, error):
                whole += 1
                changed = [name for name in before if not np.array_equal(before[name], after[name])]
                assert not changed, (step, changed)
            del made.results[lengths[0]:], made.pins[lengths[1]:]
            run_step(machine, made, step)
        finally:
            machine._core.writable("pools")["capacity"][pool] = was
    machine.check()
    return full, whole


@functools.cache
def program_of(seed, kernel):
    return program(seed, STEPS, "x86_64", kernel)


@pytest.mark.parametrize("kernel", ["2.6.7", "6.18"])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_lowered_pools(scheme, kernel):
    """Each pool of the machine and of the scheme, by 0, 1 and 5 records more than were ever used."""
    found, pools, seed = [], 1, 0
    side = {"virtual_scan": "none", "anonmm": "list"}.get(scheme)
    for pool in range(1, 16):
        for spare in (0, 1, 5):
            machine = rmapcore.Machine(scheme, kernel, ram=64 * PAGE, swap=128 * PAGE, file_rmap=side)
            if machine._core.pool_names.get(pool, UNREAD[0]) in UNREAD:
                continue
            seed += 1
            full, whole = run_lowered(machine, program_of(seed % 9, kernel), pool, spare)
            found += [(machine._core.pool_names[pool], name) for name in full]
    print(scheme, kernel, seed, len(found), sorted(set(found)))
    assert len(found) > 20
