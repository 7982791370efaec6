"""rmapcore explain: what it takes, and what it prints and writes."""
from rmapcore.parsing import json_option, settings, whole
from rmapcore.terminal import listing, writable


def add(commands):
    """Adds the command to the parser's."""
    command = commands.add_parser("explain", help="a picture of the structures after some calls, and of the walk of a page")
    command.add_argument("program", metavar="PROGRAM_OR_CASE", help="a case (FILE.jsonl, of several FILE.jsonl:ID), a "
                         "workload's name, or the path of a recording")
    command.add_argument("--scheme", required=True, metavar="S", help="as for compare")
    command.add_argument("--kernel", metavar="K", help="rules of all but the scheme (case: 6.18; else as for compare)")
    command.add_argument("--at", metavar="N", help="after so many steps of the case, or operations of another program (all; "
                         "what comes before the first exit)")
    command.add_argument("--page", metavar="PROCESS:PAGE", help="whose walk is shown, as the picture names it (one that the "
                         "scheme misses, else the one that is mapped most)")
    command.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a parameter of the workload")
    command.add_argument("-o", "--output", metavar="FILE", help="the picture, .dot (Graphviz) or .svg (needs the extra "
                         "`report`), and the walk as text; without: .dot to standard output")
    json_option(command)
    command.set_defaults(run=run, needs=("studies.explain",))


def run(options):
    """Runs the command; its exit status."""
    from rmapcore.studies.explain import check_output, explain

    writable(options.json)
    if options.output is not None:
        check_output(options.output)
    at = None if options.at is None else whole(options.at, "--at")
    result = explain(options.program, options.scheme, options.kernel, at, options.page, **settings(options.set, {}))
    lines = (result.dot() if options.output is None else result.table()).splitlines()
    return listing(options, result.to_dict(), lines, [] if options.output is None else [lambda: result.save(options.output)])
