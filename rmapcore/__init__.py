"""rmapcore: a laboratory for reverse mapping.

Every way that Linux has found from a page to its page-table entries, run on the same operations on emulated x86 page
tables, with exact work counters and kernel-exact bytes.

What it offers is imported when it is first asked for: a command's help needs neither kernels nor numpy.
"""
import sys
from importlib import import_module
from types import ModuleType

from rmapcore import start  # noqa: F401  # first, for what it does: Ctrl-C while the command imports all else
from rmapcore.version import VERSION

__version__ = VERSION

__all__ = [
    "OPERATION", "ArenaFull", "BusError", "Capture", "CaptureError", "Contract", "Fault", "File", "InconsistentState",
    "Machine", "MachineBusy", "Op", "OutOfMemory", "Process", "Prototype", "Reproduction", "Result", "RmapcoreError",
    "SegmentationFault", "Status", "Trace", "TraceError", "UnknownName", "Why", "capture", "check_scheme",
    "compare", "get_include", "kernels", "load_trace", "reproduce", "schemes", "snapshot_of", "workloads",
]

_WHERE = {                             # module -> names that it has
    "contract": ("Contract", "check_scheme"), "embedding": ("_C_API", "get_include"),        # _C_API: what rmapcore.h imports
    "errors": ("ArenaFull", "BusError", "CaptureError", "InconsistentState", "MachineBusy", "OutOfMemory", "RmapcoreError",
               "SegmentationFault", "TraceError", "UnknownName"),
    "kernels": ("kernels",), "lab.compare": ("compare",), "lab.results": ("Result",),
    "linux.capture": ("Capture", "capture", "snapshot_of"), "machine": ("Machine",),
    "operations": ("OPERATION", "Fault", "Op", "Status", "Why"), "process": ("File", "Process"),
    "pyx.seam.prototype": ("Prototype",), "schemes": ("schemes",), "studies.reproduce": ("Reproduction", "reproduce"),
    "traces": ("Trace", "load_trace"), "workloads": ("workloads",),
}
_MODULES = {name: module for module, names in _WHERE.items() for name in names}


class _Package(ModuleType):
    """Some functions have the names of the modules that they stand in, which do not take their places when imported."""

    def __setattr__(self, name, value):
        if not (name in _MODULES and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


def __getattr__(name):
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    globals()[name] = value
    return value


def __dir__():
    return sorted({*globals(), *__all__})


sys.modules[__name__].__class__ = _Package
