"""What perf script prints of a whole machine, as the recording of one program: the slow twin of `rmapcore.pyx.text.perfdata`.

The lines of one process and its descendants are kept, and their calls get the form that `perf record -e
syscalls:sys_enter_mmap …` would have given them:

    raw_syscalls:sys_enter: NR 9 (0, 2000, 3, 22, ffffffff, 0)     syscalls:sys_enter_mmap: addr: 0x00000000, len: 0x00002000, …
    raw_syscalls:sys_exit: NR 9 = 140733193388032                  syscalls:sys_exit_mmap: 0x7fff00000000

The recording begins with the line that says that the program was executed. A process belongs to it from its
PERF_RECORD_FORK line until its last thread has ended; pids may come again.
"""
import subprocess

from rmapcore.linux.calls import CALLS

COMM_COLUMNS = 16
NAME_COLUMNS = 36                              # of an event and its colon: as wide as the longest
FAULTS = b"exceptions:page_fault_"
RESULT_MASK = (1 << 64) - 1

ENTERED = {
    str(number).encode(): (f"syscalls:sys_enter_{name}:".encode(), [f"{argument}: 0x".encode() for argument in arguments])
    for name, (number, arguments) in CALLS.items()
}
LEFT = {str(number).encode(): f"syscalls:sys_exit_{name}:".encode() for name, (number, _) in CALLS.items()}


class Filter:
    """Keeps the lines of the process `pid` and its descendants.

    lines, faults, processes: how many were kept; a process is counted when it is born.
    """

    def __init__(self, pid):
        self.root = str(pid).encode()
        self.threads = {}                      # pid -> number of threads that live, of the processes that belong here
        self.lines = self.faults = self.processes = 0

    def keep(self, line):
        """The line in the recording's form, None if it belongs to another program. Lines are bytes without an end."""
        fields = line[COMM_COLUMNS:].split(None, 2)
        if len(fields) < 3:
            return None
        who, _, rest = fields
        pid = who[:who.find(b"/")]
        if pid not in self.threads:
            if pid != self.root or self.processes or not rest.startswith(b"PERF_RECORD_COMM exec:"):
                return None
            self.threads[pid] = 1
            self.processes = 1
        if not rest.startswith(b"PERF_RECORD_"):
            name, _, fields = rest.partition(b" ")
            if name.startswith(b"raw_syscalls:"):
                name, fields = call(name, fields)
            elif name.startswith(FAULTS):
                self.faults += 1
            line = line[:len(line) - len(rest)].rstrip() + b" " + name.rjust(NAME_COLUMNS) + b" " + fields
        elif rest.startswith(b"PERF_RECORD_FORK("):
            self.born(rest)
        elif rest.startswith(b"PERF_RECORD_EXIT("):
            self.ended(rest)
        self.lines += 1
        return line

    def born(self, rest):
        """PERF_RECORD_FORK(pid:tid):(parent pid:parent tid)"""
        pid, _, tail = rest[len(b"PERF_RECORD_FORK("):].partition(b":")
        parent = tail.partition(b"(")[2].partition(b":")[0]
        if pid == parent:
            self.threads[pid] += 1
        else:
            self.threads[pid] = 1
            self.processes += 1

    def ended(self, rest):
        """PERF_RECORD_EXIT(pid:tid):(parent pid:parent tid)"""
        pid = rest[len(b"PERF_RECORD_EXIT("):].partition(b":")[0]
        left = self.threads.get(pid, 0) - 1
        if left > 0:
            self.threads[pid] = left
        else:
            self.threads.pop(pid, None)


def call(name, fields):
    """A raw_syscalls event as the event of its own call; the last column, perf's address, stays."""
    _, number, values = fields.split(None, 2)
    if name == b"raw_syscalls:sys_enter:":
        name, arguments = ENTERED[number]
        inside, _, column = values.partition(b")")
        given = zip(arguments, inside[1:].split(b", "), strict=False)
        return name, b", ".join([argument + value.rjust(8, b"0") for argument, value in given]) + column
    _, result, column = values.split(None, 2)
    return LEFT[number], b"%#x               %s" % (int(result) & RESULT_MASK, column)


def script(path, pid):
    """The lines of one program in a perf.data file."""
    lines = Filter(pid)
    command = ["perf", "script", "-i", path, "--show-mmap-events", "--show-task-events", "-F",
               "comm,pid,tid,time,event,trace,addr"]
    text = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True).stdout
    return [kept for line in text.splitlines() if (kept := lines.keep(line))]
