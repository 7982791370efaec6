"""The operation array: what every workload and every recording is turned into, and what Machine.run runs.

One operation is one packed little-endian record of 48 bytes. `process` is the pid of an *address space* (threads and
vfork children act on the one they share); `addr`, `length` and file offsets are bytes, `prot`, `flags` and advice are
Linux's own integers, files are numbered from 1 in the file table beside the array. Fields that are not named are 0.

    op         fields and their meaning
    SPAWN      process: a new process with an empty address space, as just after execve
    MMAP       addr, length, prot, flags; other: file number or 0; arg: file offset
    MUNMAP     addr, length
    MPROTECT   addr, length, prot; flags: PROT_GROWSDOWN 0x01000000 or PROT_GROWSUP 0x02000000; arg: 0 as mprotect, else one
               more than the protection key of pkey_mprotect (kernel 6.18)
    MREMAP     addr: old_address, length: old_size; arg: new_size, flags, arg2: new_address
    BRK        addr: the new break
    MADVISE    addr, length; arg: advice
    MLOCK      addr, length, flags
    MUNLOCK    addr, length
    MLOCKALL   flags
    MUNLOCKALL
    FORK       process: the parent; other: the child's pid
    EXECVE     the address space is torn down and begins again empty
    EXIT       the address space dies
    READ       addr, length: every page of the range is read once
    WRITE      addr, length: every page of the range is written once
    FAULT      addr: the recorded address; flags: the recorded error_code (bit 0 present, 1 write, 2 user, 4 fetch);
               arg: when, in ns of the recording's clock; arg2: the thread's tid; prot: 1 if it was not handled, and is
               not performed, 2 if reclaim had taken the page: it takes it now, if it is there
    SETBRK     addr: start of the heap and break, page aligned
    RECLAIM    arg: pages to free (process 0)
    TRUNCATE   other: file number; arg: new size in bytes (process 0)
    REMAP_FILE_PAGES  addr, length, prot, arg: pgoff (pages), flags
    MBIND      addr, length; arg: policy (kernel 6.18)
    MSEAL      addr, length (kernel 6.18)
    NAME_AREA  addr, length; arg: number of the name, as in Machine.area_names, 0 none (kernel 6.18)
    PUNCH_HOLE other: file number; addr: offset, length (process 0, kernel 6.18)
    READAHEAD  other: file number; addr: offset, length: of what comes into the page cache unmapped (process 0); arg: the order
               of the folios in which it lies, at most MOST_FOLIO_ORDER: addr and length are multiples of 4096 << arg; of a
               warm file only this is told, or NOT_CACHED: nothing of it is in the page cache, until it is read
    WRITEBACK  other: file number; addr: offset, length: of what is written to disk if it is dirty, 0: up to the file's end;
               of file 0: all files whole (process 0, kernel 6.18)
"""

import enum
import errno

import numpy as np

FAULT_PRESENT, FAULT_WRITE, FAULT_USER = 1, 2, 4       # bits of a FAULT's error code
UNHANDLED, GONE = 1, 2                                 # its prot
MOST_FOLIO_ORDER, NOT_CACHED = 9, 255                  # arg of READAHEAD

OPERATION = np.dtype(
    [
        ("op", "<u2"),
        ("prot", "<u2"),
        ("flags", "<u4"),
        ("process", "<u4"),
        ("other", "<u4"),
        ("addr", "<u8"),
        ("length", "<u8"),
        ("arg", "<u8"),
        ("arg2", "<u8"),
    ]
)


class Op(enum.IntEnum):
    """The values of the field `op`; 0 is never used."""

    SPAWN = 1
    MMAP = 2
    MUNMAP = 3
    MPROTECT = 4
    MREMAP = 5
    BRK = 6
    MADVISE = 7
    MLOCK = 8
    MUNLOCK = 9
    MLOCKALL = 10
    MUNLOCKALL = 11
    FORK = 12
    EXECVE = 13
    EXIT = 14
    READ = 15
    WRITE = 16
    FAULT = 17
    SETBRK = 18
    RECLAIM = 19
    TRUNCATE = 20
    REMAP_FILE_PAGES = 21
    MBIND = 22
    MSEAL = 23
    NAME_AREA = 24
    PUNCH_HOLE = 25
    READAHEAD = 26
    WRITEBACK = 27


class Status(enum.IntEnum):
    """How an operation ended, as Machine.run gives it. Every number below 1000 that is not 0 is an errno."""

    OK = 0
    SEGV = 1001   # an access outside of every area, or not allowed there
    BUS = 1002    # an access beyond the end of a file
    OOM = 1003    # no frame, and reclaim freed none
    FULL = 1004   # an arena is full


class Fault(enum.IntEnum):
    """What an access was, as Process.touch gives it: the kind of its page fault, by what the entry held."""

    NONE = 0      # no fault
    ZERO = 1      # nothing, and the area is anonymous: the zero page, or a first page
    FILE = 2      # nothing, and the area shows a file; an early private copy included
    SWAPIN = 3    # a swap entry
    COW = 4       # a page that may not be written yet: a copy, or it is used in place
    SPURIOUS = 5  # what the access needs


class Why(enum.IntEnum):
    """Why a translation is gone: the field `why` of Machine.gone()."""

    RECLAIM = 1   # reclaim took the page, asked for or not
    UNMAP = 2     # munmap, MADV_DONTNEED, truncate and the like
    MOVE = 3      # mremap: at the old address
    PROTECT = 4   # the same frame with other permissions: mprotect, fork, writeback, a write in place
    COPY = 5      # another frame: copy on write
    EXIT = 6      # exit and execve


STATUS_NAMES = {Status.SEGV: "SIGSEGV", Status.BUS: "SIGBUS", Status.OOM: "out of memory", Status.FULL: "arena full"}


def status_name(status):
    """What a program would call it: "EFAULT", "SIGSEGV"."""
    return STATUS_NAMES.get(status) or errno.errorcode.get(status, str(status))
