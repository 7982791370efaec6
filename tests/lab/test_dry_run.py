"""What a program needs, found by running it with memory unlimited; and what running it needs."""
import tracemalloc

import numpy as np

import rmapcore
from rmapcore.core.running import Run
from rmapcore.lab.experiment import create_files, dry_run
from rmapcore.linux.uapi import MAP_ANONYMOUS, MAP_FIXED, MAP_PRIVATE, PROT_READ
from rmapcore.operations import OPERATION, Op
from rmapcore.traces import Trace
from rmapcore.workloads import build

MIB = 1 << 20


def test_the_peak_is_where_it_was_reached_first():
    program = build("swapout", {"pages": 200, "processes": 3}, 0, ("x86_64",))
    dry_run(program, "anonmm", "2.6.7", "x86_64", slices=program.count)
    operations = np.concatenate([phase.operations for phase in program.phases])
    assert 0 < program.peak < program.count
    for stop, reached in ((program.peak - 1, False), (program.peak, True), (program.count, True)):
        machine = rmapcore.Machine("anonmm", ram="64MiB", swap=0)
        machine.hold(Run(machine, operations, create_files(machine, program)).to, stop)
        assert (machine.totals["frames_peak"] == program.pages) == reached


def test_a_saved_recording_is_compared_where_it_lies(tmp_path):
    """Of 48 bytes an operation none is copied; statuses are 2 each, and take memory of the host where they are not 0."""
    operations = np.zeros(1 << 19, OPERATION)
    operations["op"], operations["process"], operations["addr"] = Op.FAULT, 1, MIB
    operations[0]["op"], operations[1]["op"] = Op.SPAWN, Op.MMAP
    operations["length"][1], operations["prot"][1] = MIB, PROT_READ
    operations["flags"][1] = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED
    operations[-2]["op"], operations[-1]["op"] = Op.FORK, Op.EXIT
    operations["other"][-2] = 2
    path = tmp_path / "saved"
    Trace(operations, [], {}, "made").save(path)
    tracemalloc.start()
    try:
        result = rmapcore.compare(path, "anonmm", kernel="6.18")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    (row,) = result.to_dict()["results"]
    assert row["calls"]["by_kind"]["FORK"]["done"] == row["forks"]["count"] == 1
    assert row["calls"]["by_kind"]["FAULT"] == {"done": len(operations) - 4, "failed": 0, "errors": {}}
    assert peak < 10 * len(operations)
