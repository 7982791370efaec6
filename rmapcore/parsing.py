"""How the command line is read: errors in one line, options that are taken once, and what the shell completes."""
import argparse
from contextlib import suppress
from importlib import import_module

from rmapcore.units import visible

BAD_INPUT = 2
MOST_DIGITS = 1000                     # of a number: Python reads no more than some thousand


def complete(top):
    """Answers the shell and ends, if the extra `completion` is installed."""
    with suppress(ImportError):
        import argcomplete

        argcomplete.autocomplete(top)


def names(module, function):
    """What a function of rmapcore gives that lists names; its module is imported when the shell asks."""
    return getattr(import_module(f"rmapcore.{module}"), function)()


def workloads_and_files(prefix):
    """What compare takes, as far as the shell can know it."""
    from argcomplete import FilesCompleter

    return [*names("workloads", "workloads"), *names("lab.grids", "grids"), *FilesCompleter()(prefix)]


COMPLETED = {                          # what the shell offers, by the option
    "scheme": lambda prefix: names("schemes", "schemes"), "kernel": lambda prefix: names("kernels", "kernels"),
    "rows": lambda prefix: names("studies.reproduce", "rows"),
    "arch": lambda prefix: ("i386", "i386-pae", "x86_64"), "workload": workloads_and_files,
}


class Once(argparse.Action):
    """An option with a value, which is taken once: what a second one was meant for is not guessed."""

    given = False

    def __call__(self, parser, namespace, values, option_string=None):
        if self.given:
            parser.error(f"{option_string} is given twice")
        self.given = bool(option_string)
        setattr(namespace, self.dest, values)


class Parser(argparse.ArgumentParser):
    """Errors in one line, as for every other bad input. An epilog may be a function: it is called when help is asked for."""

    def __init__(self, *arguments, **named):
        super().__init__(*arguments, **named)
        self.register("action", None, Once)

    def add_argument(self, *names, **named):
        action = super().add_argument(*names, **named)
        if known := COMPLETED.get(action.dest):
            action.completer = lambda prefix, **_: list(known(prefix))
        return action

    def format_help(self):
        if callable(self.epilog):
            self.epilog = self.epilog()
        return super().format_help()

    def error(self, message):
        self.exit(BAD_INPUT, f"{self.prog}: {visible(' '.join(message.split()))}\n")


# --- options that several commands have, and what they say ----------------------------------------------------------------


def legend_option(command):
    command.add_argument("--legend", action="store_true", help="say below the tables what their columns mean")


def text_option(command):
    command.add_argument("--max-text", metavar="SIZE", help="as --ram: how long the text of a compressed recording may be "
                         "(200 times its file, and 32MiB)")


def json_option(command):
    command.add_argument("--json", metavar="FILE", help="write JSON there; -: to standard output, and no table")


def fail_option(command):
    command.add_argument("--fail-if", action="append", default=[], metavar="EXPR", help="exit 1 if this holds of a row: "
                         "'ptes_tried > +2%%' or 'p99 > +2%%' of a change, 'check.missed > 0' of the later figure; may be "
                         "repeated")


def settings(texts, parameters):
    """The parameters with those of --set added."""
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key.isidentifier():
            raise ValueError(f"--set {text!r} is not KEY=VALUE")
        if key in parameters:
            raise ValueError(f"{key} is set twice")
        parameters[key] = value
    return parameters


def whole(text, option):
    """A number from 0 on."""
    if not text.isdecimal() or len(text) > MOST_DIGITS:
        raise ValueError(f"{option} {text!r} is not a whole number of at least 0")
    return int(text)


def seed_of(options):
    """--seed as a number."""
    return whole(options.seed, "--seed")
