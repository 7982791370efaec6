"""anonmm and anonmm_naive, 2004, and what rmap_chain of 2003 shares with them: anonymous pages by address space [BK 06e0ee4abf;
docs/facts/anonmm.md].

An anonymous page keeps its user address through fork, so it is enough to know which address spaces may have it there:
those born of one exec. Each has an anonmm; they form a ring, the exec's (the head) first, then in the order of the
forks.

   exec P        head P -+     frame: word = anonmm of the mm that mapped it first, index = address in bytes
   fork C                +- C
   fork D                +- D

An anonmm whose mm has gone stays while pages name it. Count: pages that name it + its mm + on the head: itself and
every other member. Unless a scheme says otherwise a page that others map is copied when it moves, and when it comes back
from swap to another address (BK 0c35710493); page_referenced moves a page from a dead anonmm to the first mm it was found in;
reuse of a copy-on-write page does not repoint it; a walk tries the page's own anonmm, then the ring from there.

Costs: areas none; fork and exit O(1); walk O(address spaces of the group), one page-table probe each.
In the kernel: 24 or 40 bytes an anonmm, 4 or 8 in the mm, 4 in the page (mapcount).
Left out on purpose: trylock failures and their warning, which need a second CPU.
"""
import numpy as np

from libc.stdint cimport uint32_t, uint64_t

from rmapcore.pyx.base.counters cimport C_LOCK_ANONMM, C_LOCK_ANONMM_HELD, C_MMS_TRIED, C_RMAP_MOVES, tally
from rmapcore.pyx.base.ids cimport PAGE_SHIFT, mm_id, pfn_t, slot_t, vma_id, vpn_t
from rmapcore.pyx.base.pool cimport pool_give, pool_room, pool_take
from rmapcore.pyx.base.records cimport P_FRAMES, P_MMS, PG_ANON, Frame, Mm
from rmapcore.pyx.base.state cimport X86_64, State
from rmapcore.pyx.base.x86 cimport pte_get, pte_pfn
from rmapcore.pyx.machine.core cimport Core
from rmapcore.pyx.parts.checks cimport Entries, fault, in_use, next_anonymous
from rmapcore.pyx.parts.leads cimport lead_to
from rmapcore.pyx.parts.shown cimport frames_shown, mms_shown, records_shown
from rmapcore.pyx.seam.scheme cimport HIT_FAIL, HIT_SEEN, WALK_REFERENCED, Lead, Outcome, Scheme, Walk

cdef AnonmmRecord _record

ANONMM = np.asarray(<AnonmmRecord[:1]> &_record).dtype
assert ANONMM.itemsize == 20 and ANONMM.fields["next"][1] == ANONMM_LINK


cdef class ForkGroup(Scheme):
    """What all three do; a subclass names itself before it calls __init__. No options."""

    def __init__(self, **options):
        for option in options:
            raise ValueError(f"{self.name} has no option {option!r}")
        Scheme.__init__(self)

    def attach(self, Core core):
        Scheme.attach(self, core)
        self.word = 8 if self.s.arch == X86_64 else 4
        # an anonmm has a living mm, or a page that names it, or is the head of one that does
        most = min(2 * (self.s.pool[P_MMS].capacity + self.s.n_frames), (1 << 32) - 1)
        self.pool = core.new_pool("anonmm", most, self.record_bytes(), self.record_bytes())
        self.anonmm = <AnonmmRecord*> <size_t> core.new_arena("anonmms", ANONMM, most, self.pool)
        core.charge_mm(self.word)

    cdef int record_bytes(self):
        return 40 if self.word == 8 else 24

    def census(self):
        return {"anonmm": (self.pool, self.record_bytes())}

    def overhead(self):
        return {"page": 4, "mm": self.word}

    # address spaces

    cdef int mm_room(self, mm_id parent) noexcept nogil:
        return 0 if pool_room(self.s, self.pool, 1) else self.pool

    cdef uint32_t create(self, mm_id mm, uint32_t count) noexcept nogil:
        cdef uint32_t o = pool_take(self.s, self.pool, self.anonmm, sizeof(AnonmmRecord), ANONMM_LINK)
        self.anonmm[o].mm = mm
        self.anonmm[o].count = count
        self.s.mm[mm].rmap = o
        return o

    cdef void release(self, uint32_t o) noexcept nogil:
        pool_give(self.s, self.pool, self.anonmm, sizeof(AnonmmRecord), ANONMM_LINK, o)

    cdef void mm_exec(self, mm_id mm) noexcept nogil:
        cdef uint32_t o = self.create(mm, 2)
        self.anonmm[o].head = o
        self.anonmm[o].next = o
        self.anonmm[o].prev = o

    cdef void mm_fork(self, mm_id child, mm_id parent) noexcept nogil:
        cdef uint32_t head = self.anonmm[self.s.mm[parent].rmap].head
        cdef uint32_t o = self.create(child, 1)
        cdef AnonmmRecord* r = &self.anonmm[o]
        tally(self.s, C_LOCK_ANONMM, 1)
        r.head = head
        r.next = head
        r.prev = self.anonmm[head].prev
        self.anonmm[r.prev].next = o
        self.anonmm[head].prev = o
        self.anonmm[head].count += 1

    cdef void mm_exit(self, mm_id mm) noexcept nogil:
        """The mm leaves its anonmm; a head that only holds itself goes.

        put() elsewhere cannot leave such a head behind: it is called for a page that was mapped until now, so its
        mapper's mm lives and keeps a reference on the head until its own exit.
        """
        cdef uint32_t o = self.s.mm[mm].rmap
        cdef uint32_t head = self.anonmm[o].head
        tally(self.s, C_LOCK_ANONMM, 1)
        self.s.mm[mm].rmap = 0
        self.anonmm[o].mm = 0
        self.put(o)
        if self.anonmm[head].count == 1:
            self.release(head)

    # pages

    cdef void page_first(self, pfn_t pfn, vma_id v, vpn_t vpn) noexcept nogil:
        cdef Frame* f = &self.s.frame[pfn]
        f.rmap = self.s.mm[self.s.area[v].mm].rmap
        f.index = vpn << PAGE_SHIFT
        self.anonmm[f.rmap].count += 1

    cdef void pages_first(self, vma_id v, const vpn_t* vpn, const slot_t* slot, uint32_t n) noexcept nogil:
        cdef State* s = self.s
        cdef uint32_t o = s.mm[s.area[v].mm].rmap
        cdef uint32_t i
        cdef Frame* f
        for i in range(n):
            f = &s.frame[pte_pfn(s, pte_get(s, slot[i]))]
            f.rmap = o
            f.index = vpn[i] << PAGE_SHIFT
        self.anonmm[o].count += n

    cdef void page_last(self, pfn_t pfn) noexcept nogil:
        cdef Frame* f = &self.s.frame[pfn]
        self.put(f.rmap)
        f.rmap = 0

    cdef bint may_move(self, pfn_t pfn, vpn_t vpn) noexcept nogil:
        return self.s.frame[pfn].mapcount == 1

    cdef void page_moved(self, pfn_t pfn, vma_id v, vpn_t vpn, slot_t old, slot_t new) noexcept nogil:
        """Only the address changes: the page goes on naming the anonmm it had."""
        tally(self.s, C_RMAP_MOVES, 1)
        self.s.frame[pfn].index = vpn << PAGE_SHIFT

    cdef bint may_swapin(self, pfn_t pfn, vpn_t vpn) noexcept nogil:
        cdef Frame* f = &self.s.frame[pfn]
        return f.mapcount == 0 or f.index == vpn << PAGE_SHIFT

    # walks: a = where on the ring it begins, b = the next to look at (0: none), c = the first with the page, d = the candidate,
    # e = address spaces looked at

    cdef void walk_begin(self, Walk* w) noexcept nogil:
        tally(self.s, C_LOCK_ANONMM, 1)
        w.a = self.s.frame[w.pfn].rmap
        w.b = w.a
        w.c = 0
        w.d = 0
        w.e = 0

    cdef bint walk_next(self, Walk* w) noexcept nogil:
        """The next address space of the ring that lives and has pages at all."""
        cdef State* s = self.s
        cdef uint32_t o = w.b
        cdef uint64_t tried = 0
        cdef bint found = False
        cdef mm_id mm
        while o and not found:
            mm = self.anonmm[o].mm
            if mm:
                tried += 1
                if s.mm[mm].rss:
                    w.mm = mm
                    w.vma = 0                  # the engine looks it up if it needs it
                    w.vpn = s.frame[w.pfn].index >> PAGE_SHIFT
                    w.slot = 0
                    w.d = o
                    found = True
            o = self.anonmm[o].next
            if o == w.a:
                o = 0
        w.b = o
        w.e += tried
        return found

    cdef void walk_hit(self, Walk* w, Outcome outcome) noexcept nogil:
        if (outcome == HIT_SEEN or outcome == HIT_FAIL) and w.c == 0:
            w.c = <uint32_t> w.d

    cdef void walk_end(self, Walk* w, bint complete) noexcept nogil:
        """page_referenced, all mappings found: the page moves from a dead anonmm to the first that had it (rule G3)."""
        cdef uint32_t old = self.s.frame[w.pfn].rmap
        tally(self.s, C_MMS_TRIED, w.e)
        tally(self.s, C_LOCK_ANONMM_HELD, w.e)
        if w.purpose != WALK_REFERENCED or not complete or w.c == 0 or self.anonmm[old].mm:
            return
        self.s.frame[w.pfn].rmap = w.c
        self.anonmm[w.c].count += 1
        self.put(old)

    cdef uint32_t lock_of_frame(self, pfn_t pfn) noexcept nogil:
        return self.anonmm[self.s.frame[pfn].rmap].head

    cdef uint32_t lock_of_mm(self, mm_id mm, bint forks) noexcept nogil:
        return self.anonmm[self.s.mm[mm].rmap].head

    cdef void leads_walked(self, uint64_t walks, uint64_t tried) noexcept nogil:
        tally(self.s, C_LOCK_ANONMM, walks)
        tally(self.s, C_MMS_TRIED, tried)
        tally(self.s, C_LOCK_ANONMM_HELD, tried)

    cdef void leads_unmapped(self, Lead* leads, uint32_t n) noexcept nogil:
        cdef Frame* frame = self.s.frame
        cdef uint32_t i
        for i in range(n):
            self.put(frame[leads[i].pfn].rmap)
            frame[leads[i].pfn].rmap = 0

    def structure(self):
        cdef AnonmmRecord* r
        cdef uint32_t o
        cdef list rows = frames_shown(self.s, PG_ANON, "anonmm") + mms_shown(self.s, "anonmm")
        for o in sorted(records_shown(self.s, self.pool, self.anonmm, sizeof(AnonmmRecord), ANONMM_LINK)):
            r = &self.anonmm[o]
            links = {"address space": ("mm", r.mm)} if r.mm else {}
            rows.append(("anonmm", o, {"count": r.count}, links | {"head": ("anonmm", r.head), "next": ("anonmm", r.next)}))
        return rows

    def route(self, pfn):
        return self.ring_from(self.s.frame[pfn].rmap)

    cdef list ring_from(self, uint32_t o):
        """A ring's anonmms, each with its address space if that lives."""
        cdef dict met = {}                     # keys, in order
        while o and ("anonmm", o) not in met:
            met["anonmm", o] = True
            if self.anonmm[o].mm:
                met["mm", self.anonmm[o].mm] = True
            o = self.anonmm[o].next
        return list(met)

    # invariants

    cdef bint knows(self, pfn_t pfn, vpn_t vpn) noexcept nogil:
        """Would a walk look for the frame at this page?"""
        return self.s.frame[pfn].index == vpn << PAGE_SHIFT

    def check(self):
        """AM1 counts. AM2 anonymous frames name an anonmm in use, and are mapped. AM3 entries lie where the frame
        says, in an mm on the frame's ring. AM4 rings and mms fit together. AM5 every anonmm in use is on a ring."""
        cdef State* s = self.s
        cdef AnonmmRecord* r = self.anonmm
        cdef list faults = []
        cdef uint32_t o
        cdef mm_id mm = s.h.mm_first
        live = in_use(s, self.pool, r, sizeof(AnonmmRecord), ANONMM_LINK, "AM5", "anonmm", faults)
        want = self.expected(live, faults)
        ring_of = self.check_rings(live, want, faults)
        for o in live:
            if o not in ring_of:
                fault(faults, "AM5", 0, r[o].mm, 0, "anonmm {0}: on no ring", o)
            if r[o].count != want[o]:
                fault(faults, "AM1", 0, r[o].mm, 0, f"anonmm {o}: count {r[o].count}, should be {want[o]}")
            if r[o].mm and (r[o].mm >= s.pool[P_MMS].bump or s.mm[r[o].mm].rmap != o or not s.mm[r[o].mm].alive):
                fault(faults, "AM4", 0, r[o].mm, 0, "anonmm {0}: mm {1} does not name it", o, r[o].mm)
        while mm:
            if s.mm[mm].rmap not in live or r[s.mm[mm].rmap].mm != mm:
                fault(faults, "AM4", 0, mm, 0, "mm names anonmm {0}", s.mm[mm].rmap)
            self.check_entries(mm, ring_of, faults)
            mm = s.mm[mm].next
        return faults

    cdef dict expected(self, set live, list faults):
        """AM2; anonmm -> what its count should be, other members of a ring aside."""
        cdef State* s = self.s
        cdef dict want = {}
        cdef uint64_t pfn
        cdef uint32_t o
        cdef Frame* f
        for o in live:
            want[o] = (self.anonmm[o].mm != 0) + (self.anonmm[o].head == o)
        for pfn in range(1, min(s.n_frames, s.pool[P_FRAMES].bump)):
            f = &s.frame[pfn]
            if not f.flags & PG_ANON:
                continue
            if f.rmap not in want or f.mapcount == 0:
                fault(faults, "AM2", pfn, 0, f.index >> PAGE_SHIFT, "word {0}, mapcount {1}", f.rmap, f.mapcount)
            else:
                want[f.rmap] += 1
        return want

    cdef dict check_rings(self, set live, dict want, list faults):
        """AM4 for the rings; anonmm -> head, by walking them. Adds members to what their heads want."""
        cdef AnonmmRecord* r = self.anonmm
        cdef dict ring_of = {}
        cdef uint32_t o, at
        for o in live:
            if r[o].head != o:
                continue
            at = o
            while True:
                ring_of[at] = o
                if r[at].next not in live or r[r[at].next].prev != at:
                    fault(faults, "AM4", 0, r[at].mm, 0, "anonmm {0}: next {1} does not lead back", at, r[at].next)
                    break
                at = r[at].next
                if at == o:
                    break
                if at in ring_of or r[at].head != o:
                    fault(faults, "AM4", 0, r[at].mm, 0, f"anonmm {at}: on the ring of {o}, its head is {r[at].head}")
                    break
                want[o] += 1
        return ring_of

    cdef int check_entries(self, mm_id mm, dict ring_of, list faults) except -1:
        """AM3 for one address space."""
        cdef Entries e = Entries(mm, 0, 0, 0, 0, 0)
        cdef Frame* f
        ring = ring_of.get(self.s.mm[mm].rmap)
        while next_anonymous(self.s, &e):
            f = &self.s.frame[e.pfn]
            if not self.knows(e.pfn, e.vpn):
                fault(faults, "AM3", e.pfn, mm, e.vpn, "frame says address {0:#x}", f.index)
            if ring is None or ring_of.get(f.rmap) != ring:
                fault(faults, "AM3", e.pfn, mm, e.vpn, "anonmm {0} is of another group", f.rmap)
        return 0


# As the scheme was argued against [Andrea Arcangeli, 13 Mar 2004]: a walk begins at the head of the ring, not at the page's own
# anonmm, and goes through all of it even if all mappings have been found: a page that one of N children mapped for itself costs
# N + 1 address spaces, where anonmm as merged needs one.


cdef class AnonmmNaive(ForkGroup):
    """anonmm that tries everybody. No options."""

    def __init__(self, **options):
        self.name = "anonmm_naive"
        ForkGroup.__init__(self, **options)
        self.exhaustive = True

    cdef void walk_begin(self, Walk* w) noexcept nogil:
        ForkGroup.walk_begin(self, w)
        w.a = self.anonmm[w.a].head
        w.b = w.a

    cdef void lead(self, Lead* leads, uint32_t n) noexcept nogil:
        """The one candidate, where only the last address space of the ring has pages: a walk that is broken off there has tried
        as many as one that is not. Of others the page's own, for fetching only; as is that of a dead anonmm, whose page would
        move at the end of page_referenced."""
        cdef Frame* frame = self.s.frame
        cdef AnonmmRecord* r = self.anonmm
        cdef uint32_t i, own, o
        cdef uint32_t word = 0                 # of the page before, and what its ring gave
        cdef uint32_t tried = 0
        cdef bint behind
        for i in range(n):
            if leads[i].pfn == 0:
                continue
            own = frame[leads[i].pfn].rmap
            if own != word:
                word = own
                tried = r[own].mm != 0 and self.s.mm[r[own].mm].rss != 0
                behind = True                  # until the head comes round
                o = r[own].next
                while o != own and tried:
                    behind = behind and o != r[own].head
                    if r[o].mm:
                        tried = 0 if behind or self.s.mm[r[o].mm].rss else tried + 1
                    o = r[o].next
            if r[own].mm:
                lead_to(&leads[i], r[own].mm, 0, frame[leads[i].pfn].index >> PAGE_SHIFT, tried)

    def route(self, pfn):
        return self.ring_from(self.anonmm[self.s.frame[pfn].rmap].head)


# As in Linus's tree on 22 May 2004 only: a walk tries the page's own anonmm first, then the ring from there, and ends when all
# mappings were found: often the first address space has the page. What breaks: mremap of a page that others map, and swap-in
# at another address, each cost a copy.


cdef class Anonmm(ForkGroup):
    """One anonmm per address space. No options."""

    def __init__(self, **options):
        self.name = "anonmm"
        ForkGroup.__init__(self, **options)

    cdef void lead(self, Lead* leads, uint32_t n) noexcept nogil:
        """walk_begin and walk_next of each. A page of a dead anonmm would move at the end of page_referenced: its lead is
        good for fetching only."""
        cdef Frame* frame = self.s.frame
        cdef Mm* mms = self.s.mm
        cdef AnonmmRecord* r = self.anonmm
        cdef Frame* f
        cdef uint32_t i, own, o, tried
        cdef uint32_t word = 0                 # of the page before, and its lead: those of one word differ in the page only
        cdef uint32_t before = 0
        cdef mm_id mm
        for i in range(n):
            if leads[i].pfn == 0:
                continue
            f = &frame[leads[i].pfn]
            own = f.rmap
            if own == word:
                lead_to(&leads[i], leads[before].mm, 0, f.index >> PAGE_SHIFT, leads[before].tried)
                continue
            o = own
            tried = 0
            while True:
                mm = r[o].mm
                if mm:
                    tried += 1
                    if mms[mm].rss:
                        lead_to(&leads[i], mm, 0, f.index >> PAGE_SHIFT, tried if r[own].mm else 0)
                        word = own
                        before = i
                        break
                o = r[o].next
                if o == own:
                    break
