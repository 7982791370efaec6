"""The command line. Uses public names only; every command has the same options for output and the same exits.

What a command needs is imported when it has been read, and Ctrl-C is an exception from then on: help is there at once.

Exits: 0 done, 1 what was checked does not hold, 2 bad usage or input (one line on standard error), 130 broken off. A mistake
of rmapcore's own is one line too, and exit 2; RMAPCORE_DEBUG=1 in the environment shows where.
"""
import argparse
import json
import os
import sys
import traceback
from contextlib import ExitStack, suppress
from importlib import import_module

import rmapcore
from rmapcore import start
from rmapcore.commands import explain, hunt
from rmapcore.errors import RmapcoreError
from rmapcore.outputs import check_outputs, locks, output_options, profiled, writers
from rmapcore.parsing import (
    BAD_INPUT,
    Parser,
    complete,
    json_option,
    legend_option,
    settings,
    text_option,
    whole,
)
from rmapcore.terminal import DONE, FAILED, listing, output, present, progress_bar, remark, writable
from rmapcore.units import parse_size, visible

PIPE_CLOSED = 141


def main(argv=None):
    """Runs a command; its exit status."""
    try:
        if "_ARGCOMPLETE" in os.environ:       # the shell asks what may stand here
            complete(parser())
        start.open_streams()
        options = parser().parse_args(argv)
        for name in options.needs:
            import_module(f"rmapcore.{name}")
        start.over()
        status = options.run(options)
        sys.stdout.flush()
        return status
    except KeyboardInterrupt as error:
        with suppress(OSError):
            if partial := getattr(error, "partial", None):
                present(options, partial, partial.table)
        start.tell("interrupted")
        return start.BROKEN_OFF
    except BrokenPipeError:
        return PIPE_CLOSED
    except Exception as error:
        if os.environ.get("RMAPCORE_DEBUG") == "1":
            raise
        start.tell(f"rmapcore: {describe(error)}")
        return BAD_INPUT
    finally:
        start.give_up_what_is_left()


def describe(error):
    """An exception in one line."""
    text = visible(" ".join(str(error).split()))
    if isinstance(error, OSError) and error.strerror:
        return f"{visible(os.fsdecode(error.filename))}: {error.strerror}" if error.filename else error.strerror
    if isinstance(error, RmapcoreError | ValueError | OSError):
        return text
    if isinstance(error, MemoryError):
        return f"there is not enough memory{text and f': {text}'}"
    if notes := getattr(error, "__notes__", None):         # the note of a hook in a scheme of the user's own
        place = traceback.extract_tb(error.__traceback__)[-1]
        return f"{place.filename}:{place.lineno}: {type(error).__name__}: {text} ({notes[0]})"
    return f"internal error: {type(error).__name__}: {text}; please report it (RMAPCORE_DEBUG=1 shows where)"


def parser():
    """The parser of all commands."""
    top = Parser(prog="rmapcore", description="A laboratory for Linux reverse mapping.")
    top.add_argument("--version", action="version", version=f"rmapcore {rmapcore.__version__}")
    commands = top.add_subparsers(metavar="COMMAND", required=True)

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
    command.set_defaults(run=run_compare, needs=("lab.compare", "lab.report"))

    command = commands.add_parser("replay", help="a recording under one scheme, in detail")
    command.add_argument("trace", metavar="TRACE", help="the path of a recording; -: from standard input")
    command.add_argument("--scheme", metavar="S", help="as for compare; needed without --check (anon_vma_chain)")
    command.add_argument("--arch", default="x86_64", metavar="A", help="i386, i386-pae, x86_64 (x86_64)")
    command.add_argument("--check", action="store_true", help="compare every recorded fault with the emulated page table "
                         "(kernel 6.18, RAM for all of it)")
    command.add_argument("--kernel", metavar="K", help="as for compare, once")
    legend_option(command)
    output_options(command)
    machine_options(command)
    command.set_defaults(run=run_replay, needs=("lab.compare", "studies.replaycheck"))

    command = commands.add_parser("reproduce", help="the published figures: published, emulated, held or not",
                                  formatter_class=argparse.RawDescriptionHelpFormatter, epilog=rows_text)
    command.add_argument("rows", nargs="*", metavar="ROW", help="a row's name; may be repeated (all)")
    command.add_argument("--set", action="append", default=[], metavar="KEY=VALUE",
                         help="a parameter of these rows, in place of the published ones")
    json_option(command)
    command.set_defaults(run=run_reproduce, needs=("studies.reproduce",))

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
    command.set_defaults(run=run_verify, needs=("verify.run_live",))

    hunt.add(commands)

    command = commands.add_parser("capture", help="a real program recorded for compare and replay",
                                  usage="%(prog)s -o FILE [options] [--] COMMAND…\n       %(prog)s -o FILE --pid PID…")
    command.add_argument("-o", "--output", required=True, metavar="FILE", help="text; .zst: compressed; .ops: operations")
    command.add_argument("--pid", nargs="+", default=[], metavar="PID", help="no command: these running processes, as a "
                         "program that builds them")
    command.add_argument("--tool", metavar="T", help="perf, or strace: calls only (perf; strace where it is not allowed)")
    command.add_argument("--plain", action="store_true", help="run the command once more before, without recording it, to "
                         "measure what recording costs")
    command.add_argument("--buffer", metavar="SIZE", help="perf's buffer of each processor (64MiB)")
    command.add_argument("--hold", action="store_true", help="stop all processes when the command ends or is broken off, and "
                         "record what they have: replay --check compares it")
    command.add_argument("--snapshots", metavar="N", help="the same every N page faults")
    command.add_argument("--anonymise", action="store_true", help="replace names of programs and files")
    command.add_argument("command", nargs=argparse.REMAINDER, metavar="COMMAND", help="what to run, with its arguments")
    json_option(command)
    command.set_defaults(run=run_capture, needs=("linux.capture",))

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
    command.set_defaults(run=run_bench, needs=("studies.bench",))

    explain.add(commands)

    command = commands.add_parser("diff", help="the JSON of two runs of compare, replay or bench beside each other")
    command.add_argument("earlier", metavar="A.json", help="of the earlier run; -: from standard input")
    command.add_argument("later", metavar="B.json", help="of the later run")
    fail_option(command)
    command.add_argument("--report", metavar="FILE", help="write a page (.html) with both there; needs the extra `report`")
    json_option(command)
    command.set_defaults(run=run_diff, needs=("lab.diff",))

    for name, function, about in (("schemes", run_schemes, "the schemes there are"),
                                  ("workloads", run_workloads, "the workloads there are, with their parameters")):
        command = commands.add_parser(name, help=about)
        json_option(command)
        command.set_defaults(run=function, needs=("lab.grids",))
    return top


def machine_options(command):
    """Options of every command that runs a machine."""
    command.add_argument("--file-rmap", metavar="F", help="how file pages are found (the scheme's usual way)")
    command.add_argument("--ram", metavar="SIZE", help="bytes, or a number with KiB or K, MiB or M, GiB, TiB; KB, MB: of 1000 "
                         "(workload: its frames + 5 %%; recording: half of the peak, beside what is locked)")
    command.add_argument("--swap", metavar="SIZE", help="as --ram; 0: none (twice the peak of used frames)")
    command.add_argument("--seed", default="0", metavar="N", help="of what a workload draws at random (0)")
    command.add_argument("--max-map-count", metavar="N", help="areas that a process may have (the kernel's default)")
    command.add_argument("--stack-limit", metavar="SIZE", help="as --ram, or unlimited: how far a stack may grow (8MiB; "
                         "recording: its own)")
    text_option(command)
    json_option(command)


def fail_option(command):
    command.add_argument("--fail-if", action="append", default=[], metavar="EXPR", help="exit 1 if this holds of a row: "
                         "'ptes_tried > +2%%' or 'p99 > +2%%' of a change, 'check.missed > 0' of the later figure; may be "
                         "repeated")


def run_compare(options):
    schemes = options.scheme
    if schemes and "all" in schemes:
        schemes = list(rmapcore.schemes())
    given = {"pages": options.pages, "recordings": options.recording}
    parameters = settings(options.set, {name: value for name, value in given.items() if value is not None})
    result = compared(options, options.workload, schemes, options.arch or ("x86_64",), parameters)
    return present(options, result, result.table, writers(options, result))


def run_reproduce(options):
    writable(options.json)
    parameters = settings(options.set, {})
    for key in parameters:
        if key in ("rows", "progress"):
            raise ValueError(f"{key!r} is not a parameter of a row")
    with progress_bar() as progress:
        result = rmapcore.reproduce(options.rows or None, progress=progress, **parameters)
    return present(options, result, result.table)


def run_verify(options):
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


def rows_text():
    """The rows that `reproduce` knows, with their parameters."""
    from rmapcore.studies.reproduce import rows

    lines = ["rows:"]
    for name, row in rows().items():
        lines.append(f"  {name:8}{row['claim']}")
        lines += [f"{'':12}{key:12}{parameter['text']}" for key, parameter in row["parameters"].items()]
    return "\n".join(lines)


def run_replay(options):
    if options.trace in rmapcore.workloads():
        raise ValueError(f"{options.trace!r} is a workload, not a recording; ./{options.trace} would be a file")
    if options.check:
        if profiled(options, options.trace) or options.report is not None or options.cpus is not None:
            raise ValueError("--check makes no profile and no report")
        return run_check(options)
    if options.scheme is None:
        raise ValueError("--scheme is needed, or --check")
    result = compared(options, options.trace, [options.scheme], [options.arch], {})
    return present(options, result, result.details, writers(options, result))


def run_check(options):
    from rmapcore.studies.replaycheck import check_replay

    writable(options.json)
    asked = {"scheme": options.scheme, "kernel": options.kernel}
    with progress_bar() as progress:
        result = check_replay(options.trace, arch=options.arch, file_rmap=options.file_rmap, ram=options.ram,
                              swap=options.swap, seed=seed_of(options), progress=progress, **limits(options),
                              **{key: value for key, value in asked.items() if value is not None})
    return present(options, result, result.table)


def run_capture(options):
    if options.command[:1] == ["--"]:          # argparse leaves it there
        del options.command[0]
    writable(options.json)
    writable(options.output)
    if options.pid:
        return run_snapshot(options)
    with ExitStack() as stack:
        bar = []

        def progress(done, total, text):       # no bar before: the terminal is the command's
            if not bar:
                bar.append(stack.enter_context(progress_bar()))
            if bar[0]:
                bar[0](done, total, text)

        every = None if options.snapshots is None else whole(options.snapshots, "--snapshots")
        result = rmapcore.capture(options.command, options.output, options.tool, options.plain, options.buffer, progress,
                                  hold=options.hold, snapshots=every, anonymise=options.anonymise)
    try:
        output(options.json, json.dumps(result.to_dict(), indent=1) + "\n")
    finally:
        remark(result.text().splitlines())     # standard output is the command's
    return DONE if result.ok else FAILED


def run_snapshot(options):
    if options.command or options.tool or options.plain or options.buffer:
        raise ValueError("--pid takes no command, --tool, --plain or --buffer")
    if options.output.endswith(".zst"):
        raise ValueError(f"{options.output}: a snapshot is not compressed, name it without .zst")
    for pid in options.pid:
        if not pid.isdecimal():
            raise ValueError(f"--pid {pid!r} is not the number of a process")
    with progress_bar() as progress:
        trace = rmapcore.snapshot_of([int(pid) for pid in options.pid], progress)
    trace.save(options.output)
    found = trace.summary["snapshot"]
    lines = [f"{options.output}: {len(trace):,} operations build {len(found['processes']):,} processes",
             f"{'':24}{'areas':>14}{'present':>18}{'swapped':>18}{'shared':>18}"]
    for one in found["processes"]:
        pairs = (f"{one[name]:,}/{one['built'][name]:,}" for name in ("areas", "present", "swapped", "shared"))
        lines.append("{:8} {:15}{:>14}{:>18}{:>18}{:>18}".format(one["pid"], one["name"][:15], *pairs))
    lines.append(f"of the process / as built; {found['differences']:,} pages differ"
                 + ("" if found["frames"] else "; frames are hidden from this user, what is shared is a guess"))
    return listing(options, found, lines)


def run_bench(options):
    from rmapcore.studies.bench import bench, subjects

    writable(options.json)
    schemes = subjects() if "all" in (options.scheme or ()) else options.scheme
    with progress_bar() as progress:
        result = bench(schemes, options.pages, options.rounds, seed_of(options), progress,
                       growing=options.growth, trace=options.trace, against=options.against, max_text=options.max_text,
                       fail_if=options.fail_if, full=options.full,
                       announce=lambda text: start.tell(f"rmapcore: {text}"))
    return present(options, result, result.table)


def run_diff(options):
    from rmapcore.lab.diff import Difference

    check_outputs(options)
    result = Difference(options.earlier, options.later, options.fail_if)
    files = [] if options.report is None else [lambda: result.report(options.report)]
    return present(options, result, result.table, files)


def run_schemes(options):
    names = rmapcore.schemes()
    return listing(options, names, [f"{name:24}{about}" for name, about in names.items()])


def run_workloads(options):
    from rmapcore.lab.grids import grids

    workloads = rmapcore.workloads()
    lines = []
    for name, workload in {**workloads, **grids()}.items():
        lines.append(f"{name}: {workload['description']}")
        for key, parameter in workload["parameters"].items():
            default = f"{parameter['type']} ({parameter['default']})"
            lines.append(f"    {key:12}{default:38}{parameter['text']}")
    return listing(options, workloads, lines)


def compared(options, workload, schemes, archs, parameters):
    """compare() with a progress bar."""
    check_outputs(options)
    arguments = {"kernel": options.kernel, "arch": archs, "file_rmap": options.file_rmap, "ram": options.ram,
                 "swap": options.swap, "seed": seed_of(options), "profile": profiled(options, workload), **locks(options),
                 **limits(options)}
    for key in parameters:
        if key in arguments or key in ("workload", "schemes", "progress"):
            raise ValueError(f"{key!r} is not a parameter of a workload")
    with progress_bar() as progress:
        return rmapcore.compare(workload, schemes, **arguments, **parameters, progress=progress)


def limits(options):
    """Arguments of those that run machines."""
    count = options.max_map_count
    return {"max_map_count": None if count is None else whole(count, "--max-map-count"), "stack_limit": options.stack_limit,
            "max_text": options.max_text}


def seed_of(options):
    """--seed as a number."""
    return whole(options.seed, "--seed")


if __name__ == "__main__":
    raise SystemExit(main())
