"""The file of a recording, complete or not there at all: text, compressed with zstd if its name ends in .zst; or what text
becomes, a saved trace, if it ends in .ops.
"""
import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from queue import Queue

import zstandard

from rmapcore.core.files import written
from rmapcore.errors import CaptureError, TraceError
from rmapcore.traces.importers import perf_trace
from rmapcore.traces.lines import Blocks

LEVEL = 3                                      # a third more than level 9 leaves, in a tenth of the time
AHEAD = 4                                      # pieces of text that wait for the one who reads them


@contextmanager
def writer(path):
    """A function that takes bytes; the file appears when the block ends without an exception. Raises OSError."""
    if os.fsdecode(path).endswith(".ops"):
        with saver(path) as take:
            yield take
        return
    with written(path) as stream:
        if os.fsdecode(path).endswith(".zst"):
            with zstandard.ZstdCompressor(level=LEVEL).stream_writer(stream, closefd=False) as compressor:
                yield compressor.write
        else:
            yield stream.write


@contextmanager
def saver(path):
    """The same for a saved trace: another thread makes operations of the text as it comes, and none of it is kept.

    Raises CaptureError if it is no recording.
    """
    pieces = Queue(AHEAD)
    with ThreadPoolExecutor(1) as pool:
        trace = pool.submit(trace_of, os.fsdecode(path), iter(pieces.get, None))
        try:
            yield pieces.put
        finally:
            pieces.put(None)
    try:
        trace.result().save(path)
    except TraceError as error:
        raise CaptureError(f"the recording cannot be read: {error.message}") from None


def trace_of(path, pieces):
    """The Trace of text in pieces, all of which are taken: whoever has more waits for room."""
    try:
        return perf_trace(Blocks(path, pieces))
    finally:
        for _ in pieces:
            pass
