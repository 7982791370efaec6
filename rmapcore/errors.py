"""The exceptions of rmapcore.

System calls of an emulated process fail with `OSError` and the errno that Linux gives; these classes are for everything
that is not a failed call: an access that a program would not survive, a machine full or inconsistent, bad input. All
derive from `RmapcoreError`; where a builtin exception says the same thing, they derive from that as well.
"""
from contextlib import contextmanager


@contextmanager
def keeping(finished):
    """What was finished when Ctrl-C broke the block off: `partial` of the KeyboardInterrupt, finished(), or what was in it."""
    try:
        yield
    except KeyboardInterrupt as error:
        error.partial = finished() or getattr(error, "partial", None)
        raise


class RmapcoreError(Exception):
    """Base of all exceptions that rmapcore raises itself."""


class _AccessError(RmapcoreError):
    """A touch that failed at `address`, after `done` pages of the batch had been touched."""

    def __init__(self, message, address=0, done=0):
        super().__init__(message)
        self.address = address
        self.done = done


class SegmentationFault(_AccessError):
    """An access outside every area, or against the protection of its area."""


class BusError(_AccessError):
    """An access past the end of the mapped file."""


class OutOfMemory(RmapcoreError, MemoryError):
    """No frame and no swap slot is left, and reclaim freed none.

    done: how far it came: operations of Machine.run, pages of a range or batch.
    """

    def __init__(self, message="", done=0):
        super().__init__(message)
        self.done = done


class InconsistentState(RmapcoreError):
    """`check()` found a broken invariant: which `rule`, and the `frame`, `process` and `address` it is broken at.

    text: what was found there; it becomes part of the message.
    """

    def __init__(self, rule, frame=None, process=None, address=None, text=""):
        self.rule = rule
        self.frame = frame
        self.process = process
        self.address = address
        places = [
            f"{name} {value:#x}" if name == "address" else f"{name} {value}"
            for name, value in (("frame", frame), ("process", process), ("address", address))
            if value is not None
        ]
        self.message = f"{rule} ({', '.join(places)})" if places else str(rule)
        if text:
            self.message += f": {text}"
        super().__init__(self.message)


class _InputError(RmapcoreError):
    """A file cannot be used; `file` and `line` (counted from 1, None for the whole file) say where."""

    def __init__(self, message, file=None, line=None):
        place = "".join(f"{part}:" for part in (file, line) if part is not None)
        super().__init__(f"{place} {message}" if place else message)
        self.message = message
        self.file = file
        self.line = line


class TraceError(_InputError):
    """A recording cannot be used; `file` and `line` (counted from 1, None for the whole file) say where."""


class CaseError(_InputError):
    """A file of cases cannot be used; `file` and `line` (counted from 1, None for the whole file) say where."""


class CaptureError(RmapcoreError):
    """A program or a process cannot be recorded; the message says why and what to do."""


class UnknownName(RmapcoreError, ValueError):
    """A scheme, workload, counter or option that does not exist."""


class MachineBusy(RmapcoreError, RuntimeError):
    """The machine is in use by another thread, or in the middle of an operation; nothing has changed. See rules O."""


class ArenaFull(RmapcoreError):
    """A table of the machine has no room for what a step may need; the message names it. done: as of OutOfMemory.

    The step changed nothing; of a call of many steps those before stay (rule A6).
    """

    def __init__(self, message="", done=0):
        super().__init__(message)
        self.done = done
