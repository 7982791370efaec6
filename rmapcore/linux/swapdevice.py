"""A swap of our own for a while, on zram or in a file; nothing that the user has is touched.

    caller ── "go on until I say so, or until I am gone" ──> guard, a process of its own
                                                              zram module, if it was not loaded      undone in this
                                                              a new zram device, or a file           order from the
                                                              header, swapon with high priority      last to the first

The guard waits on a pipe, so that everything is undone however the caller ends: at the end of the `with` block, by an
exception, by Ctrl-C, SIGTERM or even SIGKILL; the caller needs no signal handlers for it. It runs this file as a script,
without the package, and stays a few MiB small. Sizes are bytes. Interfaces: zram as in Documentation/admin-guide/blockdev/
zram.rst, swapon(2); the header (SWAPSPACE2) is what mkswap(8) writes.
"""
import ctypes
import errno
import json
import mmap
import os
import signal
import struct
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

ZRAM_CONTROL = Path("/sys/class/zram-control")
SWAP_FLAG_PREFER = 0x8000              # swapon(2): the low 15 bits are a priority
HIGHEST_PRIORITY = 0x7FFF              # before every swap of the user
SECONDS_TO_UNDO = 30.0                 # somebody may look into a device for a moment; pages may need memory to come back


@contextmanager
def temporary_swap(size, on_disk=False):
    """Swap for `size` bytes (rounded up to pages) while the `with` block runs; gives its path: a zram device or a file.

    on_disk: a file even where zram could be had. From a disk pages come back through the swap cache; from zram, which the
    kernel reads at once, a page that one process maps comes back without it, and its slot is free again.
    Pages go there first; whatever is there at the end is read back, so RAM must have room for it. Raises PermissionError
    where the caller is not root, OSError where neither kind of swap can be made or (at the end) undone: one sentence.
    """
    if os.geteuid() != 0:
        raise PermissionError("only root can make a swap: run as root")
    command = [sys.executable, "-I", "-S", __file__, str(size), *(["disk"] if on_disk else [])]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True) as guard:
        path = None
        try:
            answer = json.loads(guard.stdout.readline() or "{}")
            path = answer.get("path")
            if path is None:
                raise OSError(answer.get("error", "the process that makes the swap was killed: try again"))
            yield path
        finally:
            # a byte, because a process forked meanwhile may hold the pipe open
            last, _ = guard.communicate(b".")
            if path is not None and guard.returncode:
                what = json.loads(last)["error"] if last else "its guard was killed"
                raise OSError(f"the swap {path} may still be there ({what}): end it with swapoff {path}")


# --- the guard --------------------------------------------------------------------------------------------------------


def guard(size, on_disk=False):
    """Makes the swap, says {"path"} or {"error"} on standard output, waits for a byte or the end of standard input."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    size = -(-size // mmap.PAGESIZE) * mmap.PAGESIZE
    failures = []
    for name, place in PLACES.items():
        if on_disk and place is zram_device:
            continue
        with ExitStack() as undo:
            try:
                path = undo.enter_context(place(size + mmap.PAGESIZE))
                undo.enter_context(swap_on(path, size))
            except OSError as error:
                failures.append(f"{name}: {error.strerror or error}")
                continue
            answer({"path": path})
            sys.stdin.buffer.read(1)
            return
    raise OSError(f"no swap can be made here ({'; '.join(failures)}): load the zram module, or run outside of a container")


def answer(what):
    print(json.dumps(what), flush=True)


@contextmanager
def zram_device(size):
    """The path of a new zram device of this size."""
    with zram_module():
        number = (ZRAM_CONTROL / "hot_add").read_text().strip()
        try:
            block = Path(f"/sys/block/zram{number}")
            (block / "disksize").write_text(str(size))
            yield f"/dev/zram{number}"
        finally:
            # resets the device as well
            patiently((ZRAM_CONTROL / "hot_remove").write_text, number)


@contextmanager
def zram_module():
    """Loads zram without devices where it is not there, and unloads it then."""
    load = not ZRAM_CONTROL.exists()
    if load and subprocess.run(["modprobe", "-q", "zram", "num_devices=0"], stderr=subprocess.DEVNULL).returncode:
        raise OSError("no such module")
    try:
        yield
    finally:
        if load:
            subprocess.run(["modprobe", "-q", "-r", "zram"], stderr=subprocess.DEVNULL)


@contextmanager
def swap_file(size, directory=None):
    """The path of a new file of this size, without holes; directory: None is the usual one for temporary files."""
    with tempfile.TemporaryDirectory(prefix="swap-", dir=directory) as folder:
        path = os.path.join(folder, "swap")
        with open(path, "xb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
            os.posix_fallocate(file.fileno(), 0, size)
        yield path


@contextmanager
def swap_on(path, size):
    """Swap for `size` bytes on a device or file that is a page longer."""
    header = bytearray(mmap.PAGESIZE)
    struct.pack_into("=III", header, 1024, 1, size // mmap.PAGESIZE, 0)        # version, last page, bad pages
    header[-10:] = b"SWAPSPACE2"
    with open(path, "r+b") as file:
        file.write(header)
        file.flush()
        os.fsync(file.fileno())
    libc = ctypes.CDLL(None, use_errno=True)
    name = os.fsencode(path)
    called(libc.swapon, name, SWAP_FLAG_PREFER | HIGHEST_PRIORITY)
    try:
        yield
    finally:
        patiently(called, libc.swapoff, name)


def called(function, *arguments):
    """Calls a function of the C library; OSError where it gives -1."""
    if function(*arguments) == -1:
        number = ctypes.get_errno()
        raise OSError(number, f"{function.__name__}: {os.strerror(number)}")


def patiently(function, *arguments):
    """Calls it again while the device is busy or memory is short."""
    deadline = time.monotonic() + SECONDS_TO_UNDO
    while True:
        try:
            return function(*arguments)
        except OSError as error:
            if error.errno not in (errno.EBUSY, errno.ENOMEM, errno.EINTR) or time.monotonic() > deadline:
                raise
            time.sleep(0.05)


PLACES = {                             # where a swap may be, the first that works; often one of the directories is a tmpfs
    "zram": zram_device,
    "swap file": swap_file,
    "swap file in /var/tmp": partial(swap_file, directory="/var/tmp"),
}

if __name__ == "__main__":
    try:
        guard(int(sys.argv[1]), sys.argv[2:] == ["disk"])
    except OSError as error:
        answer({"error": error.strerror or str(error)})
        sys.exit(1)
