"""Recordings of programs on this machine: by perf, by strace, and snapshots of running processes."""

from rmapcore.linux.capture.record import Capture, capture
from rmapcore.linux.capture.snapshot import snapshot_of

__all__ = ["Capture", "capture", "snapshot_of"]
