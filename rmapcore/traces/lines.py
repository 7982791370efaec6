"""From a file to the text of `perf script`, and the fields of a line that the kernel gives back.

A recording may be plain text or compressed with gzip or zstd, told apart by the first bytes, not by the name. It is
read in blocks, so memory does not grow with the file. Text is taken as Latin-1, which loses no byte and never fails:
only paths are more than ASCII, and they are decoded where they are used. The columns that perf script writes:

    "            bash 18109/18109  3743.696761:  exceptions:page_fault_user: address=0x7fa7e7311b70 ip=… error_code=0x6"
     comm, 16 wide    pid/tid      time          event                       fields of the event

The command name may itself hold blanks, digits and slashes, so lines are cut behind its 16 columns, not at blanks.
`rmapcore.pyx.text.perfline` takes apart what looks exactly like this. What it gives back is read here, with more patience:
lines with other columns (an editor has stripped them), numbers written in another way, and what is damaged.

Everything that can be wrong with the file ends in one `TraceError` that names the file and, once text was read, the
line. A file of some kilobytes may be made to unfold into gigabytes, so compressed text has a limit: max_text.
"""

import os
import re
import zlib
from collections import namedtuple

import zstandard

from rmapcore.errors import TraceError
from rmapcore.pyx.text import perfline

COMM_COLUMNS = 16
READ_BYTES = 1 << 16
TEXT_BYTES = READ_BYTES  # of compressed text at a time, about: those who look at the head of a file unpack no more
ZSTD_BYTES = 1 << 10  # unpacked in one go: 256 of them may become 8 MiB each
WINDOW_BYTES_MAX = 1 << 27  # what the unpacking of zstd may remember: as much as zstd --ultra -22 makes use of
# Recordings are twenty to forty times as long as their files; the same line over and over again, ten thousand times.
TEXT_BYTES_MOST, TEXT_RATIO_MOST = 1 << 25, 200
LINE_BYTES_MAX = 1 << 20  # far above PATH_MAX: what has no line end in 1 MiB is not text
GZIP_MAGIC = b"\x1f\x8b"
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"

# What a PERF_RECORD_MMAP2 line says is mapped. device and inode are empty where perf printed a build id (--buildid-mmap).
Object = namedtuple("Object", "device inode prot path")


class BadLine(ValueError):
    """Why a line cannot be used; becomes a TraceError where file and line number are known."""


class Blocks:
    """Iterates over the text of a recording in blocks of whole lines: bytes without the last line end.

    pieces: the text where it is not the file's own (`rmapcore.traces.importers`), a generator of bytes cut anywhere.
    max_text: most bytes that a compressed file may unfold into; None: 200 times its length, and 32 MiB.
    count: lines that were taken; whoever takes them keeps it.
    """

    def __init__(self, path, pieces=None, max_text=None):
        self.path = path
        self.pieces = self._blocks() if pieces is None else pieces
        self.max_text = max_text
        self.count = 0

    def __iter__(self):
        rest, empty = b"", True
        for block in self.pieces:
            empty = False
            block = rest + block if rest else block
            end = block.rfind(b"\n") + 1
            if not end and len(block) > LINE_BYTES_MAX:
                raise TraceError("this is no text: no line end within 1 MiB", self.path, self.count + 1)
            rest = block[end:]
            if end:
                yield unix(block[: end - 1])
        if rest:
            yield unix(rest)
        if empty:
            raise TraceError("the file is empty", self.path)

    def close(self):
        """Closes the file, wherever the iteration stands."""
        self.pieces.close()

    @property
    def _next_line(self):
        return self.count + 1 if self.count else None

    def _blocks(self):
        try:
            with open(self.path, "rb") as stream:
                block = stream.read(READ_BYTES)
                if block.startswith(GZIP_MAGIC):
                    yield from self._in_limits(stream, self._decompress(stream, block, Gzip, "gzip"))
                elif block.startswith(ZSTD_MAGIC):
                    yield from self._in_limits(stream, self._decompress(stream, block, Zstd, "zstd"))
                else:
                    while block:
                        yield block
                        block = stream.read(READ_BYTES)
        except OSError as error:
            raise TraceError(error.strerror or str(error), self.path) from None

    def _in_limits(self, stream, texts):
        """The texts in pieces of some size; TraceError if they become longer than they may."""
        most = self.max_text
        if most is None:
            most = TEXT_BYTES_MOST + TEXT_RATIO_MOST * os.fstat(stream.fileno()).st_size
        length, held = 0, bytearray()
        for text in texts:
            length += len(text)
            if length > most:
                raise TraceError(f"the compressed text is longer than {most:,} bytes (max_text allows more)", self.path,
                                 self._next_line)
            held += text
            if len(held) >= TEXT_BYTES:
                yield bytes(held)
                held.clear()
        if held:
            yield bytes(held)

    def _decompress(self, stream, block, new_decompressor, kind):
        """Any number of compressed members one after the other; each must be complete."""
        try:
            while block:
                member = new_decompressor()
                while True:
                    yield from member.texts(block)
                    if member.eof:
                        break
                    block = stream.read(READ_BYTES)
                    if not block:
                        raise TraceError(f"the {kind} stream is cut off", self.path, self._next_line)
                # gzip files on tapes and in some archives are padded with zeros
                block = (member.unused_data or stream.read(READ_BYTES)).lstrip(b"\0")
        except (zlib.error, zstandard.ZstdError) as error:
            raise TraceError(f"the {kind} stream is damaged ({error})", self.path, self._next_line) from None


class Gzip:
    """Unpacks one member; eof: it is complete, and unused_data is what stood behind it."""

    def __init__(self):
        self.one = zlib.decompressobj(wbits=31)

    def texts(self, block):
        while not self.one.eof and (text := self.one.decompress(block, TEXT_BYTES)):
            yield text
            block = self.one.unconsumed_tail

    @property
    def eof(self):
        return self.one.eof

    @property
    def unused_data(self):
        return self.one.unused_data


class Zstd:
    """The same of a frame of zstd, which unpacks all that it is given: so it is given little."""

    def __init__(self):
        self.one = zstandard.ZstdDecompressor(max_window_size=WINDOW_BYTES_MAX).decompressobj()
        self.unused_data = b""

    def texts(self, block):
        for at in range(0, len(block), ZSTD_BYTES):
            yield self.one.decompress(block[at:at + ZSTD_BYTES])
            if self.one.eof:
                self.unused_data = self.one.unused_data + block[at + ZSTD_BYTES:]
                return

    @property
    def eof(self):
        return self.one.eof


def unix(text):
    """The text without the line ends of DOS."""
    return text.replace(b"\r\n", b"\n") if b"\r" in text else text  # one byte is found faster than two


def whole(text, base=10, bits=64):
    """A number, which may be negative; BadLine if it has more than so many bits."""
    if len(text) > 64 or abs(value := int(text, base)) >> bits:
        raise BadLine(f"{text[:64]} has more than {bits} bits")
    return value


_THREAD = re.compile(r"(-?\d+)/(-?\d+)")


def parse_thread(text):
    """(pid, tid) from pid/tid; None if it is something else."""
    match = _THREAD.fullmatch(text)
    return match and (whole(match[1], bits=31), whole(match[2], bits=31))


_TIME = re.compile(r"(\d{1,10})\.(\d+):?")
_COLUMNS = re.compile(
    r"(?P<comm>.*?)\s+(?P<pid>-?\d+)/(?P<tid>-?\d+)\s+(?:\[\d+\]\s+)?(?P<time>\d+\.\d+):\s+(?P<event>\S+)\s*(?P<rest>.*)", re.S
)


def split_fields(line):
    """(pid/tid, time, event, rest) of a line cut at its blanks, good if thread and event are known; empty if one is missing.

    Nothing asks whether the time is one.
    """
    fields = line[COMM_COLUMNS:].split(None, 3)
    if len(fields) < 4:
        return "", "", "", ""
    return fields


def split_line(line):
    """((pid, tid), time, event, rest) of a line with other columns than perf's, or without anything behind the event."""
    columns = None
    if len(line) > COMM_COLUMNS and line[COMM_COLUMNS] == " ":
        # a command name may look like a pid column: trust the fixed width first
        columns = _COLUMNS.match(line, COMM_COLUMNS)
    if not columns or columns["comm"]:
        columns = _COLUMNS.match(" " + line)
    if not columns:
        raise BadLine("not a line of perf script")
    who = whole(columns["pid"], bits=31), whole(columns["tid"], bits=31)
    return who, columns["time"], columns["event"], columns["rest"]


def parse_fields(form, n_arguments, time, rest):
    """(values, text) of what stands behind an event, as `perfline` gives them."""
    if form in (perfline.TEXT, perfline.NOTE):
        return (), rest
    if form == perfline.MAPPING:
        return parse_range(rest)
    if form == perfline.FAULT:
        return (*parse_fault(rest), parse_time(time)), None
    if form == perfline.COUNT:
        return parse_count(rest), None
    if form == perfline.RESULT:
        return (whole(rest.split(None, 1)[0], 16),), None
    return parse_arguments(rest, n_arguments), None


def parse_fault(rest):
    address = whole(rest[8 : rest.index(" ")], 16)  # behind "address="
    code = whole(rest[rest.rindex("error_code=") + 11 :].split(None, 1)[0], 16)
    if code >> 32:
        raise BadLine("error_code has more than 32 bits")
    return address, code


RSS_KINDS = ("MM_FILEPAGES", "MM_ANONPAGES", "MM_SWAPENTS", "MM_SHMEMPAGES")
_RSS = re.compile(r"mm_id=(\d+) curr=([01]) type=(\w+) size=(-?\d+)B")


def parse_count(rest):
    """(mm_id, curr, number of the type, bytes) of a rss_stat line."""
    match = _RSS.match(rest)
    if not match or match[3] not in RSS_KINDS:
        raise BadLine("the fields of rss_stat cannot be read")
    return whole(match[1]), int(match[2]), RSS_KINDS.index(match[3]), whole(match[4], bits=63)


def parse_time(text):
    """Nanoseconds of a time in seconds; 0 if it is none."""
    match = _TIME.fullmatch(text)
    return int(match[1]) * 10**9 + int(match[2][:9].ljust(9, "0")) if match else 0


def parse_arguments(rest, count):
    """The first `count` arguments `name: 0x…, name: 0x…` of a sys_enter line; what follows is perf's addr column."""
    values = rest.replace(",", "").split()[1 : 2 * count : 2] if count else ()
    if len(values) != count:
        raise BadLine(f"{count} arguments expected")
    return tuple(whole(value, 16) for value in values)


_RANGE = re.compile(r"(\d+)/\d+: \[(0|0x[0-9a-f]+)\(0x([0-9a-f]+)\) @ (0x[0-9a-f]+|0) (.*)", re.S)
_OBJECT = re.compile(r"(?:([0-9a-f]+:[0-9a-f]+) (\d+) \d+|<\w*>)\]: ([r-][w-][x-][sp]) (.*)", re.S)


def parse_range(rest):
    """((start, length, offset in bytes, pid), text behind them) of a PERF_RECORD_MMAP2 line."""
    match = _RANGE.match(rest)
    if not match:
        raise BadLine("the fields of PERF_RECORD_MMAP2 cannot be read")
    pid, *numbers, text = match.groups()
    return (*(whole(number, 16) for number in numbers), whole(pid, bits=31)), text


def parse_object(text):
    """The Object from the text behind them."""
    match = _OBJECT.match(text)
    if not match:
        raise BadLine("the fields of PERF_RECORD_MMAP2 cannot be read")
    return Object(*match.groups(""))


_TASKS = re.compile(r"PERF_RECORD_FORK\((\d+):(\d+)\):\((-?\d+):(-?\d+)\)")


def parse_tasks(event):
    """(pid, tid, parent pid, parent tid) of a PERF_RECORD_FORK line."""
    match = _TASKS.fullmatch(event)
    if not match:
        raise BadLine(f"the fields of {event[:16]} cannot be read")
    return tuple(whole(number, bits=31) for number in match.groups())
