"""rmapcore verify: what it takes, and what it prints and writes."""
import rmapcore
from rmapcore.parsing import BAD_INPUT, json_option, seed_of, whole
from rmapcore.terminal import present, progress_bar, remark, writable
from rmapcore.units import parse_size


def add(commands):
    """Adds the command to the parser's."""
    command = commands.add_parser("verify", help="cases on the emulator, against what a live kernel did")
    command.add_argument("files", nargs="*", metavar="FILE", help="cases (.jsonl; -: from standard input) or a "
                         "recorded run (.json, .json.gz)")
    command.add_argument("--scheme", action="append", metavar="S",
                         help="may be repeated; all: every one (anon_vma_chain); under others than anon_vma_chain, what no "
                         "scheme may change is compared")
    command.add_argument("--kernel", default="6.18", metavar="K", help="rules of all but the scheme (6.18)")
    command.add_argument("--live", action="store_true", help="also on this machine's kernel, by real processes")
    command.add_argument("--swap", action="store_true", help="with --live: with a swap, a file, while it runs")
    command.add_argument("--random", default="0", metavar="N",
                         help="N random programs as well, or alone (0): against the kernel with --live, else by every scheme")
    command.add_argument("--seed", default="0", metavar="N", help="of the random programs (0)")
    command.add_argument("--steps", default="200", metavar="N", help="of each random program (200)")
    command.add_argument("--max-text", metavar="SIZE", help="how long the text of a compressed file may be (256MiB)")
    command.add_argument("--max-work", metavar="N", help="steps of a case with all rounds of its loops, and pages that they "
                         "touch, at the most (67108864)")
    command.add_argument("--directory", default=".", metavar="DIR",
                         help="where random programs that differ from the kernel are written to (here)")
    json_option(command)
    command.set_defaults(run=run, needs=("verify.run_live",))


def run(options):
    """Runs the command; its exit status."""
    from rmapcore.verify.run_live import verify_here

    writable(options.json)
    schemes = list(rmapcore.schemes()) if options.scheme and "all" in options.scheme else options.scheme
    with progress_bar() as progress:
        result = verify_here(options.files, schemes, options.kernel, options.live, options.swap,
                             whole(options.random, "--random"), seed_of(options), options.directory, progress,
                             whole(options.steps, "--steps"), limits_of_cases(options))
    remark(f"rmapcore: {note}" for note in result.notes)
    status = present(options, result, result.table)
    return status if result.usable else BAD_INPUT


def limits_of_cases(options):
    """What files of cases may cost."""
    from rmapcore.verify.case import Limits

    asked = {}
    if options.max_text is not None:
        asked["text"] = parse_size(options.max_text, "--max-text")
    if options.max_work is not None:
        asked["work"] = whole(options.max_work, "--max-work")
    return Limits(**asked)
