"""Ctrl-C while the command begins, and Python still imports: it ends at once, as cli.main would say it.

An exception would not do: what is imported takes a KeyboardInterrupt for its own failure. Imported first for what it does, and
only where the program is the command `rmapcore`: whoever else imports the package gets the exception.
"""
import os
import signal
import sys

BROKEN_OFF = 130


def is_command():
    """Whether this program is the script `rmapcore`, or python -m rmapcore, which imports the package first."""
    if sys.argv[:1] == ["-m"]:
        return sys.orig_argv[sys.orig_argv.index("-m") + 1:][:1] == ["rmapcore"]
    return bool(sys.argv) and os.path.basename(sys.argv[0]) == "rmapcore"


def end(number, frame):
    """Nothing has been done yet that would have to be undone."""
    os.write(2, b"interrupted\n")
    os._exit(BROKEN_OFF)


def over():
    """From now on Ctrl-C is an exception again."""
    if signal.getsignal(signal.SIGINT) is end:
        signal.signal(signal.SIGINT, signal.default_int_handler)


if is_command() and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, end)
