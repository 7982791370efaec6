"""THE REGISTRY of workloads: named programs, each reproducible from its parameters and a seed.

A new workload is one module with `build(parameters, seed, archs) -> Program` and one entry here; the commands, the
tests and `compare` find it.
"""
from dataclasses import dataclass
from importlib import import_module

from rmapcore.errors import UnknownName


@dataclass(frozen=True)
class Parameter:
    """kind: int, float, or a tuple of the words allowed.  low, high: smallest and largest value of a number."""

    default: object
    kind: object
    text: str
    low: float = 0
    high: float = float("inf")

    @property
    def type_name(self):
        """How the type is called in lists: "int", "float" or the words."""
        return "|".join(self.kind) if isinstance(self.kind, tuple) else self.kind.__name__

    def parse(self, name, value):
        """The value of parameter `name` from what a user wrote; ValueError says what it should be."""
        if isinstance(self.kind, tuple):
            if value in self.kind:
                return value
            raise ValueError(f"{name}: {value!r} is not one of {', '.join(self.kind)}")
        wanted = "a whole number" if self.kind is int else "a number"
        try:
            if isinstance(value, bool) or (self.kind is int and not isinstance(value, str) and value != int(value)):
                raise ValueError
            value = self.kind(value)
        except (ValueError, TypeError, OverflowError):
            raise ValueError(f"{name}: {value!r} is not {wanted}") from None
        if not self.low <= value <= self.high:
            bounds = f"from {self.low:,} to {self.high:,}" if self.high < float("inf") else f"of at least {self.low:,}"
            raise ValueError(f"{name}: {value:,} is not {wanted} {bounds}")
        return value


@dataclass(frozen=True)
class Workload:
    """module: where `build` is.  about: one line.  parameters: name -> Parameter."""

    module: str
    about: str
    parameters: dict


WORKLOADS = {
    "swapout": Workload(
        "rmapcore.workloads.swapout",
        "fills memory in a parent, forks, lets children rewrite a part, and swaps everything out",
        {
            "pages": Parameter(1_000_000, int, "distinct anonymous frames of all processes when reclaim starts", 1),
            "processes": Parameter(16, int, "parent and children of one fork family", 1, 30_000),
            "areas": Parameter(4, int, "areas of each process, kept from merging by gaps", 1, 65_000),
            "rewritten": Parameter(0.1, float, "fraction of the inherited pages that each child rewrites", 0, 1),
            "order": Parameter("sequential", ("sequential", "shuffled"), "order of first touch, and so of the LRU"),
        },
    ),
}


def workloads():
    """Known workloads: name -> {"description", "parameters": {name: {"default", "type", "text"}}}."""
    return {
        name: {
            "description": workload.about,
            "parameters": {
                key: {"default": parameter.default, "type": parameter.type_name, "text": parameter.text}
                for key, parameter in workload.parameters.items()
            },
        }
        for name, workload in WORKLOADS.items()
    }


def build(name, parameters, seed, archs):
    """The Program of a workload that every one of `archs` can run. UnknownName, ValueError."""
    if name not in WORKLOADS:
        raise UnknownName(f"workload {name!r} is unknown; known: {', '.join(WORKLOADS)}")
    workload = WORKLOADS[name]
    values = {key: parameter.default for key, parameter in workload.parameters.items()}
    for key, value in parameters.items():
        if key not in values:
            raise UnknownName(f"workload {name!r} has no parameter {key!r}; it has {', '.join(values)}")
        values[key] = workload.parameters[key].parse(key, value)
    return import_module(workload.module).build(values, seed, archs)
