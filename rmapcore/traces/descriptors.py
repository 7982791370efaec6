"""Which file a descriptor is, in a log of strace without -y: from the calls that open, copy and close it.

    openat(AT_FDCWD, "/etc/passwd", O_RDONLY) = 3    dup(3) = 4    fcntl(4, F_DUPFD_CLOEXEC, 10) = 10    close(3) = 0

A path is taken as it was written. Descriptors that are closed at an exec stay here until their number is given out again:
nobody can map them meanwhile.
"""
import re

from rmapcore.traces.files import DELETED
from rmapcore.traces.symbols import number

OPEN = ("open", "openat", "openat2", "creat")
COPY = ("dup", "dup2", "dup3", "fcntl")
CALLS = (*OPEN, *COPY, "memfd_create", "close")
_STRING = re.compile(r'"(.*?)"')
_ESCAPE = re.compile(r"\\(x[0-9a-f]{2}|[0-7]{1,3}|.)")
ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "v": "\v", "f": "\f"}


class Descriptors:
    """Of all processes; one that shares its table with another has the same dict."""

    def __init__(self):
        self.tables = {}                       # pid -> {descriptor: path}

    def left(self, pid, name, arguments, result):
        """A call of CALLS that succeeded."""
        table = self.tables.setdefault(pid, {})
        if name == "close":
            table.pop(number(arguments.partition(")")[0]), None)
        elif name in COPY:
            old, _, rest = arguments.partition(",")
            if name != "fcntl" or "F_DUPFD" in rest or rest.lstrip().startswith(("0,", "0x406")):
                path = table.get(number(old.partition(")")[0]))
                if path is None:
                    table.pop(result, None)
                else:
                    table[result] = path
        elif path := _STRING.search(arguments):
            path = unescaped(path[1])
            table[result] = path if name in OPEN else f"/memfd:{path}{DELETED}"

    def born(self, parent, child, shared):
        table = self.tables.get(parent, {})
        self.tables[child] = table if shared else dict(table)

    def ended(self, pid):
        self.tables.pop(pid, None)

    def path(self, pid, descriptor):
        """None if it is not known."""
        return self.tables.get(pid, {}).get(descriptor)


def unescaped(text):
    """A name of a file without the escapes of strace."""
    return _ESCAPE.sub(_meant, text)


def _meant(match):
    escape = match[1]
    if escape[0] == "x" and len(escape) == 3:
        return chr(int(escape[1:], 16))
    return chr(int(escape, 8)) if escape[0] in "01234567" else ESCAPES.get(escape, escape)
