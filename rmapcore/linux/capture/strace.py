"""A recording by strace: the memory calls, forks, execs and exits, where perf is not allowed. There are no page faults in it.

strace's lines become lines as perf script prints them, so that a recording has one form:

    3265  1795524740.341682 mprotect(0x7f13d9ee9000, 16384, 0x1) = 0         sys_enter_mprotect, sys_exit_mprotect
    3265  1795524740.470889 vfork( <unfinished ...>                          sys_enter_vfork
    3265  1795524740.471030 <... vfork resumed>) = 3266                      sys_exit_vfork, PERF_RECORD_FORK
    3266  1795524740.475189 +++ exited with 0 +++                            sched_process_exit, PERF_RECORD_EXIT

A child's lines may stand before the one that says whose child it is: they wait for it. clone3 is written as clone, since
strace knows its flags and perf does not. What execve maps is no call: strace is told to hold a program for a moment at
the end of its execve, and the areas are read from /proc meanwhile.
"""
import errno
import os
import re
import shutil

from rmapcore.linux import proc
from rmapcore.linux.capture.calls import CALLS

CLONE_THREAD = 0x10000
HOLD_MICROSECONDS = 5000                       # if /proc is read later, it shows more areas: they are mapped again
MISSING = ("page faults: strace sees calls only",)
FORKS = ("clone", "clone3", "fork", "vfork")
EXECS = ("execve", "execveat")
WRITTEN = {"clone3": "clone", "execveat": "execve"}             # as which of the recording's calls
BESIDES = ("execveat", "shmget")               # what the lines of other calls are made from

_LINE = re.compile(r"(\d+)\s+(\d+\.\d+) (.*)")
_RESUMED = re.compile(r"<\.\.\. (\w+) resumed>(.*)")
_RESULT = re.compile(r"(.*?)\)?\s+= (\?|-?\d+|0x[0-9a-f]+)(?:<.*>)?( .*)?")
_FLAGS = re.compile(r"flags=(0x[0-9a-f]+|0)")
_NUMBER = re.compile(r"0x[0-9a-f]+|-?\d+")
_FILE = re.compile(r"<([^<>]*)>(\(deleted\))?")                  # behind a descriptor; strace writes < in a name as \74
_ESCAPE = re.compile(r"\\([0-7]{1,3}|.)")
ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "v": "\v", "f": "\f"}
_PATH = re.compile(r'[^"<]*(?:<([^<>]*)>[^"]*)?"(.*?)"')         # of execve; of execveat behind a directory or file
_UNFINISHED = re.compile(r"<unfinished \.\.\.>|<pid changed to \d+ \.\.\.>")      # the latter: execve of a thread but the first


def present():
    """Whether strace is installed."""
    return shutil.which("strace") is not None


def words(log):
    """The words that run a command under strace, before the command's own; `log` is where it writes."""
    calls = ",".join(f"?{name}" for name in (*CALLS, *BESIDES))      # ?: one that this strace does not know is no error
    return ["strace", "-f", "-q", "-ttt", "-y", "-s", "4096", "-X", "raw", "--seccomp-bpf", "-o", log,
            "-e", f"trace={calls}", "-e", f"inject=execve,execveat:delay_exit={HOLD_MICROSECONDS}", "--"]


def areas(pid):
    """[(start, length, offset, device, inode, perms, path)] of a process; empty if it is gone."""
    try:
        found = proc.areas(pid)
    except OSError:
        return []
    return [(one.start, one.end - one.start, one.offset, one.device, one.inode, one.perms, one.path or "//anon")
            for one in found]


class Converter:
    """Takes strace's lines, without their ends, in their order.

    lines, processes: how many lines were made, and address spaces born by fork and the first one.
    image: gives the areas of a process that has just executed a program.
    """

    def __init__(self, image=areas):
        self.image = image
        self.pids = {}                         # of the living threads, by tid
        self.names = {}                        # of the living processes, by pid
        self.begun = {}                        # tid -> (name, text of the arguments) of the call it is in
        self.orphans = {}                      # tid -> lines of a thread whose parent is not known yet
        self.segments = {}                     # of System V: id -> length
        self.lines = self.processes = 0
        self.made = []

    def convert(self, line):
        """What becomes of a line: a list of lines."""
        self.made = []
        match = _LINE.fullmatch(line)
        if match:
            self.take(int(match[1]), match[2], match[3])
        self.lines += len(self.made)
        return self.made

    def take(self, tid, time, text):
        if tid not in self.pids:
            if self.pids or self.processes:    # else it is the first of all
                self.orphans.setdefault(tid, []).append((time, text))
                return
            self.pids[tid] = tid
            self.names[tid] = ""
            self.processes = 1
        if text.startswith("+++ superseded"):  # its number goes to the thread that has called execve
            other = int(text.split()[-2])
            self.begun[tid] = self.begun.pop(other, ("execve", ""))
            self.pids.pop(other, None)
        elif text.startswith("+++"):
            self.ended(tid, time)
        elif text.startswith("---"):           # a signal
            return
        elif resumed := _RESUMED.fullmatch(text):
            name, arguments = self.begun.pop(tid, (resumed[1], ""))
            self.left(tid, time, name, arguments + resumed[2])
        else:
            name, parenthesis, rest = text.partition("(")
            if not parenthesis or (name not in CALLS and name not in BESIDES):
                return
            unfinished = _UNFINISHED.search(rest)
            arguments = rest[:unfinished.start()] if unfinished else rest
            if unfinished:
                self.begun[tid] = name, arguments
            self.entered(tid, time, name, arguments)
            if not unfinished:
                self.left(tid, time, name, arguments)

    # --- lines of perf script ------------------------------------------------------------------------------------

    def line(self, tid, time, text):
        pid = self.pids[tid]
        line = f"{self.names[pid]:>16} {pid:5d}/{tid:<5d} {float(time):12.6f}: {text}"
        self.made.append(line.replace("\n", "?"))          # names of files may hold line ends

    def event(self, tid, time, name, text):
        self.line(tid, time, f"{name:>35}: {text}               0")

    def entered(self, tid, time, name, arguments):
        if name == "shmget":
            return
        written = WRITTEN.get(name, name)
        names = CALLS[written][1]
        if name in ("clone", "clone3"):
            flags = _FLAGS.search(arguments)
            values = [int(flags[1], 16) if flags else 0] + [0] * (len(names) - 1)
        elif name in EXECS:
            values = [0] * len(names)
        else:
            values = [number(word) for word in _FILE.sub("", arguments).partition(")")[0].split(", ")[:len(names)]]
            values += [0] * (len(names) - len(values))     # mremap without its last argument
        self.event(tid, time, f"syscalls:sys_enter_{written}",
                   ", ".join(f"{argument}: 0x{value:08x}" for argument, value in zip(names, values, strict=True)))

    def left(self, tid, time, name, text):
        """The call is over: `text` has its arguments and its result."""
        match = _RESULT.fullmatch(text)
        if not match or match[2] == "?":
            return
        arguments, result, remark = match.groups()
        result = int(result, 0)
        if result < 0:
            result = -getattr(errno, (remark or "").split(" ", 2)[1], 1) if remark else -1
        if name == "shmget":
            if result >= 0:
                self.segments[result] = number(arguments.split(", ")[1])
            return
        if result >= 0:
            if name in EXECS:
                self.executed(tid, time, arguments)
                result = 0                     # a thread that takes the number of the first is told to return another
            elif name in FORKS:
                self.born(tid, time, name, arguments, result)
            elif name in ("mmap", "shmat"):
                self.mapped(tid, time, name, arguments, result)
        written = WRITTEN.get(name, name)
        self.event(tid, time, f"syscalls:sys_exit_{written}", f"{result & 0xFFFFFFFFFFFFFFFF:#x}")
        for time, text in self.orphans.pop(result, ()) if name in FORKS and result > 0 else ():
            self.take(result, time, text)

    def mmap2(self, tid, time, start, length, offset, device, inode, prot, path):
        pid = self.pids[tid]
        self.line(tid, time, f"PERF_RECORD_MMAP2 {pid}/{tid}: [{start:#x}({length:#x}) @ {offset:#x} {device} {inode} 0]: "
                             f"{prot} {path}")

    def mapped(self, tid, time, name, arguments, result):
        """Which object a mapping shows."""
        words = arguments.split(", ")
        if name == "shmat":
            identity = number(words[0])
            if identity in self.segments:
                self.mmap2(tid, time, result, self.segments[identity], 0, "00:01", identity, "rw-s", f"/SYSV{identity:08x}")
            return
        file = _FILE.search(arguments)
        if file:
            _, length, prot, flags, _, offset = map(number, _FILE.sub("", arguments).split(", "))
            prot = "".join(letter if prot & bit else "-" for letter, bit in (("r", 1), ("w", 2), ("x", 4)))
            path = _ESCAPE.sub(unescaped, file[1])
            self.mmap2(tid, time, result, length, offset, "00:00", 0, prot + ("p" if flags & 3 == 2 else "s"), path)

    def executed(self, tid, time, arguments):
        pid = self.pids[tid] = tid
        for other in [other for other, owner in self.pids.items() if owner == pid and other != tid]:
            del self.pids[other]
        words = _PATH.match(arguments)
        path = (words[2] or words[1] or "") if words else ""
        self.names[pid] = os.path.basename(path)[:15]
        self.line(tid, time, f"PERF_RECORD_COMM exec: {self.names[pid]}:{pid}/{pid}")
        for area in self.image(pid):
            self.mmap2(tid, time, *area)
        self.event(tid, time, "sched:sched_process_exec", f"filename={path} pid={pid} old_pid={pid}")

    def born(self, tid, time, name, arguments, child):
        flags = _FLAGS.search(arguments)
        pid = self.pids[tid]
        if name in ("clone", "clone3") and flags and int(flags[1], 16) & CLONE_THREAD:
            self.pids[child] = pid
        else:
            self.pids[child] = child
            self.names[child] = self.names[pid]
            self.processes += 1
        self.line(tid, time, f"PERF_RECORD_FORK({self.pids[child]}:{child}):({pid}:{tid})")

    def ended(self, tid, time):
        pid = self.pids[tid]
        dead = sum(owner == pid for owner in self.pids.values()) == 1
        self.event(tid, time, "sched:sched_process_exit",
                   f"comm={self.names[pid]} pid={tid} prio=120 group_dead={'true' if dead else 'false'}")
        self.line(tid, time, f"PERF_RECORD_EXIT({pid}:{tid}):({pid}:{tid})")
        self.begun.pop(tid, None)
        del self.pids[tid]
        if dead:
            del self.names[pid]


def number(word):
    """An argument: hexadecimal, decimal, or NULL. 64 bits, as in a register."""
    match = _NUMBER.match(word)
    return int(match[0], 0) & 0xFFFFFFFFFFFFFFFF if match else 0


def unescaped(match):
    """What an escape of strace in the name of a file stands for."""
    escape = match[1]
    return chr(int(escape, 8)) if escape[0].isdigit() else ESCAPES.get(escape, escape)
