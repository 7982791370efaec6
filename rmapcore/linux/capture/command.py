"""The command that is recorded: run with this process's standard input, output and error, and stopped by Ctrl-C.

A Ctrl-C on a terminal reaches the command too; if it was sent to this process alone, the command gets it some time later.
The second one kills the command. SIGTERM is taken as Ctrl-C. What was recorded until then is kept.
"""
import os
import shutil
import signal
import subprocess
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from time import perf_counter

from rmapcore.errors import CaptureError
from rmapcore.linux.capture.held import Held
from rmapcore.linux.proc import children

GRACE_SECONDS = 0.5                            # for a command that got the signal from the terminal


@dataclass(frozen=True)
class Ended:
    """How a command ended: pid, exit status (-N: by signal N), seconds it took, whether it was broken off."""

    pid: int
    status: int
    seconds: float
    interrupted: bool


def found(command):
    """The file that a command runs. CaptureError if there is none."""
    if not command:
        raise CaptureError("no command to run")
    path = shutil.which(command[0])
    if path is None:
        reason = "is not a program" if os.path.exists(command[0]) else "is not found"
        raise CaptureError(f"command {command[0]!r} {reason}")
    return path


def run(command, prefix=(), hold=None):
    """Runs a command to its end, behind the words of `prefix` if another program is to run it; an Ended.

    hold: called when the command has begun to end, and before it is told to.
    """
    path = found(command)
    words = [*prefix, path, *command[1:]] if prefix else list(command)
    start = perf_counter()
    try:
        options = {"executable": None if prefix else path, "close_fds": False}
        process = Held(words, hold, **options) if hold else subprocess.Popen(words, **options)
    except OSError as error:
        raise CaptureError(f"command {command[0]!r}: {error.strerror}") from None
    with interruptions(process, bool(prefix), hold) as signals:
        process.wait()
    return Ended(process.pid, process.returncode, perf_counter() - start, bool(signals))


@contextmanager
def interruptions(process, through, hold=None):
    """Passes signals on; gives the list of those that came. Only the main thread can take signals.

    through: the process runs the command as its first child, and takes no signals itself.  hold: called before the first.
    """
    signals, timers = [], []

    def send(number):
        if not through:
            process.send_signal(number)        # does nothing if the process has ended
        elif pids := children(process.pid):
            with suppress(ProcessLookupError):
                os.kill(pids[0], number)

    def taken(number, _):
        signals.append(number)
        if len(signals) > 1:
            send(signal.SIGKILL)
        else:
            if hold:
                hold()
            timers.append(threading.Timer(GRACE_SECONDS, send, [signal.SIGINT]))
            timers[0].start()

    numbers = (signal.SIGINT, signal.SIGTERM) if threading.current_thread() is threading.main_thread() else ()
    before = {number: signal.signal(number, taken) for number in numbers}
    try:
        yield signals
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for timer in timers:
            timer.cancel()
