"""THE REGISTRY of grids: studies that run many programs and that compare() takes by name, one line each.

A grid is a module above this room, found by name as schemes are. It has ABOUT, SCHEMES (used if none are named), PARAMETERS
(as workloads have them) and run(schemes, kernel, arch, file_rmap, seed, progress, **parameters), which gives a Measured;
schemes, kernel: None where nobody names any.
"""
from importlib import import_module

from rmapcore.workloads.parameters import describe

GRIDS = {"the_argument": "rmapcore.studies.argument", "argument_2026": "rmapcore.studies.argument.of_2026"}


def find(workload):
    """The grid of this name, or None."""
    return import_module(GRIDS[workload]) if workload in GRIDS else None


def grids():
    """Description and parameters of every grid by name, as rmapcore.workloads() has them of workloads."""
    return {name: {"description": find(name).ABOUT, "parameters": describe(find(name).PARAMETERS)} for name in GRIDS}
