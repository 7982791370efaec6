"""The anon_vma family, March 2004 to 2.6.33: anonymous pages by object, one list of areas per anon_vma. Three schemes:

   anon_vma_unshared   as posted in March 2004     every area that is written to makes its own
   anon_vma_2_6_7      as released first           neighbours share one; with two faults
   anon_vma            2.6.8 to 2.6.33             without them

The first anonymous page of an area makes it an anon_vma; whatever comes of the area by fork, split or mremap joins the
list. A page names the anon_vma and its linear index, so a walk asks each area on the list where it would have that
index.

   frame: word = anon_vma, index      area: pgoff           address = start + (index - pgoff), if inside the area
   anon_vma -> newest area <-> ... <-> oldest area          (members come in at the head)

No reference count: an anon_vma goes with the last area on its list, and each page that names it is mapped by an area on
the list. A scheme that breaks this leaves pages behind that name a free record, or one in its next life: the list of a
free one is empty, and of another's list the page tables turn every area down.

Costs: link, unlink, fork O(1) per area; walk O(areas on the list) = processes of the family x pieces of the area, but
those outside the page's range are passed over without a look at page tables. mremap and swap-in never copy.
In the kernel: 12 or 24 bytes an anon_vma, 12 or 24 in the area (list node and pointer), 4 in the page (mapcount).
Follows [2.6.7 mm/rmap.c, mm/mmap.c]. Left out: docs/facts/anon-vma.md, "What 2.6.9 to 2.6.33 changed".
"""
import numpy as np

from libc.stdint cimport uint32_t, uint64_t

from rmapcore.pyx.base.counters cimport C_LOCK_ANON_VMA, C_LOCK_ANON_VMA_HELD, C_VMAS_TRIED, tally
from rmapcore.pyx.base.ids cimport mm_id, pfn_t, slot_t, vma_id, vpn_t
from rmapcore.pyx.base.pool cimport pool_give, pool_room, pool_take
from rmapcore.pyx.base.records cimport P_AREAS, PG_ANON, Area, Frame, Mm
from rmapcore.pyx.base.state cimport X86_64, State
from rmapcore.pyx.base.x86 cimport pte_get, pte_pfn
from rmapcore.pyx.machine.core cimport Core
from rmapcore.pyx.machine.vmas cimport anon_index, anon_shift, could_merge
from rmapcore.pyx.parts.checks cimport area_entries, area_fault, astray, fault, in_use, still_astray
from rmapcore.pyx.parts.leads cimport lead_to
from rmapcore.pyx.parts.shown cimport areas_on, areas_shown, frames_shown, records_shown
from rmapcore.pyx.seam.scheme cimport Lead, Scheme, Walk

cdef struct AnonVmaRecord:
    uint32_t first            # newest area on the list; 0 in a free record
    uint32_t free             # next free record

cdef struct AnonVmaNode:      # by area: its place on the list of the anon_vma in its word
    uint32_t next             # older, 0 ends the list
    uint32_t prev             # newer, 0: it is the first

cdef enum:
    ANON_VMA_LINK = 4         # offset of the free link

cdef AnonVmaRecord _record
cdef AnonVmaNode _node

ANON_VMA = np.asarray(<AnonVmaRecord[:1]> &_record).dtype
ANON_VMA_NODE = np.asarray(<AnonVmaNode[:1]> &_node).dtype
assert ANON_VMA.itemsize == 8 and ANON_VMA_NODE.itemsize == 8
assert ANON_VMA.fields["free"][1] == ANON_VMA_LINK


cdef class AnonVmas(Scheme):
    """What all three do, with 2.6.8's importer; each adds its anon_prepare, and names itself before it calls __init__."""

    cdef AnonVmaRecord* anon_vma
    cdef AnonVmaNode* node    # by area
    cdef int pool
    cdef int word             # bytes of a kernel pointer
    cdef uint32_t locked      # the anon_vma whose lock an adjust holds between area_before and area_after; 0 none

    def __init__(self, **options):
        for option in options:
            raise ValueError(f"{self.name} has no option {option!r}")
        Scheme.__init__(self)
        self.linear = True

    def attach(self, Core core):
        Scheme.attach(self, core)
        self.word = 8 if self.s.arch == X86_64 else 4
        most = self.s.pool[P_AREAS].capacity   # each has an area
        self.pool = core.new_pool("anon_vma", most, 3 * self.word, 3 * self.word)
        self.anon_vma = <AnonVmaRecord*> <size_t> core.new_arena("anon_vmas", ANON_VMA, most, self.pool)
        self.node = <AnonVmaNode*> <size_t> core.new_arena("anon_vma_nodes", ANON_VMA_NODE, most, P_AREAS)
        core.charge_area(3 * self.word)

    def census(self):
        return {"anon_vma": (self.pool, 3 * self.word)}

    def overhead(self):
        return {"page": 4, "vma": 3 * self.word}

    # the list

    cdef void link(self, vma_id v, uint32_t o) noexcept nogil:
        """v gets this anon_vma and its list's head."""
        cdef vma_id first = self.anon_vma[o].first
        self.s.area[v].rmap = o
        self.node[v].next = first
        self.node[v].prev = 0
        if first:
            self.node[first].prev = v
        self.anon_vma[o].first = v

    cdef void link_locked(self, vma_id v, uint32_t o) noexcept nogil:
        """The same for a list that others may be on; an area that comes of one without an anon_vma has none."""
        if o:
            tally(self.s, C_LOCK_ANON_VMA, 1)
            self.link(v, o)

    cdef void unlink(self, vma_id v) noexcept nogil:
        """v leaves its list; an empty list frees its anon_vma."""
        cdef uint32_t o = self.s.area[v].rmap
        cdef AnonVmaNode* n = &self.node[v]
        if o == 0:
            return
        if n.next:
            self.node[n.next].prev = n.prev
        if n.prev:
            self.node[n.prev].next = n.next
        else:
            self.anon_vma[o].first = n.next
            if n.next == 0:
                pool_give(self.s, self.pool, self.anon_vma, sizeof(AnonVmaRecord), ANON_VMA_LINK, o)
        self.s.area[v].rmap = 0
        n.next = 0
        n.prev = 0

    # areas: a list has room for all there can be, so only who makes an anon_vma needs a record

    cdef int prepare_room(self, vma_id v) noexcept nogil:
        return 0 if pool_room(self.s, self.pool, 1) else self.pool

    cdef void area_unlink(self, vma_id v) noexcept nogil:
        if self.s.area[v].rmap:
            tally(self.s, C_LOCK_ANON_VMA, 1)
            self.unlink(v)

    # vma_adjust takes the lock once, for the bounds of one or two areas and for what is imported, swallowed, split off

    cdef void area_before(self, vma_id v) noexcept nogil:
        if self.s.area[v].rmap and self.s.area[v].rmap != self.locked:
            tally(self.s, C_LOCK_ANON_VMA, 1)
            self.locked = self.s.area[v].rmap

    cdef void area_after(self, vma_id v) noexcept nogil:
        self.locked = 0

    cdef void area_split(self, vma_id new, vma_id v) noexcept nogil:
        if self.s.area[v].rmap:
            self.link(new, self.s.area[v].rmap)

    cdef void area_clone(self, vma_id new, vma_id v) noexcept nogil:
        self.link_locked(new, self.s.area[v].rmap)

    cdef void area_import(self, vma_id v, vma_id giver) noexcept nogil:
        if self.s.area[v].rmap == 0 and self.s.area[giver].rmap:
            self.link(v, self.s.area[giver].rmap)

    cdef void area_merge(self, vma_id v, vma_id gone) noexcept nogil:
        self.unlink(gone)

    cdef void area_fork(self, vma_id child, vma_id parent) noexcept nogil:
        self.link_locked(child, self.s.area[parent].rmap)

    cdef void area_emptied(self, vma_id v) noexcept nogil:
        self.area_unlink(v)

    cdef bint compatible(self, vma_id v, vma_id source) noexcept nogil:
        cdef Area* a = self.s.area
        return source == 0 or a[v].rmap == 0 or a[source].rmap == 0 or a[v].rmap == a[source].rmap

    cdef uint32_t neighbours(self, vma_id v) noexcept nogil:
        """The anon_vma that an area without one may adopt: the next's, the previous', or 0 (find_mergeable_anon_vma)."""
        cdef Area* area = self.s.area
        cdef Area* a = &area[v]
        if a.next and area[a.next].rmap and could_merge(self.s, v, a.next):
            return area[a.next].rmap
        if a.prev and area[a.prev].rmap and could_merge(self.s, a.prev, v):
            return area[a.prev].rmap
        return 0

    cdef void create(self, vma_id v) noexcept nogil:
        """An anon_vma of its own for an area; nobody else knows it: no lock."""
        cdef uint32_t o = pool_take(self.s, self.pool, self.anon_vma, sizeof(AnonVmaRecord), ANON_VMA_LINK)
        self.anon_vma[o].first = 0
        self.link(v, o)

    # pages

    cdef void page_first(self, pfn_t pfn, vma_id v, vpn_t vpn) noexcept nogil:
        self.s.frame[pfn].rmap = self.s.area[v].rmap
        self.s.frame[pfn].index = anon_index(self.s, v, vpn)

    cdef void pages_first(self, vma_id v, const vpn_t* vpn, const slot_t* slot, uint32_t n) noexcept nogil:
        cdef State* s = self.s
        cdef uint64_t shift = anon_shift(s, v)
        cdef uint32_t o = s.area[v].rmap
        cdef uint32_t i
        cdef Frame* f
        for i in range(n):
            f = &s.frame[pte_pfn(s, pte_get(s, slot[i]))]
            f.rmap = o
            f.index = vpn[i] - shift

    cdef void page_last(self, pfn_t pfn) noexcept nogil:
        self.s.frame[pfn].rmap = 0

    # walks: a = the area to look at next, d = areas looked at

    cdef void walk_begin(self, Walk* w) noexcept nogil:
        tally(self.s, C_LOCK_ANON_VMA, 1)
        w.a = self.anon_vma[self.s.frame[w.pfn].rmap].first
        w.d = 0

    cdef bint walk_next(self, Walk* w) noexcept nogil:
        """The next area that covers the page's index and whose mm has pages at all."""
        cdef State* s = self.s
        cdef uint64_t index = s.frame[w.pfn].index
        cdef uint64_t tried = 0
        cdef vma_id v = w.a
        cdef bint found = False
        cdef Area* a
        cdef vpn_t vpn
        while v and not found:
            tried += 1
            a = &s.area[v]
            vpn = index + anon_shift(s, v)     # wraps; the comparison below sorts that out
            if a.start <= vpn < a.end and s.mm[a.mm].rss:
                w.vma = v
                w.mm = a.mm
                w.vpn = vpn
                w.slot = 0
                found = True
            v = self.node[v].next
        w.a = v
        w.d += tried
        return found

    cdef void walk_end(self, Walk* w, bint complete) noexcept nogil:
        tally(self.s, C_VMAS_TRIED, w.d)
        tally(self.s, C_LOCK_ANON_VMA_HELD, w.d)

    cdef pfn_t circle(self, Walk* w) noexcept nogil:
        """An area that was not taken off its list and came to another one leads from the first to the second, or back."""
        cdef uint64_t most = self.s.pool[P_AREAS].bump
        cdef uint64_t met = 0
        cdef vma_id v = w.a
        while v and met <= most:
            met += 1
            v = self.node[v].next
        return w.pfn if v else 0

    cdef uint32_t lock_of_area(self, vma_id v) noexcept nogil:
        return self.s.area[v].rmap

    cdef uint32_t lock_of_frame(self, pfn_t pfn) noexcept nogil:
        return self.s.frame[pfn].rmap

    cdef void lead(self, Lead* leads, uint32_t n) noexcept nogil:
        """walk_begin and walk_next of each: no walk changes a list."""
        cdef Frame* frame = self.s.frame
        cdef Area* area = self.s.area
        cdef Mm* mm = self.s.mm
        cdef AnonVmaRecord* anon_vma = self.anon_vma
        cdef AnonVmaNode* node = self.node
        cdef uint64_t* shift = self.s.anon_shift
        cdef Frame* f
        cdef Area* a
        cdef vma_id v, first = 0
        cdef vpn_t vpn
        cdef uint32_t i, tried
        cdef uint32_t word = 0                 # of the page before, which the first area on the list had: `first`
        for i in range(n):
            if leads[i].pfn == 0:
                continue
            f = &frame[leads[i].pfn]
            if f.rmap == word:
                vpn = f.index + shift[first]
                if area[first].start <= vpn < area[first].end:
                    lead_to(&leads[i], area[first].mm, first, vpn, 1)
                    continue
            v = anon_vma[f.rmap].first
            tried = 0
            while v:
                tried += 1
                a = &area[v]
                vpn = f.index + shift[v]
                if a.start <= vpn < a.end and mm[a.mm].rss:
                    lead_to(&leads[i], a.mm, v, vpn, tried)
                    if tried == 1:
                        word = f.rmap
                        first = v
                    break
                v = node[v].next

    cdef void leads_walked(self, uint64_t walks, uint64_t tried) noexcept nogil:
        tally(self.s, C_LOCK_ANON_VMA, walks)
        tally(self.s, C_VMAS_TRIED, tried)
        tally(self.s, C_LOCK_ANON_VMA_HELD, tried)

    cdef void leads_unmapped(self, Lead* leads, uint32_t n) noexcept nogil:
        cdef uint32_t i
        for i in range(n):
            self.s.frame[leads[i].pfn].rmap = 0

    def structure(self):
        live = records_shown(self.s, self.pool, self.anon_vma, sizeof(AnonVmaRecord), ANON_VMA_LINK)
        rows = [("anon_vma", o, {}, {"newest first": areas_on(self.node, self.anon_vma[o].first)}) for o in sorted(live)]
        return rows + frames_shown(self.s, PG_ANON, "anon_vma") + areas_shown(self.s, "anon_vma")

    def route(self, pfn):
        return [("anon_vma", self.s.frame[pfn].rmap), *areas_on(self.node, self.anon_vma[self.s.frame[pfn].rmap].first)]

    # invariants

    def check(self):
        """AV1 lists: links fit, an area with a word is on that list, and no other. AV2 no anon_vma in use has an empty
        list. AV3 an area with anonymous or swap entries has an anon_vma. AV4 its frames name it. AV5 their index gives
        the entry's address. AV6 an anonymous frame names an anon_vma in use, and is mapped."""
        cdef State* s = self.s
        cdef list faults = []
        cdef list entries = []
        cdef dict on_list = {}                 # area -> anon_vma, by walking the lists
        cdef uint32_t o
        cdef vma_id v, before
        cdef mm_id mm = s.h.mm_first
        live = in_use(s, self.pool, self.anon_vma, sizeof(AnonVmaRecord), ANON_VMA_LINK, "AV2", "anon_vma", faults)
        for o in live:
            v = self.anon_vma[o].first
            before = 0
            if v == 0:
                fault(faults, "AV2", 0, 0, 0, "anon_vma {0} has no areas", o)
            while v:
                if v >= s.pool[P_AREAS].bump or v in on_list:
                    fault(faults, "AV1", 0, 0, 0, "anon_vma {0}: its list leads to area {1}", o, v)
                    break
                on_list[v] = o
                if self.node[v].prev != before:
                    area_fault(s, faults, "AV1", v, "prev is not {0}", before)
                before = v
                v = self.node[v].next
        lost = astray(s, live)
        while mm:
            v = s.mm[mm].first
            while v:
                o = on_list.pop(v, 0)
                if o != s.area[v].rmap:
                    area_fault(s, faults, "AV1", v, "word {0}, on list {1}", s.area[v].rmap, o)
                o = s.area[v].rmap
                area_entries(s, v, {o} if o else set(), f"anon_vma {o}", ("AV3", "AV4", "AV5"), lost, entries)
                v = s.area[v].next
            mm = s.mm[mm].next
        for v, o in on_list.items():
            fault(faults, "AV1", 0, 0, 0, "anon_vma {0}: area {1} is in no address space", o, v)
        still_astray(s, lost, "AV6", faults)
        return faults + entries


# March 2004: nothing is shared. Neighbours that were faulted apart never merge again, for each has its own anon_vma: a loop
# that maps a page, writes it and makes it read-only leaves one area and one anon_vma a page, up to the limit of areas, where
# all other schemes have one area [Hugh Dickins, 2 Apr 2004; BK 33252891ef]. It has 2.6.8's importer: sharing alone differs.


cdef class AnonVmaUnshared(AnonVmas):
    """anon_vma without a neighbour's. No options."""

    def __init__(self, **options):
        self.name = "anon_vma_unshared"
        AnonVmas.__init__(self, **options)

    cdef void anon_prepare(self, vma_id v) noexcept nogil:
        if self.s.area[v].rmap == 0:
            self.create(v)


# 2.6.7: areas that a later mprotect could merge share an anon_vma: an area without takes its neighbour's (BK 33252891ef).
# As it was released first, with two faults [2.6.7 mm/rmap.c, mm/mmap.c]:
#
# A. An area that takes over pages when a border moves (mprotect, cases 4 and 5; mremap into a neighbour) and that was never
#    faulted gets no anon_vma. The pages name the giver's, on whose list the area is not: no walk finds them there. Only a
#    neighbour that is swallowed whole hands its anon_vma on. If the giver's areas go, so does the anon_vma, and the pages
#    name a free record, or one in its next life: in the kernel a use after free, here an empty list, or another's, whose
#    areas the page tables turn down. Fixed in 2.6.8 [BK d84672c45e].
# B. A neighbour's anon_vma is adopted without its lock, so that two processors could break the list. One thread can only
#    show that the lock is not taken (counter lock_anon_vma). Fixed in 2.6.8 [BK b6815589d6].
#
# Where such pages would hit a BUG_ON of 2.6.7 (a page swapped in or copied in an area with no anon_vma, or another one than
# the page names) the machine goes on, and the page stays lost: check() says so (AV3, AV4, W1).


cdef class AnonVma267(AnonVmas):
    """anon_vma of 2.6.7. No options."""

    def __init__(self, **options):
        self.name = "anon_vma_2_6_7"
        AnonVmas.__init__(self, **options)

    cdef void anon_prepare(self, vma_id v) noexcept nogil:
        cdef uint32_t o
        if self.s.area[v].rmap:
            return
        o = self.neighbours(v)
        if o:
            self.link(v, o)                    # fault B: no lock
        else:
            self.create(v)

    cdef void area_import(self, vma_id v, vma_id giver) noexcept nogil:
        """Fault A: nothing."""

    cdef void area_merge(self, vma_id v, vma_id gone) noexcept nogil:
        """An area without an anon_vma takes the swallowed one's, and its place on the list."""
        cdef uint32_t o = self.s.area[gone].rmap
        cdef AnonVmaNode* n
        if self.s.area[v].rmap == 0 and o:
            n = &self.node[v]
            n[0] = self.node[gone]
            if n.next:
                self.node[n.next].prev = v
            if n.prev:
                self.node[n.prev].next = v
            else:
                self.anon_vma[o].first = v
            self.s.area[v].rmap = o
            self.s.area[gone].rmap = 0
        else:
            self.unlink(gone)


# 2.6.8 to 2.6.33: an area that takes over pages when a border moves gets the giver's anon_vma first, by the importer [BK
# d84672c45e], and who adopts a neighbour's takes its lock [BK b6815589d6].


cdef class AnonVma(AnonVmas):
    """anon_vma of 2.6.8. No options."""

    def __init__(self, **options):
        self.name = "anon_vma"
        AnonVmas.__init__(self, **options)

    cdef void anon_prepare(self, vma_id v) noexcept nogil:
        """Afterwards v has an anon_vma: its own, the next's, the previous', or a new one."""
        cdef uint32_t o
        if self.s.area[v].rmap:
            return
        o = self.neighbours(v)
        if o:
            self.link_locked(v, o)
        else:
            self.create(v)
