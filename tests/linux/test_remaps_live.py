"""mremap with every kind of argument on this machine's kernel: the same errors, and the same areas afterwards."""
import ctypes
import errno
import json
import os

import pytest

import rmapcore
from programs.remaps import TASK, WINDOW, outcome, remaps

pytestmark = pytest.mark.skipif(os.uname().machine != "x86_64", reason="numbers of system calls")
NUMBERS = {"mmap": 9, "mremap": 25, "mseal": 462}
SYSCALL = ctypes.CDLL(None, use_errno=True).syscall
SYSCALL.restype = ctypes.c_long


class Here:
    """This process, as far as `outcome` asks: its system calls, and what it maps in the window."""

    def __getattr__(self, name):
        def call(*arguments):
            arguments = [*arguments, -1 % (1 << 64), 0] if name == "mmap" else arguments
            if SYSCALL(ctypes.c_long(NUMBERS[name]), *map(ctypes.c_ulong, arguments), ctypes.c_ulong(0)) == -1:
                raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        return call

    @staticmethod
    def maps():
        with open("/proc/self/maps", encoding="utf-8") as lines:
            for line in lines:
                place, perms = line.split()[:2]
                start, end = (int(number, 16) for number in place.split("-"))
                if start < TASK:
                    yield {"start": start, "end": end, "prot": (perms[0] == "r") | (perms[1] == "w") << 1,
                           "flags": 8 * (perms[3] == "s")}


def here(calls):
    """outcome() in a child of this process."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.write(writer, json.dumps(outcome(Here(), calls)).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with open(reader, "rb") as stream:
        found = stream.read()
    os.waitpid(child, 0)
    error, areas = json.loads(found)
    return error, [tuple(area) for area in areas]


def test_the_kernel_does_the_same():
    if any(area["end"] > WINDOW for area in Here.maps()):
        pytest.skip("something lies at the end of user space")
    try:
        Here().mseal(WINDOW, 0)
    except OSError as error:
        if error.errno == errno.ENOSYS:
            pytest.skip("no mseal: not a kernel like 6.18")
    for seed in range(150):
        calls = remaps(seed, seals=True)
        process = rmapcore.Machine("anon_vma_chain", "6.18", ram="1MiB", swap=0).spawn()
        assert outcome(process, calls) == here(calls), calls
