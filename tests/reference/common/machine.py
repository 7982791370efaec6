"""The twin's public face: Machine, Process and File, as in the interface of the real ones (rules E, F, L1, L3).

Every call, every page read or written and every element of a batch counts one operation, failed ones included; spawn,
reclaim and truncate are calls too, looking and making files are not.
"""

import errno
from collections import Counter

from .areas import Areas
from .births import Births
from .check import Check
from .mapping import Mapping
from .memory import Memory
from .reclaim import Reclaim
from .state import ARCHES, COUNTERS, FAULT_KINDS, PAGE, VM_ACCESS, SegmentationFault

MAP_ANONYMOUS = 0x20


class Machine(Areas, Births, Check, Mapping, Memory, Reclaim):
    """What no kernel decides. scheme, side: classes. ram, swap: bytes. line: bytes of a cache line, for pte_chain.

    max_map_count: areas of a process at the most; None: the kernel's. stack_limit: bytes.
    """

    newest_first = False  # which end of a chain of anon_vmas a copy begins with (rule QI4)

    def __init__(self, scheme, side, arch="x86_64", ram=0, swap=0, line=None, max_map_count=None, stack_limit=8 << 20):
        self.most_areas = max_map_count or self.most_areas
        self.stack_pages = stack_limit // PAGE
        self.arch = ARCHES[arch]
        self.line = line or self.arch.line
        self.count = dict.fromkeys(COUNTERS, 0)
        self.op_index = 0
        self.tables_taken = []  # of each lock of a page table: operation, pid, number of the table, 1 outside of any walk
        self.files_cut = []  # of each time that pages of a file left all page tables: operation, file
        self.taken = []  # of each lock: operation, class, whose it is, how often
        self.mms = []
        self.processes = {}
        self.next_pid = 1
        self.anon = scheme(self)
        self.side = side(self)
        self.held = Counter()  # frame -> pins that callers hold
        self.init_memory(ram, swap)
        self.init_reclaim()

    def new_process(self, name, make_mm):
        pid = self.next_pid
        self.next_pid += 1
        process = Process(self, pid, name, make_mm(pid))
        self.processes[pid] = process
        return process

    def spawn(self, name=""):
        """A process as just after execve, with an empty address space."""
        self.op_index += 1
        return self.new_process(name, self.exec_mm)

    def file(self, name, size, kind="disk", warm=False):
        record = self.new_file(size, shmem=kind == "shmem", handle=True, zero=kind == "zero")
        record.warm = warm and kind == "disk"
        return File(self, name, record)

    def limit_stacks(self, limit):
        self.stack_pages = limit // PAGE

    @property
    def counters(self):
        return dict(self.count)

    @property
    def active(self):
        return [frame.pfn for frame in self.active_frames]

    @property
    def inactive(self):
        return [frame.pfn for frame in self.inactive_frames]

    def whomaps(self, pfns):
        """Who maps these frames, found through the scheme, in its order: lists of (pid, address)."""
        if self.anon.sweeps:
            self.count["scanned_ptes"] += sum(len(mm.leaves) << self.arch.leaf_bits for mm in self.mms)
            return self.mappings(pfns)
        return [[(pid, vpn * PAGE) for pid, vpn in self.mapped_at(self.frames[pfn])] for pfn in pfns]

    def mappings(self, pfns):
        """The same from a scan of all page tables, by birth of the address space, then address."""
        places = {pfn: [] for pfn in pfns}
        for mm in self.mms:
            for vpn in sorted(mm.entries):
                if mm.entries[vpn].pfn > 0 and mm.entries[vpn].pfn in places:
                    places[mm.entries[vpn].pfn].append((mm.pid, vpn * PAGE))
        return [places[pfn] for pfn in pfns]


class File:
    """Something to map."""

    def __init__(self, machine, name, record):
        self.machine = machine
        self.name = name
        self.record = record

    @property
    def number(self):
        return self.record.number

    @property
    def size(self):
        return self.record.size

    def truncate(self, size):
        self.machine.op_index += 1
        self.machine.truncate(self.record, size)


class Process:
    """The system calls, with the manual pages' names and argument order; addresses and lengths are bytes."""

    def __init__(self, machine, pid, name, mm):
        self.machine = machine
        self.pid = pid
        self.name = name
        self.mm = mm

    @property
    def alive(self):
        return self.mm is not None

    @property
    def rss(self):
        self.need_life()
        return self.mm.rss

    def tabled(self):
        """(start, end) in bytes of what of its areas has leaf tables, ascending, neighbours as one."""
        self.need_life()
        found = []
        for area in self.mm.areas:
            for low, high in self.machine.table_runs(self.mm, area.start, area.end):
                if found and found[-1][1] == low * PAGE:
                    found[-1] = (found[-1][0], high * PAGE)
                else:
                    found.append((low * PAGE, high * PAGE))
        return found

    @property
    def swapped(self):
        self.need_life()
        return self.mm.swapents

    @property
    def page_table_bytes(self):
        self.need_life()
        return (len(self.mm.leaves) + len(self.mm.uppers)) * PAGE

    def need_life(self):
        if not self.alive:
            raise ProcessLookupError(errno.ESRCH, f"process {self.pid} is dead")

    def call(self, function, *arguments):
        """One operation."""
        self.machine.op_index += 1
        self.need_life()
        return function(self.mm, *arguments)

    def mmap(self, addr=0, length=0, prot=3, flags=0x22, file=None, offset=0):
        """MAP_ANONYMOUS makes the file not matter."""
        if flags & MAP_ANONYMOUS:
            file = None
        elif file is None:
            raise OSError(errno.EBADF, "neither a file nor MAP_ANONYMOUS")
        return self.call(self.machine.mmap, addr, length, prot, flags, file.record if file else None, offset)

    def munmap(self, addr, length):
        self.call(self.machine.munmap, addr, length)

    def mprotect(self, addr, length, prot, key=None):
        self.call(self.machine.mprotect, addr, length, prot, key)

    def mremap(self, old_address, old_size, new_size, flags=0, new_address=0):
        return self.call(self.machine.mremap, old_address, old_size, new_size, flags, new_address)

    def remap_file_pages(self, addr, size, prot, pgoff, flags=0):
        self.call(self.machine.remap_file_pages, addr, size, prot, pgoff, flags)

    def brk(self, addr):
        return self.call(self.machine.brk, addr)

    def madvise(self, addr, length, advice):
        self.call(self.machine.madvise, addr, length, advice)

    def mlock(self, addr, length, flags=0):
        self.call(self.machine.lock, addr, length, True, *([flags] if flags else []))

    def munlock(self, addr, length):
        self.call(self.machine.lock, addr, length, False)

    def mlockall(self, flags):
        self.call(self.machine.mlockall, flags)

    def munlockall(self):
        self.call(self.machine.munlockall)

    def mbind(self, addr, length, policy):
        self.call(self.machine.mbind, addr, length, policy)

    def mseal(self, addr, length):
        self.call(self.machine.mseal, addr, length)

    def name_area(self, addr, length, name):
        self.call(self.machine.name_area, addr, length, name)

    def fork(self):
        return self.call(lambda mm: self.machine.new_process(self.name, lambda pid: self.machine.fork_mm(mm, pid)))

    def execve(self):
        self.call(self.machine.end_mm)
        self.mm = self.machine.exec_mm(self.pid)

    def exit(self):
        self.call(self.machine.end_mm)
        self.mm = None
        del self.machine.processes[self.pid]

    # --- accesses ---------------------------------------------------------------------------------------------------

    def pin(self, addr):
        self.need_life()
        return Pin(self.machine, self.machine.pin(self.mm, addr // PAGE))

    def read(self, addr, length=1):
        return self.touch_range(addr, length, False)

    def write(self, addr, length=1):
        return self.touch_range(addr, length, True)

    def touch_range(self, addr, length, write):
        """Every page of [addr, addr + length) once."""
        if length == 0 or not self.alive:
            self.machine.op_index += 1
        self.need_life()
        if length <= 0:
            raise OSError(errno.EINVAL, "nothing to touch")
        return self.touch_pages(range(addr // PAGE, -(-(addr + length) // PAGE)), write)

    def touch(self, addresses, write):
        self.need_life()
        return self.touch_pages([address // PAGE for address in addresses], write)

    def touch_pages(self, vpns, write):
        """Faults by kind. What was done before a failure stays done."""
        before = self.machine.counters
        for done, vpn in enumerate(vpns):
            try:
                self.machine.access(self.mm, vpn, write)
            except SegmentationFault as error:
                error.done = done
                raise
        return {kind: self.machine.count["faults_" + kind] - before["faults_" + kind] for kind in FAULT_KINDS}

    # --- looking ----------------------------------------------------------------------------------------------------

    def maps(self):
        """[(start, end, prot, flags, pgoff, file number)], bytes, by address."""
        self.need_life()
        return [
            (area.start * PAGE, area.end * PAGE, area.flags & VM_ACCESS, area.flags, area.pgoff,
             area.file.number if area.file else 0)
            for area in self.mm.areas
        ]

    def pagemap(self, addr, length):
        """[(present, swapped, anon, writable, young, dirty, pfn, mapcount, slot, guard)] of each page."""
        self.need_life()
        return [self.page_record(vpn) for vpn in range(addr // PAGE, -(-(addr + length) // PAGE))]

    def page_record(self, vpn):
        entry = self.mm.entries.get(vpn)
        if entry is None or entry.page is not None or entry.guard:
            return (False, False, False, False, False, False, -1, 0, -1, bool(entry and entry.guard))
        if entry.slot:
            return (False, True, True, False, False, False, -1, 0, entry.slot, False)
        frame = self.machine.frames[entry.pfn]
        return (True, False, frame.anon, entry.rw, entry.young, entry.dirty, entry.pfn, frame.mapcount, -1, False)

    def stamps(self, addr, length):
        """What the process would see at each page."""
        self.need_life()
        return [self.stamp(vpn) for vpn in range(addr // PAGE, -(-(addr + length) // PAGE))]

    def stamp(self, vpn):
        entry = self.mm.entries.get(vpn)
        if entry and entry.guard:
            return 0
        if entry is None or entry.page is not None:
            area = self.mm.find(vpn)
            if area is None or area.start > vpn or not area.cached:
                return 0
            return self.machine.file_stamp(area.file, area.page_of(vpn))
        if entry.slot:
            cached = self.machine.swap_cache.get(entry.slot)
            return cached.stamp if cached else self.machine.swap_stamp.get(entry.slot, 0)
        return self.machine.frames[entry.pfn].stamp


class Pin:
    """A reference to a page (rule QE13)."""

    def __init__(self, machine, frame):
        self.machine = machine
        self.frame = frame

    @property
    def pfn(self):
        return self.frame.pfn

    def stamp(self):
        return self.frame.stamp

    def release(self):
        self.machine.release(self.frame)
