"""Numbers of the system calls that no kernel changes, and their checks."""

import errno

from .state import PAGE

MAP_SHARED, MAP_PRIVATE, MAP_FIXED, MAP_32BIT, MAP_GROWSDOWN = 0x1, 0x2, 0x10, 0x40, 0x100
MAP_LOCKED, MAP_NORESERVE, MAP_POPULATE, MAP_FIXED_NOREPLACE = 0x2000, 0x4000, 0x8000, 0x100000
MAP_NONBLOCK = 0x10000
MREMAP_MAYMOVE, MREMAP_FIXED = 1, 2
MCL_CURRENT, MCL_FUTURE = 1, 2
PROT_SEM = 8  # accepted, no effect
GROWSDOWN, GROWSUP = 0x01000000, 0x02000000  # of mprotect
NORMAL, RANDOM, SEQUENTIAL, WILLNEED, DONTNEED = range(5)


def fail_if(condition, number):
    if condition:
        raise OSError(number, errno.errorcode[number])


def pages_of(length):
    return -(-length // PAGE)
