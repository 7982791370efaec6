"""rmapcore replay: what it takes, and what it prints and writes."""
import rmapcore
from rmapcore.commands.runs import compared, limits, machine_options, output_options, profiled, writers
from rmapcore.parsing import legend_option, seed_of
from rmapcore.terminal import present, progress_bar, writable


def add(commands):
    """Adds the command to the parser's."""
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
    command.set_defaults(run=run, needs=("lab.compare", "studies.replaycheck"))


def run(options):
    """Runs the command; its exit status."""
    if options.trace in rmapcore.workloads():
        raise ValueError(f"{options.trace!r} is a workload, not a recording; ./{options.trace} would be a file")
    if options.check:
        if profiled(options, options.trace) or options.report is not None or options.cpus is not None:
            raise ValueError("--check makes no profile and no report")
        return check(options)
    if options.scheme is None:
        raise ValueError("--scheme is needed, or --check")
    result = compared(options, options.trace, [options.scheme], [options.arch], {})
    return present(options, result, result.details, writers(options, result))


def check(options):
    """--check."""
    from rmapcore.studies.replaycheck import check_replay

    writable(options.json)
    asked = {"scheme": options.scheme, "kernel": options.kernel}
    with progress_bar() as progress:
        result = check_replay(options.trace, arch=options.arch, file_rmap=options.file_rmap, ram=options.ram,
                              swap=options.swap, seed=seed_of(options), progress=progress, **limits(options),
                              **{key: value for key, value in asked.items() if value is not None})
    return present(options, result, result.table)
