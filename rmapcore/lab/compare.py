"""compare: one program, several schemes, architectures and kernels, one Result.

All rows run the same operations on machines of the same RAM and swap; a machine that runs out of memory ends its own row
only. What programs see must not depend on the scheme: digests and the endings of calls are compared with those of the first
scheme on the same architecture under the same kernel's rules.
"""
import gc
import os

import numpy as np

from rmapcore.arguments import instead_of, one_of, path_of, seed_of, several, whole
from rmapcore.core.locks import costs_of
from rmapcore.core.processors import MOST_CPUS
from rmapcore.core.program import AT_ONCE, Phase, Program
from rmapcore.errors import ArenaFull, UnknownName, keeping
from rmapcore.kernels import KERNELS, nearest
from rmapcore.lab import grids
from rmapcore.lab.experiment import Experiment, check_points, dry_run
from rmapcore.lab.results import Result
from rmapcore.linux.proc import ask_for_memory
from rmapcore.machine import MOST_ROOM, Machine
from rmapcore.pyx.machine.core import ARCHES
from rmapcore.schemes import choose, choose_all, newest
from rmapcore.schemes import make as make_scheme
from rmapcore.traces import Trace, load_trace
from rmapcore.traces.streams import STANDARD_INPUT
from rmapcore.units import PAGE, format_size, parse_limit, parse_size
from rmapcore.workloads import WORKLOADS, build

SCHEMES = ("pte_chain", "anonmm", "anon_vma")
TRACKED_PAGES = 4 << 20                # most frames of a machine that keeps contents, as the interface says
RECORDING_FRAMES = 16                  # fewest frames of RAM a recording is given unasked


def compare(workload, schemes=None, kernel=None, arch="x86_64", file_rmap=None, ram=None, swap=None, seed=0,
            max_map_count=None, stack_limit=None, progress=None, max_text=None, profile=False, cpus=None, costs=None,
            **parameters):
    """Runs a workload or a recording under several schemes; a Result.

    workload: a name of rmapcore.workloads(), "the_argument" or "argument_2026" (an Argument; its own schemes, RAM and swap,
    one architecture and kernel), the path of a recording, or a Trace.  schemes: one or several, by whatever names one
    (rmapcore/schemes.py), each machine with a new object; None: pte_chain, anonmm, anon_vma.  kernel, arch (each one or
    several), file_rmap: as in Machine. kernel None: 2.6.7; of a recording that names its kernel the nearest one, and then
    its newest sound scheme beside the three if none are named.
    ram, swap: bytes or a string; None: for a workload its frames + 5 % or what it is meant for, for a recording half the
    peak of used frames in an unlimited dry run, or what it locks and half of the others; swap twice the peak.
    seed: of what the workload draws.  parameters: of the workload.
    max_map_count, stack_limit: as in Machine; None: the kernel's, and the limit under which a recording was made.
    progress: None or called as progress(done, total, text).  max_text: as of load_trace.  profile: whether each row says
    whose its work is and how long its walks are (Machine.profile).  cpus: on how many processors its operations are
    simulated, to say who waits for which lock (Machine.locks, docs/locks.md), None: they are not; costs: {name: ns} of what
    costs otherwise.
    Raises TypeError, ValueError, UnknownName, TraceError before anything is run; RmapcoreError if the host lacks the memory.
    """
    workload = workload if isinstance(workload, Trace) else os.fsdecode(path_of(workload, "workload"))
    study = grids.find(workload)
    chosen = choose_all((study.SCHEMES if study else SCHEMES) if schemes is None else schemes)
    archs, kernels = names_of(arch, "arch"), names_of("2.6.7" if kernel is None else kernel, "kernel")
    validate(chosen, archs, kernels, file_rmap, seed)
    if study:
        if profile or cpus is not None:
            raise ValueError(f"{workload} has no profile{'' if profile else ' of locks'}")
        if any(asked is not None for asked in (ram, swap, max_map_count, stack_limit)) or len(archs) + len(kernels) > 2:
            raise ValueError(f"{workload} has RAM, swap and limits of its own, and takes one architecture and one kernel")
        return study.run(None if schemes is None else chosen, None if kernel is None else kernels[0], archs[0], file_rmap, seed,
                         progress, **parameters)
    locks = checked_locks(cpus, costs)
    ram = None if ram is None else parse_size(ram, "ram")
    swap = None if swap is None else parse_size(swap, "swap")
    check_ram(ram, archs)
    report = progress or (lambda done, total, text: None)
    limits = checked_limits(max_map_count, stack_limit)
    source = source_of(workload, parameters, report, None if max_text is None else parse_size(max_text, "max_text"))
    by_recording = {}
    if kernel is None and isinstance(source, Trace) and source.kernel:
        by_recording = recorded_choice(source.kernel, schemes)
        kernels = (by_recording["kernel"],)
        chosen += tuple(map(choose, by_recording["schemes"]))
    ahead = len(kernels) if isinstance(source, Trace) else 0           # dry runs, which take about as long as a row
    parts = ahead + len(kernels) * len(archs) * len(chosen)

    def from_part(first):
        return lambda done, total, text: report(first + done, parts, text)

    programs = [program_of(source, parameters, seed, archs, chosen[0], one, from_part(number if ahead else 0), limits)
                for number, one in enumerate(kernels)]
    for program in programs:
        ask_for_memory(program.name, program.pages)
    limits["stack_limit"] = stack_limit or programs[0].stack_limit
    pages = max(program.pages for program in programs)
    machine = {"ram": max(_ram(program, archs) for program in programs) if ram is None else ram,
               "swap": 2 * pages * PAGE if swap is None else swap, "file_rmap": file_rmap,
               "track_contents": pages <= TRACKED_PAGES}
    if by_recording:
        programs[0].facts["recording"]["chosen"] = by_recording
    rows, timelines, about = [], [], {"kernel": ", ".join(kernels), **machine}
    with keeping(lambda: Result(programs[0], about, rows, partial=True) if rows else None):
        for row, timeline in run_all(dict(zip(kernels, programs, strict=True)), archs, chosen, {**machine, **limits},
                                     from_part(ahead), profile, locks):
            rows.append(row)
            timelines.append(timeline)
    return Result(programs[0], about, rows, timelines=timelines if profile else None)


def run_all(programs, archs, schemes, options, report, profile, locks):
    """Rows of every program, {kernel: Program}, on every architecture under every scheme, each with what its timeline is made
    of; options: of the machines; locks: cpus and costs of an Experiment.
    """
    done, references = 0, {}
    total = len(schemes) * len(archs) * len(programs)
    for kernel, program in programs.items():
        points = check_points(program)
        for arch in archs:
            for scheme in schemes:
                def step(fraction, phase, done=done, text=f"{scheme} {arch}"):
                    report(done + fraction, total, f"{text}: {phase}")

                experiment = Experiment(program, Machine(scheme, kernel, arch, **options, **MOST_ROOM), points, step,
                                        profiled=profile, **locks)
                experiment.run()
                row, timeline = experiment.row(), experiment.kept()
                reference = references.setdefault((kernel, arch), (experiment.statuses, experiment.done))
                row["calls"]["first_difference"] = first_difference(*reference, experiment.statuses, experiment.done)
                done += 1
                del experiment
                gc.collect()           # a machine's arenas are as large as it was
                yield row, timeline
    report(total, total, "done")


def names_of(value, what):
    """One name or several as a tuple."""
    return (value,) if isinstance(value, str) else tuple(several(value, what))


def check_ram(ram, archs):
    """ValueError if an architecture cannot address it."""
    for arch in archs:
        if ram is not None and not 2 <= ram // PAGE <= ARCHES[arch][-1]:
            raise ValueError(f"ram: {format_size(ram)} is outside of {format_size(2 * PAGE)} to "
                             f"{format_size(ARCHES[arch][-1] * PAGE)}, what {arch} can address")


def recorded_choice(recorded, schemes):
    """What a recording decides where nobody else has: the nearest kernel, and schemes beside the usual ones."""
    kernel = nearest(recorded)
    more = newest(KERNELS[kernel].since)
    return {"kernel": kernel, "schemes": [] if schemes is not None or more in SCHEMES else [more]}


def source_of(workload, parameters, report, max_text):
    """A Trace, or the name of a workload."""
    if not isinstance(workload, Trace):
        if workload in WORKLOADS:
            return workload
        if workload != STANDARD_INPUT and not os.path.exists(workload) and os.sep not in workload:
            raise UnknownName(f"{workload!r} is neither a file nor a workload; "
                              f"{instead_of(workload, [*WORKLOADS, *grids.GRIDS], 'rmapcore workloads lists them')}")
        report(0, 1, "reading the recording")
        workload = load_trace(workload, max_text)
    if parameters:
        raise UnknownName(f"a recording has no parameters: {', '.join(parameters)}")
    return workload


def program_of(source, parameters, seed, archs, scheme, kernel, report, limits):
    """The Program of a workload's name or a Trace, measured if it does not know its pages."""
    def dry(part):
        report(part, 1, "dry run")

    if isinstance(source, Trace):
        return recorded_program(source, seed, archs, scheme, kernel, limits, dry)
    program = build(source, parameters, seed, archs)
    if not program.pages:
        dry_run(program, scheme, kernel, archs[0], **limits, progress=dry)
    return program


def recorded_program(trace, seed, archs, scheme, kernel, limits, progress=None):
    """A recording as a Program; limits: max_map_count, stack_limit; progress: of its dry run.

    ValueError if it is empty, an architecture has no room for its addresses, or no machine for what it makes.
    """
    operations = trace.operations_for(kernel)
    if not len(operations):
        raise ValueError(f"{trace.source}: the recording has no operations")
    highest = int(operations["addr"].max())
    for arch in archs:
        if highest >= ARCHES[arch][4] * PAGE:
            wider = "; use x86_64" if highest < ARCHES["x86_64"][4] * PAGE else ""
            raise ValueError(f"{trace.source}: the recording has addresses up to {highest:#x}, beyond the "
                             f"{format_size(ARCHES[arch][4] * PAGE)} of user space of {arch}{wider}")
    program = Program(trace.source, {}, seed, [Phase("replay", operations, "faults")], trace.files,
                      facts={"recording": {"digest": trace.digest, "operations": len(operations),
                                           "files": len(trace.files), "kernel": trace.kernel, **trace.summary}},
                      warm=True, stack_limit=trace.stack_limit, names=trace.names)
    try:
        dry_run(program, scheme, kernel, archs[0], **limits, progress=progress)
    except ArenaFull as error:                 # of a machine with the most room there is
        raise ValueError(f"{trace.source}: no machine has room for all of it ({error})") from None
    return program


def first_difference(statuses, count, other, other_count):
    """Number of the first operation that ended otherwise, from 0; None if there is none among those both ran."""
    both = min(count, other_count)
    for first in range(0, both, AT_ONCE):
        end = min(first + AT_ONCE, both)
        differing = np.flatnonzero(statuses[first:end] != other[first:end])
        if len(differing):
            return first + int(differing[0])
    return None if count == other_count else both


def validate(schemes, archs, kernels, file_rmap, seed):
    """Names that do not exist are told before anything runs."""
    for names, what, known in ((archs, "arch", ARCHES), (kernels, "kernel", KERNELS)):
        if not names:
            raise ValueError(f"{what}: at least one name is needed")
        for name in names:
            one_of(name, what, known)
        if len(set(names)) < len(names):
            raise ValueError(f"{what}: {', '.join(names)}: one is named twice")
    for scheme in schemes:
        make_scheme(scheme, file_rmap)
    seed_of(seed)


def checked_locks(cpus, costs):
    """These arguments, so that wrong ones are told before anything runs."""
    costs_of(costs)
    if cpus is None and costs is not None:
        raise ValueError("costs: say on how many cpus")
    return {"cpus": None if cpus is None else whole(cpus, "cpus", 1, MOST_CPUS), "costs": costs}


def checked_limits(max_map_count, stack_limit):
    """These arguments of a Machine, so that wrong ones are told before anything runs; None: not given."""
    return {"max_map_count": None if max_map_count is None else whole(max_map_count, "max_map_count"),
            "stack_limit": None if stack_limit is None else parse_limit(stack_limit, "stack_limit")}


def _ram(program, archs):
    """Bytes of RAM if none are asked for; the same for all rows."""
    if "recording" in program.facts:
        return (program.locked + max((program.pages - program.locked) // 2, RECORDING_FRAMES)) * PAGE
    pages = program.ram_pages or -(-program.pages * 21 // 20)
    return min(pages, min(ARCHES[arch][-1] for arch in archs)) * PAGE
