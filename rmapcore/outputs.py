"""Files beside the table that compare and replay write: the page or picture of a report, stacks, a timeline; and its locks."""
from functools import partial

from rmapcore.parsing import settings, whole
from rmapcore.terminal import writable


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
    asked = ((result.flame, options.flame), (result.trace_events, options.trace_events), (result.report, options.report))
    return [partial(write, path) for write, path in asked if path is not None]
