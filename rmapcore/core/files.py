"""Writing files: the one way that everything written goes, complete or not at all.

    a plain file, or none yet    a new one beside it, PATH.PID.RANDOM.tmp, is on the disk before it takes the place, and has the
                                 old one's mode
    a link                       the file that it names; the link stays
    a device, a pipe             written through

Whoever is killed leaves a .tmp file behind; the next one who writes the same file removes it.
"""
import os
import re
import secrets
from contextlib import contextmanager, suppress

from rmapcore.arguments import path_of


@contextmanager
def written(path):
    """A binary stream for a path (text, bytes or os.PathLike); the file appears when the block ends without an exception.

    OSError names the path, also if it is a write that fails.
    """
    path = path_of(path)
    target = os.path.realpath(path)
    try:
        if os.path.exists(target) and not os.path.isfile(target):
            with open(target, "wb") as stream:
                yield stream
            return
        remove_leftovers(target)
        temporary = target + os.fsencode(ending()) if isinstance(target, bytes) else target + ending()
        try:
            with open(temporary, "xb") as stream:
                with suppress(FileNotFoundError):
                    os.fchmod(stream.fileno(), os.stat(target).st_mode & 0o7777)
                yield stream
                stream.flush()
                os.fsync(stream.fileno())
            os.replace(temporary, target)
        finally:
            with suppress(FileNotFoundError):
                os.unlink(temporary)
    except OSError as error:
        if error.filename is None:             # a failed write does not say where
            raise OSError(error.errno, error.strerror, path) from None
        raise


def ending():
    return f".{os.getpid()}.{secrets.token_hex(4)}.tmp"


def remove_leftovers(target):
    """Temporary files of the same target whose writers live no more."""
    folder, name = os.path.split(os.fsencode(target))
    left = re.compile(re.escape(name) + rb"\.(\d{1,9})\.[0-9a-f]{8}\.tmp")
    with suppress(OSError):                    # it may not be read, or not be there: then writing says so
        for one in os.listdir(folder):
            match = left.fullmatch(one)
            if match and not os.path.exists(f"/proc/{int(match[1])}"):
                os.unlink(os.path.join(folder, one))


def write_text(path, text):
    """Writes text as UTF-8."""
    write_bytes(path, text.encode("utf-8"))


def write_bytes(path, content):
    """Writes all of a file."""
    with written(path) as stream:
        stream.write(content)
