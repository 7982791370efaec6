"""The whole state of a program while it stands still: every process of it stopped, read, and let go on.

SIGSTOP stops a process where it returns to user mode, so no call is half done, but for one that waits: of a vfork its parent,
and what sleeps in a device. A parent that asks (WUNTRACED) sees that its children were stopped, and a few calls that were
waiting return EINTR afterwards (signal(7)).

The processes are all that descend from this one, but for the recorder: orphans come to it while it is their subreaper
(prctl(2)).
"""
import ctypes
import errno
import os
import signal
import threading
import time
from contextlib import contextmanager, suppress

import numpy as np

from rmapcore.linux import proc
from rmapcore.linux.capture.seen import SPECIAL, entries
from rmapcore.linux.frames import Frames
from rmapcore.traces.states import ANON, FILE, SWAP, ZERO, AreaSeen, ProcessSeen, Run, State
from rmapcore.units import PAGE

PR_SET_CHILD_SUBREAPER = 36
STOP_SECONDS = 1.0                             # to wait for those that do not come to a stop
STEP_SECONDS = 0.0005
POLL_SECONDS = 0.01
STANDING = "TtZX"                              # states of a task that does nothing
MINFLT, CMINFLT, MAJFLT, CMAJFLT = 7, 8, 9, 10         # fields of /proc/PID/stat behind the name
USER_END = 1 << 47                             # above it is vsyscall


@contextmanager
def subreaper():
    """Orphans of descendants become children of this process meanwhile."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    try:
        yield
    finally:
        libc.prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)


def family(but):
    """pids of all living descendants of this process, but those in `but` and theirs."""
    found, wait = [], [os.getpid()]
    while wait:
        pid = wait.pop()
        for child in proc.children(pid):
            if child not in but:
                found.append(child)
                wait.append(child)
    return found


def faults(but):
    """Page faults that the family has had so far, of its dead as far as they were waited for."""
    total = 0
    for pid in family(but):
        with suppress(OSError):
            _, fields = proc.stat(pid)
            total += sum(int(fields[at]) for at in (MINFLT, CMINFLT, MAJFLT, CMAJFLT))
    return total


@contextmanager
def stopped(but):
    """Gives the pids of the family, standing; those that stood before stay so afterwards."""
    sent, deadline = {}, time.monotonic() + STOP_SECONDS
    try:
        while True:
            new = [pid for pid in family(but) if pid not in sent]
            for pid in new:
                with suppress(OSError):
                    sent[pid] = proc.stat(pid)[1][0] not in STANDING
                    if sent[pid]:
                        os.kill(pid, signal.SIGSTOP)
            while not all(map(stands, sent)) and time.monotonic() < deadline:
                time.sleep(STEP_SECONDS)
            if not new:
                break
        yield sorted(sent)
    finally:
        for pid, running in sent.items():
            if running:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)


def stands(pid):
    """Whether no thread of a process runs."""
    try:
        tasks = os.listdir(f"/proc/{pid}/task")
        return all(proc.stat(f"{pid}/task/{tid}")[1][0] in STANDING for tid in tasks)
    except OSError:
        return True


class Watch:
    """Takes states of a program: at its end, and every so many page faults.

    but: pids that do not belong to it.  every: page faults between two states, None: only those asked for.
    states: list of State.  seconds: how long the program stood for them.
    """

    def __init__(self, but, every=None):
        self.but, self.every = but, every
        self.states, self.seconds = [], 0.0
        self.lock = threading.RLock()          # the end, or a signal, may come while the other thread looks
        self.over = threading.Event()
        self.problem = None

    def take(self):
        with self.lock:
            start = time.perf_counter()
            try:
                state = look(self.but)
            except OSError as error:           # told when the recording is whole
                told = f"{error.filename}: {error.strerror}" if error.filename else error.strerror
                self.problem = self.problem or told
                return
            if state.processes:
                self.states.append(state)
                self.seconds += time.perf_counter() - start

    @contextmanager
    def watching(self):
        """Takes states every so many faults in the meantime; orphans of the program come to this process."""
        thread = threading.Thread(target=self._watch) if self.every else None
        with subreaper():
            if thread:
                thread.start()
            try:
                yield
            finally:
                self.over.set()
                if thread:
                    thread.join()
                for pid in proc.children(os.getpid()):
                    if pid not in self.but:
                        with suppress(ChildProcessError):
                            os.waitpid(pid, os.WNOHANG)

    def _watch(self):
        due = self.every
        while not self.over.wait(POLL_SECONDS):
            if (now := faults(self.but)) >= due:
                self.take()
                due = now + self.every


def look(but):
    """A State of the family, read while it stands. OSError if this user may not read it."""
    with stopped(but) as pids:
        frames = Frames()
        if not frames.readable:                # nobody could tell then what is shared, and which pages are zero pages
            raise OSError(errno.EACCES, f"states cannot be taken: {frames.reason}")
        try:
            state = State(time.clock_gettime_ns(time.CLOCK_MONOTONIC))
            found = []
            for pid in pids:
                with suppress(FileNotFoundError, ProcessLookupError):
                    found.append(process(pid))
            state.processes = [one for one, _ in found if one.areas]
            told = [pages for one, pages in found if one.areas]
            for one, runs in zip(state.processes, runs_of(told, frames), strict=True):
                one.runs = runs
        finally:
            frames.close()
    return state


def process(pid):
    """(ProcessSeen without runs, (page numbers, words of pagemap)) of what is present or swapped."""
    name = proc.stat(pid)[0].replace("\n", "?")
    try:
        tables = proc.page_tables(pid)
    except OSError:                            # a zombie has no address space
        return ProcessSeen(pid, 0, name), None
    seen = ProcessSeen(pid, tables, name)
    vpns, words = [np.empty(0, np.int64)], [np.empty(0, np.uint64)]
    flags = {one.start * PAGE: one.flags for one, _ in proc.mappings(pid, lambda start, end: True)}
    with proc.opened(f"/proc/{pid}/pagemap") as descriptor:
        for area in proc.areas(pid):
            here, got = entries(descriptor, area) if area.start < USER_END else ((), ())
            if area.path in SPECIAL:
                seen.special += [(int(vpn), 1) for vpn in here]
                continue
            seen.areas.append(AreaSeen(area.start, area.end, area.perms, area.offset, area.device, area.inode,
                                       ",".join(sorted(flags.get(area.start, ()))), area.path.replace("\n", "?")))
            vpns.append(here)
            words.append(got)
    return seen, (np.concatenate(vpns), np.concatenate(words))


def runs_of(told, frames):
    """Lists of Run for processes. told: (page numbers, words) of each.  frames: Frames that are readable."""
    if not told:
        return []
    words = np.concatenate([words for _, words in told])
    present = words & proc.PRESENT != 0
    anon = present & (words & proc.OF_FILE == 0)
    kinds = np.where(present, np.where(anon, ANON, FILE), SWAP)
    counts, groups = np.zeros(len(words), np.int64), np.zeros(len(words), np.int64)
    if anon.any():
        places = words[anon] & proc.PLACE
        mapcounts, flags = frames.look(places)
        zero, huge = flags & proc.KPF_ZERO_PAGE != 0, flags & proc.KPF_THP != 0
        kinds[anon] = np.where(zero, ZERO, ANON)
        counts[anon] = np.where(zero | huge, 0, mapcounts)
        _, first, frame, users = np.unique(places, return_index=True, return_inverse=True, return_counts=True)
        shared = np.flatnonzero(users > 1)
        order = np.zeros(len(users), np.int64)
        order[shared[np.argsort(first[shared])]] = np.arange(1, len(shared) + 1)       # in the order in which they are met
        groups[anon] = np.where(zero, 0, order[frame])
    found, start = [], 0
    for vpns, own in told:
        end = start + len(own)
        found.append(runs(vpns, kinds[start:end], counts[start:end], groups[start:end]))
        start = end
    return found


def runs(vpns, kinds, counts, groups):
    """Neighbours that say the same as one Run."""
    if not len(vpns):
        return []
    same = (np.diff(vpns) == 1) & (kinds[1:] == kinds[:-1]) & (counts[1:] == counts[:-1])
    same &= np.where(groups[1:] > 0, (groups[:-1] > 0) & (np.diff(groups) == 1), groups[:-1] == 0)
    first = np.concatenate([[0], np.flatnonzero(~same) + 1])
    lengths = np.diff([*first.tolist(), len(vpns)])
    columns = (vpns[first], lengths, kinds[first], counts[first], groups[first])
    return [Run(*values) for values in zip(*(column.tolist() for column in columns), strict=True)]
