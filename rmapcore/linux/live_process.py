"""The process in which `linux.live` measures this machine's kernel. Run as a script: it imports nothing of the package.

An interpreter without numpy, whose own pages are a few thousand, so that they matter little in a fork and its base cost
is subtracted. What touches a page for each page is one strided copy of `memoryview`, some nanoseconds a page; all else is
one system call for the whole area. Every pass takes a fresh area through its life:

    unwritten: base costs ──> fault_in ──> fork, exit ──> written again: scan ──> mremap ──> swapout, swap_in
                                                                              ──> mremap_tables ──> unmapped

and looks after each step whether the kernel did it to all pages (pagemap, smaps, the counts of faults): times of less
are no times. It writes one line of JSON for each: {"name", "ns": per page} or {"name", "reason": one sentence}; without
a name, the reason ends it all. What each name means is written in `rmapcore.linux.live`.
"""
import ctypes
import errno
import gc
import json
import mmap
import os
import resource
import signal
import statistics
import sys
from contextlib import suppress
from time import perf_counter_ns

PAGE = mmap.PAGESIZE
TABLE = 512 * PAGE                             # what one leaf table maps, bytes
GIGABYTE = 1 << 30                             # what the table above maps: moved as one where both ends are aligned to it
BASES = 5                                      # base costs are medians of so many
ALL = 0.99                                     # a step that did less than this part of the pages did not do it
PROT_NONE, MAP_FIXED_NOREPLACE = 0, 0x100000   # mmap(2); the module mmap has not all
MADV_PAGEOUT = 21                              # madvise(2)
MREMAP_MAYMOVE, MREMAP_FIXED = 1, 2            # mremap(2)
PR_SET_PDEATHSIG = 1                           # prctl(2)
PRESENT, SWAPPED = 0x80, 0x40                  # in the last byte of a pagemap entry

libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = libc.mremap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
libc.mremap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_size_t, ctypes.c_int, ctypes.c_void_p]
libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
libc.mprotect.argtypes = libc.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]

ANOTHER_KERNEL = "measure on another kernel"
FREE_MEMORY = "measure fewer or free memory, so that the kernel does not reclaim meanwhile"
HINTS = {                                      # what to do about an errno
    errno.EPERM: "run as root", errno.EACCES: "run as root", errno.ENOMEM: "measure fewer pages",
    errno.EAGAIN: "allow this user more processes",
}


class NotDone(Exception):
    """The kernel did not do what was to be measured; one sentence says what and what to do."""


def call(function, *arguments):
    """Calls a function of the C library; its result, OSError where it is -1."""
    result = function(*arguments)
    if result in (-1, ctypes.c_void_p(-1).value):
        number = ctypes.get_errno()
        raise OSError(number, f"{function.__name__}: {os.strerror(number)}")
    return result


def expect(done, pages, what, hint):
    if done < ALL * pages:
        raise NotDone(f"{what} {done:,} of {pages:,} pages: {hint}")


def timed(function, *arguments):
    """Nanoseconds."""
    start = perf_counter_ns()
    function(*arguments)
    return perf_counter_ns() - start


def reserve(length, address=None):
    """Address space without access or memory, there or anywhere; its address."""
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
    flags |= MAP_FIXED_NOREPLACE if address else 0
    got = call(libc.mmap, address, length, PROT_NONE, flags, -1, 0)
    if address and got != address:             # before Linux 4.17 the flag is a hint
        call(libc.munmap, got, length)
        raise OSError(errno.EEXIST, "mmap: the place is taken")
    return got


class Area:
    """A fresh private anonymous area without huge pages, readable and writable, with room to move it.

    The room has three places: `home` and `far` at whole tables, `odd` half a table beside one. `address`: where it is.
    """

    def __init__(self, pages):
        self.pages = pages
        self.length = pages * PAGE
        span = -(-self.length // TABLE) * TABLE + TABLE
        if 2 * span % GIGABYTE == 0:           # far would be whole gigabytes away from home: other tables would move
            span += TABLE
        self.room_length = 3 * span + TABLE
        self.room = reserve(self.room_length)
        self.home = self.address = -(-self.room // TABLE) * TABLE
        self.odd = self.home + span + TABLE // 2
        self.far = self.home + 2 * span
        call(libc.mprotect, self.home, self.length, mmap.PROT_READ | mmap.PROT_WRITE)
        with suppress(OSError):                # EINVAL: a kernel without huge pages
            call(libc.madvise, self.home, self.length, mmap.MADV_NOHUGEPAGE)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        call(libc.munmap, self.room, self.room_length)

    def firsts(self):
        """The first byte of every page, as a memoryview."""
        return memoryview((ctypes.c_char * self.length).from_address(self.address)).cast("B")[::PAGE]

    def write(self):
        """Writes a zero to every page."""
        self.firsts()[:] = bytes(self.pages)

    def read(self):
        self.firsts().tobytes()

    def move(self, address, length):
        """Moves the first `length` bytes there; the others are left behind, and the old place stays reserved."""
        old = self.address
        start = perf_counter_ns()
        call(libc.mremap, old, length, length, MREMAP_MAYMOVE | MREMAP_FIXED, address)
        took = perf_counter_ns() - start
        self.address = address
        reserve(length, old)
        return took

    def count(self, bits, pages):
        """How many of the first `pages` pages have one of these bits in pagemap."""
        with open("/proc/self/pagemap", "rb") as file:
            file.seek(self.address // PAGE * 8)
            last_bytes = file.read(8 * pages)[7::8]
        if len(last_bytes) < pages:
            raise NotDone(f"pagemap has {len(last_bytes):,} of {pages:,} pages: measure on another kernel")
        return last_bytes.translate(bytes(value & bits != 0 for value in range(256))).count(1)

    def referenced(self):
        """How many pages have been used since the last scan."""
        with open("/proc/self/smaps", encoding="ascii", errors="replace") as file:
            for line in file:
                if line.startswith(f"{self.address:x}-"):
                    return next(int(line.split()[1]) * 1024 // PAGE for line in file if line.startswith("Referenced:"))
        raise NotDone("the area is not in smaps: measure on another kernel")


# --- what is measured: generators of (name, nanoseconds for each page) ------------------------------------------------


def faults():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_minflt + usage.ru_majflt


def fault_in(area):
    before = faults()
    took = timed(area.write)
    expect(faults() - before, area.pages, "the kernel took faults for", "disable huge pages of all sizes")
    expect(area.count(PRESENT, area.pages), area.pages, "the kernel kept in memory", FREE_MEMORY)
    yield "fault_in", took / area.pages


def fork_once():
    """A child that is born and told to end: nanoseconds of both.

    It says through a pipe that it runs and waits, so that its start is no part of its end; the end is from the moment
    at which it is told to until its parent has heard of it: the kernel has torn down the address space by then.
    """
    ready_reader, ready = os.pipe()
    go, go_writer = os.pipe()
    start = perf_counter_ns()
    pid = os.fork()
    if pid == 0:
        os.close(go_writer)                    # the end of the parent is seen as well
        os.write(ready, b".")
        os.read(go, 1)
        os._exit(0)
    born = perf_counter_ns() - start
    os.read(ready_reader, 1)
    start = perf_counter_ns()
    os.write(go_writer, b".")
    os.waitpid(pid, 0)
    ended = perf_counter_ns() - start
    for fd in (ready_reader, ready, go, go_writer):
        os.close(fd)
    return born, ended


def bases():
    """What fork, exit and a scan cost without the pages, nanoseconds; the scan's is 0 where it is not possible."""
    births, ends = zip(*(fork_once() for _ in range(BASES)), strict=True)
    base = {"fork": statistics.median(births), "exit": statistics.median(ends), "scan": 0}
    with suppress(OSError):
        base["scan"] = statistics.median(timed(clear_young) for _ in range(BASES))
    return base


def fork_and_exit(area, base):
    born, ended = fork_once()
    yield "fork", (born - base["fork"]) / area.pages
    yield "exit", (ended - base["exit"]) / area.pages


def clear_young():
    with open("/proc/self/clear_refs", "wb", buffering=0) as file:
        file.write(b"1")


def scan(area, base):
    area.write()                               # as after fault_in: the fork took the right to write
    expect(area.referenced(), area.pages, "the kernel counts as used", FREE_MEMORY)
    took = timed(clear_young)
    expect(area.pages - area.referenced(), area.pages, "clear_refs cleared", ANOTHER_KERNEL)
    yield "scan", (took - base["scan"]) / area.pages


def mremap(area):
    took = area.move(area.odd, area.length)
    moved = area.count(PRESENT | SWAPPED, area.pages)
    area.move(area.home, area.length)
    expect(moved, area.pages, "mremap moved", ANOTHER_KERNEL)
    yield "mremap", took / area.pages


def mremap_tables(area):
    pages = area.length // TABLE * TABLE // PAGE
    if not pages:
        raise NotDone(f"no whole leaf table moves with {area.pages:,} pages: measure {TABLE // PAGE:,} or more")
    took = area.move(area.far, pages * PAGE)
    expect(area.count(PRESENT | SWAPPED, pages), pages, "mremap moved", ANOTHER_KERNEL)
    yield "mremap_tables", took / pages


def swap(area):
    clear_young()
    took = timed(call, libc.madvise, area.address, area.length, MADV_PAGEOUT)
    gone = area.count(SWAPPED, area.pages)
    expect(gone, area.pages, "the kernel swapped out", "allow swap (memory.swap.max), or measure more pages")
    yield "swapout", took / gone
    took = timed(area.read)
    expect(area.count(PRESENT, area.pages), area.pages, "the kernel kept in memory", FREE_MEMORY)
    yield "swap_in", took / gone


def say(**what):
    print(json.dumps(what), flush=True)


def step(names, function, *arguments):
    """Says what the function measures, or why not."""
    missing = list(names)
    try:
        for name, ns in function(*arguments):
            say(name=name, ns=ns)
            missing.remove(name)
    except (NotDone, OSError, MemoryError) as error:
        for name in missing:
            say(name=name, reason=reason_of(error))


def reason_of(error):
    """One sentence that says what to do."""
    if isinstance(error, NotDone):
        return str(error)
    if isinstance(error, MemoryError):
        return f"memory is short: {HINTS[errno.ENOMEM]}"
    place = f"{error.filename}: " if error.filename else ""
    return f"{place}{error.strerror}: {HINTS.get(error.errno, ANOTHER_KERNEL)}"


def one_pass(pages, with_swap):
    with Area(pages) as area:
        base = bases()
        step(["fault_in"], fault_in, area)
        step(["fork", "exit"], fork_and_exit, area, base)
        step(["scan"], scan, area, base)
        step(["mremap"], mremap, area)
        if with_swap:
            step(["swapout", "swap_in"], swap, area)
        step(["mremap_tables"], mremap_tables, area)


def main(pages, passes, with_swap, parent):
    call(libc.prctl, PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        return                                 # it ended before it could be watched
    gc.disable()
    with suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
        file.write("1000")                     # if memory is short after all, this process goes, not the caller
    try:
        with Area(pages) as area:              # the host of a virtual machine gives its memory at the first touch
            area.write()
        for _ in range(passes):
            one_pass(pages, with_swap)
    except (OSError, MemoryError) as error:
        say(reason=reason_of(error))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
