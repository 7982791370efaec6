"""Tracepoints of the whole machine, recorded in the kernel's own ring buffers (tracefs), in an instance of our own.

perf records tracepoints too, but an event costs it three times as much, and one that its filter throws away nearly all of
that; of counts (kmem:rss_stat) most are thrown away.

A ring is read when it is half full, by a thread that does nothing else, into one file: pages of the rings as they are. What
a full ring has no room for is dropped and counted by the kernel.
"""
import itertools
import os
import re
import select
import subprocess
import threading
from contextlib import suppress

import numpy as np

from rmapcore.errors import CaptureError
from rmapcore.linux.calls import CALLS
from rmapcore.pyx.text.tracepoints import LOCATED, MISSING

# What the line of each tracepoint has, in the order of `pyx.text.tracepoints`; the last may be missing (kernels before 6.16).
EVENTS = {
    "exceptions:page_fault_user": ("address", "ip", "error_code"),
    "exceptions:page_fault_kernel": ("address", "ip", "error_code"),
    "raw_syscalls:sys_enter": ("id", "args"),
    "raw_syscalls:sys_exit": ("id", "ret"),
    "sched:sched_process_exec": ("filename", "pid", "old_pid"),
    "sched:sched_process_exit": ("comm", "pid", "prio", "group_dead"),
    "task:task_newtask": ("pid", "comm", "clone_flags", "oom_score_adj"),
    "signal:signal_generate": ("sig", "errno", "code", "comm", "pid", "group", "result"),
    "kmem:rss_stat": ("mm_id", "curr", "member", "size"),
    "syscalls:sys_enter_read": ("fd", "buf", "count"),
    "syscalls:sys_enter_pread64": ("fd", "buf", "count", "pos"),
    "syscalls:sys_enter_futex": ("uaddr", "op"),
    "vmscan:mm_vmscan_memcg_reclaim_end": ("nr_reclaimed",),
    "vmscan:mm_vmscan_direct_reclaim_end": ("nr_reclaimed",),
    "filemap:mm_filemap_add_to_page_cache": ("s_dev", "i_ino", "pfn", "index", "order"),
    "filemap:mm_filemap_delete_from_page_cache": ("s_dev", "i_ino", "pfn", "index", "order"),
    "filemap:mm_filemap_fault": ("s_dev", "i_ino", "index"),
}
NEWER = ("filemap:mm_filemap_fault",)          # since Linux 6.12; older ones are recorded without
OPTIONAL = ("group_dead", "order")
# Of some events not all are taken. Faults of the kernel's own making end in these signals. A read past the page cache is of
# whole blocks (the buffer cannot be asked for: a filter takes it for a text).
BLOCK_READ = "count>=512&&!(count&511)"
# Only files on a disk of their own have pages that are not simply there: shared memory has no major number.
ON_DISK = "s_dev>=1048576"
# Not what fork gives to a child and exit takes, one event for each table of pages; and all that is swapped out, by whomever.
OWN_COUNTS = "curr==1||member==2"
FILTERS = {
    "filemap:mm_filemap_add_to_page_cache": ON_DISK, "filemap:mm_filemap_delete_from_page_cache": ON_DISK,
    "filemap:mm_filemap_fault": ON_DISK, "syscalls:sys_enter_futex": "!(op&128)",
    "vmscan:mm_vmscan_memcg_reclaim_end": "nr_reclaimed>0", "vmscan:mm_vmscan_direct_reclaim_end": "nr_reclaimed>0",
    "kmem:rss_stat": OWN_COUNTS, "signal:signal_generate": "(sig==7||sig==11)&&code>0",
    "syscalls:sys_enter_read": BLOCK_READ, "syscalls:sys_enter_pread64": f"{BLOCK_READ}&&!(pos&511)",
}
FEW = 3                                        # terms of a filter that are asked one after the other
NOT_LEFT = "close"                             # is frequent, and all that it does is done when it is entered
TWICE_LEFT = ("clone", "clone3", "fork", "vfork")          # by the child too, with 0, which tells nothing
TRACEFS = ("/sys/kernel/tracing", "/sys/kernel/debug/tracing")
INSTANCE = "rmapcore-"                         # then the number of the process that has made it, and one to tell its own apart
MARK = 5                                       # the type of what is written to trace_marker (kernel/trace/trace.h, TRACE_PRINT)
COMMON_PID = slice(4, 8)                       # of every event
TYPES = 1 << 16
_number = itertools.count()
_FIELD = re.compile(r"\tfield:(.*?)(\w+)(?:\[\d*\])?;\toffset:(\d+);\tsize:(\d+);")


class NotAllowed(Exception):
    """These cannot record here; one sentence says why."""


class Rings:
    """An instance with its events set and off, until `stop()`.

    file: path of the pages that are read from it.  instance: its folder.  buffer: bytes of the ring of each processor.
    lost: how many events had no room, known after `stop()`.
    Raises NotAllowed.
    """

    def __init__(self, file, buffer):
        self.file, self.lost = file, 0
        root = tracefs()
        self.instance = f"{root}/instances/{INSTANCE}{os.getpid()}-{next(_number)}"
        self.problem, self.thread, self.rings = None, None, []
        try:
            remove_left(f"{root}/instances")
            os.mkdir(self.instance)
            try:
                self._set(buffer)
            except BaseException:
                self._remove()
                raise
        except OSError as error:
            raise NotAllowed(f"{error.filename or self.instance}: {error.strerror}") from None

    def _set(self, buffer):
        self.page, self.before, _ = page_form()
        self.at_once = max(1, buffer // 2 // self.page)
        for name, value in (("trace_clock", "mono"), ("options/overwrite", 0), ("buffer_size_kb", buffer >> 10)):
            self._write(name, value)
        for event, condition in conditions().items():
            if condition:
                self._write(f"{folder_of(event)}/filter", condition)
        for name in sorted(os.listdir(f"{self.instance}/per_cpu")):
            self.rings.append(os.open(f"{self.instance}/per_cpu/{name}/trace_pipe_raw", os.O_RDONLY | os.O_NONBLOCK))
        if not self._knows_pids():
            raise NotAllowed("the kernel numbers this container's processes otherwise than it does itself")
        self.ended, self.end = os.pipe()
        self.thread = threading.Thread(target=self._read)
        self.thread.start()

    def _write(self, name, value):
        with open(f"{self.instance}/{name}", "w", encoding="ascii") as stream:
            stream.write(str(value))

    def _knows_pids(self):
        """Whether an event of this thread says what this thread's number is for itself."""
        self._write("trace_marker", "rmapcore")
        for ring in self.rings:
            with suppress(BlockingIOError):
                page = os.read(ring, self.page)
                data = page[self.before + 4:]
                return int.from_bytes(data[:2], "little") == MARK and (
                    int.from_bytes(data[COMMON_PID], "little") == threading.get_native_id())
        return False

    def enable(self):
        for event in known():
            self._write(f"{folder_of(event)}/enable", 1)

    def pause(self):
        """From here on nothing is recorded."""
        self._write("tracing_on", 0)

    # --- reading -------------------------------------------------------------------------------------------------------

    def _read(self):
        """Writes pages to the file, of each ring when it is half full, of all that is in them at the end."""
        poll = select.poll()
        for ring in (*self.rings, self.ended):
            poll.register(ring, select.POLLIN)
        try:
            with open(self.file, "wb") as file:
                while True:
                    ready = [ring for ring, _ in poll.poll()]
                    if self.ended in ready:
                        break
                    for ring in ready:
                        self._move(ring, file, self.at_once)
                for ring in self.rings:
                    while self._move(ring, file, self.at_once):
                        pass
        except OSError as error:
            self.problem = f"{self.file}: {error.strerror}"

    def _move(self, ring, file, most):
        """Whether that many pages were there. One that is being filled is not waited for."""
        for _ in range(most):
            try:
                page = os.read(ring, self.page)
            except BlockingIOError:
                page = b""
            if not page:
                return False
            file.write(page)
        return True

    def stop(self):
        """Ends the recording; all that was recorded is in the file then. CaptureError if it cannot be written."""
        try:
            self.pause()
            self._write("events/enable", 0)
            os.write(self.end, b"\n")
            self.thread.join()
            for name in os.listdir(f"{self.instance}/per_cpu"):
                with open(f"{self.instance}/per_cpu/{name}/stats", encoding="ascii") as stream:
                    self.lost += sum(map(int, re.findall(r"^(?:overrun|dropped events): (\d+)$", stream.read(), re.MULTILINE)))
        finally:
            self._remove()
        if self.problem:
            raise CaptureError(f"the recording is not complete: {self.problem}")

    def _remove(self):
        if self.thread:
            self.thread = None
            os.close(self.end)
            os.close(self.ended)
        for ring in self.rings:
            os.close(ring)
        self.rings = []
        with suppress(OSError):
            os.rmdir(self.instance)


def tracefs():
    """The folder of tracefs, which is mounted if it is not. NotAllowed if there is none."""
    for _ in range(2):
        found = next((folder for folder in TRACEFS if os.path.isdir(f"{folder}/events")), None)
        if found:
            return found
        with suppress(OSError):
            subprocess.run(["mount", "-t", "tracefs", "nodev", TRACEFS[0]], capture_output=True)
    raise NotAllowed(f"no tracefs at {' or '.join(TRACEFS)}")


def remove_left(instances):
    """Removes what killed runs have left."""
    for name in os.listdir(instances):
        if name.startswith(INSTANCE) and not os.path.isdir(f"/proc/{name.removeprefix(INSTANCE).partition('-')[0]}"):
            with suppress(OSError):
                os.rmdir(f"{instances}/{name}")


def page_form():
    """(bytes of a page of a ring, bytes before its entries, where the word stands that says how many bytes are filled)."""
    with open(f"{tracefs()}/events/header_page", encoding="ascii") as stream:
        found = {name: (int(offset), int(size)) for _, name, offset, size in _FIELD.findall(stream.read())}
    (data, size), (commit, _) = found["data"], found["commit"]
    return data + size, data, commit


def known():
    """The events that this kernel has, in the order of EVENTS: all but some of NEWER."""
    root = tracefs()
    return [event for event in EVENTS if event not in NEWER or os.path.isdir(f"{root}/{folder_of(event)}")]


def folder_of(event):
    return f"events/{event.replace(':', '/')}"


def conditions():
    """{event: its filter or None}."""
    numbers = sorted(number for number, _ in CALLS.values())
    left = {number: f"id=={number}" for number in numbers if number != CALLS[NOT_LEFT][0]}
    left |= {number: f"(id=={number}&&ret!=0)" for number in (CALLS[name][0] for name in TWICE_LEFT)}
    calls = {"raw_syscalls:sys_enter": one_of({number: f"id=={number}" for number in numbers}),
             "raw_syscalls:sys_exit": one_of(left)}
    return {event: calls.get(event) or FILTERS.get(event) for event in known()}


def one_of(terms):
    """A filter by {id: what holds for it}, ascending. The kernel asks term by term: a tree has few on the way to any id."""
    if len(terms) <= FEW:
        return "||".join(terms.values())
    items, middle = list(terms.items()), len(terms) // 2
    edge = items[middle][0]
    return f"(id<{edge}&&({one_of(dict(items[:middle]))}))||(id>={edge}&&({one_of(dict(items[middle:]))}))"


def tracepoints():
    """(by the type of an event: its number here, 0: none; fields of each as `pyx.text.perfdata` wants them)."""
    kinds, fields = np.zeros(TYPES, np.uint8), np.full((len(EVENTS) + 1, max(map(len, EVENTS.values())), 2), MISSING, np.int32)
    root, numbers = tracefs(), {event: number for number, event in enumerate(EVENTS, 1)}
    for event in known():
        number = numbers[event]
        with open(f"{root}/{folder_of(event)}/format", encoding="ascii") as stream:
            text = stream.read()
        kinds[int(re.search(r"^ID: (\d+)$", text, re.MULTILINE)[1])] = number
        found = {name: (int(offset) | (LOCATED if "__data_loc" in kind else 0), int(size))
                 for kind, name, offset, size in _FIELD.findall(text)}
        for at, name in enumerate(EVENTS[event]):
            if name in found:
                fields[number, at] = found[name]
            elif name not in OPTIONAL:
                raise CaptureError(f"this kernel's {event} has no {name}")
    return kinds, fields
