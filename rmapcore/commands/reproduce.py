"""rmapcore reproduce: what it takes, and what it prints and writes."""
import argparse

import rmapcore
from rmapcore.parsing import json_option, settings
from rmapcore.terminal import present, progress_bar, writable


def add(commands):
    """Adds the command to the parser's."""
    command = commands.add_parser("reproduce", help="the published figures: published, emulated, held or not",
                                  formatter_class=argparse.RawDescriptionHelpFormatter, epilog=rows_text)
    command.add_argument("rows", nargs="*", metavar="ROW", help="a row's name; may be repeated (all)")
    command.add_argument("--set", action="append", default=[], metavar="KEY=VALUE",
                         help="a parameter of these rows, in place of the published ones")
    json_option(command)
    command.set_defaults(run=run, needs=("studies.reproduce",))


def rows_text():
    """The rows that `reproduce` knows, with their parameters."""
    from rmapcore.studies.reproduce import rows

    lines = ["rows:"]
    for name, row in rows().items():
        lines.append(f"  {name:8}{row['claim']}")
        lines += [f"{'':12}{key:12}{parameter['text']}" for key, parameter in row["parameters"].items()]
    return "\n".join(lines)


def run(options):
    """Runs the command; its exit status."""
    writable(options.json)
    parameters = settings(options.set, {})
    for key in parameters:
        if key in ("rows", "progress"):
            raise ValueError(f"{key!r} is not a parameter of a row")
    with progress_bar() as progress:
        result = rmapcore.reproduce(options.rows or None, progress=progress, **parameters)
    return present(options, result, result.table)
