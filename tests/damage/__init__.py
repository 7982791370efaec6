"""Damage, for the tests of check(): each case takes a healthy machine with something of everything in it (`build`),
changes one number through the writable views of the arenas, and names the rule that must be the one reported.

A module a subject, and a module a scheme or file side for what these keep.
"""
import importlib
import pkgutil

import rmapcore

PAGE = 4096
ARCHES = ("i386", "i386-pae", "x86_64")
READ, READ_WRITE, SHARED, PRIVATE, ANON = 1, 3, 0x11, 0x12, 0x32
HEAP, DISK, SHM, COPY, MOVED, FAR = 0x10000000, 0x20000000, 0x30000000, 0x40000000, 0x50000000, 0x90000000
ODD = 0x60000000                                         # a nonlinear area, and another 1 MiB further on
AREAS, MMS, FILES, TABLES, EXTENTS, SLOTS = 1, 2, 3, 4, 5, 6  # pools
LRU, ACTIVE, DIRECT, SWAPCACHE, CACHED, ANONYMOUS, PIN = 1 << 5, 1 << 6, 1 << 13, 1 << 16, 1 << 17, 1 << 20, 1 << 24
EXCLUSIVE = 1 << 21
IN_SWAP = 1 << 31                                        # of a page-cache entry
CASES = []                                               # (rule, scheme or None for all, file side or None, damage)


def build(scheme, arch="x86_64", file_rmap=None):
    """A machine with swapped and shared pages of every kind, and with freed records of every kind."""
    machine = rmapcore.Machine(scheme, arch=arch, ram=128 * PAGE, swap=256 * PAGE, file_rmap=file_rmap,
                               track_contents=True)
    disk = machine.file("disk", 20 * PAGE - 100)
    shm = machine.file("shm", 24 * PAGE, "shmem")
    machine.file("spare", 8 * PAGE)
    odd = machine.file("odd", 8 * PAGE)
    parent = machine.spawn("parent")
    other = machine.spawn("other")
    ghost = machine.spawn("ghost")
    ghost.write(ghost.mmap(0, 12 * PAGE), 12 * PAGE)
    ghost.write(ghost.mmap(0, 3 * PAGE, READ_WRITE, SHARED | 0x20), 3 * PAGE)

    parent.mmap(HEAP, 64 * PAGE, READ_WRITE, ANON)
    parent.write(HEAP, 40 * PAGE)
    parent.read(HEAP + 40 * PAGE, 4 * PAGE)
    parent.mlock(HEAP, 2 * PAGE)
    parent.mprotect(HEAP + 8 * PAGE, 2 * PAGE, READ)
    parent.mmap(DISK, 20 * PAGE, READ, SHARED, disk)
    parent.mmap(SHM, 16 * PAGE, READ_WRITE, SHARED, shm)
    parent.write(SHM, 16 * PAGE)
    parent.mmap(COPY, 12 * PAGE, READ_WRITE, PRIVATE, disk, 2 * PAGE)
    parent.mmap(FAR, 4 * PAGE, READ_WRITE, ANON)
    parent.write(FAR, 4 * PAGE)
    parent.madvise(FAR, 4 * PAGE, 4)
    for at in (ODD, ODD + (1 << 20)):
        parent.mmap(at, 8 * PAGE, READ, SHARED, odd)
        parent.remap_file_pages(at, 4 * PAGE, 0, 3)      # pages 3, 4, 5, 6, 0, and then the linear ones
        parent.remap_file_pages(at + 4 * PAGE, PAGE, 0, 0)
    child = parent.fork()
    other.write(other.mmap(HEAP, 8 * PAGE, READ_WRITE, ANON), 8 * PAGE)
    machine.reclaim(500)
    ghost.exit()

    parent.read(HEAP + 2 * PAGE, 12 * PAGE)
    parent.write(HEAP + 14 * PAGE, 4 * PAGE)
    parent.madvise(HEAP + 10 * PAGE, 2 * PAGE, 4)        # the frames stay: child has the slots
    parent.mremap(HEAP + 12 * PAGE, 4 * PAGE, 4 * PAGE, 3, MOVED)
    parent.read(DISK, 20 * PAGE)
    parent.munmap(DISK + 16 * PAGE, 4 * PAGE)
    parent.read(SHM, 8 * PAGE)
    for at, pages in ((ODD, 5), (ODD + (1 << 20), 4)):
        parent.read(at, pages * PAGE)
        parent.madvise(at, PAGE, 4)                      # leaves a file entry
    parent.read(COPY, 12 * PAGE)
    parent.write(COPY, 3 * PAGE)
    other.write(HEAP, 8 * PAGE)
    kin = other.fork()
    kin.write(HEAP, 2 * PAGE)
    kin.munmap(HEAP + 5 * PAGE, PAGE)
    at = HEAP + 6 * PAGE
    for step in range(8):                                # shared with other, and at one address after another
        at = kin.mremap(at, 2 * PAGE, 2 * PAGE, 3, MOVED + 2 * step * PAGE)
    child.write(HEAP + 30 * PAGE, 6 * PAGE)
    child.read(SHM, 4 * PAGE)
    child.read(COPY, 12 * PAGE)
    child.fork().exit()
    return machine


class Parts:
    """The arenas of a Core, writable, by name as attributes; and what the cases look for in them."""

    def __init__(self, core):
        self.core = core

    def __getattr__(self, name):
        return self.core.writable(name)

    @property
    def top(self):
        return self.head[0]

    def freed(self, pool, arena, link):
        """Records on a pool's free list."""
        found, at = [], int(self.pools["free"][pool])
        while at:
            found.append(at)
            at = int(self.core.writable(arena)[link][at] if link else self.core.writable(arena)[at])
        return found

    def unused(self, arena):
        """The first record that never was in use."""
        return int(self.pools["bump"][self.core.arenas[arena].pool])

    def living(self):
        """Numbers of the address spaces, oldest first."""
        found, at = [], int(self.top["mm_first"])
        while at:
            found.append(at)
            at = int(self.mms["next"][at])
        return found

    def areas_of(self, mm):
        found, at = [], int(self.mms["first"][mm])
        while at:
            found.append(at)
            at = int(self.areas["next"][at])
        return found

    def area(self, address, mm=None):
        """The oldest process' area at an address, or that mm's."""
        return next(v for v in self.areas_of(mm or self.living()[0])
                    if self.areas["start"][v] * PAGE <= address < self.areas["end"][v] * PAGE)

    def slot(self, address, mm=None):
        """Index of an entry."""
        shape = self.core.geometry
        table, vpn = int(self.mms["pgd"][mm or self.living()[0]]), address // PAGE
        for level in range(shape["levels"] - 1, 0, -1):
            index = vpn >> level * shape["bits"] & (1 << shape["bits"]) - 1
            table = int(self.entries[table << shape["bits"] | index]) >> 12
        return table << shape["bits"] | vpn & (1 << shape["bits"]) - 1

    def entry(self, address):
        return int(self.entries[self.slot(address)])

    def pfn(self, address):
        """The frame that the oldest process has there."""
        value = self.entry(address) & ~(1 << 63)
        assert value & 1 and value >> 12
        return value >> 12

    def change(self, address, value):
        self.entries[self.slot(address)] = value

    def swapped_entry(self):
        """Address of a swap entry of the oldest process, in its heap."""
        return next(at for at in range(HEAP + 2 * PAGE, HEAP + 40 * PAGE, PAGE)
                    if self.entry(at) and not self.entry(at) & 0x81)

    def frame(self, *, has=0, lacks=0, mapcount=None):
        """A frame in use with these flags, and without those; mapcount: a number or a condition on it."""
        wanted = mapcount if callable(mapcount) else lambda n: mapcount is None or n == mapcount
        return next(pfn for pfn in self.used() if self.frames["flags"][pfn] & has == has
                    and not self.frames["flags"][pfn] & lacks and wanted(self.frames["mapcount"][pfn]))

    def used(self):
        return [pfn for pfn in range(1, int(self.pools["bump"][0])) if self.frames["flags"][pfn] & LRU]

    def free_frame(self):
        return int(self.top["zone_free"][0])

    def used_slot(self):
        """A swap slot without a frame."""
        return next(slot for slot in range(1, int(self.top["slot_bump"]))
                    if self.swap_map[slot] and not self.swap_cache[slot])

    def cache_at(self, file, page):
        """Index of a page's entry in the cache arena."""
        return int(self.files["base"][file]) + page

    def anonymous(self):
        """An anonymous frame that two processes map."""
        return self.frame(has=ANONYMOUS, mapcount=2)


def case(rule, *schemes, side=None):
    """Registers a damage; schemes: those it applies to, all if none is named; side: None for each scheme's own."""
    def register(damage):
        CASES.extend((rule, scheme, side, damage) for scheme in schemes or (None,))
        return damage
    return register


def cases():
    """Every case of every module: (rule, scheme or None for all, file side or None for the scheme's own, damage)."""
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")
    return CASES
