"""Text of perf script with other columns than `lines` knows, as lines with those: what its default fields and -F print.

    "            bash 18109 [001]  3743.696761:          1  exceptions:page_fault_user: …"      tid, cpu, time, period
    "bash 18109/18109 [001] K   3743.696761: …"        of perf record -g the name is not filled up; misc
    "            bash 18109/18109  exceptions:…"        no time: all is at 0

perf prints the pid of a thread only if it is asked to (-F pid,tid). Else PERF_RECORD_FORK, _COMM and _MMAP2 lines tell it,
if there are any. What cannot be told is refused with WANTED, the options that tell it.
"""
import re

from rmapcore.errors import TraceError
from rmapcore.traces.lines import COMM_COLUMNS

FIELDS = "comm,pid,tid,time,event,trace"
RECORDS = "--show-mmap-events --show-task-events"
WANTED = f"write it with `perf script {RECORDS} -F {FIELDS}`"
SAMPLES = 50                                   # lines of events that show the form
LONGEST = 10_000                               # characters of a line that is looked at: two paths
MOST_LINES = 50_000                            # in front of them: what perf found running

_LINE = re.compile(
    r"(?P<comm>.*?)\s*(?<!\S)(?:(?P<pid>-?\d+)/)?(?P<tid>-?\d+)\s+(?:\[\d+\]\s+)?(?:(?P<misc>[A-Za-z]{1,8})\s+)?"
    r"(?:(?P<time>\d+\.\d+):\s+)?(?:(?P<period>\d+)\s+)?(?P<event>PERF_RECORD_.*|[A-Za-z_][\w./-]*:(?:\S*:)?(?=\s|$))"
    r"\s*(?P<rest>.*)", re.S)
_BARE = re.compile(r".*\s(-?\d+/)?-?\d+\s+(\[\d+\]\s+)?\d+\.\d+:\s+\S", re.S)
_MEMBER = re.compile(r"PERF_RECORD_(?:FORK\((\d+):(\d+)\)|COMM.*:(\d+)/(\d+)$|MMAP2 (\d+)/(\d+):)", re.S)
_ENDED = re.compile(r"PERF_RECORD_EXIT\((\d+):(\d+)\)")
WITH_FIELDS = ("exceptions:", "raw_syscalls:", "syscalls:sys_exit_")


def columns_of(line):
    """The match of a line; None if it has no thread or no event."""
    if len(line) > LONGEST:
        return None
    if len(line) > COMM_COLUMNS and line[COMM_COLUMNS] == " ":           # a name may look like what follows it
        match = _LINE.match(line, COMM_COLUMNS)
        if match and not match["comm"]:
            return match
    return _LINE.match(line)


def canonical(path, lines):
    """Whether a recording has the columns of `lines`, as far as its first lines tell. lines: an iterator.

    TraceError if they lack what no other line tells.
    """
    samples, bare, named, usual, empty, full = 0, 0, 0, True, False, False
    for number, line in enumerate(lines):
        if samples == SAMPLES or number == MOST_LINES:
            break
        if not line.strip() or line[0] in "#\t":
            continue
        match = columns_of(line)
        if not match:
            bare += len(line) <= LONGEST and bool(_BARE.match(line))
            samples += 1
            continue
        usual = usual and bool(match["pid"] and match["time"]) and not match["misc"] and not match["period"]
        if not match["event"].startswith("PERF_RECORD_"):
            samples += 1
            named += ":" in match["event"][:-1]
            if match["event"].startswith(WITH_FIELDS):
                full, empty = full or bool(match["rest"].strip()), True
    if bare and not named:
        raise TraceError(f"its lines do not name their events: {WANTED}", path)
    if empty and not full:
        raise TraceError(f"its events have no fields: {WANTED}", path)
    return usual


def converted(blocks):
    """The text of Blocks with the usual columns, piece by piece; as many lines."""
    pids = {}                                  # by tid
    for block in blocks:
        made = []
        for line in block.decode("latin-1").split("\n"):
            blocks.count += 1
            made.append(usual(blocks, line, pids))
        yield "\n".join([*made, ""]).encode("latin-1")


def usual(blocks, line, pids):
    """One line; `pids` is kept up to date. What cannot be read stays as it is."""
    match = columns_of(line) if line.strip() and line[0] not in "#\t" else None
    if not match:
        return line
    tid, event = int(match["tid"]), match["event"]
    if event.startswith("PERF_RECORD_"):
        if member := _MEMBER.match(event):
            pid, other = (int(one) for one in member.groups() if one is not None)
            pids[other] = pid
        elif (ended := _ENDED.match(event)) and ended[1] != ended[2] and ended[1] == match["tid"] and not match["pid"]:
            raise TraceError(f"its lines have the pid and not the tid: {WANTED}", blocks.path, blocks.count)
    elif not match["pid"] and not pids:
        raise TraceError(f"its lines have no pid, and no PERF_RECORD_ line before them tells it: {WANTED}", blocks.path,
                         blocks.count)
    pid = match["pid"] or pids.get(tid, tid)
    comm = match["comm"].strip() or line[:match.start()].strip()
    return f"{comm:>16} {pid:>5}/{tid:<5d} {match['time'] or '0.000000':>12}: {event} {match['rest']}".rstrip()
