"""Writing files: the one way that everything written goes, complete or not at all; and reading them whole.

    a plain file, or none yet    a new one beside it, PATH.PID.RANDOM.tmp, is on the disk before it takes the place, and has the
                                 old one's mode
    a link                       the file that it names; the link stays
    a device, a pipe             written through
    /dev/stdout, /dev/fd/N       the open file, where it stands, though it may be a plain one

Whoever is killed leaves a .tmp file behind; the next one who writes the same file removes it.
"""
import os
import re
import secrets
from contextlib import contextmanager, suppress
from errno import EACCES, EISDIR, ENOENT, ENOTDIR

from rmapcore.arguments import path_of

STANDARD_INPUT = "-"
MOST_LINKS = 40                        # one behind the other, as the kernel has it


@contextmanager
def written(path):
    """A binary stream for a path (text, bytes or os.PathLike); the file appears when the block ends without an exception.

    OSError names the path, also if it is a write that fails.
    """
    path = path_of(path)
    target = target_of(path)
    number, temporary = descriptor_of(path), None
    try:
        if number is not None:
            with open(os.dup(number), "wb") as stream:
                yield stream
            return
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
        if error.filename != path and error.filename in (None, temporary):     # it does not say where, or where nobody looks
            raise OSError(error.errno, error.strerror, path) from None
        raise


def descriptor_of(path):
    """The number of the open file that a path like /dev/stdout or /dev/fd/63 stands for; None: it is another path."""
    path = os.fsdecode(path)
    for _ in range(MOST_LINKS):
        folder, name = os.path.split(path)
        if name.isdecimal() and os.path.realpath(folder) == f"/proc/{os.getpid()}/fd":
            return int(name)
        if not os.path.islink(path):
            return None
        path = os.path.join(folder, os.readlink(path))
    return None


def target_of(path):
    """The file that a link names in the end. Other paths stay as they are: not all above them need be open to this user."""
    return os.path.realpath(path) if os.path.islink(path) else path


def check_writable(path):
    """Fails now as `written` would later, as far as that can be known: OSError with the path."""
    if descriptor_of(path) is not None:
        return
    if os.path.isdir(path):
        raise IsADirectoryError(EISDIR, os.strerror(EISDIR), path)
    target = target_of(path)
    folder = os.path.dirname(target) or "."
    if not os.path.isdir(folder):
        raise FileNotFoundError(ENOENT, os.strerror(ENOENT), folder)
    through = os.path.exists(target) and not os.path.isfile(target)
    if not os.access(target if through else folder, os.W_OK):
        raise PermissionError(EACCES, os.strerror(EACCES), target if through else folder)


def check_directory(path):
    """The same of any file that is to be written into a directory."""
    if os.path.exists(path) and not os.path.isdir(path):
        raise NotADirectoryError(ENOTDIR, os.strerror(ENOTDIR), path)
    check_writable(os.path.join(path, "any"))


def ending():
    return f".{os.getpid()}.{secrets.token_hex(4)}.tmp"


def remove_leftovers(target):
    """Temporary files of the same target whose writers live no more."""
    folder, name = os.path.split(os.fsencode(target))
    left = re.compile(re.escape(name) + rb"\.(\d{1,9})\.[0-9a-f]{8}\.tmp")
    with suppress(OSError):                    # it may not be read, or not be there: then writing says so
        for one in os.listdir(folder or b"."):
            match = left.fullmatch(one)
            if match and not os.path.exists(f"/proc/{int(match[1])}"):
                os.unlink(os.path.join(folder, one))


def opened(path):
    """A file to read bytes from; "-" is standard input, which stays open."""
    standard = os.fsdecode(path) == STANDARD_INPUT
    return open(0 if standard else path, "rb", closefd=not standard)


def content_of(path):
    """All that a file holds, or standard input."""
    with opened(path) as stream:
        return stream.read()


def write_text(path, text):
    """Writes text as UTF-8."""
    write_bytes(path, text.encode("utf-8"))


def write_bytes(path, content):
    """Writes all of a file."""
    with written(path) as stream:
        stream.write(content)
