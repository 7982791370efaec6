"""Which lock an operation or a walk takes, in which mode, and in what order: docs/locks.md as data.

Locks that operations take around everything else stand here; those that schemes and file sides take are logged as they take
them (pyx/profile/locks.pxd), and get their mode here.
"""
from dataclasses import dataclass

from rmapcore.operations import Op

CLASSES = ("mmap", "folio", "vma", "i_mmap", "anon_vma", "anonmm", "page_table", "chain")
MODES = ("r", "w", "r try", "w try")
R, W, R_TRY, W_TRY = range(4)
TRY = 2                                # bit of a mode
MMAP, FOLIO, VMA, I_MMAP, ANON_VMA, ANONMM, PAGE_TABLE, CHAIN = range(len(CLASSES))

LOGGED = (PAGE_TABLE, CHAIN, ANONMM, ANON_VMA, I_MMAP, VMA, FOLIO, PAGE_TABLE, I_MMAP)     # by LOG_ in pyx/profile/locks.pxd
LOGGED_FILE = 8                        # LOG_FILE
SEVERAL = (VMA, PAGE_TABLE)            # of which an operation may hold two at once, in no order: marks; fork's two page tables

TOUCHES = (Op.READ, Op.WRITE, Op.FAULT)
CALLS = (Op.MMAP, Op.MUNMAP, Op.MPROTECT, Op.MREMAP, Op.BRK, Op.MADVISE, Op.MLOCK, Op.MUNLOCK, Op.MLOCKALL, Op.MUNLOCKALL,
         Op.FORK, Op.REMAP_FILE_PAGES, Op.MBIND, Op.MSEAL, Op.NAME_AREA)
ENDS = (Op.EXIT, Op.EXECVE)

# ns of one count, and where that comes from. "measured": docs/performance.md and bench/lock_costs.py, on Linux 6.18
COSTS = {
    "operation": 500,                  # UNVERIFIED: a call, what it counts apart
    "areas": 600,                      # measured: fork of an area takes 1,450, of which an entry and three objects
    "objects": 250,                    # measured: the same
    "vma_splits": 1500,                # measured: an mprotect that splits twice takes 5,100, two objects and two areas included
    "vma_merges": 1500,                # UNVERIFIED: as a split
    "rmap_adds": 50,                   # UNVERIFIED: part of a fault, under the page table's lock
    "rmap_dups": 47,                   # measured: fork, an entry
    "rmap_removes": 44,                # measured: exit, an entry
    "rmap_moves": 13,                  # measured: mremap, an entry
    "faults_zero": 1650,               # measured: a first write takes 1,700
    "faults_file": 1000,               # UNVERIFIED
    "faults_swapin": 3900,             # measured: from zram
    "faults_cow": 1650,                # UNVERIFIED: as a first write
    "faults_spurious": 500,            # UNVERIFIED
    "pages_copied_mremap": 1650,       # UNVERIFIED: as a first write
    "ptes_tried": 280,                 # measured: reclaim, one more mapping of a page takes 750: looked at twice, and unmapped
    "vmas_tried": 50,                  # measured: the same
    "mms_tried": 50,                   # UNVERIFIED: as an area
    "nodes_visited": 20,               # UNVERIFIED: a cache miss in three
    "vma_lookups": 100,                # UNVERIFIED
    "scanned_ptes": 29,                # measured: sweep of young bits
    "lock_page_table": 25,             # UNVERIFIED, this and the next: a free lock taken and let go of
    "lock_chain": 25,
    "lock_anonmm": 25,
    "lock_anon_vma": 25,
    "lock_i_mmap": 25,
    "switch": 2000,                    # UNVERIFIED: an actor that slept comes back to a processor
    "slice": 3_000_000,                # UNVERIFIED: an actor lets others go first after this
    "handoff": 4_000_000,              # 6.18 rwsem.c: nobody passes who has waited so long for a lock
}


@dataclass(frozen=True)
class Rules:
    """Of a kernel. order: classes from the outside in.  spins: classes of locks that one does not sleep for.

    walks: mode of a class in walks, for (referenced, unmap).  madvise: mode of mmap for advice that changes no area.
    fault: (class, mode) of the lock that a page fault takes on its area, or address space.
    marks: whether an area that changes is marked.  ends: whether exit and exec take mmap.
    table_of: pages of a page table's lock; 0: the address space has one.
    passes: whether a writer may have a lock before another who sleeps for it.
    cuts: mode of i_mmap while pages of a file are taken out of all page tables.
    """

    order: tuple
    spins: frozenset
    walks: dict
    madvise: int
    fault: tuple
    marks: bool
    ends: bool
    table_of: int
    passes: bool
    cuts: int


OLD = Rules(
    order=(MMAP, FOLIO, I_MMAP, ANON_VMA, ANONMM, PAGE_TABLE, CHAIN),
    spins=frozenset((I_MMAP, ANON_VMA, ANONMM, PAGE_TABLE, CHAIN)),
    walks={FOLIO: (W_TRY, W_TRY), I_MMAP: (W_TRY, W_TRY), ANON_VMA: (W, W), ANONMM: (W, W), PAGE_TABLE: (W_TRY, W_TRY),
           CHAIN: (W, W)},
    madvise=W, fault=(MMAP, R), marks=False, ends=False, table_of=0, passes=False, cuts=W,
)
TODAY = Rules(
    order=(MMAP, FOLIO, VMA, I_MMAP, ANON_VMA, ANONMM, CHAIN, PAGE_TABLE),
    spins=frozenset((ANONMM, PAGE_TABLE, CHAIN)),
    walks={FOLIO: (W_TRY, W_TRY), I_MMAP: (R_TRY, R), ANON_VMA: (R_TRY, R), ANONMM: (W, W), PAGE_TABLE: (W, W), CHAIN: (W, W)},
    madvise=R, fault=(VMA, R_TRY), marks=True, ends=True, table_of=512, passes=True, cuts=R,
)


def rules_of(kernel):
    """The Rules of a kernel by name."""
    return OLD if kernel == "2.6.7" else TODAY
