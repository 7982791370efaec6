"""What steps under locks cost on this machine's kernel: the defaults of rmapcore.core.locks.COSTS come from here.

    python bench/lock_costs.py [--rounds N]

Times are of the caller's processor, the least of some rounds, each as the slope between two sizes, so that what a call costs
anyway drops out. The last needs root, a version 1 memory cgroup, and a disk for a file of a few MiB.
"""
import argparse
import ctypes
import mmap
import os
import signal
import sys
import tempfile
import time
from pathlib import Path

PAGE = mmap.PAGESIZE
LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.mmap.restype = ctypes.c_void_p
LIBC.mmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long)
LIBC.mprotect.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
READ, WRITE = mmap.PROT_READ, mmap.PROT_WRITE
CGROUP = Path("/sys/fs/cgroup/memory")
SHARED_PAGES = 1024


def least(rounds, measure):
    return min(measure() for _ in range(rounds))


def timed(step):
    before = time.thread_time_ns()
    step()
    return time.thread_time_ns() - before


def written(pages):
    """Address of so many pages of anonymous memory, all written."""
    start = LIBC.mmap(None, pages * PAGE, READ | WRITE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, -1, 0)
    ctypes.memset(start, 1, pages * PAGE)
    return start


def cut(start, pages):
    """Every second page read-only: as many areas as pages."""
    for number in range(0, pages, 2):
        LIBC.mprotect(start + number * PAGE, PAGE, READ)


def forked(prepare):
    """ns of a fork, in a process that has just prepared itself."""
    out, into = os.pipe()
    child = os.fork()
    if not child:
        prepare()
        grandchild = []
        spent = timed(lambda: grandchild.append(os.fork()))
        if grandchild == [0]:
            os._exit(0)
        os.waitpid(grandchild[0], 0)
        os.write(into, str(spent).encode())
        os._exit(0)
    os.waitpid(child, 0)
    os.close(into)
    spent = int(os.read(out, 100))
    os.close(out)
    return spent


def fork_area(rounds):
    """ns that fork takes for one more area of a page, its entry and its three objects of reverse mapping included."""
    few, many = (least(rounds, lambda n=n: forked(lambda: cut(written(n), n))) for n in (500, 4500))
    return (many - few) / 4000


def split(rounds):
    """ns of an mprotect that splits an area in three."""
    def some(n):
        start = written(2 * n + 2)
        return timed(lambda: [LIBC.mprotect(start + number * PAGE, PAGE, READ) for number in range(1, 2 * n, 2)])
    few, many = (least(rounds, lambda n=n: some(n)) for n in (100, 2100))
    return (many - few) / 2000


def no_call(rounds):
    """ns of a system call that does nothing, and of calling it from here."""
    few, many = (least(rounds, lambda n=n: timed(lambda: [LIBC.mprotect(0, 0, READ) for _ in range(n)])) for n in (100, 10100))
    return (many - few) / 10000


def reclaimed(sharers, path):
    """ns of taking a file's pages from a group whose processes all map them."""
    group = CGROUP / f"lock_costs{os.getpid()}"
    group.mkdir()
    children = []
    try:
        with open(path, "r+b") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        for _ in range(sharers):
            out, into = os.pipe()
            child = os.fork()
            if not child:
                (group / "cgroup.procs").write_text(str(os.getpid()))
                with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, prot=READ) as view:
                    sum(view[number * PAGE] for number in range(SHARED_PAGES))
                    os.write(into, b".")
                    signal.pause()
                os._exit(0)
            children.append(child)
            os.read(out, 1)
            os.close(out)
            os.close(into)
        for _ in range(2):                     # the first look takes young bits
            spent = timed(lambda: (group / "memory.force_empty").write_text("0"))
            if not int((group / "memory.usage_in_bytes").read_text()) // PAGE > SHARED_PAGES:
                break
        return spent
    finally:
        for child in children:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        time.sleep(0.05)
        (group / "memory.force_empty").write_text("0")
        group.rmdir()


def candidate(rounds):
    """ns that one more process costs for a page that reclaim takes: found young or not, and unmapped."""
    with tempfile.NamedTemporaryFile(dir=Path.home()) as file:
        file.write(bytes(SHARED_PAGES * PAGE))
        file.flush()
        os.fsync(file.fileno())
        few, many = (least(rounds, lambda n=n: reclaimed(n, file.name)) for n in (2, 34))
    return (many - few) / 32 / SHARED_PAGES


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    for name, measure in (("a call that does nothing", no_call), ("fork, for an area", fork_area),
                          ("mprotect that splits in three", split)):
        print(f"{name:40}{measure(rounds):10.0f} ns")
    if os.geteuid() or not (CGROUP / "memory.usage_in_bytes").exists():
        print("a mapping that reclaim walks: needs root and a version 1 memory cgroup")
        return 0
    print(f"{'a mapping that reclaim walks':40}{candidate(rounds):10.0f} ns")
    return 0


if __name__ == "__main__":
    sys.exit(main())
