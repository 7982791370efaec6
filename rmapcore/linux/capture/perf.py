"""A recording of every page fault, memory call, fork, exec and exit of one program.

The whole machine is recorded, and the program taken out afterwards (`rmapcore.linux.capture.perfdata`): perf can be told to
follow a command and its children, but gives every child a copy of each event, some milliseconds a fork. Tracepoints are
recorded in the kernel's own rings (`rmapcore.linux.capture.rings`); perf records what no tracepoint tells: which process a
thread belongs to, and which file is mapped where. The calls are recorded by two events, raw_syscalls:sys_enter and sys_exit,
with a filter of numbers.

Both are started first, with their events off; then the command is run as a child of our own. The command that perf itself
runs only waits for us: it ends, and perf with it, when our end of its standard input is closed, be it because this process
has died; then it removes the rings.
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

from rmapcore.errors import CaptureError
from rmapcore.linux.capture.rings import NotAllowed, Rings
from rmapcore.linux.uapi import MADV_NOHUGEPAGE
from rmapcore.units import PAGE

START_SECONDS = 30                             # of perf, on a large machine
RECORDS = 4 << 20                              # bytes of perf's own ring of each processor, at most
PROBE_PAGES, PROBE_ROUNDS = 16, 60             # short, so that others seldom come between
LEAST_FREE = 1 << 20                           # bytes; with less perf has run out of space


# Nothing of its own: of mappings, tasks and names perf has records whatever the event.
ARGUMENTS = ("record", "-q", "-a", "-d", "-c", "1", "-N", "-B", "--synth", "no", "-k", "CLOCK_MONOTONIC", "-D", "-1",
             "-e", "dummy")
# Not ended by perf, which does so when it ends itself; and a process that is killed closes the rings a moment after the pipe.
WAIT = ("sh", "-c", 'trap "" TERM; cat; for i in 1 2 3 4 5; do [ ! -d "$0" ] || rmdir "$0" 2> /dev/null || sleep 1; done; '
        "exit 0")


class Recorder:
    """Rings and perf at work, from its creation to `stop()`.

    folder: for its files.  buffer: bytes of the ring of each processor, a power of two.
    data: the file that has the pages of the rings, and behind them perf's file from byte `pages` on.
    fault_seconds: what one page fault takes longer for being recorded, measured beside; None: not told.
    """

    def __init__(self, folder, buffer):
        self.data, self.records = os.path.join(folder, "rings"), os.path.join(folder, "perf.data")
        self.messages = os.path.join(folder, "perf.txt")
        self.process = self.pages = None
        self.fault_seconds = None
        if shutil.which("perf") is None:
            raise NotAllowed("perf is not installed")
        self.rings = Rings(self.data, buffer)
        try:
            try:
                self._start(["-m", f"{min(buffer, RECORDS) >> 10}K"])
            except NotAllowed as error:
                if "mmap_pages" not in str(error):
                    raise
                self._start([])                # what every user may lock
            self._enable()
        except BaseException:
            self.rings.stop()
            raise

    def _start(self, arguments):
        """Starts perf with its events off; returns when it has said that it is ready."""
        arguments = ["perf", *ARGUMENTS, "-o", self.records, *arguments]
        control, self.control = os.pipe()
        self.answers, answer = os.pipe()
        arguments += ["--control", f"fd:{control},{answer}", "--", *WAIT, self.rings.instance]
        try:
            with open(self.messages, "wb") as messages:
                self.process = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=messages,
                                                start_new_session=True, pass_fds=(control, answer))
        finally:
            os.close(control)
            os.close(answer)
        if not self._told(b"ping\n"):
            self.process.kill()
            self._end()
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
            self._end()
            raise NotAllowed(self.problem())
        self.rings.enable()
        self.fault_seconds = max(0.0, probe() - plain) or None         # none: lost in the noise of a busy machine

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
        """Ends both and puts perf's file behind the pages. CaptureError if one of them is not complete."""
        try:
            self.rings.stop()
        finally:
            status = self._end()
        if status:
            raise CaptureError(f"the recording is not complete: {self.problem()}")
        with open(self.data, "ab") as data, open(self.records, "rb") as records:
            self.pages = data.tell()
            shutil.copyfileobj(records, data)

    def _end(self):
        """Ends perf and waits until its file is whole. Gives its exit status."""
        self.process.stdin.close()
        status = self.process.wait()
        os.close(self.control)
        os.close(self.answers)
        return status


def probe():
    """Seconds that one page fault takes now: the lower quartile of some rounds over a few fresh pages."""
    rounds = []
    for _ in range(PROBE_ROUNDS):
        with mmap.mmap(-1, PROBE_PAGES * PAGE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as area:
            with suppress(OSError):            # EINVAL: a kernel without huge pages
                area.madvise(MADV_NOHUGEPAGE)
            place = (ctypes.c_char * len(area)).from_buffer(area)
            start = perf_counter()
            ctypes.memset(place, 1, len(area))
            rounds.append((perf_counter() - start) / PROBE_PAGES)
            del place
    return quantiles(rounds, n=4)[0]
