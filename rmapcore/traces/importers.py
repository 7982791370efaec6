"""Which files are recordings: the one place that knows their formats.

A file is known by its first bytes, decompressed; the first importer of IMPORTERS that recognises them takes it.
"""
import os
import re
import shutil
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from typing import NamedTuple

from rmapcore.arguments import path_of
from rmapcore.errors import TraceError
from rmapcore.traces import columns, perfscript, stracelines
from rmapcore.traces.lines import GZIP_MAGIC, ZSTD_MAGIC, BadLine, Blocks
from rmapcore.traces.order import newest_first, oldest_first
from rmapcore.traces.perf import Importer as PerfImporter
from rmapcore.traces.strace import Converter
from rmapcore.traces.streams import place_of
from rmapcore.traces.trace import MAGIC, Trace, saved_trace
from rmapcore.units import parse_size

HEAD_BYTES = 1 << 16                           # by which a file is known
UNTOUCHED = "nothing is touched: strace sees no page faults"
_PAGE_FAULTS = re.compile("event (page-faults|faults|minor-faults|major-faults)(:[a-zA-Z]*)?")
_ONE_OF_MANY = re.compile(r"(.*\.)\d+", re.S)


class Importer(NamedTuple):
    """name: of the format.  text: whether it may be compressed.  needs: a command, or None.  recognises(head): whether a file
    begins with these bytes.  load(path): its Trace; of text load(path, max_text)."""

    name: str
    text: bool
    needs: str | None
    recognises: Callable
    load: Callable


def load_trace(path, max_text=None):
    """The trace in `path`, a file of any format in IMPORTERS; text may be compressed (gzip, zstd). TraceError if it is none.

    path: also a pipe, or "-", standard input; these are read to their end first.
    max_text: most bytes, or a size like "8GiB", that compressed text may unfold into; None: 200 times the length of the file,
    and 32 MiB.
    """
    path = path_of(path)
    max_text = None if max_text is None else parse_size(max_text, "max_text")
    with place_of(path) as place:
        trace = loaded(place, max_text)
    if place != path:
        trace.source = path
    return trace


def loaded(path, max_text):
    """The trace in a file that can be opened more than once."""
    head = head_of(path)
    found = next(one for one in IMPORTERS if one.recognises(head))
    if not found.text and is_compressed(path):
        raise TraceError(f"this is a {found.name} file, compressed: decompress it first", path)
    if found.needs and shutil.which(found.needs) is None:
        raise TraceError(f"this is a {found.name} file, and {found.needs} is not installed here: where it is, {columns.WANTED}",
                         path)
    return found.load(path, max_text) if found.text else found.load(path)


def head_of(path):
    """The first bytes, decompressed."""
    with closing(Blocks(path)) as blocks:
        return next(blocks.pieces, b"")[:HEAD_BYTES]


def is_compressed(path):
    with open(path, "rb") as stream:
        return stream.read(4).startswith((GZIP_MAGIC, ZSTD_MAGIC))


def lines_of(text):
    return text.decode("latin-1").split("\n")


def turned_round(path):
    """Whether the newest line stands first."""
    with closing(Blocks(path)) as blocks:
        return newest_first(next(iter(blocks))[:HEAD_BYTES].split(b"\n"))


def in_order(path, max_text, turned):
    """The Blocks of a text, the oldest line first."""
    blocks = Blocks(path, max_text=max_text)
    return Blocks(path, oldest_first(blocks)) if turned else blocks


# --- perf and saved traces --------------------------------------------------------------------------------------------


def is_saved(head):
    return head.startswith(MAGIC)


def is_perf_data(head):
    return head.startswith(perfscript.MAGICS)


def load_perf_data(path):
    with closing(Blocks(path, perfscript.text_of(path))) as blocks:
        return perf_trace(blocks)


def is_text(head):
    """What is nothing else. Whether it is text of perf at all is found where its lines are read."""
    return True


def load_perf_text(path, max_text):
    turned = turned_round(path)
    with closing(in_order(path, max_text, turned)) as blocks:
        usual = columns.canonical(path, (line for block in blocks for line in lines_of(block)))
    with closing(in_order(path, max_text, turned)) as blocks:
        return perf_trace(blocks if usual else Blocks(path, columns.converted(blocks)))


def perf_trace(blocks):
    recording = PerfImporter(blocks)
    if not recording.summary["processes"]:
        raise TraceError(f"no PERF_RECORD_ line tells where a process begins: {columns.WANTED}", blocks.path)
    if recording.summary["faults"]:
        shown = {object.prot[2] for object in recording.objects.values() if not object.path.startswith("[")}
        if shown == {"x"}:
            raise TraceError("its PERF_RECORD_MMAP2 lines show executable areas only: perf record -d records the others",
                             blocks.path)
    elif any(_PAGE_FAULTS.fullmatch(reason) for reason in recording.summary["left_out"]):
        raise TraceError("the event page-faults does not tell what was wanted of a page: record exceptions:page_fault_user and "
                         "exceptions:page_fault_kernel", blocks.path)
    return Trace(recording.operations, recording.files, recording.summary, blocks.path, states=recording.states,
                 expected=recording.expected, lives=recording.lives,
                 names=recording.tasks.names)


# --- strace -----------------------------------------------------------------------------------------------------------


def is_strace(head):
    return any(map(stracelines.is_call, lines_of(head)))


def load_strace(path, max_text):
    """Calls and who makes them; `summary` says what a log cannot tell."""
    refuse_one_of_many(path)
    converter = Converter(None)
    with closing(in_order(path, max_text, turned_round(path))) as blocks:
        recording = PerfImporter(Blocks(path, perf_text(blocks, converter)))
    summary = recording.summary | {"lines": blocks.count}
    summary["left_out"] = dict(sorted((Counter(summary["left_out"]) + converter.left_out).items()))
    summary["assumed"] = dict(sorted({**summary["assumed"], UNTOUCHED: 1}.items()))
    return Trace(recording.operations, recording.files, summary, path, names=recording.tasks.names)


def refuse_one_of_many(path):
    """strace -ff gives each process a file of its own, FILE.PID, without pids in its lines."""
    folder, name = os.path.split(path)
    stem = _ONE_OF_MANY.fullmatch(name)
    if not stem or any(map(stracelines.has_pid, lines_of(head_of(path)))):
        return
    for other in os.listdir(folder or "."):
        if other != name and (match := _ONE_OF_MANY.fullmatch(other)) and match[1] == stem[1]:
            raise TraceError(f"this log has one process, and {other} beside it another: write one log of all with strace -f "
                             "-o FILE, not -ff", path)


def perf_text(blocks, converter):
    """A log as text of perf, piece by piece."""
    for block in blocks:
        made = []
        for line in lines_of(block):
            blocks.count += 1
            try:
                made += converter.convert(line)
            except (ValueError, IndexError) as error:
                reason = str(error) if isinstance(error, BadLine) else "a field cannot be read"
                raise TraceError(f"{reason}: {line.strip()[:160]!r}", blocks.path, blocks.count) from error
        if made:
            yield "\n".join([*made, ""]).encode("latin-1")
    try:
        converter.finish()
    except BadLine as error:
        raise TraceError(str(error), blocks.path) from None


IMPORTERS = (
    Importer("saved trace", False, None, is_saved, saved_trace),
    Importer("perf.data", False, "perf", is_perf_data, load_perf_data),
    Importer("strace", True, None, is_strace, load_strace),
    Importer("perf script", True, None, is_text, load_perf_text),
)
