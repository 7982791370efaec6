"""Calls that have failed and still have done something: they go area by area, up to what they cannot do, or over a hole.

    madvise, munlock, mprotect     ENOMEM: at a hole, or behind it; what was done before stays
    madvise that takes or brings pages   EINVAL, EFAULT, EPERM: at an area that it is not for
    mlock                          ENOMEM: the same, but also where no more may be locked, and then nothing was done. Where
                                   `capture` says that the program might lock all (MLOCK_LIMIT), it was a hole.

The emulation knows where each of them stops. Advice that changes areas fails with EINVAL on kernels that were built without
what it asks for, so of that nothing is taken to be done.
"""
import errno

from rmapcore.linux import uapi
from rmapcore.traces.remarks import MLOCK_LIMIT
from rmapcore.units import UNLIMITED

AT_A_HOLE = ("madvise", "munlock", "mprotect", "pkey_mprotect")
LOCKING = ("mlock", "mlock2")
OF_PAGES = {uapi.ADVICE[name] for name in ("dontneed", "free", "cold", "pageout", "populate_read", "populate_write")}
AT_AN_AREA = (errno.EINVAL, errno.EFAULT, errno.EPERM)


def leaves_a_part(name, arguments, number, header):
    """Whether a call that failed with an errno may have changed something that a replay finds out. header: of Remarks."""
    if number == errno.ENOMEM:
        return name in AT_A_HOLE or (name in LOCKING and header.get(MLOCK_LIMIT) == UNLIMITED)
    return name == "madvise" and number in AT_AN_AREA and arguments[2] in OF_PAGES
