"""The columns of a line of strace: who, when, and what; whatever of them its options print.

    -f -o FILE    3265  mmap(NULL, 4096, …) = 0x7f13d9ee9000
    -f 2> FILE    [pid  3265] mmap(…        a process that is alone has no column
    -Y            3265<bash>  mmap(…        the name of the program
    -t, -tt, -ttt 3265  13:48:06.927003     also seconds since 1970
    -r            3265       0.000156       since the line before; with -t: 13:48:06 (+     0.000156)
    -n, -i        3265  [   9] [00007f24bd2a4000] mmap(…

Times of -r are taken as they are. In a log of 2> FILE what strace says of itself comes in between, in the middle of a line
too, and what the program has written there.
"""
import re

from rmapcore.traces.lines import whole

_LINE = re.compile(
    r"\s*(?:\[pid +(?P<alone>\d+)(?:<[^<>]*>)?\] +|(?P<pid>\d+)(?:<[^<>]*>)? +)?"
    r"(?:(?P<clock>\d\d:\d\d:\d\d(?:\.\d+)?) +|(?P<seconds>\d{1,10}\.\d+) +)?"
    r"(?:\(\+ +\d+\.\d+\) +)?(?:\[ *[0-9a-f?]+\] )*"
    r"(?P<text>[a-z_]\w*\(.*|<\.\.\. \w+ resumed>.*|\+\+\+ .*|--- .*)", re.S)
_CALL = re.compile(r"[a-z_]\w*\(.*\)\s+= (\?|-?\d|0x)|<\.\.\. \w+ resumed>|\+\+\+ (exited|killed)|--- SIG", re.S)
_ATTACHED = re.compile(r"strace: Process (\d+) attached.*")
SUMMARY = "% time "                            # the head of the table of -c and -C, to which the log ends
QUIET = (" > ", "strace: ")                    # call stacks (-k), and messages


def is_call(line):
    """Whether a line is one of strace's beyond doubt."""
    match = _LINE.fullmatch(line)
    return bool(match and _CALL.match(match["text"]))


def has_pid(line):
    match = _LINE.fullmatch(line)
    return bool(match and (match["pid"] or match["alone"]))


class Lines:
    """Takes lines apart, in their order.

    strange: lines that are not strace's.  attached: tid of the first that strace attached to before any line.
    """

    def __init__(self):
        self.strange = 0
        self.attached = None
        self.held = ""                         # of a line that a message has broken
        self.begun = self.over = False

    def read(self, line):
        """(tid or None, seconds, what happened), None if nothing did."""
        line, self.held = self.held + line, ""
        if message := _ATTACHED.search(line):
            self.held = line[:message.start()]
            if not self.begun and self.attached is None:
                self.attached = whole(message[1], bits=31)
            return None
        match = _LINE.fullmatch(line)
        if not match:
            self.over = self.over or line.startswith(SUMMARY)
            self.strange += not (self.over or not line.strip() or line.startswith(QUIET))
            return None
        self.begun = True
        tid = match["pid"] or match["alone"]
        return tid and whole(tid, bits=31), seconds(match), match["text"]


def seconds(match):
    if match["clock"]:
        hours, minutes, rest = match["clock"].split(":")
        return int(hours) * 3600 + int(minutes) * 60 + float(rest)
    return float(match["seconds"] or 0)
