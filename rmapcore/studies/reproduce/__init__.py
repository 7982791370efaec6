"""The published figures of twenty years, run again.

Each row of what was measured or claimed about reverse mapping is set up on machines of the schemes it is about; counts and
bytes are compared with a closed form, and with the published number where there is one. Times are never compared: those
published are of processors and disks that nobody has any more; where the claim is one of time, its order is looked for in
counts, and the row says which.
"""
from rmapcore.studies.reproduce.run import Reproduction, reproduce, rows

__all__ = ["Reproduction", "reproduce", "rows"]
