"""virtual_scan: no reverse map at all (2.4, and 2.5 until July 2002). Reclaim sweeps page tables, process by process.

Nothing leads from a page to its entries. When reclaim has met too many mapped pages (rule K9), it goes on with one sweep
over all address spaces where the last one stopped, and unmaps what it comes by: whichever pages those are.

   ring   anchor -> exec'ed last -> .. -> parent -> its last child -> .. -> anchor
                                             ^ swap_mm, and in it swap_address: the cursor

   exec    the mm enters behind the anchor (init_mm)     fork    behind its parent
   exit    swap_mm moves on if it was there
   sweep   from swap_mm's cursor on: areas by address, in them the leaf tables that exist, each entry; at the end of an mm
           on to the next, that one's cursor at 0

Costs: nothing in faults, fork, mmap and exit. A sweep makes 32 entries freeable, but may read every entry there is to find
them: O(entries / freeable entries) for each page, so it grows with the page tables, not with the pages to free. A page that
k processes share is freed only after k visits, none of which found it young, in k places of the ring. In the kernel: 12 or
24 bytes in the mm (mmlist, swap_address), none in page or area.
Follows [2.4.22 mm/vmscan.c, kernel/fork.c; docs/facts/virtual-scan.md].
Left out on purpose: the zone test, trylock failures and other races, buffers, VM_RESERVED; and that an mm counts as finished
when the last of the 32 came from its last area, the stack.
"""
import numpy as np

from libc.stdint cimport uint32_t, uint64_t

from rmapcore.pyx.base.counters cimport (
    C_LOCK_PAGE_TABLE, C_LOCK_PAGE_TABLE_HELD, C_MMS_TRIED, C_SCANNED_PTES, C_VMAS_TRIED, tally,
)
from rmapcore.pyx.base.ids cimport PAGE_SHIFT, mm_id, slot_t, vma_id, vpn_t
from rmapcore.pyx.base.records cimport P_MMS
from rmapcore.pyx.base.state cimport X86_64, State
from rmapcore.pyx.base.x86 cimport pte_get, pte_pfn, pte_present
from rmapcore.pyx.machine.core cimport Core
from rmapcore.pyx.machine.pagetable cimport leaf_run, pt_next
from rmapcore.pyx.machine.vmas cimport peek_vma
from rmapcore.pyx.parts.checks cimport fault
from rmapcore.pyx.parts.shown cimport live_mms
from rmapcore.pyx.seam.scheme cimport WALK_SWEEP, Scheme, Walk

cdef struct ScanMm:           # by mm; record 0 is the anchor
    uint64_t cursor           # swap_address, pages: the next to look at; user space's end: finished
    uint32_t next             # ring
    uint32_t prev

cdef struct ScanHead:
    uint64_t swap_mm          # where the next sweep begins; 0: the anchor

cdef ScanMm _mm
cdef ScanHead _head

SCAN_MM = np.asarray(<ScanMm[:1]> &_mm).dtype
SCAN_HEAD = np.asarray(<ScanHead[:1]> &_head).dtype
assert SCAN_MM.itemsize == 16 and SCAN_HEAD.itemsize == 8


cdef class VirtualScan(Scheme):
    """A ring of address spaces with a cursor each. No options."""

    cdef ScanMm* ring         # by mm
    cdef ScanHead* head
    cdef int word             # bytes of a kernel pointer

    def __init__(self, **options):
        for option in options:
            raise ValueError(f"virtual_scan has no option {option!r}")
        Scheme.__init__(self)
        self.name = "virtual_scan"
        self.era = "2.4.22"
        self.sweeps = True

    def attach(self, Core core):
        Scheme.attach(self, core)
        self.word = 8 if self.s.arch == X86_64 else 4
        self.ring = <ScanMm*> <size_t> core.new_arena(
            "scan_mms", SCAN_MM, self.s.pool[P_MMS].capacity, P_MMS, anchor=True)
        self.head = <ScanHead*> <size_t> core.new_arena("scan_head", SCAN_HEAD, 1, -1)
        core.charge_mm(3 * self.word)

    def overhead(self):
        return {"page": 0, "mm": 3 * self.word}

    # address spaces

    cdef void enter(self, mm_id mm, mm_id before) noexcept nogil:
        cdef ScanMm* r = self.ring
        r[mm].cursor = 0
        r[mm].prev = before
        r[mm].next = r[before].next
        r[r[before].next].prev = mm
        r[before].next = mm

    cdef void mm_exec(self, mm_id mm) noexcept nogil:
        self.enter(mm, 0)

    cdef void mm_fork(self, mm_id child, mm_id parent) noexcept nogil:
        self.enter(child, parent)

    cdef void mm_exit(self, mm_id mm) noexcept nogil:
        cdef ScanMm* r = self.ring
        if self.head.swap_mm == mm:
            self.head.swap_mm = r[mm].next
        r[r[mm].prev].next = r[mm].next
        r[r[mm].next].prev = r[mm].prev
        r[mm].cursor = 0
        r[mm].next = 0
        r[mm].prev = 0

    # the sweep: a = address spaces it may still begin, b = entry of page d, d = the next page to read, e = end of d's leaf
    # table or area; mm and vma stay those of the last candidate, vma 0: the address space is at its end

    cdef void walk_begin(self, Walk* w) noexcept nogil:
        w.a = <uint32_t> self.s.pool[P_MMS].live + 1
        w.vma = 0

    cdef bint walk_next(self, Walk* w) noexcept nogil:
        """The next entry that maps a frame."""
        cdef State* s = self.s
        cdef uint64_t entry
        cdef vpn_t first
        if w.purpose != WALK_SWEEP:            # nothing leads from a page to its entries
            return False
        while True:
            first = w.d
            while w.d < w.e:
                entry = pte_get(s, w.b)
                w.d += 1
                w.b += 1
                if pte_present(entry) and pte_pfn(s, entry):
                    self.read(w.d - first)
                    w.vpn = w.d - 1
                    w.slot = w.b - 1
                    self.ring[w.mm].cursor = w.d
                    return True
            self.read(w.d - first)
            if not self.next_table(w) and not self.next_mm(w):
                return False

    cdef inline void read(self, uint64_t n) noexcept nogil:
        tally(self.s, C_SCANNED_PTES, n)
        tally(self.s, C_LOCK_PAGE_TABLE_HELD, n)

    cdef bint next_table(self, Walk* w) noexcept nogil:
        """On to the next leaf table of this address space, or to its end."""
        cdef State* s = self.s
        cdef vma_id v = w.vma
        cdef slot_t slot
        while v:
            slot = pt_next(s, w.mm, &w.d, s.area[v].end)
            if slot:
                w.vma = v
                w.b = slot
                w.e = w.d + leaf_run(s, w.d, s.area[v].end)
                return True
            v = s.area[v].next
            if v:
                tally(s, C_VMAS_TRIED, 1)
                w.d = s.area[v].start
        if w.vma:
            self.ring[w.mm].cursor = s.task_vpn
            w.vma = 0
            w.e = w.d
        return False

    cdef bint next_mm(self, Walk* w) noexcept nogil:
        """Begins the address space at swap_mm, or, if that is finished, the next that is not. False: the sweep has ended."""
        cdef State* s = self.s
        cdef ScanMm* r = self.ring
        cdef mm_id mm = <mm_id> self.head.swap_mm
        cdef vma_id v
        if w.a == 0:
            return False
        w.a -= 1
        while mm == 0 or r[mm].cursor >= s.task_vpn:
            r[mm].cursor = 0
            mm = r[mm].next
            if mm == self.head.swap_mm:        # nobody lives
                return False
            self.head.swap_mm = mm
        tally(s, C_MMS_TRIED, 1)
        tally(s, C_LOCK_PAGE_TABLE, 1)
        v = peek_vma(s, mm, r[mm].cursor)
        w.mm = mm
        w.vma = v
        if v:
            tally(s, C_VMAS_TRIED, 1)
            w.d = r[mm].cursor if r[mm].cursor > s.area[v].start else s.area[v].start
        else:
            r[mm].cursor = s.task_vpn
        w.e = w.d
        return True

    def structure(self):
        """The ring, with each address space's cursor."""
        cdef mm_id mm
        cdef list rows = []
        for mm in live_mms(self.s):
            fields = {"cursor": self.ring[mm].cursor << PAGE_SHIFT}
            if self.head.swap_mm == mm:
                fields["swap_mm"] = "the next sweep begins here"
            rows.append(("mm", mm, fields, {"ring": ("mm", self.ring[mm].next)} if self.ring[mm].next else {}))
        return rows

    def route(self, pfn):
        """What a sweep goes through from where the last one stopped, whatever the frame."""
        cdef mm_id mm = <mm_id> self.head.swap_mm
        cdef list met = []
        cdef vma_id v
        for _ in range(len(live_mms(self.s)) + 1):
            if mm:
                met.append(("mm", mm))
                v = peek_vma(self.s, mm, self.ring[mm].cursor)
                while v:
                    met.append(("area", v))
                    v = self.s.area[v].next
            mm = self.ring[mm].next
        return met

    # invariants

    def check(self):
        """VS1 every living mm is on the ring once, and nothing else. VS2 links lead back. VS3 cursors lie in user space,
        and swap_mm is on the ring."""
        cdef State* s = self.s
        cdef ScanMm* r = self.ring
        cdef mm_id mm = s.h.mm_first
        cdef mm_id before = 0
        cdef list faults = []
        cdef set living = set()
        cdef set seen = {0}
        while mm:
            living.add(mm)
            mm = s.mm[mm].next
        mm = r[0].next
        while mm:
            if mm in seen or mm not in living:
                fault(faults, "VS1", 0, before, 0, "the ring leads to mm {0}", mm)
                return faults
            seen.add(mm)
            if r[mm].prev != before:
                fault(faults, "VS2", 0, mm, 0, "prev is {0}, not {1}", r[mm].prev, before)
            if r[mm].cursor > s.task_vpn:
                fault(faults, "VS3", 0, mm, 0, "the cursor is at page {0:#x}", r[mm].cursor)
            before = mm
            mm = r[mm].next
        if r[0].prev != before:
            fault(faults, "VS2", 0, before, 0, "is the last on the ring; the anchor says {0}", r[0].prev)
        for mm in sorted(living - seen):
            fault(faults, "VS1", 0, mm, 0, "is not on the ring")
        if self.head.swap_mm not in seen:
            fault(faults, "VS3", 0, 0, 0, "swap_mm is {0}", self.head.swap_mm)
        return faults
