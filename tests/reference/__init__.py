"""The slow twin of rmapcore: the whole machine in plain Python, an independent second opinion on docs/rules.md."""

from .machine import File, Machine, Process
from .state import COUNTERS, BusError, OutOfMemory, RmapcoreError, SegmentationFault

__all__ = ["COUNTERS", "BusError", "File", "Machine", "OutOfMemory", "Process", "RmapcoreError", "SegmentationFault"]
