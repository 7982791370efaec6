"""What compare and replay have in common: options of machines, the run itself, and the files beside the table that they
write: the page or picture of a report, stacks, a timeline; and its locks.
"""
from functools import partial

import rmapcore
from rmapcore.parsing import json_option, seed_of, settings, text_option, whole
from rmapcore.terminal import progress_bar, writable


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


def output_options(command):
    command.add_argument("--profile", action="store_true", help="say whose the work is, by area, process, call and more, and "
                         "how long walks are")
    command.add_argument("--flame", metavar="FILE", help="a profile, and its stacks for speedscope and flamegraph.pl")
    command.add_argument("--trace-events", metavar="FILE", help="a profile, and a timeline for Perfetto (JSON): reclaim, "
                         "forks, exits, the longest walks, sizes")
    command.add_argument("--report", metavar="FILE", help="write a page (.html), for which it makes a profile, or a picture "
                         "(.png, .svg) there; needs the extra `report`")
    command.add_argument("--cpus", metavar="N", help="say which locks are taken and how long, and who waits for whom if the "
                         "operations run on N processors (docs/locks.md)")
    command.add_argument("--cost", action="append", default=[], metavar="NAME=NS", help="with --cpus: what a step costs; may "
                         "be repeated")


def profiled(options, workload):
    """Whether a profile is asked for, or a file that is made of one."""
    from rmapcore.lab.grids import grids
    from rmapcore.lab.report import suffix_of

    page = options.report is not None and suffix_of(options.report) == ".html" and workload not in grids()
    return options.profile or page or options.flame is not None or options.trace_events is not None


def locks(options):
    """--cpus and --cost as arguments of compare()."""
    costs = {key: whole(value, f"--cost {key}") for key, value in settings(options.cost, {}).items()}
    return {"cpus": None if options.cpus is None else whole(options.cpus, "--cpus"), "costs": costs or None}


def check_outputs(options):
    """Fails before a long run if a file could not be written after it."""
    from rmapcore.lab.report import available, suffix_of

    if options.report is not None:
        suffix_of(options.report)
        available()
    for kind in ("json", "flame", "trace_events", "report"):
        writable(getattr(options, kind, None))


def writers(options, result):
    """Functions that write the files that are asked for."""
    return [partial(getattr(result, kind), path) for kind in ("flame", "trace_events", "report")
            if (path := getattr(options, kind)) is not None]


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
