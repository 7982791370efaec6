"""A recording as the kernel and perf print it themselves: the slow twin of `rmapcore.pyx.text.perfdata`.

`trace` of tracefs has the events of all programs, `perf script` perf's records. Of one process and its descendants they
get the form of the recording's lines:

    prog-77 [000] d.... 5.123456: page_fault_user: address=0x5      77/77  exceptions:page_fault_user: address=0x5
    prog-77 [000] ..... 5.123456: sys_enter: NR 9 (0, 2000, …)      77/77  syscalls:sys_enter_mmap: addr: 0x00000000, …

A process belongs to the program from its PERF_RECORD_FORK line until its last thread has ended; pids may come again, and
are not expected to do so here.
"""
import re
import subprocess

from rmapcore.linux.calls import CALLS
from rmapcore.linux.capture.rings import EVENTS

RESULT_MASK = (1 << 64) - 1
ENTERED = {number: (f"syscalls:sys_enter_{name}: ", [f"{argument}: 0x" for argument in arguments])
           for name, (number, arguments) in CALLS.items()}
LEFT = {number: f"syscalls:sys_exit_{name}: " for name, (number, _) in CALLS.items()}
FULL_NAMES = {event.partition(":")[2]: event for event in EVENTS}
_EVENT = re.compile(r" *.{1,16}-(\d+) +\[\d+\] \S+ +[\d.]+: (\w+)[:(] ?(.*)")
_BORN = re.compile(r"PERF_RECORD_FORK\((\d+):(\d+)\):\((\d+):")


def records(path, pid):
    """(the lines of perf's records, {tid: pid}) of one program in a perf.data file."""
    command = ["perf", "script", "-i", path, "--show-mmap-events", "--show-task-events", "-F", "comm,pid,tid,time,event"]
    text = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True, text=True).stdout
    lines, pids = [], {}
    for line in text.splitlines():
        who, _, rest = line[16:].split(None, 2)
        owner = int(who.partition("/")[0])
        if not pids and owner == pid and rest.startswith("PERF_RECORD_COMM exec:"):
            pids[pid] = pid
        if owner in pids.values():
            lines.append(line)
            born = _BORN.match(rest)
            if born:
                pids[int(born[2])] = int(born[1])
    return lines, pids


def events(text, pids):
    """What the events of these threads say, by thread and in the order of each. text: of `trace`."""
    found = {tid: [] for tid in pids}
    for line in text.splitlines():
        match = _EVENT.match(line)
        if match and int(match[1]) in found and (said := event(match[2], match[3])):
            found[int(match[1])].append(f"{pids[int(match[1])]}/{match[1]} {said}")
    return found


def event(name, fields):
    """An event in the words of a recording; a call as the event of its own, None if it is not listed."""
    if name == "sys_enter":
        _, number, values = fields.split(None, 2)
        if int(number) not in ENTERED:
            return None
        said, arguments = ENTERED[int(number)]
        given = zip(arguments, values.strip("()").split(", "), strict=False)
        return said + ", ".join(argument + value.rjust(8, "0") for argument, value in given)
    if name == "sys_exit":
        _, number, _, result = fields.split()
        return LEFT[int(number)] + f"{int(result) & RESULT_MASK:#x}" if int(number) in LEFT else None
    if name.startswith("sys_"):                # a call with an event of its own: sys_read(fd: 3, buf: 7f00, …
        enter = f"syscalls:sys_enter_{name.removeprefix('sys_')}"
        given = dict(field.split(": ") for field in fields.rstrip(")").split(", ")[:len(EVENTS[enter])])
        return f"{enter}: " + ", ".join(f"{key}: 0x{value.removeprefix('0x').rjust(8, '0')}" for key, value in given.items())
    return f"{FULL_NAMES[name]}: {fields}"
