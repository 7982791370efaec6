"""What an operation does, for processors.pyx: work, cut into pieces by the locks that it takes and lets go of."""
from libc.stdint cimport int32_t, uint32_t, uint64_t

cdef enum:
    NOBODY = -1

cdef struct Point:            # of an operation: after `work`, a lock is taken or let go of; lock NOBODY: the operation ends
    uint64_t work             # ns
    int32_t lock
    uint32_t count            # acquisitions; 0: it is let go of
    uint32_t after            # of a try that fails: the point to go on at
    uint32_t mode
