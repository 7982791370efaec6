"""Tables that single accesses remember (pyx/embed/access.pxd): what C is told of them is what Python finds, whatever became of
them meanwhile. The machine is held, as nothing else goes the short way."""
import random

import numpy as np
import pytest
from test_capi import FIXED, PAGE, SEGV, door

import rmapcore
from rmapcore.core.snapshot import held

GIB, MIB = 1 << 30, 1 << 20
ARCHES = {"i386": 3, "i386-pae": 3, "x86_64": 40}        # regions of a GiB: more than are remembered, where there are so many

__all__ = ["door"]


def steps(seed, regions, n):
    """(name, arguments) of calls by processes, of which the first number says which."""
    draw = random.Random(seed)

    def place():
        return GIB * draw.randrange(regions) + draw.choice([0, 2 * MIB, GIB - 2 * MIB]) + PAGE * draw.randrange(1, 9)
    for _ in range(n):
        who, at = draw.randrange(3), place()
        yield draw.choices(
            [("touch", who, at, draw.randrange(2)), ("mmap", who, at, PAGE * draw.randrange(1, 600), 3),
             ("munmap", who, at, PAGE * draw.randrange(1, 600)), ("mprotect", who, at, 8 * PAGE, draw.choice([0, 1, 3])),
             ("mremap", who, at - at % (2 * MIB), 2 * MIB, 2 * MIB, 3, place() // (2 * MIB) * 2 * MIB), ("reclaim", 8),
             ("fork", who), ("execve", who), ("exit", who), ("spawn",)],
            [60, 20, 8, 4, 6, 2, 2, 1, 1, 2])[0]


def by_python(machine, pids, name, *arguments):
    try:
        if name == "spawn":
            return pids.append(machine.spawn().pid)
        if name == "reclaim":
            machine.reclaim(*arguments)
            return None
        process = rmapcore.Process(machine, pids[arguments[0] % len(pids)])
        rest = arguments[1:]
        if name == "fork":
            return pids.append(process.fork().pid)
        if name == "touch":
            process.touch([rest[0]], bool(rest[1]))
            return process.translate(rest[0])
        getattr(process, name)(*rest, *([FIXED] if name == "mmap" else []))
    except OSError as error:
        return -error.errno
    except rmapcore.SegmentationFault:
        return SEGV


def by_c(d, pids, name, *arguments):
    if name in ("spawn", "fork"):
        answer = d.spawn() if name == "spawn" else d.fork(pids[arguments[0] % len(pids)])
        return pids.append(answer) if answer > 0 else answer
    if name == "reclaim":
        return None if d.reclaim(*arguments) >= 0 else -1
    pid, rest = pids[arguments[0] % len(pids)], arguments[1:]
    if name == "touch":
        physical = np.zeros(1, np.uint64)
        answer = d.touch(pid, *rest, physical)
        return answer if answer < 0 else int(physical[0])
    answer = getattr(d, name)(pid, *rest, *([FIXED, 0, 0] if name == "mmap" else []))
    return answer if answer < 0 else None


@pytest.mark.parametrize("kernel", ["2.6.7", "6.18"])
@pytest.mark.parametrize("arch", ARCHES)
def test_what_is_remembered_is_what_there_is(door, arch, kernel):
    d = door("anon_vma", kernel=kernel, arch=arch, ram=100 * PAGE, swap=4000 * PAGE)
    machine = d.machine.copy()
    assert d.hold() == 0
    ours, theirs, touched = [], [], []
    for number, step in enumerate([("spawn",), *steps(len(arch), ARCHES[arch], 3000)]):
        one, other = by_c(d, ours, *step), by_python(machine, theirs, *step)
        assert one == other, f"{number} {step}: {one}, from Python {other}"
        touched += [step[1:3]] if step[0] == "touch" else []
        for who, at in touched[-3:]:
            pid = ours[who % len(ours)]
            if pid in machine.processes:
                assert d.translate(pid, at, 0) == machine.process(pid).translate(at), f"{number} {step}: {pid} {at:#x}"
            else:
                assert d.translate(pid, at, 0) == -3
    assert held(d.machine) == held(machine)


@pytest.mark.parametrize("pid", [0, 1 << 31, (1 << 32) - 1])
def test_no_other_process_and_no_address_beyond_is_taken_for_one_that_is_remembered(door, pid):
    d = door("anon_vma", kernel="6.18")
    own = d.spawn()
    at = d.mmap(own, GIB, PAGE, 3, FIXED, 0, 0)
    physical = np.zeros(1, np.uint64)
    assert d.hold() == 0 and d.touch(own, at, 1, physical) == 1 and d.touch(own, at, 1, physical) == 0
    assert d.translate(own, at, 1) == physical[0] == d.translate(own, at + 5, 1) - 5
    assert d.translate(own + pid, at, 1) == (physical[0] if pid == 0 else -3) and d.translate(pid, 0, 0) == -3
    assert d.touch(pid, at, 1, physical) == -3
    for beyond in (1 << 47, 1 << 62, 1 << 63):
        assert d.translate(own, at + beyond, 1) == -1 and d.touch(own, at + beyond, 1, physical) == SEGV
