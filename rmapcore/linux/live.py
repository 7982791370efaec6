"""What this machine's own Linux takes for the work that the emulator does, nanoseconds for each page.

    fault_in        first write of fresh private anonymous pages of 4 KiB, huge pages advised away
    fork            fork of a process that has written them
    exit            the end of that child, which shares them all, until its parent has heard of it
    scan            writing 1 to /proc/PID/clear_refs, all pages young before
    mremap          a move to an address that differs modulo 2 MiB: entries are moved one by one
    mremap_tables   a move by whole 2 MiB, of the whole leaf tables in the area: these are moved as they are
    swapout         MADV_PAGEOUT of the pages, each mapped once, its young bit cleared
    swap_in         reading them all again

The process that is measured (`live_process.py`) is a small one of its own, so that the memory of the caller plays
no part. From fork, exit and scan what the same costs before the area is written is subtracted; the others are the whole
call or loop, with some nanoseconds a page for the loop's own store or load.

Everything is chosen in the kernel's favour. Pages hold zeros, so that swapping them moves no data: today's kernels only
note that such a page is zero, older zram does the same; compressing real contents would come on top. Swap is a zram
device, or a file where there is none, in which case the kernel may hand pages over without waiting for the disk. Memory
has been touched before; but the host of a virtual machine that takes free pages back (free page reporting of the balloon,
after about two seconds) gives them anew at a fault: fault_in and swap_in of large areas then hold the host's work too.
"""
import json
import os
import signal
import statistics
import subprocess
import sys
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

from rmapcore.linux.proc import available_bytes
from rmapcore.linux.swapdevice import temporary_swap
from rmapcore.units import PAGE, format_size

NAMES = ("fault_in", "fork", "exit", "scan", "mremap", "mremap_tables", "swapout", "swap_in")
SWAP_NAMES = ("swapout", "swap_in")
PROCESS = Path(__file__).with_name("live_process.py")
SMALL_PAGES = 1 << 15                  # fewer are measured several times a round: single calls are too short
MOST_REPEATS = 16
OVERHEAD_BYTES = 64                    # of page tables, copies of them and our own arrays for each page, rounded up
OWN_BYTES = 64 << 20                   # two small processes
SWAP_ROOM = 1.125                      # a full swap is slow: slots are handed out by clusters, and processors hold some
PART_OF_AVAILABLE = 0.9                # more, and the kernel would start to reclaim while it is measured


@dataclass(frozen=True)
class LiveTimes:
    """What `measure` found.

    pages: of the area.  ns: name -> nanoseconds for each page, a median; None: not measured.
    reasons: for each None, and only for those, one sentence that says why and what to do.
    """

    pages: int
    ns: dict[str, float | None]
    reasons: dict[str, str]


def measure(pages, rounds=3, progress=None):
    """LiveTimes of an area of `pages` pages on this machine.

    rounds: how often each is measured at least; medians are taken.  progress: None or called with (rounds done, rounds, name).
    Swapping is measured for root only, with `temporary_swap`. What cannot be measured here is None. Raises ValueError for
    pages or rounds below 1, OSError if Python cannot be started again or the temporary swap could not be undone.
    """
    if pages < 1 or rounds < 1:
        raise ValueError(f"pages and rounds: {pages} and {rounds}; both must be at least 1")
    reason = obstacle(pages)
    if reason:
        return LiveTimes(pages, dict.fromkeys(NAMES), dict.fromkeys(NAMES, reason))
    samples = {name: [] for name in NAMES}
    reasons = {}
    with ExitStack() as stack:
        try:
            stack.enter_context(temporary_swap(int(pages * PAGE * SWAP_ROOM)))
        except OSError as error:
            reasons |= dict.fromkeys(SWAP_NAMES, str(error))
        repeats = max(1, min(MOST_REPEATS, SMALL_PAGES // pages))
        said = stack.enter_context(closing(answers(pages, rounds * repeats, not reasons)))
        for answer in said:
            name = answer["name"]
            if "reason" in answer:
                reasons[name] = answer["reason"]
                continue
            if progress:
                progress(len(samples[name]) // repeats, rounds, name)
            samples[name].append(answer["ns"])
    ns = {name: statistics.median(times) if times else None for name, times in samples.items()}
    for name, value in ns.items():
        if value is not None and value <= 0:
            ns[name] = None
            reasons[name] = f"{pages:,} pages take less than the noise of this machine: measure more pages"
    # what could be measured in some rounds only has been measured
    return LiveTimes(pages, ns, {name: reasons[name] for name in NAMES if ns[name] is None})


def obstacle(pages):
    """Why nothing can be measured here, or None."""
    if sys.platform != "linux":
        return f"this is {sys.platform}: run on Linux"
    if os.sysconf("SC_PAGESIZE") != PAGE:
        return f"this kernel's pages are {format_size(os.sysconf('SC_PAGESIZE'))}: run on one with 4 KiB"
    need, available = pages * (PAGE + OVERHEAD_BYTES) + OWN_BYTES, available_bytes()
    if available is None:
        return "/proc/meminfo has no MemAvailable: run where it has (Linux 3.14)"
    if need > available * PART_OF_AVAILABLE:
        return (f"{pages:,} pages need {format_size(need)} of memory, with a tenth to spare, and {format_size(available)} "
                "are available: measure fewer pages")
    return None


def answers(pages, passes, with_swap):
    """What the measured process says, as dictionaries; if it ends early, the reason for each name that it never said."""
    arguments = [str(int(value)) for value in (pages, passes, with_swap, os.getpid())]
    missing = [name for name in NAMES if with_swap or name not in SWAP_NAMES]
    reason = None
    with subprocess.Popen([sys.executable, "-I", "-S", str(PROCESS), *arguments], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True, text=True) as process:
        try:
            for line in process.stdout:
                answer = json.loads(line)
                if "name" not in answer:
                    reason = answer["reason"]
                    continue
                yield answer
                if answer["name"] in missing:
                    missing.remove(answer["name"])
            error = process.stderr.read()
            process.wait()
        finally:
            process.kill()
    if process.returncode < 0:
        reason = f"the measured process was ended by {signal.Signals(-process.returncode).name}: measure fewer pages"
    elif process.returncode > 0:
        reason = f"the measured process failed ({error.strip().rpartition(chr(10))[2]}): measure with another Python"
    for name in missing:
        yield {"name": name, "reason": reason}
