"""Statuses as exceptions: what the kernels call where Python must hear of a failure (Kernel.fails)."""
import os

from rmapcore.core import room
from rmapcore.errors import ArenaFull, BusError, OutOfMemory, SegmentationFault
from rmapcore.operations import Status
from rmapcore.units import PAGE, format_size


def access_error(status, address, done):
    """The exception for a status of an access or a call."""
    if status == Status.SEGV:
        return SegmentationFault(f"segmentation fault at {address:#x}", address, done)
    if status == Status.BUS:
        return BusError(f"bus error at {address:#x}: beyond the end of the file", address, done)
    return OSError(status, os.strerror(status))


def fails(engine, status, done=0):
    """Raises the exception of a status that is not OK. engine: the Kernel that gave it.  done: how far it came."""
    if status == Status.OOM:
        geometry = engine.core.geometry
        raise OutOfMemory(f"out of memory: no frame of {format_size(geometry['n_frames'] * PAGE)} RAM could be freed "
                          f"(swap {format_size(geometry['n_slots'] * PAGE)})", done)
    if status == Status.FULL:
        raise ArenaFull(room.full(*engine.failed_pool), done)
    raise access_error(status, engine.failed_address, done)
