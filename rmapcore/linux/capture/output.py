"""The file of a recording: text, compressed with zstd if its name ends in .zst, complete or not there at all."""
import os
from contextlib import contextmanager

import zstandard

from rmapcore.core.files import written

LEVEL = 3                                      # a third more than level 9 leaves, in a tenth of the time


@contextmanager
def writer(path):
    """A function that takes bytes; the file appears when the block ends without an exception. Raises OSError."""
    with written(path) as stream:
        if os.fsdecode(path).endswith(".zst"):
            with zstandard.ZstdCompressor(level=LEVEL).stream_writer(stream, closefd=False) as compressor:
                yield compressor.write
        else:
            yield stream.write
