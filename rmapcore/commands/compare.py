"""rmapcore compare: what it takes, and what it prints and writes."""
import rmapcore
from rmapcore.commands.runs import compared, machine_options, output_options, writers
from rmapcore.parsing import legend_option, settings
from rmapcore.terminal import present


def add(commands):
    """Adds the command to the parser's."""
    command = commands.add_parser("compare", help="one operation stream, several schemes, one table")
    command.add_argument("workload", metavar="WORKLOAD_OR_TRACE", help="a workload's name or the path of a recording; "
                         "-: one from standard input")
    command.add_argument("--scheme", action="append", metavar="S",
                         help="may be repeated; options after a colon; all: every one; a scheme of your own: module:Class or "
                         "path/to/file.py:Class (pte_chain, anonmm, anon_vma)")
    command.add_argument("--pages", metavar="N", help="short for --set pages=N")
    command.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a parameter of the workload")
    command.add_argument("--recording", action="append", metavar="[NAME=]FILE", help="for argument_2026; may be repeated")
    command.add_argument("--arch", action="append", metavar="A", help="i386, i386-pae, x86_64; may be repeated")
    legend_option(command)
    output_options(command)
    command.add_argument("--kernel", action="append", metavar="K", help="rules of all but the scheme; may be repeated (2.6.7; "
                         "recording that names its kernel: the nearest)")
    machine_options(command)
    command.set_defaults(run=run, needs=("lab.compare", "lab.report"))


def run(options):
    """Runs the command; its exit status."""
    schemes = options.scheme
    if schemes and "all" in schemes:
        schemes = list(rmapcore.schemes())
    given = {"pages": options.pages, "recordings": options.recording}
    parameters = settings(options.set, {name: value for name, value in given.items() if value is not None})
    result = compared(options, options.workload, schemes, options.arch or ("x86_64",), parameters)
    return present(options, result, result.table, writers(options, result))
