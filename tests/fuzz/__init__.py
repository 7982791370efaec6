"""Fuzzers: input that nobody means well, for as long as somebody likes to wait. `python -m fuzz NAME --seconds 3600 --seed 1`.

Each module has a class Fuzzer, made with a folder for its files; one(rng) is one execution, a function of what rng draws, and
raises what is wrong; counts() says what there was. What may come out of the package is DECLARED. They belong under the
sanitizer build (tests/sanitizer/run.py), and run without it too.
"""
import contextlib
import ctypes

import rmapcore

PAGE = 4096
DECLARED = (rmapcore.RmapcoreError, OSError, ValueError, TypeError)       # of Python's own: wrong values, types and calls
FUZZERS = ("calls", "readers", "machinefiles", "operations", "junk", "hooks", "interrupts", "threads",
           "growing")


@contextlib.contextmanager
def given_back():
    """In the block, records that were given back may be read, as checks of all invariants do (sanitizer/fence.c)."""
    open_given = getattr(ctypes.CDLL(None), "rmapcore_fence_open_given", lambda open: None)
    open_given(1)
    try:
        yield
    finally:
        open_given(0)


def check(machine):
    with given_back():
        machine.check()
