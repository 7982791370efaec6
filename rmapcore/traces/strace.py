"""strace's lines as perf script prints them, so that a recording has one form: memory calls, forks, execs and exits.

    3265  1795524740.341682 mprotect(0x7f13d9ee9000, 16384, 0x1) = 0         sys_enter_mprotect, sys_exit_mprotect
    3265  1795524740.470889 vfork( <unfinished ...>                          sys_enter_vfork
    3265  1795524740.471030 <... vfork resumed>) = 3266                      sys_exit_vfork, PERF_RECORD_FORK
    3266  1795524740.475189 +++ exited with 0 +++                            sched_process_exit, PERF_RECORD_EXIT

A child's lines may stand before the one that says whose child it is: they wait for it, as long as a fork is under way. Who
shows up without one ran before. clone3 is written as clone, since strace knows its flags and perf does not.

Who has no pid in front (`stracelines`) is the first process, called FIRST where no line says its pid, or the last one that
is left. Children of which no line tells anything were not followed: they end with the vfork that made them, or stay.
"""
import errno
import os
import re
from collections import Counter, defaultdict

from rmapcore.linux.calls import CALLS
from rmapcore.traces.descriptors import CALLS as OF_DESCRIPTORS
from rmapcore.traces.descriptors import Descriptors, unescaped
from rmapcore.traces.lines import BadLine, whole
from rmapcore.traces.stracelines import Lines
from rmapcore.traces.symbols import CLONE, number

FIRST = 1
FORKS = ("clone", "clone3", "fork", "vfork")
EXECS = ("execve", "execveat")
WRITTEN = {"clone3": "clone", "execveat": "execve"}             # as which of the recording's calls
OF_PROCESSES = ("clone", "fork", "vfork", "execve", "exit_group")
BESIDES = ("shmget",)                          # what the lines of other calls are made from

_RESUMED = re.compile(r"<\.\.\. (\w+) resumed>(.*)")
_GROUP = re.compile(r'\{.*?\}|\[.*?\]|"(?:[^"\\]|\\.)*"\.*')         # what a pointer shows: it is not NULL
FREQUENT = ("mmap", "mprotect", "munmap", "brk", "mremap", "madvise", "shmat", "clone", "mlock", "munlock", "mlockall", "mbind",
            "mlock2", "pkey_mprotect")
_RESULT = re.compile(r"(.*?)\)?\s+= (\?|-?\d+|0x[0-9a-f]+)(?:<.*>(?:\(deleted\))?)?( .*)?")
_FLAGS = re.compile(r"flags=([^,})]*)")
_FILE = re.compile(r"<([^<>]*)(?:<[^<>]*>)?>(\(deleted\))?")     # behind a descriptor; strace writes < in a name as \74
_PATH = re.compile(r'[^"<]*(?:<([^<>]*)>[^"]*)?"(.*?)"')         # of execve; of execveat behind a directory or file
_UNFINISHED = re.compile(r"<unfinished \.\.\.>|<pid changed to \d+ \.\.\.>")      # the latter: execve of a thread but the first
_ERROR = re.compile(r"E[A-Z0-9]+")
WANTED = "record it with strace -f -e trace=%memory,%process,%desc,%ipc -o FILE"


class Converter:
    """Takes strace's lines, without their ends, in their order.

    image: gives the areas of a process that has just executed a program, [(start, length, offset, device, inode, perms, path)];
    None: they cannot be known.
    lines, processes: how many lines were made, and address spaces born by fork and the first one.
    left_out: counts by reason.
    """

    def __init__(self, image):
        self.image = image
        self.form = Lines()
        self.pids = {}                         # of the living threads, by tid
        self.threads = defaultdict(set)        # their tids, by pid
        self.names = {}                        # of the living processes, by pid
        self.begun = {}                        # tid -> (name, text of the arguments) of the call it is in
        self.orphans = {}                      # tid -> lines of a thread whose parent is not known yet
        self.segments = {}                     # of System V: id -> length
        self.descriptors = Descriptors()
        self.shown = set()                     # living threads that had a line
        self.first = None                      # tid of the one whose lines have no pid
        self.same = {}                         # tid -> the tid under which it is known: that of the first
        self.lines = self.processes = 0
        self.n_found = self.n_memory = self.n_others = 0   # threads that ran before; calls of memory, and others
        self.left_out = Counter()
        self.made = []

    def convert(self, line):
        """What becomes of a line: a list of lines. BadLine if it cannot be read."""
        self.made = []
        read = self.form.read(line)
        if read:
            tid, time, text = read
            tid = self.unnamed() if tid is None else self.known(tid, text)
            self.take(tid, time, text)
        self.lines += len(self.made)
        return self.made

    def finish(self):
        """At the end of a log: counts what was not told in it. BadLine if that is too much."""
        if not self.n_memory:
            raise BadLine(f"no memory call in this log: {WANTED}")
        if self.n_found > 1 and not self.n_others:
            raise BadLine(f"memory calls of several processes and not how they began: {WANTED}")
        if self.form.strange:
            self.left_out["lines that are not strace's"] += self.form.strange
        if self.orphans:
            self.left_out["processes and threads whose parent is not in the log"] += len(self.orphans)
        if silent := len(self.pids.keys() - self.shown):
            self.left_out["processes and threads that strace did not follow (strace -f does)"] += silent

    def unnamed(self):
        """The thread of a line without a pid."""
        if self.first is None:
            self.first = self.form.attached or FIRST
        if self.first not in self.pids and len(self.shown) == 1:
            return next(iter(self.shown))
        return self.first

    def known(self, tid, text):
        """The tid of a line that has one: the first process may have had lines without."""
        if tid in self.pids or self.first not in self.pids or self.same:
            return self.same.get(tid, tid)
        resumed = _RESUMED.fullmatch(text)
        if resumed and self.first in self.begun:
            is_first = tid not in self.orphans and self.begun[self.first][0] == resumed[1]
        else:
            is_first = not self.forking()
        if is_first:
            self.same[tid] = self.first
        return self.same.get(tid, tid)

    def forking(self):
        return any(name in FORKS for name, _ in self.begun.values())

    def take(self, tid, time, text):
        if tid not in self.pids:
            if self.forking():
                self.orphans.setdefault(tid, []).append((time, text))
                return
            self.appeared(tid, time, text)
        self.shown.add(tid)
        if text.startswith("+++ superseded"):  # its number goes to the thread that has called execve
            other = whole(text.split()[-2], bits=31)
            self.begun[tid] = self.begun.pop(other, ("execve", ""))
            self.parted(other)
            self.shown.discard(other)
        elif text.startswith("+++"):
            self.ended(tid, time)
        elif text.startswith("---"):           # a signal
            return
        elif resumed := _RESUMED.fullmatch(text):
            name, arguments = self.begun.pop(tid, (resumed[1], ""))
            self.left(tid, time, name, arguments + resumed[2])
        else:
            name, _, rest = text.partition("(")
            unfinished = _UNFINISHED.search(rest)
            arguments = rest[:unfinished.start()] if unfinished else rest
            if unfinished:
                self.begun[tid] = name, arguments
            elif not _RESULT.fullmatch(rest):
                self.left_out["lines that are cut off"] += 1
                return
            taken = name in CALLS or name in BESIDES
            if taken and not self.entered(tid, time, name, arguments):
                self.begun.pop(tid, None)
                return
            self.n_others += not taken
            if not unfinished:
                self.left(tid, time, name, arguments)

    def appeared(self, tid, time, text):
        """A thread that nobody has made: the program that strace runs, or one that ran before, whose areas are not known."""
        self.joined(tid, tid)
        self.names[tid] = ""
        self.processes += 1
        if not text.startswith((*EXECS, "+++")):         # so perf shows what it finds running: a line of no thread
            self.n_found += 1
            self.made.append(f"{'':>16} {0:5d}/{0:<5d} {time:12.6f}: PERF_RECORD_MMAP2 {tid}/{tid}: "
                             "[0xffffffffff600000(0x1000) @ 0 00:00 0 0]: --xp [vsyscall]")

    # --- lines of perf script ------------------------------------------------------------------------------------

    def line(self, tid, time, text):
        pid = self.pids[tid]
        line = f"{self.names[pid]:>16} {pid:5d}/{tid:<5d} {time:12.6f}: {text}"
        self.made.append(line.replace("\n", "?"))          # names of files may hold line ends

    def event(self, tid, time, name, text):
        self.line(tid, time, f"{name:>35}: {text}               0")

    def entered(self, tid, time, name, arguments):
        """Whether its line was made. BadLine if a flag of a call that every program makes is not known."""
        if name == "shmget":
            return True
        written = WRITTEN.get(name, name)
        if written in OF_PROCESSES:
            self.n_others += 1
        else:
            self.n_memory += 1
        names = CALLS[written][1]
        if name in ("clone", "clone3"):
            values = [flags_of(arguments)] + [0] * (len(names) - 1)
        elif name in EXECS:
            values = [0] * len(names)
        else:
            try:
                words = _GROUP.sub("0x1", _FILE.sub("", arguments)).partition(")")[0].split(", ")
                values = [number(word) for word in words[:len(names)]]
            except BadLine:
                if name in FREQUENT:
                    raise
                self.left_out[f"{name} with names that are not known"] += 1
                return False
            values += [0] * (len(names) - len(values))     # mremap without its last argument
        self.event(tid, time, f"syscalls:sys_enter_{written}",
                   ", ".join(f"{argument}: 0x{value:08x}" for argument, value in zip(names, values, strict=True)))
        return True

    def left(self, tid, time, name, text):
        """The call is over: `text` has its arguments and its result."""
        if name not in CALLS and name not in BESIDES and name not in OF_DESCRIPTORS:
            return
        match = _RESULT.fullmatch(text)
        if not match or match[2] == "?":
            return
        arguments, result, remark = match.groups()
        result = whole(result, 16 if result.startswith("0x") else 10)
        if result < 0:
            named = _ERROR.search(remark or "")
            result = -getattr(errno, named[0], 1) if named else -1
        if name == "shmget":
            if result >= 0:
                self.segments[result] = number(arguments.split(", ")[1])
            return
        if name in OF_DESCRIPTORS:
            if result >= 0:
                self.descriptors.left(self.pids[tid], name, arguments, result)
            if name not in CALLS:
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
        if name in FORKS and result > 0:
            for one in self.orphans.pop(result, ()):
                self.take(result, *one)
            if (name == "vfork" or flags_of(arguments) & CLONE["VFORK"]) and result in self.pids and result not in self.shown:
                self.ended(result, time)

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
        _, length, prot, flags, descriptor, offset = map(number, _FILE.sub("", arguments).split(", "))
        path = unescaped(file[1]) if file else self.descriptors.path(self.pids[tid], descriptor)
        if path:
            prot = "".join(letter if prot & bit else "-" for letter, bit in (("r", 1), ("w", 2), ("x", 4)))
            self.mmap2(tid, time, result, length, offset, "00:00", 0, prot + ("p" if flags & 3 == 2 else "s"), path)

    def executed(self, tid, time, arguments):
        pid = tid
        self.joined(tid, pid)
        self.forget(self.threads[pid] - {tid})
        words = _PATH.match(arguments)
        path = unescaped(words[2] or words[1] or "") if words else ""
        self.names[pid] = os.path.basename(path)[:15]
        self.line(tid, time, f"PERF_RECORD_COMM exec: {self.names[pid]}:{pid}/{pid}")
        if self.image is None:
            self.left_out["areas that execve mapped"] += 1
        else:
            for area in self.image(pid):
                self.mmap2(tid, time, *area)
        self.event(tid, time, "sched:sched_process_exec", f"filename={path} pid={pid} old_pid={pid}")

    def born(self, tid, time, name, arguments, child):
        flags = flags_of(arguments) if name in ("clone", "clone3") else 0
        if name == "clone3" and "flags=" not in arguments:
            raise BadLine("the flags of clone3 are not in this log: record it without -e raw")
        pid = self.pids[tid]
        if flags & CLONE["THREAD"]:
            self.joined(child, pid)
        else:
            self.joined(child, child)
            self.names[child] = self.names[pid]
            self.processes += 1
            self.descriptors.born(pid, child, flags & CLONE["FILES"])
        self.line(tid, time, f"PERF_RECORD_FORK({self.pids[child]}:{child}):({pid}:{tid})")

    def ended(self, tid, time):
        pid = self.pids[tid]
        if tid == self.first and not self.same:            # strace follows nobody else, or the others have ended
            self.forget(self.threads[pid] - {tid})
        dead = len(self.threads[pid]) == 1
        self.event(tid, time, "sched:sched_process_exit",
                   f"comm={self.names[pid]} pid={tid} prio=120 group_dead={'true' if dead else 'false'}")
        self.line(tid, time, f"PERF_RECORD_EXIT({pid}:{tid}):({pid}:{tid})")
        self.begun.pop(tid, None)
        self.forget([tid])
        if dead:
            del self.names[pid]
            self.descriptors.ended(pid)

    def forget(self, tids):
        for tid in tids:
            self.parted(tid)
            self.shown.discard(tid)

    def joined(self, tid, pid):
        """The thread is one of this process from now on."""
        self.parted(tid)
        self.pids[tid] = pid
        self.threads[pid].add(tid)

    def parted(self, tid):
        pid = self.pids.pop(tid, None)
        if pid is not None:
            self.threads[pid].discard(tid)
            if not self.threads[pid]:
                del self.threads[pid]


def flags_of(arguments):
    """Of clone and clone3; of the first without decoding too (-e raw=clone), where they are its first argument."""
    flags = _FLAGS.search(arguments)
    return number(flags[1] if flags else arguments.partition(",")[0])
