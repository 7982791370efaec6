"""Recordings of programs on this machine: by perf, by strace, and snapshots of running processes."""

from rmapcore.capture.record import Capture, capture
from rmapcore.capture.snapshot import snapshot_of

__all__ = ["Capture", "capture", "snapshot_of"]
