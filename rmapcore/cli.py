"""The command line. Uses public names only; every command has the same options for output and the same exits.

What a command needs is imported when it has been read, and Ctrl-C is an exception from then on: help is there at once.

Exits: 0 done, 1 what was checked does not hold, 2 bad usage or input (one line on standard error), 130 broken off. A mistake
of rmapcore's own is one line too, and exit 2; RMAPCORE_DEBUG=1 in the environment shows where.
"""
import os
import sys
import traceback
from contextlib import suppress
from importlib import import_module

import rmapcore
from rmapcore import start
from rmapcore.commands import bench, capture, compare, diff, explain, hunt, lists, replay, reproduce, verify
from rmapcore.errors import RmapcoreError
from rmapcore.parsing import BAD_INPUT, Parser, complete
from rmapcore.terminal import present
from rmapcore.units import visible

COMMANDS = (compare, replay, reproduce, verify, hunt, capture, bench, explain, diff, lists)      # as --help lists them
PIPE_CLOSED = 141


def main(argv=None):
    """Runs a command; its exit status."""
    try:
        if "_ARGCOMPLETE" in os.environ:       # the shell asks what may stand here
            complete(parser())
        start.open_streams()
        options = parser().parse_args(argv)
        for name in options.needs:
            import_module(f"rmapcore.{name}")
        start.over()
        status = options.run(options)
        sys.stdout.flush()
        return status
    except KeyboardInterrupt as error:
        with suppress(OSError):
            if partial := getattr(error, "partial", None):
                present(options, partial, partial.table)
        start.tell("interrupted")
        return start.BROKEN_OFF
    except BrokenPipeError:
        return PIPE_CLOSED
    except Exception as error:
        if os.environ.get("RMAPCORE_DEBUG") == "1":
            raise
        start.tell(f"rmapcore: {describe(error)}")
        return BAD_INPUT
    finally:
        start.give_up_what_is_left()


def describe(error):
    """An exception in one line."""
    text = visible(" ".join(str(error).split()))
    if isinstance(error, OSError) and error.strerror:
        return f"{visible(os.fsdecode(error.filename))}: {error.strerror}" if error.filename else error.strerror
    if isinstance(error, RmapcoreError | ValueError | OSError):
        return text
    if isinstance(error, MemoryError):
        return f"there is not enough memory{text and f': {text}'}"
    if notes := getattr(error, "__notes__", None):         # the note of a hook in a scheme of the user's own
        place = traceback.extract_tb(error.__traceback__)[-1]
        return f"{place.filename}:{place.lineno}: {type(error).__name__}: {text} ({notes[0]})"
    return f"internal error: {type(error).__name__}: {text}; please report it (RMAPCORE_DEBUG=1 shows where)"


def parser():
    """The parser of all commands."""
    top = Parser(prog="rmapcore", description="A laboratory for Linux reverse mapping.")
    top.add_argument("--version", action="version", version=f"rmapcore {rmapcore.__version__}")
    commands = top.add_subparsers(metavar="COMMAND", required=True)

    for one in COMMANDS:
        one.add(commands)
    return top


if __name__ == "__main__":
    raise SystemExit(main())
