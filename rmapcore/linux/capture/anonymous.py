"""Names taken out of a recording: a program becomes task1, a file /file1, the same one the same everywhere.

What names say of memory stays: [stack], //anon, /dev/zero, that a file is shared memory, or deleted.
"""
import re

from rmapcore.traces.files import DELETED, SHMEM_PATHS

COMM_COLUMNS = 16
NAMELESS = (b"[", b"//anon", b"/dev/zero", b"/anon_hugepage")
_COMM = re.compile(rb"(?<=comm=)(.*?)(?= (?:pid|child_pid|child_comm|clone_flags)=)", re.S)
_EXECUTED = re.compile(rb"(filename=)(.*)( pid=\d+ old_pid=)", re.S)
_RENAMED = re.compile(rb"(PERF_RECORD_COMM(?: exec)?: )(.*)(:-?\d+/-?\d+)", re.S)
_MAPPED = re.compile(rb"(PERF_RECORD_MMAP2 .*?\]: [r-][w-][x-][sp] )(.*)", re.S)
_AREA = re.compile(rb"(# area \S+ \S+ \S+ \S+ \S+ \S* )(.*)", re.S)
_IMAGE = re.compile(rb"(# image: \S+ \d+ )(.*)", re.S)
_FOLIOS = re.compile(rb"(# folios: \S+ \d+ \d+ )(.*)", re.S)
_PROCESS = re.compile(rb"(# process \d+ \d+ )(.*)", re.S)


class Anonymiser:
    """take(block): whole lines, which go on to `write` without names."""

    def __init__(self, write):
        self.write = write
        self.tasks, self.files = {}, {}

    def take(self, block):
        self.write(b"".join(self.line(line) + b"\n" for line in block.splitlines()))

    def line(self, line):
        if line.startswith(b"#"):
            for form in _IMAGE, _FOLIOS, _AREA:
                line = form.sub(lambda match: match[1] + self.file(match[2]), line, 1)
            return _PROCESS.sub(lambda match: match[1] + self.task(match[2]), line)
        rest = line[COMM_COLUMNS:]
        if b"PERF_RECORD_MMAP2" in rest:
            rest = _MAPPED.sub(lambda match: match[1] + self.file(match[2]), rest)
        elif b"PERF_RECORD_COMM" in rest:
            rest = _RENAMED.sub(lambda match: match[1] + self.task(match[2]) + match[3], rest)
        elif b"filename=" in rest:
            rest = _EXECUTED.sub(lambda match: match[1] + self.file(match[2]) + match[3], rest)
        elif b"comm=" in rest:
            rest = _COMM.sub(lambda match: self.task(match[1]), rest)
        return self.task(line[:COMM_COLUMNS].strip()).rjust(COMM_COLUMNS) + rest

    def task(self, name):
        return self.tasks.setdefault(name, b"task%d" % (len(self.tasks) + 1))

    def file(self, path):
        if not path or path.startswith(NAMELESS):
            return path
        deleted = DELETED.encode() if path.endswith(DELETED.encode()) else b""
        path = path.removesuffix(deleted) if deleted else path
        kind = next((start.encode() for start in SHMEM_PATHS if path.startswith(start.encode())), b"/")
        return self.files.setdefault(path, b"%sfile%d" % (kind, len(self.files) + 1)) + deleted
