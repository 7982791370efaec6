"""COW contexts (Lorenzo Stoakes; LWN 1072378 of 14 May 2026, "scalable CoW"): anonymous pages by address space and descent.

   P ──fork── C1           each address space has a context; a page names that of whoever made it, and its linear index. Who may
   └───fork── C2 ── G      map it is that address space or a descendant: C2's pages are looked for in C2 and G, P's in all four.

   context: mm, or none once that has gone; parent; children, newest first; what was moved (remaps)
   frame: word = context, index     area: word = MARKED from its first anonymous page on     address = index, or index + offset

A context stays while its address space lives, a child or a page names it; then its parent loses a reference. So in a line of
forks and exits every context stays that a page or a descendant needs, and nothing of areas: fork is one record. A page keeps
its context while it is in the swap cache, until its frame is freed.

A walk begins at the page's own context and goes through all descendants, children before their parent, the newest first. In
each living one it tries the index itself, then every offset recorded for it; a candidate is an area that lies there with that
offset. Who moved a page is not known: all is tried until the mappings are found.

Two schemes (variants.pyx): repaired, and as the prototype stood, with its holes.

Costs: fork and exit O(1), and a record for each moved area and each private file's; link, unlink, split, merge nothing, but
for moved areas; walk O(contexts below the page's) look-ups of areas, times 1 + the offsets of its index. In the kernel: 56 or
96 bytes a context, a pointer in the mm, 4 in the page (mapcount; the context where the anon_vma was; the prototype's 12:
page_bytes), 12 or 24 in the area that are of no use (vma=0 leaves them out).
Left out on purpose: that a walk holds no lock is counted as none, and not what it would have to be instead; RCU.
"""
from libc.stdint cimport uint32_t, uint64_t

from rmapcore.pyx.base.counters cimport (
    C_LOCK_ANONMM, C_MMS_TRIED, C_NODES_VISITED, C_VMA_LOOKUPS, C_VMAS_TRIED, tally,
)
from rmapcore.pyx.base.ids cimport mm_id, pfn_t, slot_t, vma_id, vpn_t
from rmapcore.pyx.base.pool cimport pool_give, pool_take
from rmapcore.pyx.base.records cimport P_FRAMES, P_MMS, PG_ANON, PG_CACHED, PG_SWAPCACHE, Frame
from rmapcore.pyx.base.state cimport State
from rmapcore.pyx.base.x86 cimport pte_get, pte_pfn
from rmapcore.pyx.machine.core cimport Core
from rmapcore.pyx.machine.vmas cimport anon_index
from rmapcore.pyx.parts.checks cimport Entries, fault, in_use, next_anonymous
from rmapcore.pyx.parts.leads cimport lead_to
from rmapcore.pyx.schemes.cow_context.contexts cimport area_at
from rmapcore.pyx.schemes.cow_context.moved cimport MARKED, Moved, offset_of, tracked
from rmapcore.pyx.schemes.cow_context.remaps cimport CONTEXT_LINK, ContextRecord
from rmapcore.pyx.seam.scheme cimport Lead, Walk

cdef enum:                    # where a walk is with a context
    ARRIVED = 0
    AT_HOME = 1               # the index itself was tried
    AWAY = 2                  # offsets are


cdef inline bint proposed(State* s, Walk* w, mm_id mm, uint64_t off) noexcept nogil:
    """The candidate at this offset from the page's index, if an area lies there that has it."""
    cdef vpn_t vpn = s.frame[w.pfn].index + off
    cdef vma_id v = area_at(s, mm, vpn)
    tally(s, C_VMA_LOOKUPS, 1)
    if v == 0:
        return False
    tally(s, C_VMAS_TRIED, 1)
    if offset_of(s, v) != off:
        return False
    w.mm = mm
    w.vma = v
    w.vpn = vpn
    w.slot = 0
    return True


cdef inline void unnamed(CowContexts self, pfn_t pfn) noexcept nogil:
    """The frame names its context no longer; mostly that has other references."""
    cdef Frame* f = &self.s.frame[pfn]
    cdef ContextRecord* r = &self.context[f.rmap]
    if r.refs > 1:
        r.refs -= 1
    else:
        self.put(f.rmap)
    f.rmap = 0


cdef class CowContexts(Moved):
    """What both do; a subclass names itself before it calls __init__.

    Options: page_bytes=12: the context's pointer is a field of struct page of its own, as in the prototype (8 on 32 bits);
    vma=0: what areas no longer need is taken out of them.
    """

    def __init__(self, **options):
        for option, value in options.items():
            if (option, value) == ("page_bytes", "12"):
                self.own_field = True
            elif (option, value) == ("vma", "0"):
                self.slim = True
            elif option in ("page_bytes", "vma"):
                raise ValueError(f"{self.name}: {option}={value}: there are page_bytes=12 and vma=0")
            else:
                raise ValueError(f"{self.name} has no option {option!r}")
        Moved.__init__(self, **options)
        self.era = "6.18"
        self.linear = True

    def attach(self, Core core):
        Moved.attach(self, core)
        core.charge_area(self.overhead()["vma"])
        core.charge_mm(self.word)

    def overhead(self):
        return {"page": 4 + self.word * self.own_field, "vma": 0 if self.slim else 3 * self.word, "mm": self.word}

    # contexts

    cdef uint32_t create(self, mm_id mm, uint32_t parent) noexcept nogil:
        """The context of an address space, the newest child of its parent."""
        cdef uint32_t o = pool_take(self.s, self.contexts, self.context, sizeof(ContextRecord), CONTEXT_LINK)
        cdef ContextRecord* r = &self.context[o]
        r.mm = mm
        r.parent = parent
        r.child = 0
        r.next = 0
        r.prev = 0
        r.root = 0
        r.spans = 0
        r.gaps = 0
        r.nodes = 0
        r.refs = 1
        if parent:
            r.next = self.context[parent].child
            if r.next:
                self.context[r.next].prev = o
            self.context[parent].child = o
            self.context[parent].refs += 1
        self.s.mm[mm].rmap = o
        return o

    cdef void put(self, uint32_t o) noexcept nogil:
        """One reference less; who has none left goes, and its reference on its parent with it."""
        cdef ContextRecord* r
        cdef uint32_t parent
        while o:                               # 0: a page of an address space that this scheme was not told of
            r = &self.context[o]
            r.refs -= 1
            if r.refs:
                return
            parent = r.parent
            self.drop_all(o)
            if parent:
                tally(self.s, C_LOCK_ANONMM, 1)
                if r.prev:
                    self.context[r.prev].next = r.next
                else:
                    self.context[parent].child = r.next
                if r.next:
                    self.context[r.next].prev = r.prev
            r.mm = 0
            r.parent = 0
            r.prev = 0
            pool_give(self.s, self.contexts, self.context, sizeof(ContextRecord), CONTEXT_LINK, o)
            o = parent

    cdef void mm_exec(self, mm_id mm) noexcept nogil:
        self.create(mm, 0)

    cdef void mm_fork(self, mm_id child, mm_id parent) noexcept nogil:
        tally(self.s, C_LOCK_ANONMM, 1)
        self.create(child, self.s.mm[parent].rmap)

    cdef void mm_exit(self, mm_id mm) noexcept nogil:
        cdef uint32_t o = self.s.mm[mm].rmap
        self.s.mm[mm].rmap = 0
        self.context[o].mm = 0
        self.put(o)

    cdef uint32_t lock_of_mm(self, mm_id mm, bint forks) noexcept nogil:
        """Its list of children; of one that goes, the list that it is on."""
        cdef uint32_t o = self.s.mm[mm].rmap
        return o if forks else self.context[o].parent

    # areas

    cdef void area_fork(self, vma_id child, vma_id parent) noexcept nogil:
        if tracked(self.s, child):
            self.record(child)

    cdef void anon_prepare(self, vma_id v) noexcept nogil:
        if self.s.area[v].rmap == 0:
            self.s.area[v].rmap = MARKED
            self.marked(v)

    cdef void marked(self, vma_id v) noexcept nogil:
        """An area is about to get its first anonymous page."""
        if tracked(self.s, v):
            self.record(v)

    cdef void area_import(self, vma_id v, vma_id giver) noexcept nogil:
        if self.s.area[giver].rmap:
            self.s.area[v].rmap = MARKED

    cdef bint may_bridge(self, vma_id prev, vma_id next) noexcept nogil:
        return True

    # pages

    cdef uint32_t maker(self, pfn_t pfn, uint32_t own) noexcept nogil:
        """The context that a frame without one gets when it is mapped by the address space of this one."""
        return own

    cdef void page_first(self, pfn_t pfn, vma_id v, vpn_t vpn) noexcept nogil:
        cdef Frame* f = &self.s.frame[pfn]
        if f.rmap:
            if f.flags & PG_SWAPCACHE:
                return
            self.put(f.rmap)                   # it has left the swap cache just now
        f.rmap = self.maker(pfn, self.s.mm[self.s.area[v].mm].rmap)
        f.index = anon_index(self.s, v, vpn)
        self.context[f.rmap].refs += 1

    cdef void pages_first(self, vma_id v, const vpn_t* vpn, const slot_t* slot, uint32_t n) noexcept nogil:
        cdef State* s = self.s
        cdef uint32_t o = s.mm[s.area[v].mm].rmap
        cdef uint64_t shift = anon_index(s, v, 0)
        cdef uint32_t i
        cdef Frame* f
        for i in range(n):
            f = &s.frame[pte_pfn(s, pte_get(s, slot[i]))]
            f.rmap = o
            f.index = vpn[i] + shift
        self.context[o].refs += n

    cdef void page_last(self, pfn_t pfn) noexcept nogil:
        if not self.s.frame[pfn].flags & PG_SWAPCACHE:
            unnamed(self, pfn)

    cdef void page_freed(self, pfn_t pfn) noexcept nogil:
        unnamed(self, pfn)

    cdef void page_reused(self, pfn_t pfn, vma_id v, vpn_t vpn) noexcept nogil:
        cdef uint32_t old = self.s.frame[pfn].rmap
        cdef uint32_t own = self.s.mm[self.s.area[v].mm].rmap
        if old != own:
            self.s.frame[pfn].rmap = own
            self.context[own].refs += 1
            self.put(old)

    # walks: a = the context, 0 at the end, b = the offset to try next, c = where it is with the context, d = whether the page
    # was mapped once when it came there, e = the context it began with

    cdef uint32_t onward(self, uint32_t o, uint32_t begin) noexcept nogil:
        """The context after this one in a walk that began with `begin`, the newest children's first; 0: no more."""
        cdef ContextRecord* r = &self.context[o]
        cdef uint64_t passed = 1
        if o == begin:
            o = r.child
        elif r.next:
            o = r.next
        else:
            return 0 if r.parent == begin else r.parent
        if o == 0:
            return 0
        while self.context[o].child:           # down to one that has none
            passed += 1
            o = self.context[o].child
        tally(self.s, C_NODES_VISITED, passed)
        return o

    cdef void walk_begin(self, Walk* w) noexcept nogil:
        tally(self.s, C_NODES_VISITED, 1)
        w.a = self.s.frame[w.pfn].rmap
        w.b = 0
        w.c = ARRIVED
        w.e = w.a

    cdef bint walk_next(self, Walk* w) noexcept nogil:
        cdef State* s = self.s
        cdef Frame* f = &s.frame[w.pfn]
        cdef ContextRecord* r
        cdef uint32_t e
        while w.a:
            r = &self.context[w.a]
            if w.c == ARRIVED and r.mm:
                tally(s, C_MMS_TRIED, 1)
                w.c = AT_HOME
                w.d = f.mapcount < 2
                if proposed(s, w, r.mm, 0):
                    return True
            if w.c == AT_HOME:
                if self.faithful and w.d and f.mapcount < 2:       # H1, H2, H9
                    w.a = 0
                    break
                w.c = AWAY
                w.b = 0
                if r.root:
                    e = self.at(w.a, f.index)
                    w.b = self.span[e].first if e else 0
            while w.b:
                e = w.b
                w.b = self.offset[e].next
                if proposed(s, w, r.mm, self.offset[e].off):
                    return True
            w.a = self.onward(w.a, <uint32_t> w.e)
            w.c = ARRIVED
        return False

    cdef void lead(self, Lead* leads, uint32_t n) noexcept nogil:
        """Where the page's own address space has it at its index: no walk changes a context."""
        cdef State* s = self.s
        cdef Frame* f
        cdef uint32_t i
        cdef uint32_t word = 0                 # of the page before, which this area had
        cdef mm_id mm
        cdef vma_id v = 0
        for i in range(n):
            if leads[i].pfn == 0:
                continue
            f = &s.frame[leads[i].pfn]
            if f.rmap == word and s.area[v].start <= f.index < s.area[v].end:
                lead_to(&leads[i], s.area[v].mm, v, f.index, 1)
                continue
            word = 0
            mm = self.context[f.rmap].mm
            v = area_at(s, mm, f.index) if mm else 0
            if v and offset_of(s, v) == 0:
                lead_to(&leads[i], mm, v, f.index, 1)
                word = f.rmap

    cdef void leads_walked(self, uint64_t walks, uint64_t tried) noexcept nogil:
        tally(self.s, C_NODES_VISITED, walks)
        tally(self.s, C_MMS_TRIED, walks)
        tally(self.s, C_VMA_LOOKUPS, walks)
        tally(self.s, C_VMAS_TRIED, walks)

    cdef void leads_unmapped(self, Lead* leads, uint32_t n) noexcept nogil:
        """None of them is in the swap cache."""
        cdef uint32_t i
        for i in range(n):
            unnamed(self, leads[i].pfn)

    # invariants

    def check(self):
        """CC1 an mm and its context name each other; references are counted. CC2 a child is once in the list of its parent,
        which is in use. CC3 an anonymous frame names a context in use, and is mapped. CC4 maps: spans do not overlap, have
        offsets, as many as counted, in order if repaired, and are in one map each. CC5 what maps cost is charged. Repaired
        only: CC6 an anonymous entry's address space is that of its frame's context or of a descendant; CC7 it lies at its
        frame's index, or at an offset recorded for that."""
        cdef State* s = self.s
        cdef list faults = []
        cdef dict want = {}
        cdef mm_id mm = s.h.mm_first
        cdef uint64_t pfn
        cdef uint32_t o
        cdef Frame* f
        live = in_use(s, self.contexts, self.context, sizeof(ContextRecord), CONTEXT_LINK, "CC1", "context", faults)
        for pfn in range(1, min(s.n_frames, s.pool[P_FRAMES].bump)):
            f = &s.frame[pfn]
            if f.flags & PG_ANON and (f.rmap not in live or f.mapcount == 0):
                fault(faults, "CC3", pfn, 0, 0, "word {0}, mapcount {1}", f.rmap, f.mapcount)
            if f.rmap and not f.flags & PG_CACHED:
                want[f.rmap] = want.get(f.rmap, 0) + 1
        self.check_tree(live, want, faults)
        for o in live:
            if self.context[o].refs != want.get(o, 0):
                fault(faults, "CC1", 0, self.context[o].mm, 0, f"context {o}: {self.context[o].refs} references, should be "
                                                               f"{want.get(o, 0)}")
        maps = self.check_maps(live, faults)
        if self.faithful or faults:            # what follows goes by links, which lead nowhere once these hold
            return faults
        for o in live:
            for e in maps[o]:
                if not self.ascends(e):
                    fault(faults, "CC4", 0, self.context[o].mm, 0, "context {0}: the offsets of span {1} do not ascend", o, e)
        while mm:
            self.check_entries(mm, live, faults)
            mm = s.mm[mm].next
        return faults

    cdef bint ascends(self, uint32_t e) noexcept nogil:
        cdef uint32_t c = self.span[e].first
        while c and self.offset[c].next:
            if self.offset[c].off >= self.offset[self.offset[c].next].off:
                return False
            c = self.offset[c].next
        return True

    cdef int check_tree(self, set live, dict want, list faults) except -1:
        """CC1 for address spaces, CC2. Adds those and children to the references that there should be."""
        cdef State* s = self.s
        cdef ContextRecord* r = self.context
        cdef mm_id mm = s.h.mm_first
        cdef set met = set()
        cdef uint32_t o, c, before
        while mm:
            o = s.mm[mm].rmap
            if o not in live or r[o].mm != mm:
                fault(faults, "CC1", 0, mm, 0, "mm names context {0}", o)
            want[o] = want.get(o, 0) + 1
            mm = s.mm[mm].next
        for o in live:
            if r[o].mm and (r[o].mm >= s.pool[P_MMS].bump or s.mm[r[o].mm].rmap != o):
                fault(faults, "CC1", 0, 0, 0, "context {0}: mm {1} does not name it", o, r[o].mm)
            if r[o].parent:
                want[r[o].parent] = want.get(r[o].parent, 0) + 1
            c = r[o].child
            before = 0
            while c:
                if c not in live or c in met or r[c].parent != o or r[c].prev != before:
                    fault(faults, "CC2", 0, r[o].mm, 0, "context {0}: its children lead to context {1}", o, c)
                    break
                met.add(c)
                before = c
                c = r[c].next
        for o in live:
            if r[o].parent and o not in met:
                fault(faults, "CC2", 0, r[o].mm, 0, "context {0}: its parent {1} does not have it", o, r[o].parent)
        return 0

    cdef int check_entries(self, mm_id mm, set live, list faults) except -1:
        """CC6 and CC7 for one address space."""
        cdef State* s = self.s
        cdef set kin = set()
        cdef uint32_t own = s.mm[mm].rmap
        cdef uint32_t o = own
        cdef uint64_t off
        cdef Entries e = Entries(mm, 0, 0, 0, 0, 0)
        cdef Frame* f
        while o in live and o not in kin:
            kin.add(o)
            o = self.context[o].parent
        while next_anonymous(s, &e):
            f = &s.frame[e.pfn]
            off = e.vpn - f.index
            if f.rmap not in kin:
                fault(faults, "CC6", e.pfn, mm, e.vpn, "context {0} is none of its ancestors", f.rmap)
            elif off and not (own in live and self.stands(own, f.index, f.index, off)):
                fault(faults, "CC7", e.pfn, mm, e.vpn, "index {0:#x}: its offset is not recorded", f.index)
        return 0
