"""Recordings of real programs: text of perf and strace to operations, and traces in files."""

from rmapcore.traces.importers import load_trace
from rmapcore.traces.trace import Trace, TraceFile

__all__ = ["Trace", "TraceFile", "load_trace"]
