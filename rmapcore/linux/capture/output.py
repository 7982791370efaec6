"""The file of a recording: text, compressed with zstd if its name ends in .zst, complete or not there at all."""
import os
import secrets
from contextlib import contextmanager, suppress

import zstandard

LEVEL = 3                                      # a third more than level 9 leaves, in a tenth of the time


@contextmanager
def writer(path):
    """A function that takes bytes; the file appears when the block ends without an exception. Raises OSError."""
    path = os.fspath(path)
    replaced = not os.path.exists(path) or os.path.isfile(path)        # a device or a pipe is written to
    temporary = f"{os.path.realpath(path)}.{secrets.token_hex(4)}.tmp" if replaced else path
    try:
        with open(temporary, "xb" if replaced else "wb") as stream:
            if path.endswith(".zst"):
                with zstandard.ZstdCompressor(level=LEVEL).stream_writer(stream, closefd=False) as compressor:
                    yield compressor.write
            else:
                yield stream.write
        if replaced:
            os.replace(temporary, os.path.realpath(path))
    except OSError as error:
        if error.filename is None:             # a failed write does not say where
            raise OSError(error.errno, error.strerror, path) from None
        raise
    finally:
        if replaced:
            with suppress(FileNotFoundError):
                os.unlink(temporary)
