"""How many vm_area_struct, anon_vma and anon_vma_chain objects the processes under test have taken from the kernel.

    Counter       exact: perf events count the allocations and frees of each cache by the processes of one tree
    slab_counts   all of the machine: /proc/slabinfo, after the lists that processors keep have been given back

Both show the kernel's objects for the whole address spaces, so the processes' own few areas are among them; what two runs
of the same steps differ by, done for more and for fewer areas, is what the areas cost. Caches that the kernel has merged
(same size and flags) count together: anon_vma_chain often lies with fs_struct, of which every process has one.

Perf events of a process that exits end before its address space does, since Linux 6.16. A process that is to be counted
to its end therefore has to execute something else first: this ends the address space as an exit does.

Needs root, perf events and tracefs, which is mounted for a moment if it is nowhere. A kernel that frees areas only after
a grace period (vm_area_struct before 6.15) may do so in another process: its frees are then not seen here, slabs show them.
"""
import ctypes
import fcntl
import os
import statistics
import struct
import tempfile
import weakref
from contextlib import closing, contextmanager
from pathlib import Path

from rmapcore.linux.proc import slabs
from rmapcore.verify.case import repeated

CACHES = {"vma": "vm_area_struct", "anon_vma": "anon_vma", "avc": "anon_vma_chain"}
EVENTS = ("kmem_cache_alloc", "kmem_cache_free")
SLAB = Path("/sys/kernel/slab")
TRACEFS = (Path("/sys/kernel/tracing"), Path("/sys/kernel/debug/tracing"))
SYS_PERF_EVENT_OPEN = 298              # x86-64
PERF_TYPE_TRACEPOINT, ATTRIBUTE_BYTES = 2, 112
LEAST_ROUNDS, MOST_ROUNDS = 3, 9
SURE = 0.002                           # of the value: the error of a median that is good enough
DISABLED, INHERIT = 1, 2
PERF_FLAG_FD_CLOEXEC = 8
IOC_ENABLE, IOC_SET_FILTER = 0x2400, 0x40082406


class NoCounts(Exception):
    """Objects cannot be counted here; the text is the reason."""


class Counter:
    """Counts what one process and all it forks from now on allocate and free. Raises NoCounts."""

    def __init__(self):
        self.names = cache_names()
        self.ids = event_ids()
        self.fds = {}                  # (object, event) -> descriptor
        self.held = False              # whether the tracepoints stay on between two runs

    def watch(self, pid):
        """Begins with a process, which must stand still; ends with what was watched before."""
        self.close()
        try:
            self.hold()
            for kind, name in self.names.items():
                for event in EVENTS:
                    self.fds[kind, event] = counting(pid, self.ids[event], name)
        except OSError as error:
            self.close()
            raise NoCounts(f"perf events of the kernel's allocations: {error.strerror}") from None

    def hold(self):
        """Turning a tracepoint on or off takes tens of milliseconds: they stay on as long as the counter is there."""
        if not self.held:
            for event in EVENTS:
                weakref.finalize(self, os.close, counting(os.getpid(), self.ids[event], self.names["vma"]))
            self.held = True

    def live(self):
        """{"vma", "anon_vma", "avc"}: allocated and not freed since `watch`."""
        counts = {key: int.from_bytes(os.read(fd, 8), "little") for key, fd in self.fds.items()}
        return {kind: counts[kind, EVENTS[0]] - counts[kind, EVENTS[1]] for kind in self.names}

    def close(self):
        while self.fds:
            os.close(self.fds.popitem()[1])


def counting(pid, event, cache):
    """A descriptor of a perf event that counts one cache's tracepoint in a process and its children to come."""
    attribute = struct.pack("<IIQ", PERF_TYPE_TRACEPOINT, ATTRIBUTE_BYTES, event) + bytes(24)
    attribute = (attribute + struct.pack("<Q", DISABLED | INHERIT)).ljust(ATTRIBUTE_BYTES, b"\0")
    libc = ctypes.CDLL(None, use_errno=True)
    fd = libc.syscall(SYS_PERF_EVENT_OPEN, attribute, pid, -1, -1, PERF_FLAG_FD_CLOEXEC)
    if fd < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    try:
        text = ctypes.create_string_buffer(f'name == "{cache}"'.encode())
        if libc.ioctl(fd, ctypes.c_ulong(IOC_SET_FILTER), text) < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        fcntl.ioctl(fd, IOC_ENABLE, 0)
    except OSError:
        os.close(fd)
        raise
    return fd


def cache_names():
    """{"vma": name that the kernel uses for the cache, ...}: of merged caches, that of the first."""
    listed = set(slabinfo())
    names = {}
    for kind, name in CACHES.items():
        if name in listed:
            names[kind] = name
            continue
        same = {path.name for path in SLAB.iterdir() if path.resolve() == (SLAB / name).resolve()} & listed
        if not same:
            raise NoCounts(f"/proc/slabinfo has no cache {name}")
        names[kind] = min(same)
    return names


def merged_with(kind):
    """Names of other caches whose objects count with a kind, where the kernel tells them."""
    try:
        home = (SLAB / CACHES[kind]).resolve()
        return sorted(path.name for path in SLAB.iterdir()
                      if path.is_symlink() and path.resolve() == home and path.name != CACHES[kind])
    except OSError:
        return []


def slabinfo():
    """Cache -> objects in use, of the whole machine."""
    try:
        return slabs()
    except OSError as error:
        raise NoCounts(f"/proc/slabinfo: {error.strerror}") from None


def slab_counts():
    """{"vma", "anon_vma", "avc"} of the whole machine, after processors have given back what they keep free."""
    names = cache_names()
    for name in CACHES.values():
        try:
            (SLAB / name / "shrink").write_text("1")
        except OSError as error:
            raise NoCounts(f"{error.filename}: {error.strerror}") from None
    active = slabinfo()
    return {kind: active[name] for kind, name in names.items()}


def event_ids():
    """The numbers of the two tracepoints."""
    for place in TRACEFS:
        if (place / "events").is_dir():
            return read_ids(place)
    with mounted_tracefs() as place:
        return read_ids(place)


def read_ids(place):
    try:
        return {event: int((place / "events/kmem" / event / "id").read_text()) for event in EVENTS}
    except OSError as error:
        raise NoCounts(f"the tracepoint {error.filename}: {error.strerror}") from None


@contextmanager
def mounted_tracefs():
    """tracefs in a directory of our own for a moment."""
    libc = ctypes.CDLL(None, use_errno=True)
    with tempfile.TemporaryDirectory(prefix="rmapcore-") as place:
        if libc.mount(b"none", os.fsencode(place), b"tracefs", 0, None) < 0:
            raise NoCounts(f"tracefs is not mounted and cannot be: {os.strerror(ctypes.get_errno())}")
        try:
            yield Path(place)
        finally:
            libc.umount2(os.fsencode(place), 2)        # MNT_DETACH


def slab_cost(case, make_subject, counts=None):
    """{"vma", "anon_vma", "avc"} that one area of a case with `repeat` costs, by the slabs of the whole machine.

    counts: the steps are done in so few and in so many areas; None: as the case says. Other programs come and go meanwhile,
    so this is done over and over until the medians are sure, or MOST_ROUNDS times. Raises NoCounts, and ValueError for a
    step that does not give what it should.
    """
    counts = counts or case.repeat["count"]
    found = {kind: [] for kind in CACHES}
    for done in range(1, MOST_ROUNDS + 1):
        held = [slabs_held(case, make_subject, count) for count in counts]
        for kind, values in found.items():
            values.append((held[1][kind] - held[0][kind]) / (counts[1] - counts[0]))
        if done >= LEAST_ROUNDS and all(map(sure, found.values())):
            break
    return {kind: statistics.median(values) for kind, values in found.items()}


def sure(values):
    """Whether the median of values does not depend much on which of them there happen to be."""
    middle = statistics.median(values)
    return statistics.median(abs(value - middle) for value in values) <= SURE * len(values) ** 0.5 * max(middle, 1)


def slabs_held(case, make_subject, count):
    """The objects that go with the processes when the steps have been done in so many areas: that takes the least time."""
    with closing(make_subject(case.files)) as subject:
        for step in repeated(case, count):
            error = None if step["op"] in ("check", "remember") else subject.step(step)
            if error != step.get("err"):
                raise ValueError(f"{case.id}: {step}: {error or 'success'}")
        before = slab_counts()
    after = slab_counts()
    return {kind: before[kind] - after[kind] for kind in after}
