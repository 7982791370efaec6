"""rmapcore hunt: what it takes, and what it prints and writes."""
import re

from rmapcore.parsing import json_option, whole
from rmapcore.terminal import present, progress_bar, writable


def add(commands):
    """Adds the command to the parser's."""
    command = commands.add_parser("hunt", help="programs on which a scheme loses a mapping, or walks too far, from nothing")
    command.add_argument("scheme", nargs="?", default="", metavar="SCHEME", help="as for compare, once")
    command.add_argument("--seconds", metavar="S", help="how long (until Ctrl-C)")
    command.add_argument("--programs", metavar="N", help="how many (until Ctrl-C); what they find depends on the seed only")
    command.add_argument("--seed", default="0", metavar="N", help="of the programs (0)")
    command.add_argument("--cost", nargs="?", const=True, metavar="FACTOR", help="look for walks that cost so many times "
                         "what they cost under the other schemes that a kernel had (4)")
    command.add_argument("--kernel", default="6.18", metavar="K", help="rules of all but the scheme (6.18)")
    command.add_argument("--jobs", metavar="N", help="processes that look (one for each processor)")
    command.add_argument("--directory", default=".", metavar="DIR", help="where programs are written to that were found (here)")
    json_option(command)
    command.set_defaults(run=run, needs=("studies.hunt",))


def run(options):
    """Runs the command; its exit status."""
    from rmapcore.studies.hunt import FACTOR, hunt, processors

    writable(options.json)
    if not options.scheme and isinstance(options.cost, str):   # --cost has taken what stands behind it
        options.scheme, options.cost = options.cost, True
    factor = FACTOR if options.cost is True else options.cost and decimal(options.cost, "--cost")
    asked = {"jobs": processors()} | {name: whole(text, f"--{name}") for name in ("seconds", "programs", "jobs")
                                      if (text := getattr(options, name)) is not None}
    with progress_bar() as progress:
        result = hunt(options.scheme, options.kernel, seed=whole(options.seed, "--seed"), cost=factor,
                      directory=options.directory, progress=progress, **asked)
    return present(options, result, result.table)


def decimal(text, option):
    """A number with or without a point."""
    if not re.fullmatch(r"\d{1,9}(\.\d{1,9})?", text):
        raise ValueError(f"{option} {text!r} is not a number")
    return float(text)
