"""Process and File: the system calls, with the manual pages' names and argument order.

Addresses, lengths and offsets are bytes. Failures raise OSError with the errno that Linux gives and change nothing.
"""
import errno
import os

import numpy as np

from rmapcore.arguments import one_of, shown, whole
from rmapcore.linux.uapi import MAP_ANONYMOUS, PROT_MASK
from rmapcore.operations import Op
from rmapcore.pyx.base.guard import guarded
from rmapcore.pyx.engine import pins
from rmapcore.pyx.look import query
from rmapcore.pyx.run import batch, replay
from rmapcore.units import DEFAULT_FLAGS, PAGE, parse_advice, parse_prot


@guarded(alone="size")
class File:
    """A file to map. number: as in maps(); name; kind: "disk", "shmem", "zero"."""

    def __init__(self, machine, number, name, kind):
        self._machine = machine
        self._engine = machine._engine
        self.number = number
        self.name = name
        self.kind = kind

    @property
    def size(self):
        """Bytes."""
        return self._size()

    def truncate(self, size):
        """Sets the size in bytes; pages wholly beyond a smaller end leave every page table and are forgotten."""
        self._machine._operate(op=Op.TRUNCATE, other=self.number, arg=unsigned(size, "size"))

    def __repr__(self):
        return f"File({self.name!r}, {self._size()}, {self.kind!r})"

    def _size(self):
        return int(self._machine._core.view("files")["size"][self.number])


def unsigned(value, what, bits=64):
    """The number that an argument is, if it fits; Linux would see something else or nothing: EINVAL."""
    if type(value) is int and 0 <= value < 1 << bits:      # nearly always, and quickly
        return value
    value = whole(value, what)
    if not 0 <= value < 1 << bits:
        raise OSError(errno.EINVAL, f"{os.strerror(errno.EINVAL)}: {what} {shown(value)}")
    return value


def span(addr, length):
    """The fields of an operation on a range of bytes."""
    return {"addr": unsigned(addr, "addr"), "length": unsigned(length, "length")}


@guarded(alone="stamp")
class Pin:
    """A reference to a page, as vmsplice takes one: the frame stays, whoever maps it. pfn: its number, 0 the zero page."""

    def __init__(self, machine, pfn):
        self._machine = machine
        self._engine = machine._engine
        self.pfn = pfn
        self._held = True

    def stamp(self):
        """What the page holds: the index of the operation that wrote last; needs track_contents."""
        if not self._machine.track_contents:
            raise ValueError("stamps need Machine(track_contents=True)")
        if not self._held:
            raise ValueError("this pin has been released")
        return int(self._machine._core.view("stamps")[self.pfn])

    def release(self):
        """Gives the reference back; once."""
        if self._held:
            self._held = False
            pins.unpin(self._engine, self.pfn)


@guarded(alone="alive maps pagemap tabled stamps stamped_pages rss swapped page_table_bytes",
         inside="read write touch translate")
class Process:
    """A process of a Machine; made by Machine.spawn and Process.fork. pid, name."""

    def __init__(self, machine, pid, name=""):
        self._machine = machine
        self._engine = machine._engine
        self.pid = pid
        self.name = name

    def __repr__(self):
        return f"Process({self.pid}, {self.name!r}{'' if self._living() else ', dead'})"

    def _living(self):
        return replay.mm_of(self._engine, self.pid) != 0

    def _call(self, op, addr=0, length=0, prot=0, flags=0, other=0, arg=0, arg2=0):
        return replay.call(self._engine, op, prot, flags, self.pid, other, addr, length, arg, arg2)

    # areas
    def mmap(self, addr=0, length=0, prot=3, flags=DEFAULT_FLAGS, file=None, offset=0):
        """Maps `length` bytes; the address. prot and flags: Linux's integers, or a string for prot; unknown bits of prot are
        passed over, as by Linux.
        """
        if file is not None and not isinstance(file, File):
            raise TypeError(f"file: {shown(file)} is no File")
        if file is not None and file._machine is not self._machine:
            raise ValueError(f"file: {file!r} belongs to another machine")
        flags = unsigned(flags, "flags", 32)
        anonymous = flags & MAP_ANONYMOUS
        if file is None and not anonymous:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        number = 0 if anonymous else file.number
        prot = unsigned(parse_prot(prot), "prot", 32) & PROT_MASK
        return self._call(Op.MMAP, **span(addr, length), prot=prot, flags=flags, other=number, arg=unsigned(offset, "offset"))

    def munmap(self, addr, length):
        """Unmaps a range."""
        self._call(Op.MUNMAP, **span(addr, length))

    def mprotect(self, addr, length, prot, key=None):
        """Changes the protection of a range. PROT_GROWSDOWN 0x01000000: from the start of the growing area on.

        key: 0 to 15, as pkey_mprotect sets it (kernel 6.18), which keeps areas apart and nothing else: who may touch them is
        the affair of a register that is not emulated. None: areas keep the keys that they have.
        """
        prot = unsigned(parse_prot(prot), "prot", 32)
        self._call(Op.MPROTECT, **span(addr, length), prot=prot & PROT_MASK, flags=prot & ~PROT_MASK,
                   arg=0 if key is None else unsigned(key, "key", 32) + 1)

    def mremap(self, old_address, old_size, new_size, flags=0, new_address=0):
        """Resizes or moves a mapping; the address. flags: MREMAP_MAYMOVE 1, FIXED 2, DONTUNMAP 4 (kernel 6.18)."""
        return self._call(Op.MREMAP, addr=unsigned(old_address, "old_address"), length=unsigned(old_size, "old_size"),
                          arg=unsigned(new_size, "new_size"), flags=unsigned(flags, "flags", 32),
                          arg2=unsigned(new_address, "new_address"))

    def brk(self, addr=0):
        """Sets the break; brk(0) answers it."""
        return self._call(Op.BRK, addr=unsigned(addr, "addr"))

    def madvise(self, addr, length, advice):
        """Gives advice: Linux's integer or the name without MADV_."""
        self._call(Op.MADVISE, **span(addr, length), arg=unsigned(parse_advice(advice), "advice", 32))

    def mlock(self, addr, length, flags=0):
        """Locks a range into memory and faults it in. flags: MLOCK_ONFAULT 1 leaves that to faults (6.18; EINVAL in 2.6.7)."""
        self._call(Op.MLOCK, **span(addr, length), flags=unsigned(flags, "flags", 32))

    def munlock(self, addr, length):
        """Unlocks a range."""
        self._call(Op.MUNLOCK, **span(addr, length))

    def mlockall(self, flags):
        """Locks what is mapped (MCL_CURRENT 1) and what will be (MCL_FUTURE 2); MCL_ONFAULT 4 leaves the rest to faults."""
        self._call(Op.MLOCKALL, flags=unsigned(flags, "flags", 32))

    def munlockall(self):
        """Undoes mlockall and every mlock."""
        self._call(Op.MUNLOCKALL)

    def remap_file_pages(self, addr, size, prot, pgoff, flags=0):
        """Puts the pages of the file from pgoff (pages) on at addr, in a shared mapping, and maps them in.

        prot must be 0.  flags: MAP_NONBLOCK 0x10000 leaves what is not in the page cache to a fault.
        """
        self._call(Op.REMAP_FILE_PAGES, addr=unsigned(addr, "addr"), length=unsigned(size, "size"),
                   prot=unsigned(parse_prot(prot), "prot", 16), arg=unsigned(pgoff, "pgoff"),
                   flags=unsigned(flags, "flags", 32))

    def mbind(self, addr, length, policy):
        """Sets the memory policy of a range: 0 default, 1 preferred, 2 bind, 3 interleave (kernel 6.18)."""
        self._call(Op.MBIND, **span(addr, length), arg=unsigned(policy, "policy", 32))

    def mseal(self, addr, length):
        """Seals a range: it can no more be unmapped, moved or given another protection (kernel 6.18)."""
        self._call(Op.MSEAL, **span(addr, length))

    def name_area(self, addr, length, name):
        """Names anonymous memory, shared too, as prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME) (kernel 6.18, rule QE15).

        name: at most 79 printable ASCII characters without \\ ` $ [ ], or None: none any more; ValueError for another.
        """
        self._call(Op.NAME_AREA, **span(addr, length), arg=self._machine._number_of_name(name))

    def pin(self, addr):
        """A Pin: a reference to the page at addr, which is faulted in for reading if need be; at most 8 on a frame."""
        status, pfn = pins.pin(self._engine, self.pid, unsigned(addr, "addr"))
        self._machine._raise(status)
        return Pin(self._machine, pfn)

    # life
    def fork(self):
        """The child Process."""
        pid = replay.next_pid(self._engine)
        self._call(Op.FORK, other=pid)
        return self._machine._process(pid, self.name)

    def execve(self):
        """Replaces the address space by an empty one."""
        self._call(Op.EXECVE)

    def exit(self):
        """Ends the process."""
        self._call(Op.EXIT)

    @property
    def alive(self):
        """Whether it has not exited."""
        return self._living()

    # memory
    def read(self, addr, length=1):
        """Reads one byte of every page of the range; the number of faults by kind."""
        return replay.access(self._engine, self.pid, addr, length, False)

    def write(self, addr, length=1):
        """Writes one byte of every page of the range; the number of faults by kind."""
        return replay.access(self._engine, self.pid, addr, length, True)

    def touch(self, addresses, write=False, process=None, out=None):
        """Touches one page per address (bytes), in order; the number of faults by kind.

        addresses: any array of whole numbers; fastest if they are uint64.  write: True, False, or an array of bool, one for
        each address.  process: None, or an array of pids, one for each address, of which any may be another's.
        out: "kinds": what each access was, a uint8 array of numbers of rmapcore.Fault, in place of the dict.
        On an error `.done` of the exception says how many came through, and those stay done.
        """
        if out is not None:
            one_of(out, "out", ("kinds",))
        return batch.touch(self._engine, self.pid, addresses, write, process, out is not None)

    def translate(self, addresses):
        """Where addresses (bytes) lie in RAM: int64, bytes, the frame's number times 4096 and the offset in the page; -1 where
        no page is present. An int gives an int. Nothing is touched, brought in or counted, and protection is not asked for.

        What was only read so far may lie in the zero page, frame 0.
        """
        return batch.translate(self._engine, self.pid, addresses)

    def _mm(self):
        mm = replay.mm_of(self._engine, self.pid)
        if not mm:
            raise ProcessLookupError(errno.ESRCH, f"{os.strerror(errno.ESRCH)}: process {self.pid} has exited")
        return mm

    def maps(self):
        """The areas, ascending: structured array start, end (bytes), pgoff (pages), prot, flags, file (0: none), name (a number
        in Machine.area_names, 0: none).
        """
        return query.maps(self._engine, self._mm())

    def pagemap(self, addr, length):
        """One record a page: present, swapped, anon, writable, young, dirty, pfn, mapcount, slot (none: -1)."""
        return query.pagemap(self._engine, self._mm(), *self._pages(addr, length))

    def tabled(self):
        """The parts of its areas that have page tables, ascending: uint64 (start, end) in bytes. Elsewhere no page is there."""
        return query.tabled(self._engine, self._mm()) * np.uint64(PAGE)

    def stamps(self, addr, length):
        """What the pages hold: uint64, the index of the operation that wrote last; needs track_contents."""
        if not self._machine.track_contents:
            raise ValueError("stamps need Machine(track_contents=True)")
        return query.stamps(self._engine, self._mm(), *self._pages(addr, length))

    def stamped_pages(self):
        """Every page whose stamp is not 0, ascending: uint64 (page number, stamp); needs track_contents."""
        if not self._machine.track_contents:
            raise ValueError("stamps need Machine(track_contents=True)")
        return query.stamped_pages(self._engine, self._mm())

    def _pages(self, addr, length):
        """Number of the first page of a range, and how many there are. EINVAL for a range longer than all of user space."""
        addr, length = unsigned(addr, "addr"), unsigned(length, "length")
        pages = -(-(addr + length) // PAGE) - addr // PAGE
        if pages > self._machine._core.geometry["task_vpn"]:
            raise OSError(errno.EINVAL, f"{os.strerror(errno.EINVAL)}: length {length}")
        return addr // PAGE, pages

    @property
    def rss(self):
        """Present pages, the zero page not counted."""
        self._mm()
        return replay.mm_facts(self._engine, self.pid)[0]

    @property
    def swapped(self):
        """Swap entries."""
        self._mm()
        return replay.mm_facts(self._engine, self.pid)[1]

    @property
    def page_table_bytes(self):
        """Bytes of its page tables but the top one, of all levels: what /proc/PID/status calls VmPTE."""
        self._mm()
        return replay.mm_facts(self._engine, self.pid)[2] * PAGE
