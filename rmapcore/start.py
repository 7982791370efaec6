"""How the command begins and ends: Ctrl-C while Python still imports, and standard streams that are closed or full, or that
take other characters than UTF-8 has.

Ctrl-C ends it at once, as cli.main would say it. An exception would not do: what is imported takes a KeyboardInterrupt for its
own failure. Imported first for what it does, and only where the program is the command `rmapcore`: whoever else imports the
package gets the exception.
"""
import codecs
import os
import signal
import sys
from contextlib import suppress

BROKEN_OFF = 130
PLAIN = str.maketrans({"─": "-", "━": "-", "│": "|", "├": "+", "└": "+", "…": "..."})   # what tables have beside ASCII


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


def open_streams():
    """Where standard streams were closed, no file that is opened takes their numbers, and errors are not printed among results.

    Who closes a stream does not want what is said there: the command does its work and ends as it would.
    """
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(number)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_WRONLY), "w"))
    codecs.register_error("plain", plain)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):     # not what a test has put there
            stream.reconfigure(errors="plain")


def plain(error):
    """Of characters that a stream's encoding has not: a plain one that looks like it, or the number as in Python's strings."""
    text = error.object[error.start:error.end]
    return "".join(one.translate(PLAIN) if ord(one) in PLAIN else ascii(one)[1:-1] for one in text), error.end


def tell(text):
    """A line on standard error, if anybody can be told: what was done does not fail because nobody hears of it."""
    with suppress(OSError):
        print(text, file=sys.stderr, flush=True)


def give_up_what_is_left():
    """What a standard stream still holds and cannot write would fail once more when Python ends, and make the status 120."""
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


if is_command() and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, end)
