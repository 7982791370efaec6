"""rmapcore diff: what it takes, and what it prints and writes."""
from rmapcore.commands.runs import check_outputs
from rmapcore.parsing import fail_option, json_option
from rmapcore.terminal import present


def add(commands):
    """Adds the command to the parser's."""
    command = commands.add_parser("diff", help="the JSON of two runs of compare, replay or bench beside each other")
    command.add_argument("earlier", metavar="A.json", help="of the earlier run; -: from standard input")
    command.add_argument("later", metavar="B.json", help="of the later run")
    fail_option(command)
    command.add_argument("--report", metavar="FILE", help="write a page (.html) with both there; needs the extra `report`")
    json_option(command)
    command.set_defaults(run=run, needs=("lab.diff",))


def run(options):
    """Runs the command; its exit status."""
    from rmapcore.lab.diff import Difference

    check_outputs(options)
    result = Difference(options.earlier, options.later, options.fail_if)
    files = [] if options.report is None else [lambda: result.report(options.report)]
    return present(options, result, result.table, files)
