"""THE REGISTRY of workloads: named programs, each reproducible from its parameters and a seed.

A module of workloads has a table WORKLOADS, name -> Workload, and one line here; the commands, the tests and `compare`
find it.
"""
from rmapcore.arguments import instead_of
from rmapcore.errors import UnknownName
from rmapcore.workloads import (
    builds,
    cold_beside_hot,
    contexts,
    faults,
    forking,
    losses,
    scalability,
    splitting,
    stress,
    swapout,
    waiting,
    windows,
)
from rmapcore.workloads.parameters import describe

WORKLOADS = {
    **swapout.WORKLOADS,
    **forking.WORKLOADS,
    **windows.WORKLOADS,
    **splitting.WORKLOADS,
    **cold_beside_hot.WORKLOADS,
    **builds.WORKLOADS,
    **stress.WORKLOADS,
    **scalability.WORKLOADS,
    **faults.WORKLOADS,
    **contexts.WORKLOADS,
    **losses.WORKLOADS,
    **waiting.WORKLOADS,
}


def workloads():
    """Known workloads: name -> {"description", "parameters": {name: {"default", "type", "text"}}}."""
    return {
        name: {"description": workload.about, "parameters": describe(workload.parameters)}
        for name, workload in WORKLOADS.items()
    }


def build(name, parameters, seed, archs):
    """The Program of a workload that every one of `archs` can run. UnknownName, ValueError."""
    if name not in WORKLOADS:
        raise UnknownName(f"workload {name!r} is unknown; {instead_of(name, WORKLOADS, 'rmapcore workloads lists them')}")
    workload = WORKLOADS[name]
    values = {key: parameter.default for key, parameter in workload.parameters.items()}
    for key, value in parameters.items():
        if key not in values:
            raise UnknownName(f"workload {name!r} has no parameter {key!r}; it has {', '.join(values)}")
        values[key] = workload.parameters[key].parse(key, value)
    return workload.build(values, seed, archs)
