"""How many areas a process may have (rule QD4): the same calls by a live process at its limit, and by an emulated one.

Run as a script it is the live process: it prints how many areas it had of its own, and what each call gave.
"""
import ctypes
import errno
import json
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = 4096
BASE, FAR = 0x200000000000, 0x200040000000
LIMIT = Path("/proc/sys/vm/max_map_count")
MOST = 200_000                         # more is not tried: there are machines with a limit of a billion
PRIVATE, READ, BOTH = 0x32, 1, 3


def program(call, count):
    """Outcomes of calls from one area above the limit downwards. call(name, *arguments): 0 or the name of an error; count():
    areas now. An area of 8 pages is cut in every way; what is far away only counts."""
    outcomes = []
    call("mmap", BASE, 8 * PAGE, BOTH, PRIVATE)
    far = 0
    while call("mmap", FAR + 2 * far * PAGE, PAGE, READ, PRIVATE) == 0:
        far += 1
    outcomes.append(call("mmap", BASE + 8 * PAGE, PAGE, BOTH, PRIVATE))        # it would merge
    for _ in range(10):
        before = count()
        for name, *arguments in (("munmap", BASE + 2 * PAGE, PAGE), ("mmap", BASE + 2 * PAGE, PAGE, READ, PRIVATE),
                                 ("mmap", BASE, 2 * PAGE, READ, PRIVATE),
                                 ("mprotect", BASE + 2 * PAGE, PAGE, READ), ("mprotect", BASE, PAGE, READ),
                                 ("mlock", BASE + 2 * PAGE, PAGE), ("madvise", BASE + 2 * PAGE, PAGE, 1),
                                 ("mremap", BASE, 8 * PAGE, 8 * PAGE, 3, BASE + (1 << 35)),
                                 ("mremap", BASE, 8 * PAGE, 4 * PAGE, 3, BASE + (1 << 35)),
                                 ("mremap", BASE + 4 * PAGE, 2 * PAGE, PAGE, 0, 0)):
            outcomes.append((before, name, call(name, *arguments), count()))
            for at in (BASE, BASE + (1 << 35)):
                call("munmap", at, 9 * PAGE)
            call("mmap", BASE, 8 * PAGE, BOTH, PRIVATE)
        far -= 1
        call("munmap", FAR + 2 * far * PAGE, PAGE)
    return outcomes


def live():
    library = ctypes.CDLL(None, use_errno=True)
    words = {"mmap": 6, "munmap": 2, "mprotect": 3, "mlock": 2, "madvise": 3, "mremap": 5}
    functions = {name: getattr(library, name) for name in words}
    for name, n in words.items():
        functions[name].restype, functions[name].argtypes = ctypes.c_long, [ctypes.c_long] * n
    maps = open("/proc/self/maps", "rb", buffering=0)          # noqa: SIM115
    buffer = ctypes.create_string_buffer(1 << 16)              # what Python allocates would be areas, too
    view = memoryview(buffer).cast("B")

    def count():
        maps.seek(0)
        lines = 0
        while n := maps.readinto(view):
            lines += bytes(view[:n]).count(b"\n")
        return lines - 1                       # [vsyscall] is none

    def call(name, *arguments):
        if name == "mmap":
            arguments = (*arguments, -1, 0)
        return 0 if functions[name](*arguments) != -1 else errno.errorcode[ctypes.get_errno()]

    call("munmap", BASE, PAGE)
    own = count()
    print(json.dumps([own, program(call, count)]))


def emulated(own, most, scheme="anon_vma_chain"):
    import rmapcore
    process = rmapcore.Machine(scheme, kernel="6.18", ram="64MiB", max_map_count=most).spawn()
    for number in range(own):
        process.mmap(0x10000000 + 2 * number * PAGE, PAGE, READ, PRIVATE)

    def call(name, *arguments):
        try:
            getattr(process, name)(*arguments)
        except OSError as error:
            return errno.errorcode[error.errno]
        return 0

    return program(call, lambda: len(process.maps()))


@pytest.mark.live
def test_every_call_at_the_limit_of_areas():
    most = int(LIMIT.read_text())
    if most > MOST:
        pytest.skip(f"vm.max_map_count is {most:,}")
    done = subprocess.run([sys.executable, "-I", __file__], capture_output=True, text=True, timeout=60)
    if done.returncode:
        pytest.skip(f"a process with {most:,} areas is not allowed here: {done.stderr.strip()[-200:]}")
    own, outcomes = json.loads(done.stdout)
    here = json.loads(json.dumps(emulated(own, most)))
    assert [pair for pair in zip(outcomes, here, strict=True) if pair[0] != pair[1]] == []
    assert {outcome[2] for outcome in outcomes[1:]} == {0, "ENOMEM", "EAGAIN"}


if __name__ == "__main__":
    live()
