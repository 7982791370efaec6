"""The emulator as a subject of cases.

Contents are checked by stamps: every write of the machine leaves the number of its operation in the page, and `values`
holds the byte that was written by each. Stamp 0 is a page never written: page i of a file then begins with i % 251 + 1,
unless it was cut off or punched out since, and all else with 0.

KSM and userfaultfd are not emulated: cases that use them are skipped, with the reason. No process of a case has huge pages.
"""
import errno

import numpy as np

from rmapcore.errors import BusError, InconsistentState, SegmentationFault
from rmapcore.linux.uapi import MCL, MPOL, SMAPS_FLAGS
from rmapcore.machine import Machine
from rmapcore.units import PAGE, within
from rmapcore.verify import fields
from rmapcore.verify.fields import FAULT, GROWS, HEAP, chosen_by_kernel
from rmapcore.verify.holes import filled_pages
from rmapcore.verify.state import Area, Page, ProcessState, where_tabled
from rmapcore.verify.subject import NO_PIN, VALUE, Subject, Unsupported

BASE = 32 << 39                        # far from where the kernel itself puts mappings, and from the heap
TOP = (1 << 47) - PAGE - (128 << 20)     # mmap_base of 6.18 for a stack of no more than that; of other kernels nothing
RAM, SWAP = 256 << 20, 256 << 20
SPAN_PAGES = 1 << 16                   # areas closer together than this are looked at in one go
LOOK_PAGES = 1 << 20                   # of these as many at a time: memory does not grow with areas
READ, WRITE, EXEC = 1, 2, 4
SHARED = 0x80                          # VM_MAYSHARE: what /proc shows as s
LOCKED = 0x2000
AREA_FLAGS = {bit: word for bit, word in SMAPS_FLAGS.items() if word in fields.AREA_FLAGS}
MMAP_FLAGS = {"noreserve": 0x4000, "populate": 0x8000, "locked": 0x2000, "growsdown": 0x100, "32bit": 0x40, "stack": 0x20000}
DROPPABLE = 0x08                       # a type of mapping, as PRIVATE and SHARED are
NOT_EMULATED = {
    "ksm_scan": "KSM is", "prctl": "KSM is", "uffd_register": "userfaultfd is",
}

class Emulator(Subject):
    """A machine with the processes of one case. files: name -> pages; all are in the page cache at the start."""

    base, top = BASE, TOP
    machine_class = Machine            # the tests' twin has another

    def __init__(self, files, kernel="6.18", scheme="anon_vma_chain"):
        super().__init__()
        self.machine = self.machine_class(scheme=scheme, kernel=kernel, ram=RAM, swap=SWAP, track_contents=True)
        self.values = bytearray(1)     # by stamp
        self.files = {}
        self.kinds = {}                # number of a file -> (its name, kind of its pages)
        self.filled = {}               # number of a file -> pages of it that hold what they did at the start
        self.punched = set()           # (number of a file, page) that does not
        self.pins = {}                 # (process, name) -> (its pin, first byte of the page if nobody writes)
        self.defects = "; ".join(self.machine._choice.spec.defects) or None
        self.sweeps = self.machine.sweeps
        self.lost = self.freed = False                         # pages are lost, were given up
        self.kept = None               # why pages are in memory, or in page tables, that others find elsewhere
        self.order = None              # why it depends on the order of a walk which pages are left
        self.codes = {}                # flags of an area -> its smaps codes
        self._make_files(files)
        self.processes = {"p0": self.machine.spawn("p0")}
        self.own_tables = {}           # process -> page tables that it had before its first step
        self._make_heap("p0")

    def _make_files(self, files):
        """The files, read in by a process that has gone when the case begins; what they grow by is read ahead as well."""
        reader = self.machine.spawn()
        for name, pages in files.items():
            if name.startswith("Z"):
                self.files[name] = self.machine.file(name, 0, "zero")
                self.kinds[self.files[name].number] = (name, None)
                continue
            memfd = name.startswith("M")
            file = self.machine.file(name, pages * PAGE, "shmem" if memfd else "disk", warm=True)
            self.files[name] = file
            self.kinds[file.number] = (name, "shmem" if memfd else "file")
            self.filled[file.number] = pages
            if not pages:
                continue
            reader.mmap(BASE, pages * PAGE, "rw", 0x11, file)
            if memfd:                  # unlike a file's, its pages have no other home: they are dirty from the start
                self._wrote(lambda pages=pages: reader.write(BASE, pages * PAGE),
                            bytes(page % 251 + 1 for page in range(pages)))
            else:
                reader.read(BASE, pages * PAGE)
            reader.munmap(BASE, pages * PAGE)
        reader.exit()

    def _make_heap(self, name):
        """A program has written to its heap before a case begins: the area that brk steps make larger has a page."""
        process = self.processes[name]
        start = process.brk(0)
        process.brk(start + PAGE)
        self._wrote(lambda: process.write(start, 1), b"\1")
        self.own_tables[name] = self._tables(process)

    @staticmethod
    def _tables(process):
        return process.page_table_bytes // PAGE

    def lacks(self, need):
        if need in ("swap", "memcg"):
            return None
        return "KSM is not emulated" if need == "ksm" else f"needs {need!r}, which is unknown"

    # steps
    def step(self, step):
        self.where = None
        for key in ("op", "advice"):
            if step.get(key) in NOT_EMULATED:
                raise Unsupported(f"{NOT_EMULATED[step[key]]} not emulated")
        perform = getattr(self, f"_do_{step['op']}")
        process = self.processes[step["proc"]] if "proc" in step else None
        try:
            return perform(process, step)
        except (SegmentationFault, BusError):
            return FAULT
        except OSError as error:
            return errno.errorcode[error.errno]

    def _range(self, step):
        """(address, bytes) of a step."""
        return (self.address(step["at"], step.get("at_off", 0)), step.get("len_bytes", step.get("len", 1) * PAGE))

    def _do_mmap(self, process, step):
        chosen = step["at"] is None
        words = step.get("flags", ())
        flags = sum(MMAP_FLAGS[word] for word in words if word in MMAP_FLAGS)
        flags |= 1 if step.get("share") == "shared" else DROPPABLE if "droppable" in words else 2
        if not chosen and not step.get("hint"):
            flags |= 0x10 if step.get("replace") else 0x100000
        file = self.files[step["file"]] if "file" in step else None
        if file is None:
            flags |= 0x20
        length = step.get("len_bytes", step["len"] * PAGE)
        address = process.mmap(0 if chosen else self.address(step["at"], step.get("at_off", 0)), length,
                               _prot(step["prot"]), flags, file, step.get("pgoff", 0) * PAGE)
        self.went_to(address)
        if "droppable" in words and self.sweeps:
            self.freed = True          # as if MADV_FREE gave up every page of it
        self.placed(step, address, -(-length // PAGE))

    def _do_munmap(self, process, step):
        process.munmap(*self._range(step))

    def _do_mprotect(self, process, step):
        process.mprotect(*self._range(step), _prot(step["prot"]) | GROWS.get(step.get("grows"), 0))

    def _do_mremap(self, process, step):
        target = 0 if step.get("to") is None else self.address(step["to"], step.get("to_off", 0))
        flags = (0 if chosen_by_kernel(step) else 2) | (4 if step.get("dontunmap") else 0)
        flags |= 1 if step.get("maymove", bool(flags)) else 0
        address = process.mremap(self.address(step["at"], step.get("at_off", 0)), step["old"] * PAGE, step["new"] * PAGE,
                                 flags, target)
        self.went_to(address)
        self.placed(step, address, step["new"])

    def _do_brk(self, process, step):
        if HEAP not in self.places:
            self.name_place(HEAP, -(-process.brk(0) // PAGE) * PAGE, 0)
        process.brk(self.places[HEAP][0] + step["to"] * PAGE)
        self.name_place(HEAP, None, step["to"])
        self.heap_reaches(step["to"])

    def _do_madvise(self, process, step):
        address, length = self._range(step)
        advice = step["advice"]
        if advice == "pageout":
            self._before_reclaim(step)
        elif advice == "free" and self.kept:
            raise Unsupported(f"equal up to {advice}: {self.kept}; given up, these are there until reclaim, others gone")
        process.madvise(address, length, advice)
        if advice == "free":
            self.freed = True
        elif advice == "pageout":
            self._after_reclaim()
        elif advice == "remove":
            self.punched |= filled_pages(process, self.filled, address // PAGE, -(-(address + length) // PAGE))

    def _do_mlock(self, process, step):
        process.mlock(*self._range(step), *((1,) if step.get("onfault") else ()))

    def _do_munlock(self, process, step):
        process.munlock(*self._range(step))

    def _do_mlockall(self, process, step):
        process.mlockall(sum(MCL[word] for word in step["flags"]))

    def _do_limit(self, process, step):
        self.machine.limit_stacks(step["stack"] * PAGE)

    def _do_munlockall(self, process, step):
        process.munlockall()

    def _do_mbind(self, process, step):
        process.mbind(*self._range(step), MPOL[step["policy"]])

    def _do_mseal(self, process, step):
        process.mseal(*self._range(step))

    def _do_read(self, process, step):
        address, length = self._range(step)
        process.read(address, length)
        if "value" in step and set(self._bytes(process, address, length)) - {step["value"]}:
            return VALUE
        return None

    def _do_write(self, process, step):
        self._wrote(lambda: process.write(*self._range(step)), bytes([step.get("value", 1)]))

    _do_fill = _do_write

    def _do_pin(self, process, step):
        address = self.address(step["at"])
        try:
            pin = process.pin(address)
        except OSError as error:
            if error.errno != errno.ENOMEM:
                raise
            raise Unsupported("so many pins of one page are not emulated (rule QE13)") from None
        self._let_go(step)
        self.pins[step["proc"], step["as"]] = pin, self._first_byte(*self._file_pages(process, address, 1))

    def _do_pin_read(self, process, step):
        if (step["proc"], step["as"]) not in self.pins:
            return NO_PIN
        pin, unwritten = self.pins[step["proc"], step["as"]]
        stamp = pin.stamp()
        self._let_go(step)
        return VALUE if (self.values[stamp] if stamp else unwritten) != step["value"] else None

    def _let_go(self, step):
        pin, _ = self.pins.pop((step["proc"], step["as"]), (None, None))
        if pin is not None:
            pin.release()

    def _do_truncate(self, process, step):
        file = self.files[step["file"]]
        file.truncate(step["pages"] * PAGE)
        self.filled[file.number] = min(self.filled[file.number], step["pages"])

    def _do_fork(self, process, step):
        self.processes[step["child"]] = process.fork()
        self.own_tables[step["child"]] = self.own_tables[step["proc"]]

    def _do_exit(self, process, step):
        process.exit()
        self._close_pins(step)
        del self.processes[step["proc"]]

    def _do_exec(self, process, step):
        process.execve()
        self._close_pins(step)
        self._make_heap(step["proc"])

    def _close_pins(self, step):
        """The kernel closes the pipes that hold a process's pins, after its address space has gone."""
        for name in [name for owner, name in self.pins if owner == step["proc"]]:
            self._let_go({**step, "as": name})

    def _do_reclaim(self, process, step):
        self._before_reclaim(step)
        done = True
        while done:
            done = self.machine.reclaim(RAM // PAGE)
            done = done.unmapped or done.freed
        self._after_reclaim()

    # contents
    def _operations(self):
        return self.machine.totals["operations"]

    def _wrote(self, write, values):
        """Notes what the writes of write() leave: values in turn, the last one for all others."""
        first = self._operations() + 1
        try:
            write()
        finally:                       # a write that fails half-way has written
            n = self._operations() + 1 - first
            self.values += bytes(first - len(self.values)) + (values + values[-1:] * n)[:n]

    def _file_pages(self, process, address, length):
        """(number of the file, page in it) of every page of a range, None for anonymous ones."""
        page = address // PAGE
        last = (address + max(length, 1) - 1) // PAGE
        found = [None] * (last - page + 1)
        for area in process.maps():
            if not area["file"]:
                continue
            start, end = int(area["start"]) // PAGE, int(area["end"]) // PAGE
            for at in range(max(start, page), min(end, last + 1)):
                found[at - page] = (int(area["file"]), int(area["pgoff"]) + at - start)
        return found

    def _first_byte(self, place):
        """Of a page never written."""
        if place is None or place[0] not in self.filled or place in self.punched or place[1] >= self.filled[place[0]]:
            return 0
        return place[1] % 251 + 1

    def _bytes(self, process, address, length):
        """The first byte of every page of a range that has just been read."""
        stamps = process.stamps(address, length)
        written = [self.values[stamp] for stamp in stamps.tolist()]
        if stamps.all():
            return written
        return [value if stamp else self._first_byte(place) for value, stamp, place in
                zip(written, stamps.tolist(), self._file_pages(process, address, length), strict=True)]

    # looking
    def observe(self):
        swapped = self.machine.files_in_swap()      # only shmem has such pages
        states = {name: self._process_state(process, swapped) for name, process in self.processes.items()}
        return states if self.beside else {
            name: state._replace(tables=self._tables(self.processes[name]) - self.own_tables[name])
            for name, state in states.items()}

    def objects(self):
        live = {name: facts["live"] for name, facts in self.machine.memory()["structures"].items()}
        return {"vma": live["vm_area_struct"], "anon_vma": live.get("anon_vma", 0), "avc": live.get("anon_vma_chain", 0)}

    def check(self):
        """The machine's own rules; what a scheme with known faults of history loses is no news."""
        try:
            self.machine.check()
        except InconsistentState:
            if self.defects is None:
                raise
            self.lost = True

    def no_sharing(self):
        scheme, copies = self.machine.scheme, self.machine.counters["pages_copied_mremap"]
        if copies:
            return f"{scheme} copied {copies:,} pages that mremap moved"
        if self.kept:
            return self.kept
        return f"{scheme} has a known fault: {self.defects}" if self.lost else None

    def parted(self):
        return self.order

    def _before_reclaim(self, step):
        """What reclaim does depends on the scheme where users of one page differ.

        Pages given up by MADV_FREE are dropped if one process has them, and they can be found; else they are swapped out.
        A walk drops the entries of those who gave a page up until it comes to one who wrote it; the order is the scheme's.
        One who locked a page keeps it for all where it is looked for by a walk; a sweep sees the entry of one only.
        """
        scheme = self.machine.scheme
        if self.freed and (self.sweeps or self.machine.counters["pages_copied_mremap"]):
            raise Unsupported(f"equal up to {step['op']}: {scheme} swaps out pages that MADV_FREE gave up")
        if self.sweeps and step["op"] == "madvise":
            self.kept = f"{scheme} cannot take one page out of the page tables, which MADV_PAGEOUT asks for"
        elif self.sweeps and self._users_differ("locked"):
            self.kept = f"{scheme} takes a page from those who have not locked it, though another has"
        elif self.freed and step["op"] == "reclaim" and self._users_differ("dirty"):
            self.order = "whom a walk finds first decides who loses a page that only some of its users gave up by MADV_FREE"

    def _users_differ(self, what):
        """Whether some of the entries that map one frame are dirty, or in locked areas, and some are not."""
        pfns, marks = [np.zeros(0, np.int64)], [np.zeros(0, bool)]
        for process in self.processes.values():
            for area, records in where_tabled(process):
                records = records[(records["present"] != 0) & (records["pfn"] != 0)]
                pfns.append(records["pfn"].astype(np.int64))
                marks.append(records["dirty"] != 0 if what == "dirty" else np.full(len(records), area["flags"] & LOCKED != 0))
        pfns, marks = np.concatenate(pfns), np.concatenate(marks)
        marked = np.bincount(pfns, marks)
        return bool(((marked > 0) & (marked < np.bincount(pfns))).any())

    def _after_reclaim(self):
        if self.defects is not None:
            self.check()

    def _process_state(self, process, swapped):
        areas, pages = [], {}
        rss = {"rss": 0, "anon": 0, "swap": 0}
        shares = {}                    # first page of a locked area -> its share of its pages in 1/4096 bytes, as smaps has it
        maps = process.maps()
        base = BASE // PAGE
        away = []                      # (place, first page, which pages of its file are in swap, private to write) of areas
        cluster = []                   # (first page, end, place, its first page, kind of its file's pages, locked)
        columns = (maps[name].tolist() for name in ("start", "end", "pgoff", "prot", "flags", "file"))
        for start, end, pgoff, prot, flags, file in zip(*columns, strict=True):
            start, end = start // PAGE - base, end // PAGE - base
            named = self.place_of(start, end)
            if named is None:
                continue
            place, origin = named
            if place == HEAP and start < origin:
                pgoff, start = pgoff + origin - start, origin
            name, kind = ("anon", None) if file == 0 else self.kinds.get(file, ("shm", "shmem"))
            perms = (f"{'r' if prot & READ else '-'}{'w' if prot & WRITE else '-'}{'x' if prot & EXEC else '-'}"
                     f"{'s' if flags & SHARED else 'p'}")
            areas.append(Area(start - origin, end - origin, perms, name, pgoff if file else None, self._codes(flags), place))
            if cluster and start - cluster[-1][1] > SPAN_PAGES:
                self._look(process, cluster, pages, rss, shares)
                cluster = []
            cluster.append((start, end, place, origin, kind, flags & LOCKED))
            if file in swapped:
                away.append((place, start - origin, swapped[file][pgoff:pgoff + end - start],
                             not flags & SHARED and bool(prot & WRITE)))
        if cluster:
            self._look(process, cluster, pages, rss, shares)
        for place, first, out, own in away:                    # smaps looks for copies only where some may be made
            rss["swap"] += sum(not own or (place, first + at) not in pages for at in np.flatnonzero(out).tolist())
        rss["locked"] = sum(share >> 22 for share in shares.values()) * 1024 // PAGE       # whole KiB of each area
        return ProcessState(areas, pages, rss)

    def _codes(self, flags):
        if flags not in self.codes:
            self.codes[flags] = frozenset(code for bit, code in AREA_FLAGS.items() if flags & bit)
        return self.codes[flags]

    def _look(self, process, cluster, pages, rss, shares):
        """Adds the pages of areas that lie close together."""
        for start, end in within(process.tabled().astype(np.int64) // PAGE - BASE // PAGE, cluster[0][0], cluster[-1][1]):
            for first in range(start, end, LOOK_PAGES):                # areas of terabytes are mostly empty
                self._look_at(process, cluster, first, min(first + LOOK_PAGES, end), pages, rss, shares)

    def _look_at(self, process, cluster, first, end, pages, rss, shares):
        records = process.pagemap(BASE + first * PAGE, (end - first) * PAGE)
        guards = records["guard"] if "guard" in records.dtype.names else np.zeros(len(records), np.uint8)
        used = np.flatnonzero(records["present"] | records["swapped"] | guards)
        if not len(used):
            return
        found = records[used]
        which = np.searchsorted([area[0] for area in cluster], used + first, "right") - 1
        columns = [found[name].tolist() for name in ("present", "anon", "pfn", "mapcount", "slot")]
        for at, area, guard, present, anon, pfn, mapcount, slot in zip(
                used.tolist(), which.tolist(), guards[used].tolist(), *columns, strict=True):
            _, _, place, origin, kind, locked = cluster[area]
            if guard:
                page = Page("guard")
            elif not present:
                page = Page("swapped", None, slot)
                rss["swap"] += 1
            elif pfn == 0:
                page = Page("zero")
            else:
                page = Page("anon" if anon else kind, pfn, None, mapcount)
                rss["rss"] += 1
                rss["anon"] += 1 if anon else 0
                if locked:
                    shares[cluster[area][0]] = shares.get(cluster[area][0], 0) + (PAGE << 12) // mapcount
            pages[place, at + first - origin] = page


def _prot(letters):
    return sum({"r": READ, "w": WRITE, "x": EXEC}[letter] for letter in letters)
