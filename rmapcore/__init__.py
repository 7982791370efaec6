"""rmapcore: a laboratory for reverse mapping.

Every way that Linux has found from a page to its page-table entries, run on the same operations on emulated x86 page
tables, with exact work counters and kernel-exact bytes.
"""
from rmapcore import start  # noqa: F401  # first, for what it does: Ctrl-C while the command imports all else
from rmapcore.contract import Contract, check_scheme
from rmapcore.embedding import _C_API as _C_API  # what rmapcore.h imports
from rmapcore.embedding import get_include
from rmapcore.errors import (
    ArenaFull,
    BusError,
    CaptureError,
    InconsistentState,
    MachineBusy,
    OutOfMemory,
    RmapcoreError,
    SegmentationFault,
    TraceError,
    UnknownName,
)
from rmapcore.kernels import kernels
from rmapcore.lab.compare import compare
from rmapcore.lab.results import Result
from rmapcore.linux.capture import Capture, capture, snapshot_of
from rmapcore.machine import Machine
from rmapcore.operations import OPERATION, Fault, Op, Status, Why
from rmapcore.process import File, Process
from rmapcore.pyx.seam.prototype import Prototype
from rmapcore.schemes import schemes
from rmapcore.studies.reproduce import Reproduction, reproduce
from rmapcore.traces import Trace, load_trace
from rmapcore.version import VERSION
from rmapcore.workloads import workloads

__version__ = VERSION

__all__ = [
    "OPERATION", "ArenaFull", "BusError", "Capture", "CaptureError", "Contract", "Fault", "File", "InconsistentState",
    "Machine", "MachineBusy", "Op", "OutOfMemory", "Process", "Prototype", "Reproduction", "Result", "RmapcoreError",
    "SegmentationFault", "Status", "Trace", "TraceError", "UnknownName", "Why", "capture", "check_scheme",
    "compare", "get_include", "kernels", "load_trace", "reproduce", "schemes", "snapshot_of", "workloads",
]
