"""What this machine allows of a live run: root, frames, swap, a memory control group, KSM, counts of objects.

`LiveMachine` asks once and is then the same for all cases: `subject_of(case)` makes the subjects of a case with what that
case needs, `lacks(need)` and `unseen()` say in words what is missing. Nothing that belongs to the machine stays changed:
control groups go with their subject, KSM's settings come back after each scan. Swap is a caller's: see linux.swapdevice.
"""
import errno
import os
import platform
import sys
import tempfile
import time
from contextlib import suppress
from functools import partial
from pathlib import Path

from rmapcore.linux import proc
from rmapcore.linux.frames import Frames
from rmapcore.linux.proc import swap_is_on
from rmapcore.units import PAGE
from rmapcore.verify.live_objects import Counter, NoCounts
from rmapcore.verify.subject import Unsupported

RECORDED = "6.18"                      # the kernel whose rules the emulator has
KSM = Path("/sys/kernel/mm/ksm")
KSM_SETTINGS = {"pages_to_scan": 100_000, "sleep_millisecs": 0, "use_zero_pages": 0, "smart_scan": 0}    # scan all, at once
KSM_SECONDS = 60.0
RECLAIM_ROUNDS, RECLAIM_SAME = 20, 2   # at most; so often without effect is the end
CHANGES_PER_CPU = 128                  # twice what the kernel counts before it takes statistics for old
REMOVE_SECONDS = 5.0
WRITE_SECONDS = 0.2                    # that others' writes to disks may keep a case waiting
NO_SWAP = "no swap is on: run with --swap, or turn one on"


class LiveMachine:
    """What can be done and seen here. Raises Unsupported where no live run is possible at all."""

    def __init__(self):
        reason = obstacle()
        if reason:
            raise Unsupported(reason)
        frames = Frames()
        self.no_frames = frames.reason
        frames.close()
        if self.no_frames and not scans_pagemap():
            raise Unsupported(f"without frame numbers ({self.no_frames}) zero pages are known from Linux 6.7 on: run as root")
        try:
            self.counter, self.no_counts = Counter(), ""
            self.counter.watch(os.getpid())    # whether it may be done is known when it is done
            self.counter.close()
        except NoCounts as error:
            self.counter, self.no_counts = None, str(error)
        self.reclaimable, self.no_reclaim = memory_control()

    def lacks(self, need):
        """Why what a case needs is not there, or None."""
        if need == "swap":
            return None if swap_is_on() else NO_SWAP
        if need == "memcg":
            return self.no_reclaim or None
        if need == "ksm":
            return None if os.access(KSM / "run", os.W_OK) else "KSM cannot be told to scan (/sys/kernel/mm/ksm/run)"
        return f"needs {need!r}, which is unknown"

    def unseen(self):
        """Sentences: what no case is checked for here, and what may differ for another reason than a mistake."""
        told = []
        release = platform.release()
        if not release.startswith(f"{RECORDED}."):
            told.append(f"this kernel is {release}: the rules of {RECORDED} for the borders of areas may not be its own")
        if self.no_frames:
            told.append(f"shared frames and swap slots, and mapcounts, are not compared ({self.no_frames})"
                        + (": run as root" if os.getuid() else ""))
        if self.no_counts:
            told.append(f"numbers of kernel objects are not compared ({self.no_counts})")
        return told

    def group(self):
        """A new MemoryGroup."""
        if self.reclaimable is None:
            raise Unsupported(self.no_reclaim)
        return MemoryGroup(self.reclaimable)

    def subject_of(self, case, live, objects=False):
        """make_subject(files) for a case. live: the class `live.Live`.  objects: count them even if the case does not ask."""
        return partial(live, machine=self, group="memcg" in case.needs or uses(case.steps, "reclaim"),
                       objects=objects or bool(case.repeat) or "objects" in case.expect)


def uses(steps, op):
    """Whether steps have one of this op, loops included."""
    return any(step["op"] == op or (step["op"] == "loop" and uses(step["steps"], op)) for step in steps)


def obstacle():
    """Why no live run is possible here, or None."""
    if sys.platform != "linux":
        return f"this is {sys.platform}: the live kernel is Linux"
    if platform.machine() != "x86_64":
        return f"this machine is {platform.machine()}: the test processes are x86-64 programs"
    if os.sysconf("SC_PAGESIZE") != PAGE:
        return f"this kernel's pages have {os.sysconf('SC_PAGESIZE')} bytes, not {PAGE}"
    try:
        with proc.opened("/proc/self/pagemap") as descriptor:
            proc.words(descriptor, 0, 1)
        proc.mappings("self", lambda start, end: None)
    except OSError as error:
        return f"{error.filename}: {error.strerror}"
    return None


def scans_pagemap():
    """Whether pagemap can be asked for zero pages."""
    with proc.opened("/proc/self/pagemap") as descriptor, suppress(OSError):
        proc.zero_pages(descriptor, 16, 17)
        return True
    return False


# --- reclaim ----------------------------------------------------------------------------------------------------------


def memory_control():
    """((directory that groups can be made in, file that reclaims, file of the use in bytes), ""), or (None, why not)."""
    if os.geteuid() != 0:
        return None, "reclaim needs a memory control group of its own: run as root"
    for _, place, kind, options in proc.mounts():
        if kind == "cgroup" and "memory" in options:
            return (place, "memory.force_empty", "memory.usage_in_bytes"), ""
        if kind == "cgroup2":
            with suppress(OSError):
                if "memory" in (place / "cgroup.subtree_control").read_text().split():
                    return (place, "memory.reclaim", "memory.current"), ""
    return None, "no memory controller is mounted (cgroup), so nothing can be reclaimed at will"


def wait_for_writes():
    """Until no page is being written: MADV_PAGEOUT returns before, and an access to a page on its way finds it in use."""
    deadline = time.monotonic() + WRITE_SECONDS
    with suppress(OSError):                # what nobody but root can ask
        while True:
            Path("/proc/sys/vm/stat_refresh").read_bytes()
            counts = dict(line.split() for line in Path("/proc/vmstat").read_text().splitlines())
            if counts["nr_writeback"] == "0" or time.monotonic() > deadline:
                return


class MemoryGroup:
    """A memory control group of its own. procs: the file that takes pids."""

    def __init__(self, control):
        parent, reclaim, use = control
        self.path = Path(tempfile.mkdtemp(prefix=f"rmapcore-{os.getpid()}-", dir=parent))
        self.procs = self.path / "cgroup.procs"
        self.reclaim_file, self.use_file = self.path / reclaim, self.path / use

    def reclaim(self, disturb):
        """Reclaims what can be, over and over until nothing more goes.

        Whether the kernel looks at active pages at all depends on statistics that it brings up to date only after some
        changes, or seconds later. disturb(pages): takes so many pages of memory in the group and gives them back.
        """
        same = 0
        before = None
        for _ in range(RECLAIM_ROUNDS):
            disturb(CHANGES_PER_CPU * os.cpu_count())
            (self.path / "memory.stat").read_text()
            use = int(self.use_file.read_text())
            same = same + 1 if use == before else 0
            if same == RECLAIM_SAME:
                return
            before = use
            with suppress(BlockingIOError):    # version 2 says so if not all could go
                self.reclaim_file.write_text(str(use) if self.reclaim_file.name == "memory.reclaim" else "0")

    def remove(self):
        """Its processes must have ended; the kernel may notice a moment later."""
        deadline = time.monotonic() + REMOVE_SECONDS
        while True:
            try:
                return self.path.rmdir()
            except OSError as error:
                if error.errno != errno.EBUSY or time.monotonic() > deadline:
                    raise
            time.sleep(0.001)


# --- files ------------------------------------------------------------------------------------------------------------


def nameless_file():
    """(descriptor, former path) of a new file on a file system that is a disk's: on a tmpfs it would be shared memory."""
    for place in (tempfile.gettempdir(), "/var/tmp", os.getcwd()):
        if os.path.isdir(place) and file_system(place) not in ("tmpfs", "ramfs", None):
            with suppress(OSError):
                fd, path = tempfile.mkstemp(prefix=f"rmapcore-{os.getpid()}-", dir=place)
                os.unlink(path)
                return fd, path
    raise Unsupported("no directory for temporary files is on a disk: set TMPDIR to one that is")


def file_system(path):
    """The type of the file system that a path is on, None if it is not listed."""
    device = os.stat(path).st_dev
    wanted = f"{os.major(device)}:{os.minor(device)}"
    return next((kind for where, _, kind, _ in proc.mounts() if where == wanted), None)


# --- KSM --------------------------------------------------------------------------------------------------------------


def ksm_scan(scans):
    """Lets KSM look through all mergeable memory of the machine so often; its settings are as before afterwards."""
    settings = {name: value for name, value in KSM_SETTINGS.items() if (KSM / name).exists()}
    before = {name: (KSM / name).read_text() for name in ("run", *settings)}
    try:
        for name, value in settings.items():
            with suppress(OSError):            # use_zero_pages cannot be changed while pages are merged
                (KSM / name).write_text(str(value))
        done = int((KSM / "full_scans").read_text())
        (KSM / "run").write_text("1")
        deadline = time.monotonic() + KSM_SECONDS
        while int((KSM / "full_scans").read_text()) < done + scans:
            if time.monotonic() > deadline:
                raise Unsupported("KSM does not come round: too much other memory is mergeable")
            time.sleep(0.002)
    except OSError as error:
        raise Unsupported(f"KSM: {error.strerror}") from None
    finally:
        for name in ("run", *settings):
            with suppress(OSError):
                (KSM / name).write_text(before[name])
