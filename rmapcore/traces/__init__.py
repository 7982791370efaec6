"""Recordings of real programs: text of perf to operations, and traces in files."""

from rmapcore.traces.trace import Trace, TraceFile, load_trace

__all__ = ["Trace", "TraceFile", "load_trace"]
