"""rmapcore bench: what it takes, and what it prints and writes."""
from rmapcore.parsing import fail_option, json_option, seed_of, text_option
from rmapcore.terminal import present, progress_bar, remark, writable


def add(commands):
    """Adds the command to the parser's."""
    command = commands.add_parser("bench", help="the speed of the kernels, beside the ideal memory pass and the live kernel")
    command.add_argument("--scheme", action="append", metavar="S",
                         help="may be repeated; S@K: under the rules of kernel K; all: every one (three, and the newest "
                         "under 6.18)")
    command.add_argument("--pages", default="1048576", metavar="N", help="pages of the process measured (1048576)")
    command.add_argument("--rounds", metavar="N", help="how often; medians are shown (3; --full: 5)")
    command.add_argument("--full", action="store_true", help="every scheme, and 2 to 256 processes that share pages")
    command.add_argument("--seed", default="0", metavar="N", help="of the random orders (0)")
    command.add_argument("--growth", action="store_true", help="also at 4, 16 and 64 times the pages, where memory allows")
    command.add_argument("--trace", metavar="FILE", help="a recording: how fast it is parsed and replayed")
    text_option(command)
    command.add_argument("--against", metavar="FILE", help="the JSON of an earlier run to compare with")
    fail_option(command)
    json_option(command)
    command.set_defaults(run=run, needs=("studies.bench",))


def run(options):
    """Runs the command; its exit status."""
    from rmapcore.studies.bench import bench, subjects

    writable(options.json)
    schemes = subjects() if "all" in (options.scheme or ()) else options.scheme
    with progress_bar() as progress:
        result = bench(schemes, options.pages, options.rounds, seed_of(options), progress,
                       growing=options.growth, trace=options.trace, against=options.against, max_text=options.max_text,
                       fail_if=options.fail_if, full=options.full,
                       announce=lambda text: remark([f"rmapcore: {text}"]))
    return present(options, result, result.table)
