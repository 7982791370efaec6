"""What a recorded fault is said to find (pyx/look/found.pyx): every bit, by what is there."""
import numpy as np
import pytest

import rmapcore
from rmapcore.core.running import Run
from rmapcore.operations import OPERATION, Op
from rmapcore.pyx.look.found import FOUND

PAGE = 4096
A = 0x40000000
R, RW, X, NONE = 1, 3, 4, 0
PRESENT, WRITE, USER = 1, 2, 4
PRIVATE, SHARED, SHARED_ANON, STACK, LOCKED = 0x12, 0x11, 0x31, 0x132, 0x2032
ANON = 0x32


def found(mapping, code, before=None, address=A, kernel="2.6.7"):
    """Names of the bits that a fault with this error code leaves, of a process with one mapping of 4 pages at A."""
    machine = rmapcore.Machine("anon_vma", kernel, ram="1MiB", swap="1MiB")
    process = machine.spawn()
    if mapping:
        prot, flags, kind = mapping
        file = machine.file("f", 8 * PAGE, kind) if kind else None
        process.mmap(A, 4 * PAGE, prot, flags, file)
    if before:
        before(machine, process)
    fault = np.zeros(1, OPERATION)
    fault["op"], fault["process"], fault["addr"], fault["flags"] = Op.FAULT, process.pid, address, code
    bits = np.zeros(1, np.uint16)
    counters = dict(machine.counters)
    machine.hold(Run(machine, fault, found=bits, differs=lambda: None).to, 0)
    assert dict(machine.counters) == counters
    machine.hold(Run(machine, fault, found=bits, differs=lambda: None).to, 1)
    return " ".join(name for name, bit in FOUND.items() if bits[0] & bit)


def read(machine, process):
    process.read(A, 4 * PAGE)


def write(machine, process):
    process.write(A, 4 * PAGE)


def fork_after_write(machine, process):
    write(machine, process)
    process.fork()


def swap_out(machine, process):
    write(machine, process)
    assert machine.reclaim(4).freed == 4


@pytest.mark.parametrize(("mapping", "code", "before", "expected"), [
    (None, USER, None, "right checked"), (None, USER | PRESENT, None, "checked"),
    ((RW, ANON, None), USER, None, "right area read write checked"),
    ((RW, ANON, None), USER | PRESENT, None, "area read write checked"),
    ((R, ANON, None), USER, None, "right area read checked"),
    ((X, ANON, None), USER, None, "right area read checked"),
    ((NONE, ANON, None), USER, None, "right area checked"),
    # the zero page is no anonymous one
    ((RW, ANON, None), USER | PRESENT | WRITE, read, "right present zero area read write checked"),
    ((RW, ANON, None), USER | WRITE, read, "present zero area read write checked"),
    ((RW, ANON, None), USER | PRESENT, read, "present zero area read write checked"),
    ((RW, ANON, None), USER | PRESENT | WRITE, write, "present rw anon area read write checked"),
    ((RW, ANON, None), USER | PRESENT | WRITE, fork_after_write, "right present anon area read write checked"),
    ((RW, ANON, None), USER | WRITE, swap_out, "right swap area read write checked"),
    ((RW, ANON, None), USER | WRITE | PRESENT, swap_out, "swap area read write checked"),
    ((RW, LOCKED, None), USER | PRESENT | WRITE, None, "present rw anon area read write locked checked"),
    # pages of files are neither
    ((RW, PRIVATE, "disk"), USER | PRESENT | WRITE, read, "right present area file read write checked"),
    ((RW, PRIVATE, "disk"), USER | PRESENT | WRITE, write, "present rw anon area file read write checked"),
    ((RW, SHARED, "disk"), USER | PRESENT | WRITE, write, "present rw area file shared read write checked"),
    ((RW, SHARED, "shmem"), USER, None, "right area file shmem shared read write checked"),
    ((RW, SHARED_ANON, None), USER, None, "right area file shmem shared read write checked"),
])
def test_bits(mapping, code, before, expected):
    assert set(found(mapping, code, before).split()) == set(expected.split())


@pytest.mark.parametrize(("address", "expected"), [
    (A - 1, "right area grows read write checked"), (A, "right area read write checked"),
    (A + 4 * PAGE - 1, "right area read write checked"), (A + 4 * PAGE, "right checked"),
])
def test_below_a_stack(address, expected):
    assert set(found((RW, STACK, None), USER | WRITE, address=address).split()) == set(expected.split())


def test_beyond_what_a_program_can_map():
    for address in ((1 << 47) - PAGE, 1 << 47, (1 << 64) - 1):
        assert found((RW, ANON, None), USER, address=address) == "right checked"
