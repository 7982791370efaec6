"""What a program needs, found by running it with memory unlimited."""
import numpy as np

import rmapcore
from rmapcore.core.running import Run
from rmapcore.lab.experiment import create_files, dry_run
from rmapcore.workloads import build


def test_the_peak_is_where_it_was_reached_first():
    program = build("swapout", {"pages": 200, "processes": 3}, 0, ("x86_64",))
    dry_run(program, "anonmm", "2.6.7", "x86_64", slices=program.count)
    operations = np.concatenate([phase.operations for phase in program.phases])
    assert 0 < program.peak < program.count
    for stop, reached in ((program.peak - 1, False), (program.peak, True), (program.count, True)):
        machine = rmapcore.Machine("anonmm", ram="64MiB", swap=0)
        machine.hold(Run(machine, operations, create_files(machine, program)).to, stop)
        assert (machine.totals["frames_peak"] == program.pages) == reached
