"""A recording by strace: the memory calls, forks, execs and exits, where perf is not allowed. There are no page faults in it.

What becomes of strace's lines says `rmapcore.traces.strace`. What execve maps is no call: strace is told to hold a program
for a moment at the end of its execve, and the areas are read from /proc meanwhile.
"""
import shutil

from rmapcore.linux import proc
from rmapcore.linux.calls import CALLS
from rmapcore.traces.strace import BESIDES

HOLD_MICROSECONDS = 5000                       # if /proc is read later, it shows more areas: they are mapped again
MISSING = ("page faults: strace sees calls only",)
# Calls that take what stands in memory: strace prints its place, not what stands there.
RAW = ("truncate", "prctl", "arch_prctl", "setrlimit", "prlimit64", "swapoff", "io_setup", "io_destroy", "get_mempolicy",
       "shmctl", "process_madvise", "mbind")


def present():
    """Whether strace is installed."""
    return shutil.which("strace") is not None


def words(log):
    """The words that run a command under strace, before the command's own; `log` is where it writes."""
    calls = ",".join(f"?{name}" for name in (*CALLS, *BESIDES))      # ?: one that this strace does not know is no error
    raw = ",".join(f"?{name}" for name in RAW)
    return ["strace", "-f", "-q", "-ttt", "-y", "-s", "4096", "-X", "raw", "--seccomp-bpf", "-o", log,
            "-e", f"trace={calls}", "-e", f"raw={raw}", "-e", f"inject=execve,execveat:delay_exit={HOLD_MICROSECONDS}", "--"]


def areas(pid):
    """[(start, length, offset, device, inode, perms, path)] of a process; empty if it is gone."""
    try:
        found = proc.areas(pid)
    except OSError:
        return []
    return [(one.start, one.end - one.start, one.offset, one.device, one.inode, one.perms, one.path or "//anon")
            for one in found]
