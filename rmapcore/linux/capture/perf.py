"""A recording by perf: every page fault, memory call, fork, exec and exit of one program.

`perf record COMMAND` with an event for each call, as recordings were first made, costs a program that forks more than all
its own work: perf gives every child a copy of each of its 45 events, some milliseconds a fork. So perf records the whole
machine here, where nothing is copied, and the program is taken out afterwards (`rmapcore.linux.capture.perfdata`). To enable a
tracepoint costs some 50 ms, therefore the calls are recorded by two events, raw_syscalls:sys_enter and sys_exit, with a
filter of numbers.

perf is started first, with its events off, and told to enable them; then the command is run as a child of our own. The
command that perf itself runs only waits for us: it ends, and perf with it, when our end of its standard input is closed, be
it because this process has died.
"""
import ctypes
import mmap
import os
import select
import shutil
import subprocess
from contextlib import suppress
from statistics import quantiles
from time import perf_counter

from rmapcore.linux.calls import CALLS
from rmapcore.linux.capture.perfdata import EVENTS, FILTERS, NEWER
from rmapcore.linux.uapi import MADV_NOHUGEPAGE
from rmapcore.units import PAGE

START_SECONDS = 30                             # to enable the events of a large machine
PROBE_PAGES, PROBE_ROUNDS = 16, 60             # short, so that others seldom come between
CACHE_BYTES = 8 << 20                          # of a processor's own caches, at most; programs find tracing code cold
LINE = 64
FEW = 3                                        # terms of a filter that are asked one after the other
NOT_LEFT = "close"                             # is frequent, and all that it does is done when it is entered
TWICE_LEFT = ("clone", "clone3", "fork", "vfork")          # by the child too, with 0, which tells nothing
LEAST_FREE = 1 << 20                           # bytes; with less perf has run out of space


class NotAllowed(Exception):
    """perf cannot record here; one sentence says why."""


class Recorder:
    """perf at work, from its creation to `stop()`; the events come into the file `data`.

    folder: for its files.  buffer: bytes of the ring of each processor, a power of two.
    event_seconds: what one page fault takes longer for being recorded, measured beside; None: not told.
    """

    def __init__(self, folder, buffer):
        self.data = os.path.join(folder, "perf.data")
        self.messages = os.path.join(folder, "perf.txt")
        self.process = None
        self.event_seconds = None
        if shutil.which("perf") is None:
            raise NotAllowed("perf is not installed")
        events = tuple(EVENTS)
        while True:
            try:
                self._start(buffer, events)
                break
            except NotAllowed as error:
                if "mmap_pages" in str(error) and buffer:
                    buffer = None              # the default that every user may lock
                elif any(event.partition(":")[2] in str(error) for event in NEWER) and len(events) == len(EVENTS):
                    events = tuple(event for event in EVENTS if event not in NEWER)
                else:
                    raise
        self._enable()

    def _start(self, buffer, events):
        """Starts perf with its events off; returns when it has said that it is ready."""
        numbers = sorted(number for number, _ in CALLS.values())
        left = {number: f"id=={number}" for number in numbers if number != CALLS[NOT_LEFT][0]}
        left |= {number: f"(id=={number}&&ret!=0)" for number in (CALLS[name][0] for name in TWICE_LEFT)}
        calls = {"raw_syscalls:sys_enter": one_of({number: f"id=={number}" for number in numbers}),
                 "raw_syscalls:sys_exit": one_of(left)}
        arguments = ["perf", "record", "-q", "-a", "-d", "-c", "1", "-N", "-B", "--synth", "no", "-k", "CLOCK_MONOTONIC",
                     "-o", self.data, "-D", "-1"]
        if buffer:
            arguments += ["-m", f"{buffer >> 10}K"]
        for event in events:
            condition = calls.get(event) or FILTERS.get(event)
            arguments += ["-e", event, *(["--filter", condition] if condition else [])]
        control, self.control = os.pipe()
        self.answers, answer = os.pipe()
        arguments += ["--control", f"fd:{control},{answer}", "--", "cat"]
        try:
            with open(self.messages, "wb") as messages:
                self.process = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=messages,
                                                start_new_session=True, pass_fds=(control, answer))
        finally:
            os.close(control)
            os.close(answer)
        if not self._told(b"ping\n"):
            self.process.kill()
            self.stop()
            raise NotAllowed(self.problem())

    def _told(self, order):
        """Whether perf has taken an order; it answers when it has."""
        with suppress(BrokenPipeError):
            os.write(self.control, order)
        ready, _, _ = select.select([self.answers], [], [], START_SECONDS)
        return bool(ready) and os.read(self.answers, 64).startswith(b"ack")

    def _enable(self):
        plain = probe()
        if not self._told(b"enable\n"):
            self.process.kill()
            self.stop()
            raise NotAllowed(self.problem())
        self.event_seconds = max(0.0, probe() - plain) or None         # none: lost in the noise of a busy machine

    def problem(self):
        """What perf said when it failed, in one line."""
        with open(self.messages, encoding="utf-8", errors="replace") as stream:
            lines = [" ".join(line.split()) for line in stream if line.strip()]
        errors = [line.removeprefix("Error: ") for line in lines if line.startswith(("Error: ", "No permission"))]
        lines = errors[-1:] or [line for line in lines if not line.startswith(("Run 'perf", "Usage:"))]
        folder = os.path.dirname(self.data)
        if shutil.disk_usage(folder).free < LEAST_FREE:
            lines.append(f"no space is left in {folder} (TMPDIR names another place)")
        return "perf: " + (" ".join(lines)[:300] if lines else "it has ended without a word")

    def stop(self):
        """Ends perf and waits until its file is whole. Gives its exit status."""
        self.process.stdin.close()
        status = self.process.wait()
        os.close(self.control)
        os.close(self.answers)
        return status


def one_of(terms):
    """A filter by {id: what holds for it}, ascending. The kernel asks term by term: a tree has few on the way to any id."""
    if len(terms) <= FEW:
        return "||".join(terms.values())
    items, middle = list(terms.items()), len(terms) // 2
    edge = items[middle][0]
    return f"(id<{edge}&&({one_of(dict(items[:middle]))}))||(id>={edge}&&({one_of(dict(items[middle:]))}))"


def probe():
    """Seconds that one page fault takes now, cold: the lower quartile of some rounds over a few fresh pages."""
    rounds, other = [], bytearray(CACHE_BYTES)
    for _ in range(PROBE_ROUNDS):
        with mmap.mmap(-1, PROBE_PAGES * PAGE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as area:
            with suppress(OSError):            # EINVAL: a kernel without huge pages
                area.madvise(MADV_NOHUGEPAGE)
            place = (ctypes.c_char * len(area)).from_buffer(area)
            other[::LINE] = bytes(CACHE_BYTES // LINE)
            start = perf_counter()
            ctypes.memset(place, 1, len(area))
            rounds.append((perf_counter() - start) / PROBE_PAGES)
            del place
    return quantiles(rounds, n=4)[0]
