"""rmapcore capture: what it takes, and what it prints and writes."""
import argparse
from contextlib import ExitStack

import rmapcore
from rmapcore.parsing import json_option, whole
from rmapcore.terminal import DONE, FAILED, each, listing, output_data, progress_bar, remark, writable


def add(commands):
    """Adds the command to the parser's."""
    command = commands.add_parser("capture", help="a real program recorded for compare and replay",
                                  usage="%(prog)s -o FILE [options] [--] COMMAND…\n       %(prog)s -o FILE --pid PID…")
    command.add_argument("-o", "--output", required=True, metavar="FILE", help="text; .zst: compressed; .ops: operations")
    command.add_argument("--pid", nargs="+", default=[], metavar="PID", help="no command: these running processes, as a "
                         "program that builds them")
    command.add_argument("--tool", metavar="T", help="perf, or strace: calls only (perf; strace where it is not allowed)")
    command.add_argument("--plain", action="store_true", help="run the command once more before, without recording it, to "
                         "measure what recording costs")
    command.add_argument("--buffer", metavar="SIZE", help="buffer of each processor (64MiB)")
    command.add_argument("--hold", action="store_true", help="stop all processes when the command ends or is broken off, and "
                         "record what they have: replay --check compares it")
    command.add_argument("--snapshots", metavar="N", help="the same every N page faults")
    command.add_argument("--anonymise", action="store_true", help="replace names of programs and files")
    command.add_argument("command", nargs=argparse.REMAINDER, metavar="COMMAND", help="what to run, with its arguments")
    json_option(command)
    command.set_defaults(run=run, needs=("linux.capture",))


def run(options):
    """Runs the command; its exit status."""
    if options.command[:1] == ["--"]:          # argparse leaves it there
        del options.command[0]
    writable(options.json)
    writable(options.output)
    if options.pid:
        return snapshot(options)
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
    each(lambda: output_data(options.json, result.to_dict()),
         lambda: remark(result.text().splitlines()))       # standard output is the command's
    return DONE if result.ok else FAILED


def snapshot(options):
    """--pid."""
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
