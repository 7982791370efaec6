"""compare: one program, several schemes, several architectures, one Result.

All rows run the same operations on machines of the same RAM, swap and kernel rules; a machine that runs out of memory
ends its own row only. What programs see must not depend on the scheme: digests and the endings of calls are compared
with those of the first scheme on the same architecture.
"""
import gc
import os

import numpy as np

from rmapcore.arguments import one_of, path_of, seed_of, several, whole
from rmapcore.core.program import Phase, Program
from rmapcore.errors import UnknownName
from rmapcore.kernels import find as find_kernel
from rmapcore.lab import grids
from rmapcore.lab.experiment import Experiment, check_points, dry_run
from rmapcore.lab.results import Result
from rmapcore.linux.proc import ask_for_memory
from rmapcore.machine import MOST_ROOM, Machine
from rmapcore.pyx.machine.core import ARCHES
from rmapcore.schemes import choose_all
from rmapcore.schemes import make as make_scheme
from rmapcore.traces import Trace, load_trace
from rmapcore.traces.streams import STANDARD_INPUT
from rmapcore.units import PAGE, format_size, parse_limit, parse_size
from rmapcore.workloads import WORKLOADS, build

SCHEMES = ("pte_chain", "anonmm", "anon_vma")
TRACKED_PAGES = 4 << 20                # most frames of a machine that keeps contents, as the interface says
RECORDING_FRAMES = 16                  # fewest frames of RAM a recording is given unasked


def compare(workload, schemes=None, kernel="2.6.7", arch="x86_64", file_rmap=None, ram=None, swap=None, seed=0,
            max_map_count=None, stack_limit=None, progress=None, max_text=None, **parameters):
    """Runs a workload or a recording under several schemes; a Result.

    workload: a name of rmapcore.workloads(), "the_argument" (an Argument; its own schemes, RAM and swap,
    one architecture), the path of a recording, or a Trace.  schemes: one or several, by whatever names one
    (rmapcore/schemes.py), each machine with a new object; None: pte_chain, anonmm, anon_vma.  kernel, arch (one or several),
    file_rmap: as in Machine.
    ram, swap: bytes or a string; None: for a workload its frames + 5 % or what it is meant for, for a recording half the
    peak of used frames in an unlimited dry run, or what it locks and half of the others; swap twice the peak.
    seed: of what the workload draws.  parameters: of the workload.
    max_map_count, stack_limit: as in Machine; None: the kernel's, and the limit under which a recording was made.
    progress: None or called as progress(done, total, text).  max_text: as of load_trace.
    Raises TypeError, ValueError, UnknownName, TraceError before anything is run; RmapcoreError if the host lacks the memory.
    """
    workload = workload if isinstance(workload, Trace) else os.fsdecode(path_of(workload, "workload"))
    study = grids.find(workload)
    if schemes is None:
        schemes = study.SCHEMES if study else SCHEMES
    schemes = choose_all(schemes)
    archs = (arch,) if isinstance(arch, str) else tuple(several(arch, "arch"))
    validate(schemes, archs, kernel, file_rmap, seed)
    if study:
        if any(asked is not None for asked in (ram, swap, max_map_count, stack_limit)) or len(archs) > 1:
            raise ValueError(f"{workload} has RAM, swap and limits of its own, and takes one architecture")
        return study.run(schemes, kernel, archs[0], file_rmap, seed, progress, **parameters)
    ram = None if ram is None else parse_size(ram, "ram")
    swap = None if swap is None else parse_size(swap, "swap")
    for arch in archs:
        if ram is not None and not 2 <= ram // PAGE <= ARCHES[arch][-1]:
            raise ValueError(f"ram: {format_size(ram)} is outside of {format_size(2 * PAGE)} to "
                             f"{format_size(ARCHES[arch][-1] * PAGE)}, what {arch} can address")
    report = progress or (lambda done, total, text: None)
    limits = checked_limits(max_map_count, stack_limit)
    max_text = None if max_text is None else parse_size(max_text, "max_text")
    program = program_of(workload, parameters, seed, archs, schemes[0], kernel, report, limits, max_text)
    ask_for_memory(program.name, program.pages)
    limits["stack_limit"] = stack_limit or program.stack_limit
    ram = _ram(program, archs) if ram is None else ram
    swap = 2 * program.pages * PAGE if swap is None else swap
    track = program.pages <= TRACKED_PAGES
    points = check_points(program)
    rows, statuses = [], {}
    total = len(schemes) * len(archs)
    for arch in archs:
        for scheme in schemes:
            done = len(rows)

            def step(fraction, phase, done=done, text=f"{scheme} {arch}"):
                report(done + fraction, total, f"{text}: {phase}")

            machine = Machine(scheme, kernel, arch, ram, swap, file_rmap, track, **limits, **MOST_ROOM)
            experiment = Experiment(program, machine, points, step)
            experiment.run()
            row = experiment.row()
            reference = statuses.setdefault(arch, (experiment.statuses, experiment.done))
            row["calls"]["first_difference"] = first_difference(*reference, experiment.statuses, experiment.done)
            rows.append(row)
            del machine, experiment
            gc.collect()               # a machine's arenas are as large as it was
    report(total, total, "done")
    return Result(program, {"kernel": kernel, "file_rmap": file_rmap, "ram": ram, "swap": swap,
                            "track_contents": track}, rows)


def program_of(workload, parameters, seed, archs, scheme, kernel, report, limits, max_text):
    """The Program of a workload's name, a recording's path or a Trace, measured if it is a recording."""
    if not isinstance(workload, Trace):
        if workload in WORKLOADS:
            program = build(workload, parameters, seed, archs)
            if not program.pages:
                report(0, 1, "dry run")
                dry_run(program, scheme, kernel, archs[0], **limits)
            return program
        if workload != STANDARD_INPUT and not os.path.exists(workload) and os.sep not in workload:
            raise UnknownName(f"{workload!r} is neither a file nor a workload; workloads: {', '.join(WORKLOADS)}")
        report(0, 1, "reading the recording")
        workload = load_trace(workload, max_text)
    if parameters:
        raise UnknownName(f"a recording has no parameters: {', '.join(parameters)}")
    report(0, 1, "dry run")
    return recorded_program(workload, seed, archs, scheme, kernel, limits)


def recorded_program(trace, seed, archs, scheme, kernel, limits):
    """A recording as a Program; limits: max_map_count, stack_limit.

    ValueError if it is empty or an architecture has no room for its addresses.
    """
    operations = trace.operations_for(kernel)
    if not len(operations):
        raise ValueError(f"{trace.source}: the recording has no operations")
    highest = int(operations["addr"].max())
    for arch in archs:
        if highest >= ARCHES[arch][4] * PAGE:
            raise ValueError(f"{trace.source}: the recording has addresses up to {highest:#x}, beyond the "
                             f"{format_size(ARCHES[arch][4] * PAGE)} of user space of {arch}; use x86_64")
    program = Program(trace.source, {}, seed, [Phase("replay", operations, "faults")], trace.files,
                      facts={"recording": {"digest": trace.digest, "operations": len(operations),
                                           "files": len(trace.files), **trace.summary}},
                      warm=True, cold=trace.cold, stack_limit=trace.stack_limit)
    dry_run(program, scheme, kernel, archs[0], **limits)
    return program


def first_difference(statuses, count, other, other_count):
    """Number of the first operation that ended otherwise, from 0; None if there is none among those both ran."""
    both = min(count, other_count)
    differing = np.flatnonzero(statuses[:both] != other[:both])
    if len(differing):
        return int(differing[0])
    return None if count == other_count else both


def validate(schemes, archs, kernel, file_rmap, seed):
    """Names that do not exist are told before anything runs."""
    if not archs:
        raise ValueError("arch: at least one name is needed")
    for arch in archs:
        one_of(arch, "arch", ARCHES)
    if len(set(archs)) < len(archs):
        raise ValueError(f"arch: {', '.join(archs)}: one is named twice")
    for scheme in schemes:
        make_scheme(scheme, file_rmap)
    find_kernel(kernel)
    seed_of(seed)


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
