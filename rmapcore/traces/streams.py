"""Recordings that are read once: standard input and pipes, kept in a file without a name, for readers look at a file more than
once, and a saved trace is mapped.
"""
import os
import shutil
import tempfile
from contextlib import contextmanager

from rmapcore.core.files import STANDARD_INPUT, opened
from rmapcore.errors import TraceError

COPY_BYTES = 1 << 20


@contextmanager
def place_of(path):
    """A path that can be opened as often as wanted: the file's own, or that of a copy, which is gone when the block ends.

    A TraceError of the copy names the path that was asked for.
    """
    if os.fsdecode(path) != STANDARD_INPUT and (os.path.isfile(path) or os.path.isdir(path) or not os.path.exists(path)):
        yield path
        return
    with tempfile.TemporaryFile() as copy:
        try:
            with opened(path) as stream:
                shutil.copyfileobj(stream, copy, COPY_BYTES)
            copy.flush()
        except OSError as error:
            raise TraceError(error.strerror or str(error), path) from None
        place = f"/proc/{os.getpid()}/fd/{copy.fileno()}"      # with the pid: perf opens it too
        try:
            yield place
        except TraceError as error:
            raise TraceError(error.message, path, error.line) if error.file == place else error from None
