"""list: file pages by object as objrmap of 2003 found them: two plain lists of areas per file, i_mmap and i_mmap_shared.

A page-cache frame knows its file and index; a walk goes through all private areas of the file, then all shared ones, and
works out for each where the page would be [2.5.62, and BK 79603666b5 of May 2004; docs/facts/file-pages.md, "Lists"].

   i_mmap          W1 W1' W1" W2 W2' W2" W3 ..      private      child' stands right before its parent, so the list is
   i_mmap_shared   S1 S1' S2 ..                     shared       grouped by window, windows in the order they were mapped

   mmap, split, mremap's copy                 at the tail of its list
   fork                                       right before the parent's area: list_add_tail at the parent (2.5.6 to
                                              2.6.5-rc3; from 2.6.5 on right after it, which groups the list alike)
   bounds or file pages change                nothing: the place does not depend on them

Costs: link, unlink and fork O(1); walk O(n) for n areas of the file, wherever they lie: with V windows in P processes it
passes V*P areas in full, and P*(V+1)/2 on average if it stops at mapcount. Akpm's objection of 2003, and why the
prio_tree came. In the kernel: the area's `shared` list_head (8 or 16 bytes), two list_heads in the address_space. Each
hook takes i_mmap_lock once (a semaphore in 2003).

Areas tell nothing of a page that remap_file_pages put off its linear place. Such a page goes back to what objrmap replaced:
page_convert_anon looks its entries up through the lists, once, and puts them all in a pte_chain [McCracken, 3 Apr 2003];
from then on it is found by that (chainside), until nobody maps it any more (rule G9a). So the side hears of entries from the
first nonlinear area on, and not before.
Left out on purpose: trylock failures, which need a second CPU.
"""
import numpy as np

from libc.stdint cimport uint32_t, uint64_t

from rmapcore.pyx.base.counters cimport C_LOCK_I_MMAP, C_LOCK_I_MMAP_HELD, C_SCANNED_PTES, C_VMAS_TRIED, tally
from rmapcore.pyx.base.ids cimport mm_id, pfn_t, slot_t, vma_id, vpn_t
from rmapcore.pyx.base.records cimport P_AREAS, P_FILES, P_FRAMES, PG_ANON, VM_NONLINEAR, VM_SHARED, Area, Frame
from rmapcore.pyx.base.state cimport X86_64, State
from rmapcore.pyx.base.x86 cimport pte_get, pte_pfn, pte_present
from rmapcore.pyx.machine.core cimport Core
from rmapcore.pyx.machine.pagetable cimport pt_lookup
from rmapcore.pyx.machine.vmas cimport area_index, area_pages
from rmapcore.pyx.parts.chains cimport chain_add, chain_ours, chain_remove
from rmapcore.pyx.parts.chainside cimport ChainSide
from rmapcore.pyx.parts.checks cimport area_fault, fault
from rmapcore.pyx.parts.shown cimport areas_on
from rmapcore.pyx.seam.scheme cimport Outcome, Walk

cdef enum:
    I_MMAP = 0                # which list: private areas
    I_MMAP_SHARED = 1         #   areas with VM_SHARED
    LISTED = 1 << 8           # Walk.b of a walk by the lists; in one by a chain it is a slot of a block

cdef struct ListLink:         # by area; all 0 while it is on no list
    uint32_t next             # 0: the last
    uint32_t prev             # 0: the first

cdef struct ListHeads:        # by file, indexed by I_MMAP, I_MMAP_SHARED
    uint32_t first[2]
    uint32_t last[2]

cdef ListLink _link
cdef ListHeads _heads

LIST_LINK = np.asarray(<ListLink[:1]> &_link).dtype
LIST_HEADS = np.asarray(<ListHeads[:1]> &_heads).dtype
assert LIST_LINK.itemsize == 8 and LIST_HEADS.itemsize == 16


cdef class FileLists(ChainSide):
    """The file side of objrmap before the prio_tree. No options."""

    cdef ListLink* link       # by area
    cdef ListHeads* heads     # by file
    cdef uint32_t* nonlinear  # 1 if there has ever been a nonlinear area
    cdef int word             # bytes of a kernel pointer

    def __init__(self, **options):
        for option in options:
            raise ValueError(f"list has no option {option!r}")
        ChainSide.__init__(self)
        self.name = "list"
        self.ours = 0                          # PG_ANON is clear
        self.table_locks = True
        self.wants_entries = False             # until there are nonlinear areas
        self.wants_moves = False

    def attach(self, Core core):
        ChainSide.attach(self, core)
        self.chains.files = True
        self.chains.some = True
        self.entry_pool = 0
        self.nonlinear = <uint32_t*> <size_t> core.new_arena("list_nonlinear", np.uint32, 1, -1)
        self.word = 8 if self.s.arch == X86_64 else 4
        self.link = <ListLink*> <size_t> core.new_arena(
            "list_links", LIST_LINK, self.s.pool[P_AREAS].capacity, P_AREAS)
        self.heads = <ListHeads*> <size_t> core.new_arena(
            "list_heads", LIST_HEADS, self.s.pool[P_FILES].capacity, P_FILES)
        core.charge_area(2 * self.word)
        core.charge_file(4 * self.word)

    def restored(self):
        if self.nonlinear[0]:
            self.listen()

    def census(self):
        """Blocks of chains, unless there were none or the scheme reports them."""
        return {} if self.chains.anon or self.core.pool(self.chains.pool)[1] == 0 else ChainSide.census(self)

    def overhead(self):
        """The area's and the address_space's list_heads. Chains and counts share a union that struct page had before."""
        return {"vma": 2 * self.word, "file": 4 * self.word, "page": 0}

    cdef void listen(self) noexcept nogil:
        self.wants_entries = True
        self.wants_moves = True
        self.entry_pool = self.c.pool

    cdef inline int which(self, vma_id v) noexcept nogil:
        return I_MMAP_SHARED if self.s.area[v].flags & VM_SHARED else I_MMAP

    cdef void put_before(self, vma_id v, vma_id after) noexcept nogil:
        """v enters its list in front of `after`; 0: at the tail."""
        cdef ListLink* n = self.link
        cdef ListHeads* h = &self.heads[self.s.area[v].file]
        cdef int which = self.which(v)
        cdef vma_id before = n[after].prev if after else h.last[which]
        tally(self.s, C_LOCK_I_MMAP, 1)
        n[v].next = after
        n[v].prev = before
        if before:
            n[before].next = v
        else:
            h.first[which] = v
        if after:
            n[after].prev = v
        else:
            h.last[which] = v

    cdef void append(self, vma_id v) noexcept nogil:
        if self.s.area[v].file:
            self.put_before(v, 0)

    cdef void area_link(self, vma_id v) noexcept nogil:
        self.append(v)

    cdef void area_split(self, vma_id new, vma_id v) noexcept nogil:
        self.append(new)

    cdef void area_clone(self, vma_id new, vma_id v) noexcept nogil:
        self.append(new)

    cdef void area_fork(self, vma_id child, vma_id parent) noexcept nogil:
        if self.s.area[child].file:
            self.put_before(child, parent)

    cdef void area_unlink(self, vma_id v) noexcept nogil:
        cdef ListLink* n = self.link
        cdef ListHeads* h = &self.heads[self.s.area[v].file]
        cdef int which = self.which(v)
        if self.s.area[v].file == 0:
            return
        tally(self.s, C_LOCK_I_MMAP, 1)
        if n[v].prev:
            n[n[v].prev].next = n[v].next
        else:
            h.first[which] = n[v].next
        if n[v].next:
            n[n[v].next].prev = n[v].prev
        else:
            h.last[which] = n[v].prev
        n[v].next = 0
        n[v].prev = 0

    # nonlinear areas: a frame with a word has all its entries in a chain, one without only linear ones

    cdef void area_nonlinear(self, vma_id v) noexcept nogil:
        self.nonlinear[0] = 1
        self.listen()

    cdef void convert(self, pfn_t pfn) noexcept nogil:
        """page_convert_anon: chains the linear entries, which are all but the newest."""
        cdef State* s = self.s
        cdef Frame* f = &s.frame[pfn]
        cdef uint32_t want = f.mapcount - 1
        cdef uint64_t passed = 0
        cdef uint64_t entry
        cdef slot_t slot
        cdef vma_id v
        cdef Area* a
        cdef int which
        tally(s, C_LOCK_I_MMAP, 1)
        for which in range(2):
            v = self.heads[f.owner].first[which]
            while v and want:
                passed += 1
                a = &s.area[v]
                if f.index - a.pgoff < area_pages(s, v) and s.mm[a.mm].rss:
                    slot = pt_lookup(s, a.mm, a.start + (f.index - a.pgoff))
                    if slot:
                        tally(s, C_SCANNED_PTES, 1)
                        entry = pte_get(s, slot)
                        if pte_present(entry) and pte_pfn(s, entry) == pfn:
                            chain_add(s, self.c, pfn, slot)
                            want -= 1
                v = self.link[v].next
        tally(s, C_LOCK_I_MMAP_HELD, passed)

    cdef void pages_mapped(self, vma_id v, vpn_t vpn, slot_t slot, uint32_t n) noexcept nogil:
        cdef State* s = self.s
        cdef uint64_t entry
        cdef uint32_t i
        cdef pfn_t pfn
        for i in range(n):
            entry = pte_get(s, slot + i)
            pfn = pte_pfn(s, entry)
            if not pte_present(entry) or not chain_ours(s, pfn, self.ours):
                continue
            if s.frame[pfn].rmap == 0:
                if s.frame[pfn].index == area_index(s, v, vpn + i):
                    continue
                self.convert(pfn)
            chain_add(s, self.c, pfn, slot + i)

    cdef void pages_forked(self, vma_id child, vpn_t vpn, slot_t slot, uint32_t n) noexcept nogil:
        cdef uint32_t i
        cdef pfn_t pfn
        for i in range(n):
            pfn = self.chained(slot + i)
            if pfn:
                chain_add(self.s, self.c, pfn, slot + i)

    cdef void pages_unmapping(self, vma_id v, vpn_t vpn, slot_t slot, uint32_t n) noexcept nogil:
        cdef uint32_t i
        cdef pfn_t pfn
        for i in range(n):
            pfn = self.chained(slot + i)
            if pfn:
                chain_remove(self.s, self.c, pfn, slot + i)

    cdef inline pfn_t chained(self, slot_t slot) noexcept nogil:
        """The chained frame that an entry maps, or 0."""
        cdef uint64_t entry = pte_get(self.s, slot)
        cdef pfn_t pfn = pte_pfn(self.s, entry)
        if not pte_present(entry) or not chain_ours(self.s, pfn, self.ours) or self.s.frame[pfn].rmap == 0:
            return 0
        return pfn

    cdef void page_moved(self, pfn_t pfn, vma_id v, vpn_t vpn, slot_t old, slot_t new) noexcept nogil:
        if self.s.frame[pfn].rmap:
            ChainSide.page_moved(self, pfn, v, vpn, old, new)

    # walks by the lists: a = the next area to look at, b = LISTED + the list it is on, d = areas looked at, e = the page

    cdef void walk_begin(self, Walk* w) noexcept nogil:
        if self.s.frame[w.pfn].rmap:
            ChainSide.walk_begin(self, w)
            return
        tally(self.s, C_LOCK_I_MMAP, 1)
        w.a = self.heads[self.s.frame[w.pfn].owner].first[I_MMAP]
        w.b = LISTED + I_MMAP
        w.d = 0
        w.e = self.s.frame[w.pfn].index

    cdef bint walk_next(self, Walk* w) noexcept nogil:
        """The next area over the page whose mm has pages at all; all others are passed without a look at page tables."""
        cdef State* s = self.s
        cdef vma_id v = w.a
        cdef uint64_t tried = 0
        cdef bint found = False
        cdef Area* a
        if not w.b & LISTED:
            return ChainSide.walk_next(self, w)
        while not found:
            if v == 0:
                if w.b == LISTED + I_MMAP_SHARED:
                    break
                w.b = LISTED + I_MMAP_SHARED
                v = self.heads[s.frame[w.pfn].owner].first[I_MMAP_SHARED]
                continue
            tried += 1
            a = &s.area[v]
            if w.e - a.pgoff < area_pages(s, v) and s.mm[a.mm].rss:      # unsigned: below pgoff is far beyond
                w.vma = v
                w.mm = a.mm
                w.vpn = a.start + (w.e - a.pgoff)
                w.slot = 0
                found = True
            v = self.link[v].next
        w.a = v
        w.d += tried
        return found

    cdef void walk_hit(self, Walk* w, Outcome outcome) noexcept nogil:
        if not w.b & LISTED:
            ChainSide.walk_hit(self, w, outcome)

    cdef void walk_end(self, Walk* w, bint complete) noexcept nogil:
        if not w.b & LISTED:
            ChainSide.walk_end(self, w, complete)
            return
        tally(self.s, C_VMAS_TRIED, w.d)
        tally(self.s, C_LOCK_I_MMAP_HELD, w.d)

    def structure(self):
        cdef uint32_t file
        cdef list rows = ChainSide.structure(self)
        for file in range(1, <uint32_t> self.s.pool[P_FILES].bump):
            links = {"i_mmap": self.listed(file, I_MMAP), "i_mmap_shared": self.listed(file, I_MMAP_SHARED)}
            rows.append(("file", file, {}, {name: areas for name, areas in links.items() if areas}))
        return rows

    cdef list listed(self, uint32_t file, int which):
        return areas_on(self.link, self.heads[file].first[which])

    def route(self, pfn):
        cdef uint32_t file = self.s.frame[pfn].owner
        if self.s.frame[pfn].rmap:
            return ChainSide.route(self, pfn)
        return [("file", file), *self.listed(file, I_MMAP), *self.listed(file, I_MMAP_SHARED)]

    def check(self):
        """FL1 every area of a file is on its file's list of its kind once, and nothing else. FL2 links lead back, and the
        heads name both ends. FL3 what says that there have been nonlinear areas says so if there is one, or a chained
        frame. Then PC1 to PC7 of the chained frames."""
        cdef State* s = self.s
        cdef list faults = []
        cdef dict expected = {}                # area -> file * 2 + list
        cdef set seen = set()
        cdef uint32_t file
        cdef vma_id v
        cdef pfn_t pfn
        cdef mm_id mm = s.h.mm_first
        cdef int which
        cdef bint met = False                  # what is chained: a nonlinear area, or a frame of a file
        while mm:
            v = s.mm[mm].first
            while v:
                if s.area[v].file:
                    expected[v] = 2 * <uint64_t> s.area[v].file + self.which(v)
                met |= (s.area[v].flags & VM_NONLINEAR) != 0
                v = s.area[v].next
            mm = s.mm[mm].next
        for pfn in range(1, <pfn_t> s.pool[P_FRAMES].bump):
            met |= s.frame[pfn].mapcount != 0 and not s.frame[pfn].flags & PG_ANON and s.frame[pfn].rmap != 0
        if self.nonlinear[0] > 1 or (met and not self.nonlinear[0]):
            fault(faults, "FL3", 0, 0, 0, "it says {0}", self.nonlinear[0])
        for file in range(1, <uint32_t> s.pool[P_FILES].bump):
            for which in range(2):
                self.check_list(file, which, expected, seen, faults)
        for v, place in expected.items():
            if v not in seen:
                area_fault(s, faults, "FL1", v, "is not on list {0} of file {1}", place & 1, place >> 1)
        return faults or self.chains.violations(s, self.ours)

    cdef int check_list(self, uint32_t file, int which, dict expected, set seen, list faults) except -1:
        """FL1 and FL2 for one list."""
        cdef ListLink* n = self.link
        cdef uint64_t place = 2 * <uint64_t> file + which
        cdef vma_id before = 0
        cdef vma_id v = self.heads[file].first[which]
        while v:
            if v in seen or expected.get(v) != place:
                area_fault(self.s, faults, "FL1", before, f"leads to area {v} on list {which} of file {file}")
                return 0
            seen.add(v)
            if n[v].prev != before:
                area_fault(self.s, faults, "FL2", v, "prev is {0}, not {1}", n[v].prev, before)
            before = v
            v = n[v].next
        if self.heads[file].last[which] != before:
            text = f"ends list {which} of file {file}, whose last is {self.heads[file].last[which]}"
            area_fault(self.s, faults, "FL2", before, text)
        return 0
