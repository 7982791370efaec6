"""What commands print and write: progress, tables in the terminal's width and colours, JSON, exit statuses."""
import json
import os
import shutil
import sys
import time
from contextlib import ExitStack, contextmanager

from rmapcore.core.files import check_writable, descriptor_of, write_text
from rmapcore.lab import legend
from rmapcore.lab.layout import wrapped
from rmapcore.start import tell
from rmapcore.units import visible

DONE, FAILED = 0, 1
LEAST_COLUMNS = 40
BAR = 24                               # columns of a bar
SECONDS = 15                           # between two lines where there is no bar


@contextmanager
def progress_bar():
    """A function of (done, total, text) that moves a bar on standard error; where there is no terminal, a line now and then."""
    if not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
        yield Lines()
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
    from rich.table import Column

    columns = (BarColumn(bar_width=BAR), TextColumn("{task.percentage:3.0f} %"), TimeRemainingColumn(), TextColumn("left:"),
               TextColumn("{task.description}", markup=False, table_column=Column(no_wrap=True, overflow="ellipsis", ratio=1)))
    with Progress(*columns, console=Console(stderr=True), transient=True, expand=True) as bar:
        task = bar.add_task("", total=1)
        yield lambda done, total, text: bar.update(task, completed=done, total=total, description=visible(text))


class Lines:
    """Progress in lines: the first after SECONDS, then as often."""

    def __init__(self):
        self.begun = self.last = time.monotonic()

    def __call__(self, done, total, text):
        now = time.monotonic()
        if now - self.last < SECONDS or not total:
            return
        self.last = now
        part = min(max(done / total, 0), 1)
        left = f", {clock((now - self.begun) * (1 - part) / part)} left" if part else ""
        tell(f"rmapcore: {part:.0%}, {clock(now - self.begun)} gone{left}: {visible(text)}")


def clock(seconds):
    """h:mm:ss"""
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{seconds:02}"


def each(*writes):
    """Calls all of them. What one cannot write, since a disk is full, takes nothing else of a finished run along: the error
    comes last.
    """
    with ExitStack() as last_first:
        for write in reversed(writes):
            last_first.callback(write)


def present(options, result, table, files=()):
    """Prints or writes a Result; the exit status. files: functions that write what else was asked for."""
    each(lambda: output(options.json, result.to_json()), *files, lambda: say(options, result, table))
    return DONE if result.ok else FAILED


def say(options, result, table):
    """The table, and the problems where no table on the terminal says them."""
    if not to_output(options.json):
        print(table(color=colourful(sys.stdout), width=columns()), end="")
        if getattr(options, "legend", False):
            show(legend.lines())
    if to_output(options.json) or not sys.stdout.isatty():
        remark(f"rmapcore: {problem}" for problem in result.problems)


def listing(options, data, lines, files=()):
    """The same of what is no Result: its JSON, and its lines where that does not go to standard output."""
    each(lambda: output_data(options.json, data), *files, lambda: to_output(options.json) or show(lines))
    return DONE


def show(lines):
    """Prints lines, in the terminal's width."""
    print("\n".join(piece for line in lines for piece in wrapped(visible(line), columns())))


def remark(lines):
    """The same on standard error, beside what is printed."""
    for line in lines:
        for piece in wrapped(visible(line), columns()):
            tell(piece)


def columns():
    """How wide output may be: as the terminal, or as COLUMNS says; None, where there is no terminal: as it is."""
    return max(LEAST_COLUMNS, shutil.get_terminal_size().columns) if sys.stdout.isatty() else None


def colourful(stream):
    """Whether colours are wanted there: on a terminal that has them, unless NO_COLOR says otherwise."""
    return stream.isatty() and os.environ.get("TERM") != "dumb" and not os.environ.get("NO_COLOR")


def to_output(path):
    """Whether JSON goes to standard output, and the table is left out."""
    return path is not None and (path == "-" or descriptor_of(path) == 1)


def writable(path):
    """Fails before a long run if a file (None: none is asked for) could not be written after it."""
    if path is not None and not to_output(path):
        check_writable(path)


def output_data(path, data):
    """Writes what JSON can hold where it was asked for."""
    output(path, json.dumps(data, indent=1) + "\n")


def output(path, text):
    """Writes JSON where it was asked for."""
    if to_output(path):
        sys.stdout.write(text)
    elif path is not None:
        write_text(path, text)
