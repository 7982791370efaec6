"""A recording as operations, in memory and in a file.

`Trace.save` writes a file that is mapped when it is loaded, where nothing has to be parsed:

    bytes  0..7    magic "RMAPOPS1"
           8..15   length of the header, little-endian u64
          16..     header: JSON in UTF-8 (version, dtype, count, digest, source, summary, files, header_digest)
                   zeros up to a multiple of 64
                   the operations, `count` records of `rmapcore.operations.OPERATION`

A saved trace is checked when it is loaded: magic, version, record layout, the header's own digest and fields, the size of the
file, and that every record is an operation on files that there are (`saved.py`). `digest` covers the operations and the file
table: equal digests are one recording.
"""

import hashlib
import json
import os
import struct
from typing import NamedTuple

import numpy as np

from rmapcore.arguments import shown, whole
from rmapcore.core.files import written
from rmapcore.errors import TraceError
from rmapcore.kernels import find as find_kernel
from rmapcore.kernels import nearest
from rmapcore.operations import GONE, OPERATION, Op
from rmapcore.traces.remarks import FORM_KEY
from rmapcore.traces.saved import COUNTS, check_header, check_operations
from rmapcore.traces.states import State
from rmapcore.units import UNLIMITED

MAGIC = b"RMAPOPS1"
VERSION = 2
ALIGNMENT = 64
HEADER_BYTES_MAX = 1 << 28


class TraceFile(NamedTuple):
    """A file that the recording maps: `size` in bytes is the highest mapped end, `kind` is "disk", "shmem" or "zero"."""

    name: str
    size: int
    kind: str


class Trace:
    """The operations of one recording.

    operations  array of OPERATION, read-only
    files       list of TraceFile; operations number them from 1
    summary     lines, events, faults (all that were recorded), calls (succeeded), processes (with an address space of
                their own), forks, threads (beside the first of each process), alive (address spaces at the end),
                lost (events), left_out and assumed (counts by reason)
    states      list of traces.states.State: what the kernel showed of the processes at some moments, in their order
    lives       (number of the operation that ends it, pid, pages in memory, pages in swap) of address spaces at their end
    expected    {number of an operation: status}, of those that failed when they were recorded
    names       {pid: name of the program that it ran last}, of processes that executed one, and their children
    source      path of the recording
    digest      BLAKE2b of operations and files, 16 bytes in hexadecimal
    """

    def __init__(self, operations, files, summary, source, digest=None, states=(), expected=None, lives=(), names=()):
        self.operations = operations
        self.files = [TraceFile(*file) for file in files]
        self.summary = summary
        self.source = source
        self.states = list(states)
        self.expected = expected or {}
        self.names = dict(names)
        self.lives = [tuple(life) for life in lives]
        self.digest = digest or self._digest()

    def __repr__(self):
        return f"<Trace {self.source}: {len(self.operations)} operations, {len(self.files)} files>"

    def __len__(self):
        return len(self.operations)

    @property
    def stack_limit(self):
        """The one it was recorded under, bytes or "unlimited"; so too if it does not say, for what was recorded was done."""
        return self.summary.get("stack_limit") or UNLIMITED

    @property
    def kernel(self):
        """The release of the kernel it was recorded under, as uname says it; None if it does not say."""
        recorded = self.summary.get("recorded", {})
        release = recorded.get("kernel") or recorded.get("os release")         # of capture, of perf script --header
        return release if release and nearest(release) else None

    @property
    def reclaimed(self):
        """Whether reclaim took pages while it was recorded: some faults then say that theirs was gone."""
        return bool(np.any((self.operations["op"] == Op.FAULT) & (self.operations["prot"] == GONE)))

    @property
    def holds_signals(self):
        """Whether it tells of SIGSEGV and SIGBUS: what `capture` wrote from form 2 on."""
        return self.summary.get("recorded", {}).get(FORM_KEY, "1") not in ("", "1")

    def replay(self, machine):
        """Runs all operations on a machine, under the recorded pids, names and stack limit, after making its files there.

        {"done": operations that succeeded, "failed": the others, "statuses": of each, as Machine.run gives them}. Failed
        calls are passed over, as in a program; OutOfMemory and ArenaFull end the replay. TypeError if it is no machine.
        """
        if not hasattr(machine, "limit_stacks"):
            raise TypeError(f"machine: {shown(machine)} is no Machine")
        machine.limit_stacks(self.stack_limit)
        files = [machine.file(*file, warm=True) for file in self.files]
        statuses = machine.run(self.operations_for(machine.kernel), files)
        machine.name(self.names)
        failed = int(np.count_nonzero(statuses))
        return {"done": len(statuses) - failed, "failed": failed, "statuses": statuses}

    def operations_for(self, kernel):
        """The operations as a kernel takes them, as many: what it does not have it accepts, without effect.
        """
        return find_kernel(kernel).taken(self.operations)

    def repeated(self, times):
        """The recording `times` times in a row, as one Trace: a replay long enough to be measured.

        Every time has processes of its own: first the recorded ones, then the same again under pids that count up from
        the highest recorded one, in the order of the recorded. What is alive at the end of a time stays alive. Files are
        shared, so from the second time on their pages are in the page cache, unless reclaim has taken them. The counts
        of `summary` are those of all times together. Costs 48 bytes an operation. ValueError if `times` is no whole
        number from 1 to 2^32, or the pids do not fit into 32 bits.
        """
        times = whole(times, "times", 1, 1 << 32)
        recorded, forks = self.operations, self.operations["op"] == Op.FORK
        pids = np.unique(np.concatenate([recorded["process"], recorded["other"][forks]]))
        pids = pids[pids > 0]  # 0: no process, in RECLAIM and TRUNCATE
        first = int(pids[-1]) + 1 if len(pids) else 1
        if first + (times - 1) * len(pids) > 1 << 32:
            raise ValueError(f"times: {times:,} times {len(pids):,} processes need more pids than 32 bits can name")
        operations = np.tile(recorded, times).reshape(times, len(recorded))
        for field, has_pid in (("process", recorded["process"] > 0), ("other", forks)):
            ranks = np.searchsorted(pids, recorded[field][has_pid])
            operations[field][1:, has_pid] = ranks + first + len(pids) * np.arange(times - 1)[:, np.newaxis]
        operations = operations.reshape(-1)
        operations.flags.writeable = False
        counts = {name: count for name, count in self.summary.items() if name in (*COUNTS, "left_out", "assumed")}
        summary = {**self.summary, **_multiplied(counts, times)}
        return Trace(operations, self.files, summary, self.source, names=self.names)

    def save(self, path):
        """Writes the trace to one file, which appears complete or not at all."""
        header = {
            "version": VERSION,
            "dtype": _layout(),
            "count": len(self.operations),
            "digest": self.digest,
            "source": self.source,
            "summary": self.summary,
            "files": self.files,
            "states": [state.to_list() for state in self.states],
            "expected": list(self.expected.items()),
            "lives": self.lives,
            "names": list(self.names.items()),
        }
        header["header_digest"] = _header_digest(header)
        text = json.dumps(header).encode()
        start = _records_start(len(text))
        with written(path) as stream:
            stream.write(MAGIC + struct.pack("<Q", len(text)) + text)
            stream.write(bytes(start - 16 - len(text)))
            stream.write(memoryview(np.ascontiguousarray(self.operations)).cast("B") if len(self.operations) else b"")

    def _digest(self):
        digest = hashlib.blake2b(digest_size=16)
        digest.update(np.ascontiguousarray(self.operations).view(np.uint8))
        digest.update(json.dumps(self.files).encode())
        return digest.hexdigest()


def saved_trace(path):
    """The trace in a file of `Trace.save`."""
    try:
        with open(path, "rb") as stream:
            stream.seek(len(MAGIC))
            prefix = stream.read(8)
            (length,) = struct.unpack("<Q", prefix) if len(prefix) == 8 else (0,)
            text = stream.read(min(length, HEADER_BYTES_MAX))
            size = stream.seek(0, os.SEEK_END)
        if len(prefix) < 8 or len(text) < length:
            raise TraceError("the saved trace is cut off in its header", path)
        header = json.loads(text)
        if header["version"] != VERSION or header["dtype"] != _layout():
            raise TraceError(f"another version or record layout than that of this rmapcore ({VERSION})", path)
        if header.pop("header_digest") != _header_digest(header):
            raise TraceError("the saved trace is damaged: its header has another digest", path)
        count = header["count"]
        if type(count) is not int or count < 0:
            raise ValueError(f"count is {count!r}")
        check_header(header)
        start = _records_start(length)
        expected = start + count * OPERATION.itemsize
        if size != expected:
            raise TraceError(f"the saved trace should have {expected} bytes and has {size}", path)
        if count:
            operations = np.memmap(path, OPERATION, "r", start, (count,))
        else:
            operations = np.empty(0, OPERATION)
            operations.flags.writeable = False
        check_operations(operations, len(header["files"]))
        return Trace(operations, header["files"], header["summary"], header["source"], header["digest"],
                     [State.from_list(state) for state in header.get("states", ())], dict(header.get("expected", ())),
                     header.get("lives", ()), dict(header.get("names", ())))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        reason = f"{error} is missing" if isinstance(error, KeyError) else " ".join(str(error).split())
        raise TraceError(f"the saved trace is damaged: {reason}", path) from None
    except OSError as error:
        raise TraceError(error.strerror or str(error), path) from None


def _multiplied(counts, times):
    """Counts, and counts by reason among them, all times a number."""
    return {name: _multiplied(count, times) if isinstance(count, dict) else count * times for name, count in counts.items()}


def _layout():
    return [list(field) for field in OPERATION.descr]


def _records_start(header_length):
    end = len(MAGIC) + 8 + header_length
    return -(-end // ALIGNMENT) * ALIGNMENT


def _header_digest(header):
    return hashlib.blake2b(json.dumps(header, sort_keys=True).encode(), digest_size=16).hexdigest()
