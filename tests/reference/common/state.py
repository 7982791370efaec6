"""What the twin's machine is made of: records and constants (rules A1-A5, B6, C3, D1).

Everything is an ordinary Python object; nothing is packed and nothing is fast. Page tables are one dict per address
space (virtual page number -> Entry; an absent key is a zero entry) beside the sets of tables that exist: all that
the rules let anybody notice of a table. The bits USER and NX and the types of swap entries are left out likewise.
"""

from bisect import bisect_right
from dataclasses import dataclass, field, replace

PAGE = 4096
WRAP = 1 << 64  # page offsets are unsigned 64-bit numbers

VM_READ, VM_WRITE, VM_EXEC, VM_SHARED = 0x1, 0x2, 0x4, 0x8
VM_MAYREAD, VM_MAYWRITE, VM_MAYEXEC, VM_MAYSHARE = 0x10, 0x20, 0x40, 0x80
VM_GROWSDOWN, VM_LOCKED = 0x100, 0x2000
VM_SEQ_READ, VM_RAND_READ, VM_ACCOUNT, VM_NONLINEAR = 0x8000, 0x10000, 0x100000, 0x800000
VM_DONTCOPY, VM_LOCKONFAULT, VM_NORESERVE, VM_WIPEONFORK = 0x20000, 0x80000, 0x200000, 0x2000000
VM_DONTDUMP, VM_DROPPABLE, VM_SEALED = 0x4000000, 0x8000000, 0x10000000
VM_PKEY, PKEY_SHIFT = 0x1E00, 9
VM_MERGEABLE, VM_HUGEPAGE, VM_NOHUGEPAGE = 0x400000, 0x20000000, 0x40000000
VM_ACCESS = VM_READ | VM_WRITE | VM_EXEC
VM_MAYALL = VM_MAYREAD | VM_MAYWRITE | VM_MAYEXEC

FAULT_KINDS = ("zero", "file", "swapin", "cow", "spurious")
COUNTERS = (
    "rmap_walks", "mms_tried", "vmas_tried", "nodes_visited", "ptes_tried", "ptes_found", "vma_lookups",
    "rmap_adds", "rmap_dups", "rmap_removes", "rmap_moves",
    "pages_copied_cow", "pages_copied_mremap", "cow_reuses", "vma_merges", "vma_splits",
    "faults_zero", "faults_file", "faults_swapin", "faults_cow", "faults_spurious",
    "lock_page_table", "lock_page_table_held", "lock_chain", "lock_chain_held", "lock_anonmm", "lock_anonmm_held",
    "lock_anon_vma", "lock_anon_vma_held", "lock_i_mmap", "lock_i_mmap_held", "scanned_ptes",
)


@dataclass(frozen=True)
class Arch:
    """Rule A1. leaf_bits: bits of the pages that a leaf table spans; upper_bits: that the tables above it span, the top
    one aside; granule_bits: rule C2; task: pages of user space."""

    leaf_bits: int
    upper_bits: tuple
    granule_bits: int
    task: int
    zone_starts: tuple  # first frame of each zone, lowest zone first (rule A5)
    word: int  # bytes of a pte_chain entry (rule G1)
    line: int  # bytes of a cache line
    heap: int  # where brk starts (rule E7)
    heap_flags: int  # rule D2
    file_bits: int  # of the page number in a file entry (rule E11)


ARCHES = {
    "i386": Arch(10, (), 10, 0xC0000, (0, 4096, 229376), 4, 32, 0x08800000, VM_READ | VM_WRITE | VM_EXEC, 29),
    "i386-pae": Arch(9, (18,), 18, 0xC0000, (0, 4096, 229376), 4, 32, 0x08800000, VM_READ | VM_WRITE | VM_EXEC, 32),
    "x86_64": Arch(9, (18, 27), 18, (1 << 35) - 1, (0,), 8, 64, 0x01000000, VM_READ | VM_WRITE, 40),
}


class RmapcoreError(Exception):
    """Base of the errors that are not errnos."""


class SegmentationFault(RmapcoreError):
    """No area, or not allowed. address: of the page in bytes; done: how many accesses of the batch succeeded."""

    def __init__(self, address, done=0):
        super().__init__(f"{type(self).__name__} at {address:#x} after {done}")
        self.address = address
        self.done = done


class BusError(SegmentationFault):
    """Beyond the end of the file."""


class OutOfMemory(RmapcoreError, MemoryError):
    """No frame is free and reclaim freed none."""


@dataclass(eq=False, slots=True)
class Frame:
    """A page frame (rule B6). word, index: the scheme's while the frame is anonymous, the file side's otherwise."""

    pfn: int
    mapcount: int = 0
    pins: int = 0
    stamp: int = 0
    anon: bool = False
    referenced: bool = False
    dirty: bool = False
    active: bool = False
    lru: bool = False
    exclusive: bool = False  # rule QB1
    lazyfree: bool = False  # rule QB2
    slot: int = 0  # in the swap cache
    file: object = None  # in the page cache of this file, at `page`
    page: int = 0
    word: object = None
    index: int = 0

    @property
    def count(self):
        """page_count (rule B3)."""
        return self.mapcount + (self.slot != 0 or self.file is not None) + self.pins


@dataclass(eq=False, slots=True)
class Entry:
    """A page-table entry that is not zero: a swap entry if slot is set, a file entry if page is, a guard marker if guard is,
    else a present one (pfn 0: the zero page)."""

    pfn: int = -1
    slot: int = 0
    usable: bool = False  # PRESENT; a present entry that is not is PROTNONE
    rw: bool = False
    young: bool = False
    dirty: bool = False
    page: int | None = None  # of the file (rule A3a)
    exclusive: bool = False  # a swap entry whose frame was EXCLUSIVE (rule QA1)
    guard: bool = False  # rule QA2


@dataclass(eq=False, slots=True)
class Area:
    """vm_area_struct: [start, end) in pages. word: the scheme's. Split, clone and fork copy it and what follows it."""

    mm: object
    start: int
    end: int
    flags: int
    pgoff: int
    file: object = None
    word: object = None
    anon: bool = False  # anon_prepare was called (rule QD1)
    policy: int = 0  # of memory (rule QD1)
    name: str | None = None  # rule QE15
    guards: bool = False  # it may hold guard markers (rule QE9)
    anon_pgoff: int | None = None  # offset of its anonymous pages; None: pgoff is (rule QI1)

    @property
    def pages(self):
        return self.end - self.start

    @property
    def private(self):
        return not self.flags & VM_SHARED

    @property
    def cached(self):
        """Do its pages come from the page cache of a file? Else they are anonymous."""
        return self.file is not None and not self.file.zero

    @property
    def nonlinear(self):
        return bool(self.flags & VM_NONLINEAR)

    def index(self, vpn):
        """Linear page index of an address (docs/facts/areas.md, "The linear page index")."""
        return (self.pgoff + vpn - self.start) % WRAP

    def address(self, index):
        """The page at this linear index, or None: the inverse of index()."""
        offset = (index - self.pgoff) % WRAP
        return self.start + offset if offset < self.pages else None

    def anon_index(self, vpn):
        """The index of an anonymous page at an address, also outside."""
        return ((self.pgoff if self.anon_pgoff is None else self.anon_pgoff) + vpn - self.start) % WRAP

    def anon_address(self, index):
        """The anonymous page with this index, or None."""
        offset = (index - self.anon_index(self.start)) % WRAP
        return self.start + offset if offset < self.pages else None

    def begin_at(self, start):
        """It begins at another page; the anonymous offset, where there is one, goes with that."""
        if self.anon_pgoff is not None:
            self.anon_pgoff = self.anon_index(start)
        self.start = start

    def piece(self):
        """A copy that stands nowhere yet."""
        return replace(self)

    def page_of(self, vpn):
        """The page of the file that an address stands for while nothing is present there."""
        entry = self.mm.entries.get(vpn)
        return self.index(vpn) if entry is None or entry.page is None else entry.page

    def leave_absent(self, vpn, page):
        """Writes the absent entry of a page (rule A3a)."""
        self.mm.entries.pop(vpn, None)
        if page != self.index(vpn):
            self.mm.entries[vpn] = Entry(page=page)


@dataclass(eq=False, slots=True)
class Mm:
    """An address space. areas: sorted by address."""

    pid: int
    start_brk: int
    brk: int
    areas: list = field(default_factory=list)
    entries: dict = field(default_factory=dict)
    leaves: set = field(default_factory=set)  # numbers of leaf tables
    uppers: set = field(default_factory=set)  # (bits, number) of the tables between them and the top one
    rss: int = 0
    swapents: int = 0
    def_flags: int = 0
    free_area_cache: int = 0  # where mmap's search goes on; 0: at the base (rule D8)
    word: object = None

    def find(self, vpn):
        """find_vma: the first area that ends above vpn, or None."""
        position = bisect_right(self.areas, vpn, key=lambda area: area.end)
        return self.areas[position] if position < len(self.areas) else None

    def before(self, vpn):
        """The area before find(vpn)'s answer, or None."""
        position = bisect_right(self.areas, vpn, key=lambda area: area.end)
        return self.areas[position - 1] if position else None

    def after(self, area):
        """The area after this one (None: the first), or None."""
        position = self.areas.index(area) + 1 if area else 0
        return self.areas[position] if position < len(self.areas) else None

    def insert(self, area):
        self.areas.insert(bisect_right(self.areas, area.start, key=lambda other: other.start), area)

    def covered(self, start, end):
        """Is every page of the range mapped by some area?"""
        area = self.find(start)
        while start < end:
            if area is None or area.start > start:
                return False
            start = area.end
            area = self.after(area)
        return True

    def inside(self, start, end):
        """The areas that overlap [start, end), ascending."""
        return [area for area in self.areas if area.start < end and area.end > start]


@dataclass(eq=False, slots=True)
class FileRecord:
    """A file. cache: page -> Frame; swapped: page of a shmem file -> slot; disk: page -> stamp; areas: newest first.

    folios: page -> order of the folio of several pages that it lies in; missing: pages of a warm file that are not cached.
    """

    number: int
    size: int
    shmem: bool
    handle: bool  # somebody holds it; it outlives its areas
    zero: bool = False  # /dev/zero
    warm: bool = False  # what was never read counts as in the page cache
    cache: dict = field(default_factory=dict)
    swapped: dict = field(default_factory=dict)
    disk: dict = field(default_factory=dict)
    folios: dict = field(default_factory=dict)
    missing: set = field(default_factory=set)
    areas: list = field(default_factory=list)
    tree: object = None  # the file side's
    odd: list = field(default_factory=list)  # nonlinear areas of a file side with a tree

    @property
    def pages(self):
        return -(-self.size // PAGE)


def protection(flags):
    """Rule C3: (PRESENT, RW) of an area's entries; ACCESSED is always set."""
    usable = bool(flags & VM_ACCESS)
    return usable, bool(usable and flags & VM_WRITE and flags & VM_SHARED)
