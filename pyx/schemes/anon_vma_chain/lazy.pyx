"""anon_vma_lazy: no anon_vma before the first fork (rule G20). Proposed as ANON_VMA_LAZY on 27 May 2026, never merged.

A page of an area that was never forked names, instead of an anon_vma, the area that it was made in, its *root*, of which
two things are needed: the address space, and how far pages lie from their index. Neither changes when areas are cut, joined
or grow, so no page is touched then, and areas of one address space and one distance can serve for one another. fork makes
an anon_vma after all, for the parent's area; the child's pages go to it too, until the child forks.

   area    NONE ──first page──> LAZY ──fork, mremap──> REGULAR <──fork── PARENT <──born by fork── (parent: LAZY, REGULAR)
   word    0                    root                   own anon_vma      the parent's
   page    word = the area's    a root has the top bit (LAZY_WORD), so that it shows without looking at the record
   walk    root: one look-up, at index + distance, in one address space, no lock      else as anon_vma_chain

What keeps roots alive is in roots.pyx. What forks have been through is as in anon_vma_chain (chains.pyx, trees.pyx), less
the child's own anon_vma.
UNVERIFIED, as the mails of the proposal could not be read whole; each is as decided here, four can be turned round by options:

   child_pages=own   a child gets an anon_vma at its first own page, not when it forks itself; else parent
   adopt=0           fork makes an anon_vma for each piece of an area; else pieces take a neighbour's, as first pages did
   reuse=0           a child that forks always gets a new one; else an ancestor's that nobody needs serves again
   repair=0          a page that was in the swap cache while its area was forked or moved keeps its root: it is lost
   not options: what mremap moves has an anon_vma first, and its pages name it; LAZY joins LAZY and NONE, never REGULAR;
   areas keep roots alive, pages do not

An area that mremap takes a part of is REGULAR, but holds its root on: pages that stayed name it. fork lets go of it, as then
every page that is mapped is rewritten; one in the swap cache is when it comes back (repair). A root is there as long as its
area or one that holds it.

Costs: first page of an area O(log n), for the group; page O(1), fork one word a page at the first time; a lazy walk O(log n)
for n areas of the address space. In the kernel: an area 28 bytes (24, and a count of references, 4), a page 4.
Follows the mails as docs/facts/anon-vma-lazy.md has them. Left out on purpose: KSM, migration, walkers' references;
a stack that exec shifts, which gives a root another distance (nothing else does).
"""
from libc.stdint cimport uint32_t, uint64_t

from rmapcore.pyx.base.counters cimport (
    C_LOCK_ANON_VMA, C_LOCK_ANON_VMA_HELD, C_MMS_TRIED, C_NODES_VISITED, C_RMAP_MOVES, C_VMA_LOOKUPS, C_VMAS_TRIED, tally,
)
from rmapcore.pyx.base.ids cimport mm_id, pfn_t, slot_t, vma_id, vpn_t
from rmapcore.pyx.base.pool cimport pool_room
from rmapcore.pyx.base.records cimport P_AREAS, PG_ANON, PG_SWAPCACHE, VM_DONTCOPY, VM_WIPEONFORK, Area, Frame
from rmapcore.pyx.base.state cimport State
from rmapcore.pyx.base.x86 cimport pte_get, pte_pfn, pte_present
from rmapcore.pyx.machine.core cimport Core
from rmapcore.pyx.machine.swap cimport comes_back_alone
from rmapcore.pyx.machine.vmas cimport anon_index, anon_shift
from rmapcore.pyx.parts.leads cimport lead_to
from rmapcore.pyx.schemes.anon_vma_chain.roots cimport LAZY, LAZY_WORD, NONE, REGULAR, AvRoots, Kind, RootRecord
from rmapcore.pyx.schemes.anon_vma_chain.trees cimport AvTrees
from rmapcore.pyx.seam.scheme cimport Lead, Walk

cdef enum:
    LAZY_TRIED = 1 << 24      # what a lazy lead has tried, so that their number stands above all nodes entered by others

SWITCHES = {"child_pages": ("parent", "own"), "adopt": ("1", "0"), "reuse": ("1", "0"), "repair": ("1", "0")}


cdef class AnonVmaLazy(AvRoots):
    """anon_vma_lazy. Options: child_pages ("parent", "own"), adopt, reuse, repair ("1", "0"); the first is the default."""

    cdef bint own_pages
    cdef bint adopt
    cdef bint reuse
    cdef bint repair
    cdef bint renames         # pages of the area that is forked may name a root

    def __init__(self, **options):
        self.name = "anon_vma_lazy"
        for key, value in options.items():
            if key not in SWITCHES:
                raise ValueError(f"{self.name}: no option {key!r}; allowed are {', '.join(SWITCHES)}")
            if str(value) not in SWITCHES[key]:
                raise ValueError(f"{self.name}: {key} is {value!r}; allowed are {', '.join(SWITCHES[key])}")
        AvRoots.__init__(self)
        self.options = options
        self.era = "6.18"
        self.own_pages = str(options.get("child_pages")) == "own"
        self.adopt = str(options.get("adopt")) != "0"
        self.reuse = str(options.get("reuse")) != "0"
        self.repair = str(options.get("repair")) != "0"

    def attach(self, Core core):
        AvRoots.attach(self, core)
        self.newest_first = self.s.copied_from != 0

    def sizes(self):
        return {"anon_vma": 104, "anon_vma_chain": 64} if self.word == 8 else {"anon_vma": 52, "anon_vma_chain": 32}

    # anon_vmas

    cdef bint singular(self, vma_id v) noexcept nogil:
        """Only of a REGULAR area: PARENT has been through a fork even with one avc."""
        return not self.lazy[v].inherited and AvTrees.singular(self, v)

    cdef uint32_t serving(self, vma_id v) noexcept nogil:
        """The first of v's chain, in the order of copies, that no area calls its own and that has at most one child; or 0."""
        cdef uint32_t c = self.chain[v].newest if self.newest_first else self.chain[v].oldest
        while self.reuse and c:
            if self.anon_vma[self.avc[c].anon_vma].children < 2 and self.anon_vma[self.avc[c].anon_vma].users == 0:
                return self.avc[c].anon_vma
            c = self.avc[c].older if self.newest_first else self.avc[c].newer
        return 0

    cdef void upgrade(self, vma_id v) noexcept nogil:
        """vma_upgrade_anon_vma_lazy: a LAZY or PARENT area becomes REGULAR. Its pages are not looked at."""
        cdef Area* a = &self.s.area[v]
        cdef uint32_t parent = a.rmap
        cdef uint32_t o
        tally(self.s, C_LOCK_ANON_VMA, 1)
        if parent & LAZY_WORD:
            a.rmap = 0
            o = self.neighbours(v) if self.adopt else 0
            if o == 0:
                o = self.create(0)
            self.link(v, o, True)
        else:
            self.anon_vma[parent].users -= 1
            self.lazy[v].inherited = 0
            o = self.serving(v)
            if o == 0:
                o = self.create(parent)
                self.link(v, o, False)
        a.rmap = o
        self.anon_vma[o].users += 1

    # room

    cdef int pools_room(self, uint64_t avcs, uint64_t anon_vmas) noexcept nogil:
        """With child_pages=own each area may need one of both at any page: that much is kept back."""
        cdef uint64_t kept = self.s.pool[P_AREAS].live if self.own_pages else 0
        if not pool_room(self.s, self.avcs, avcs + kept):
            return self.avcs
        return 0 if pool_room(self.s, self.anon_vmas, anon_vmas + kept) else self.anon_vmas

    cdef int mm_room(self, mm_id parent) noexcept nogil:
        """For each area that is copied with its pages: one of both to upgrade it, its chain once more, and with child_pages=own
        one of both to keep back for the copy."""
        cdef State* s = self.s
        cdef uint64_t each = 2 if self.own_pages else 1
        cdef uint64_t areas = s.mm[parent].n_areas if parent else 0
        cdef uint64_t n = s.pool[self.avcs].live + (each + 1) * areas
        cdef vma_id v
        if parent == 0 or self.pools_room(n, each * areas) == 0:
            return 0
        areas = n = 0
        v = s.mm[parent].first
        while v:
            if s.area[v].rmap and not s.area[v].flags & (VM_DONTCOPY | VM_WIPEONFORK):
                areas += 1
                n += self.depth(v) + 1 + each
            v = s.area[v].next
        return self.pools_room(n, each * areas)

    cdef int prepare_room(self, vma_id v) noexcept nogil:
        return 0 if pool_room(self.s, self.roots, 1) else self.roots

    cdef int area_room(self, vma_id v, uint32_t n) noexcept nogil:
        cdef uint64_t most = self.depth(v) if v else self.s.pool[self.avcs].live
        cdef int pool = self.pools_room(n * (most + 2), n)
        return pool if pool or pool_room(self.s, self.roots, n) else self.roots

    # areas

    cdef void area_fork(self, vma_id child, vma_id parent) noexcept nogil:
        """The parent's area has an anon_vma from now on, the child's joins all of its chain and has none of its own."""
        self.s.area[child].rmap = 0
        self.renames = self.lazy[parent].root != 0 or not self.repair
        if self.s.area[parent].rmap == 0:
            return
        if self.kind(parent) != REGULAR:
            self.upgrade(parent)
        self.release(parent)                   # pages that name it are rewritten now (pages_forked)
        self.s.area[child].rmap = self.s.area[parent].rmap
        self.lazy[child].inherited = 1
        self.clone(child, parent, False)

    cdef void area_before(self, vma_id v) noexcept nogil:
        if not self.s.area[v].rmap & LAZY_WORD:
            AvTrees.area_before(self, v)

    cdef void carry(self, vma_id new, vma_id v) noexcept nogil:
        """new, whose word is v's, becomes what v is."""
        if self.s.area[v].rmap and not self.s.area[v].rmap & LAZY_WORD:
            self.clone(new, v, False)
        self.lazy[new].inherited = self.lazy[v].inherited

    cdef void area_split(self, vma_id new, vma_id v) noexcept nogil:
        self.carry(new, v)
        self.share(new, v)

    cdef void area_clone(self, vma_id new, vma_id v) noexcept nogil:
        if self.kind(v) == LAZY:
            self.upgrade(v)
            self.s.area[new].rmap = self.s.area[v].rmap
        self.carry(new, v)

    cdef void area_import(self, vma_id v, vma_id giver) noexcept nogil:
        if self.s.area[v].rmap == 0 and self.s.area[giver].rmap:
            if self.kind(giver) == LAZY and self.root[self.lazy[giver].root].off != anon_shift(self.s, v):
                self.found(v)                  # mremap, to another distance
                return
            self.s.area[v].rmap = self.s.area[giver].rmap
            self.carry(v, giver)
        self.share(v, giver)

    cdef bint compatible(self, vma_id v, vma_id source) noexcept nogil:
        cdef Kind one = self.kind(v)
        cdef Kind other = self.kind(source) if source else NONE
        if one != NONE and other != NONE:
            return self.may_bridge(v, source)
        if one == other or one == LAZY or other == LAZY:
            return True
        return self.singular(v if other == NONE else source)

    cdef bint may_bridge(self, vma_id prev, vma_id next) noexcept nogil:
        cdef Kind one = self.kind(prev)
        cdef Kind other = self.kind(next)
        if one == NONE or other == NONE:
            return True
        return one == other and (one == LAZY or self.s.area[prev].rmap == self.s.area[next].rmap)

    cdef void anon_prepare(self, vma_id v) noexcept nogil:
        if self.s.area[v].rmap == 0:
            self.found(v)
        elif self.own_pages and self.lazy[v].inherited:
            self.upgrade(v)

    # pages

    cdef void page_first(self, pfn_t pfn, vma_id v, vpn_t vpn) noexcept nogil:
        cdef Frame* f = &self.s.frame[pfn]
        cdef uint32_t word = self.s.area[v].rmap
        if f.flags & PG_SWAPCACHE and f.rmap and not (f.rmap & LAZY_WORD and self.repair):
            return
        f.rmap = word if word & LAZY_WORD or comes_back_alone(self.s, pfn) else self.anon_vma[word].root
        f.index = anon_index(self.s, v, vpn)

    cdef void pages_forked(self, vma_id child, vpn_t vpn, slot_t slot, uint32_t n) noexcept nogil:
        """try_dup_anon_rmap: a page that names a root names the parent's anon_vma from now on."""
        cdef State* s = self.s
        cdef uint32_t word = s.area[child].rmap
        cdef uint64_t entry
        cdef uint32_t i
        cdef Frame* f
        if not self.renames:
            return
        for i in range(n):
            entry = pte_get(s, slot + i)
            if pte_present(entry):
                f = &s.frame[pte_pfn(s, entry)]
                if f.flags & PG_ANON and f.rmap & LAZY_WORD:
                    f.rmap = word

    cdef void page_moved(self, pfn_t pfn, vma_id v, vpn_t vpn, slot_t old, slot_t new) noexcept nogil:
        """A root's distance is another now."""
        cdef Frame* f = &self.s.frame[pfn]
        if f.rmap & LAZY_WORD:
            f.rmap = self.s.area[v].rmap
            tally(self.s, C_RMAP_MOVES, 1)

    # walks: as trees.pyx has them, or of a root: c = it, b = 1 once its candidate was given

    cdef void walk_begin(self, Walk* w) noexcept nogil:
        cdef uint32_t word = self.s.frame[w.pfn].rmap
        w.c = word ^ LAZY_WORD if word & LAZY_WORD else 0
        if w.c:
            w.b = 0
        else:
            AvTrees.walk_begin(self, w)

    cdef bint walk_next(self, Walk* w) noexcept nogil:
        cdef vma_id v, met
        if w.c == 0:
            return AvTrees.walk_next(self, w)
        if w.b:
            return False
        w.b = 1
        v = self.place(w.pfn, &met)
        tally(self.s, C_MMS_TRIED, 1)
        tally(self.s, C_VMA_LOOKUPS, 1)
        if met:
            tally(self.s, C_VMAS_TRIED, 1)
        if v == 0:
            return False
        w.mm = self.root[w.c].mm
        w.vma = v
        w.vpn = self.s.frame[w.pfn].index + self.root[w.c].off
        w.slot = 0
        return True

    cdef void walk_end(self, Walk* w, bint complete) noexcept nogil:
        if w.c == 0:
            AvTrees.walk_end(self, w, complete)

    cdef uint32_t lock_of_area(self, vma_id v) noexcept nogil:
        return 0 if self.s.area[v].rmap & LAZY_WORD else AvTrees.lock_of_area(self, v)

    cdef uint32_t lock_of_frame(self, pfn_t pfn) noexcept nogil:
        return 0 if self.s.frame[pfn].rmap & LAZY_WORD else AvTrees.lock_of_frame(self, pfn)

    cdef void lead(self, Lead* leads, uint32_t n) noexcept nogil:
        """Those of anon_vmas as trees.pyx finds them, then those of roots, which are kept from it meanwhile."""
        cdef Lead* one
        cdef RootRecord* root
        cdef uint32_t word
        cdef uint32_t last = 0                 # the root looked up last, whose area is v, from start to end
        cdef vma_id v = 0
        cdef vma_id met
        cdef vpn_t vpn
        cdef vpn_t start = 0
        cdef vpn_t end = 0
        cdef uint32_t lazy = 0
        cdef uint32_t regular = 0
        cdef uint32_t i
        for i in range(n):
            one = &leads[i]
            one.reserved = 0
            if one.pfn == 0:
                continue
            word = self.s.frame[one.pfn].rmap
            if not word & LAZY_WORD:
                regular += 1
                continue
            one.reserved = one.pfn
            one.pfn = 0
            lazy += 1
        if regular:
            AvTrees.lead(self, leads, n)
        if lazy == 0:
            return
        for i in range(n):
            one = &leads[i]
            if one.reserved == 0:
                continue
            one.pfn = one.reserved
            word = self.s.frame[one.pfn].rmap
            root = &self.root[word ^ LAZY_WORD]
            vpn = self.s.frame[one.pfn].index + root.off
            if word != last or vpn < start or vpn >= end:      # neighbours mostly lie in one area
                v = self.place(one.pfn, &met)
                last = word
                start = self.s.area[v].start if v else 0
                end = self.s.area[v].end if v else 0
            if v:
                lead_to(one, root.mm, v, vpn, LAZY_TRIED)

    cdef void leads_walked(self, uint64_t walks, uint64_t tried) noexcept nogil:
        cdef uint64_t lazy = tried / LAZY_TRIED
        tally(self.s, C_MMS_TRIED, lazy)
        tally(self.s, C_VMA_LOOKUPS, lazy)
        tally(self.s, C_VMAS_TRIED, walks)
        tally(self.s, C_LOCK_ANON_VMA, walks - lazy)
        tally(self.s, C_LOCK_ANON_VMA_HELD, walks - lazy)
        tally(self.s, C_NODES_VISITED, tried % LAZY_TRIED)
