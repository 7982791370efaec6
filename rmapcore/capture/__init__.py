"""Recordings of programs on this machine: by perf, by strace, and snapshots of running processes."""

from rmapcore.capture.record import Capture, capture

__all__ = ["Capture", "capture"]
