"""Pages of rings and perf's own file as text: which record is what, and where its fields are.

The head of perf's file (tools/perf/Documentation/perf.data-file-format.txt) says where the records are and describes its
event: struct perf_event_attr. Where a tracepoint has its fields says the kernel (`rmapcore.linux.capture.rings`).
"""
import struct

import numpy as np

from rmapcore.errors import CaptureError
from rmapcore.linux.calls import CALLS
from rmapcore.linux.capture.rings import EVENTS, page_form, tracepoints
from rmapcore.pyx.text.perfdata import Converter

COLUMN = 35                                    # of the event: as wide as the longest name, aligned to the right
BLOCK = 1 << 20                                # bytes of text at a time
MAGIC = b"PERFILE2"
HEAD = struct.Struct("<8sQQQQQQ")              # magic, size, attr_size; offset and size of attrs, of data
ATTR = struct.Struct("<IIQQQ")                 # type, size, config, sample_period, sample_type
# enum perf_event_sample_format: what the other records have at their end, in this order, 8 bytes each.
TID, TIME, ID, STREAM_ID, CPU, IDENTIFIER = TRAILER = tuple(1 << bit for bit in (1, 2, 6, 9, 7, 16))


class Recording:
    """The lines of one program in a file of pages, and of perf's from byte `pages` on.

    CaptureError if the file is cut off or is none of this machine's.
    """

    def __init__(self, path, pages, pid):
        try:
            data = np.memmap(path, np.uint8, "r")
        except (OSError, ValueError):
            raise CaptureError("perf wrote no file that can be read") from None
        head = bytes(data[pages:pages + HEAD.size])
        if len(head) < HEAD.size or not head.startswith(MAGIC):
            raise CaptureError("perf wrote no file that can be read")
        _, _, attr_size, attrs_at, attrs_size, start, size = HEAD.unpack(head)
        if not size or pages + start + size > len(data):
            raise CaptureError("perf's file is cut off: perf was ended before it had written it")
        forms = {ATTR.unpack_from(data, pages + at)[-1] for at in range(attrs_at, attrs_at + attrs_size, attr_size)}
        trailers = {form & sum(TRAILER) for form in forms}
        form = next(iter(trailers), 0)
        if len(trailers) != 1 or not form & TID or not form & TIME:
            raise CaptureError("perf's records have another form than asked for")
        kinds, fields = tracepoints()
        ends = [bit for bit in TRAILER if form & bit][::-1]
        trailer = [8 * (1 + ends.index(TID)), 8 * (1 + ends.index(TIME))]
        calls = {number: (column(f"syscalls:sys_enter_{name}"), column(f"syscalls:sys_exit_{name}"),
                          [f"{', ' if at else ''}{argument}: 0x".encode() for at, argument in enumerate(arguments)])
                 for name, (number, arguments) in CALLS.items()}
        try:
            self.converter = Converter(data, pages, kinds, page_form(), trailer, fields, [b"", *map(column, EVENTS)], calls,
                                       pid)
            found = self.converter.events(), self.converter.records(pages + start, pages + start + size)
        except ValueError as error:
            raise CaptureError(f"the recording is damaged: {error}") from None
        times, places = map(np.concatenate, zip(*found, strict=True))
        order = np.argsort(times, kind="stable")
        self.times, self.places = times[order], places[order]

    def gap(self, lost, pid):
        """The line that says at the end how many events were lost, as perf script writes it."""
        seconds, rest = divmod(int(self.times[-1]), 10**9)
        return f"{'perf':>16} {pid:>5}/{pid:<5} {seconds:>5}.{rest // 1000:06}: PERF_RECORD_LOST lost {lost}\n".encode()

    def blocks(self, states=(), progress=None):
        """The text, some whole lines at a time, with the lines of States where their time is."""
        out, done, total = np.empty(BLOCK, np.uint8), 0, len(self.times)
        ends = [int(np.searchsorted(self.times, state.time)) for state in states]
        for end, state in zip([*ends, total], [*states, None], strict=True):
            while done < end:
                done, length = self.converter.convert(self.times[:end], self.places[:end], done, out)
                yield out[:length].tobytes()
                if progress:
                    progress(done, total, "writing the recording")
            if state:
                yield "".join(f"{line}\n" for line in state.lines()).encode("latin-1")
        if self.converter.damaged:
            raise CaptureError("the recording is damaged: an event is shorter than what it must hold")


def column(name):
    """An event's name as perf script writes it."""
    return f"{name:>{COLUMN}}: ".encode()
