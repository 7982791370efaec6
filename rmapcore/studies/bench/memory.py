"""Bytes of the host's memory for each emulated page that is mapped once, without stamps.

   memory               what a process grows by (resident set) while an emulated process writes all of its pages
   memory_arenas        bytes of the records that this brought into use: what the layout of the records says
   memory_swapped_out   what the process has grown by after these pages went to swap as well

A fresh interpreter measures each scheme, so that no memory freed before is taken up again unseen.
"""
import json
import os
import subprocess
import sys

from rmapcore.errors import RmapcoreError
from rmapcore.linux.proc import resident_bytes
from rmapcore.studies.bench.inside import bytes_in_use
from rmapcore.studies.bench.samples import Sample
from rmapcore.studies.bench.scenes import fresh
from rmapcore.units import PAGE

LEAST_PAGES = 1 << 16                  # less, and what the interpreter itself takes would show
CHILD = "import sys; from rmapcore.studies.bench import memory; memory.child(sys.argv[1], int(sys.argv[2]))"
NAMES = ("memory", "memory_arenas", "memory_swapped_out")


def measure_memory(scheme, pages, seed):
    """All three, of at least LEAST_PAGES pages."""
    pages = max(pages, LEAST_PAGES)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path))}     # the same rmapcore
    run = subprocess.run([sys.executable, "-P", "-c", CHILD, scheme, str(pages)], env=environment, text=True,
                         capture_output=True, check=False)
    if run.returncode:
        reason = run.stderr.strip().splitlines()[-1:] or [f"exit status {run.returncode}"]
        raise RmapcoreError(f"memory of {scheme} could not be measured: {reason[0]}")
    for name, (done, n_bytes) in zip(NAMES, json.loads(run.stdout), strict=True):
        yield Sample(name, "sequential", pages, done, bytes_per_page=n_bytes / pages)


def child(scheme, pages):
    """What the fresh interpreter does: JSON of [pages done, bytes] for each of NAMES, to standard output."""
    machine, process, address = fresh(scheme, pages)
    resident, used = resident_bytes(), bytes_in_use(machine)
    filled = process.write(address, pages * PAGE)["zero"]
    rows = [(filled, resident_bytes() - resident), (filled, bytes_in_use(machine) - used)]
    freed = machine.reclaim(pages).freed
    rows.append((freed, resident_bytes() - resident))
    sys.stdout.write(json.dumps(rows))
