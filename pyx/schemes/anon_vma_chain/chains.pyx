"""Anonymous pages by object and by generation: each area has a chain of anon_vmas, its own and its ancestors' (2.6.34 on).

A page names the anon_vma of the area that made it. Whoever may map it has joined that anon_vma: the area itself, what
was forked, split or moved from it. What a child writes is its own anon_vma's, and only the child and its descendants are
looked at for it; that is what the chains are for.

   P ──fork── V1 ──fork── V2      anon_vma A0 (P's, the root): avcs of P, V1, V2
                                  anon_vma A1 (V1's):          avcs of V1, V2
   chain of V2: [A2, A1, A0]      anon_vma A2 (V2's):          avc of V2

   area: word = its own anon_vma, 0 until the first anonymous page; chain, newest first
   frame: word = anon_vma, index;  address = start + (index - pgoff), if inside the area

The hooks that the schemes of this kind share. They differ in how an anon_vma keeps its avcs and in their order (`enter`,
`leave`, the walks), in what a child may take over instead of a new anon_vma (`reusable`), and in what may merge.

An anon_vma goes with its last avc. Every chain that holds it holds its parent, so parents outlive children. A frame in the
swap cache keeps its word while nothing maps it: whoever can map it again has that anon_vma in its chain. If it names none,
the first to map it again gives it its own anon_vma if no other entry can lead to it, else the root of the chain, where all
kin are. A scheme that loses areas of a chain (anon_vma_chain_degree) leaves frames behind that name a free record or one in
its next life, as the other schemes of areas do.

Costs, at depth d (the length of the chain): prepare O(1), fork d + 1 avcs, split, mremap and import d, unlink d; each enters
or leaves one list or tree. Nothing per page. In the kernel: 12 or 24 bytes in the area (list head and pointer), 4 in the page
(mapcount), an avc of 24 or 48 (lists), 32 or 64 (trees), an anon_vma as the schemes say.
Follows [2.6.34, 3.19.8, 5.19, 6.19 mm/rmap.c] as docs/facts/anon-vma-chain.md has it. Left out on purpose: KSM's references
and those that walkers take. Arenas hold 8 avcs for each area there can be, 2^28, which long lines of forks do fill: the room
questions say so before. As no chain has more avcs than there are in use, one comparison answers them until half of all are.
"""
import numpy as np

from libc.stdint cimport uint32_t, uint64_t

from rmapcore.pyx.base.counters cimport C_LOCK_ANON_VMA, C_LOCK_ANON_VMA_HELD, C_VMAS_TRIED, tally
from rmapcore.pyx.base.ids cimport mm_id, pfn_t, slot_t, vma_id, vpn_t
from rmapcore.pyx.base.pool cimport pool_give, pool_room, pool_take
from rmapcore.pyx.base.records cimport P_AREAS, PG_SWAPCACHE, VM_DONTCOPY, VM_WIPEONFORK, Area, Frame
from rmapcore.pyx.base.state cimport X86_64, State
from rmapcore.pyx.base.x86 cimport pte_get, pte_pfn
from rmapcore.pyx.machine.core cimport Core
from rmapcore.pyx.machine.swap cimport comes_back_alone
from rmapcore.pyx.machine.vmas cimport anon_index, anon_shift, could_merge
from rmapcore.pyx.parts.checks cimport area_entries, area_fault, astray, fault, in_use, still_astray
from rmapcore.pyx.schemes.anon_vma_chain.chains cimport AVC_LINK, CHAINED_LINK, AvcRecord, Chain, ChainedRecord
from rmapcore.pyx.seam.scheme cimport Scheme

cdef enum:
    AVCS_PER_AREA = 8

cdef AvcRecord _avc
cdef ChainedRecord _record
cdef Chain _chain

AVC = np.asarray(<AvcRecord[:1]> &_avc).dtype
CHAINED = np.asarray(<ChainedRecord[:1]> &_record).dtype
CHAIN = np.asarray(<Chain[:1]> &_chain).dtype
assert AVC.itemsize == 16 and CHAINED.itemsize == 24 and CHAIN.itemsize == 8
assert AVC.fields["older"][1] == AVC_LINK and CHAINED.fields["last"][1] == CHAINED_LINK


cdef class AvChains(Scheme):
    """Base of the schemes; a subclass names itself before it calls __init__. No options."""

    def __init__(self, **options):
        for option in options:
            raise ValueError(f"{self.name} has no option {option!r}")
        Scheme.__init__(self)
        self.linear = True
        self.alike = True

    def attach(self, Core core):
        Scheme.attach(self, core)
        self.word = 8 if self.s.arch == X86_64 else 4
        most = min(AVCS_PER_AREA * self.s.pool[P_AREAS].capacity, (1 << 32) - 1)
        sizes = self.sizes()
        self.avcs = core.new_pool("anon_vma_chain", most, sizes["anon_vma_chain"], sizes["anon_vma_chain"])
        self.avc = <AvcRecord*> <size_t> core.new_arena("avcs", AVC, most, self.avcs)
        self.anon_vmas = core.new_pool("anon_vma", most, sizes["anon_vma"], sizes["anon_vma"])
        self.anon_vma = <ChainedRecord*> <size_t> core.new_arena("chained_anon_vmas", CHAINED, most, self.anon_vmas)
        self.chain = <Chain*> <size_t> core.new_arena("av_chains", CHAIN, self.s.pool[P_AREAS].capacity, P_AREAS)
        core.charge_area(3 * self.word)

    def census(self):
        sizes = self.sizes()
        return {"anon_vma": (self.anon_vmas, sizes["anon_vma"]), "anon_vma_chain": (self.avcs, sizes["anon_vma_chain"])}

    def overhead(self):
        return {"page": 4, "vma": 3 * self.word}

    def sizes(self):
        """Bytes of an anon_vma and an anon_vma_chain on this architecture."""
        raise NotImplementedError

    cdef void enter(self, uint32_t c, bint founder) noexcept nogil:
        pass

    cdef void leave(self, uint32_t c) noexcept nogil:
        pass

    cdef bint reusable(self, uint32_t o, vma_id parent) noexcept nogil:
        return False

    # chains

    cdef void link(self, vma_id v, uint32_t o, bint founder) noexcept nogil:
        """v joins an anon_vma: a new avc at the head of its chain."""
        cdef uint32_t c = pool_take(self.s, self.avcs, self.avc, sizeof(AvcRecord), AVC_LINK)
        cdef AvcRecord* r = &self.avc[c]
        cdef Chain* chain = &self.chain[v]
        r.vma = v
        r.anon_vma = o
        r.newer = 0
        r.older = chain.newest
        if chain.newest:
            self.avc[chain.newest].newer = c
        else:
            chain.oldest = c
        chain.newest = c
        self.enter(c, founder)

    cdef void clone(self, vma_id v, vma_id source, bint forked) noexcept nogil:
        """anon_vma_clone: v, without a chain, gets one like source's, oldest first, or newest first and so the other way round
        (rule QI4). Its word is set, unless it is forked: then it may take the first anon_vma that nobody needs for its own
        (rule G12)."""
        cdef uint32_t c = self.chain[source].newest if self.newest_first else self.chain[source].oldest
        cdef Area* a = &self.s.area[v]
        if not self.lock_each:
            tally(self.s, C_LOCK_ANON_VMA, 1)
        while c:
            if self.lock_each:
                tally(self.s, C_LOCK_ANON_VMA, 1)
            self.link(v, self.avc[c].anon_vma, False)
            if forked and a.rmap == 0 and self.reusable(self.avc[c].anon_vma, source):
                a.rmap = self.avc[c].anon_vma
            c = self.avc[c].older if self.newest_first else self.avc[c].newer
        if a.rmap:
            self.anon_vma[a.rmap].users += 1

    cdef void unlink(self, vma_id v) noexcept nogil:
        """unlink_anon_vmas: v leaves all that it had joined, newest first, and then each anon_vma goes whose last avc that was:
        where copies of chains turn round its parent, which counts it, comes before it."""
        cdef uint32_t c = self.chain[v].newest
        cdef uint32_t older, o
        if c == 0:
            return
        if not self.lock_each:
            tally(self.s, C_LOCK_ANON_VMA, 1)
        self.anon_vma[self.s.area[v].rmap].users -= 1
        self.s.area[v].rmap = 0
        while c:
            if self.lock_each:
                tally(self.s, C_LOCK_ANON_VMA, 1)
            o = self.avc[c].anon_vma
            self.leave(c)
            if self.anon_vma[o].first == 0:
                self.anon_vma[self.anon_vma[o].parent].children -= 1
            c = self.avc[c].older
        c = self.chain[v].newest
        while c:
            o = self.avc[c].anon_vma
            older = self.avc[c].older
            self.avc[c].anon_vma = 0
            pool_give(self.s, self.avcs, self.avc, sizeof(AvcRecord), AVC_LINK, c)
            if self.anon_vma[o].first == 0:
                self.anon_vma[o].root = 0
                pool_give(self.s, self.anon_vmas, self.anon_vma, sizeof(ChainedRecord), CHAINED_LINK, o)
            c = older
        self.chain[v].newest = self.chain[v].oldest = 0

    cdef uint32_t create(self, uint32_t parent) noexcept nogil:
        """A new anon_vma without avcs; parent 0: a root, which is its own."""
        cdef uint32_t o = pool_take(self.s, self.anon_vmas, self.anon_vma, sizeof(ChainedRecord), CHAINED_LINK)
        cdef ChainedRecord* r = &self.anon_vma[o]
        r.first = r.last = 0
        r.parent = parent if parent else o
        r.root = self.anon_vma[parent].root if parent else o
        r.children = r.users = 0
        self.anon_vma[r.parent].children += 1
        return o

    # room

    cdef uint64_t depth(self, vma_id v) noexcept nogil:
        """The length of its chain."""
        cdef uint32_t c = self.chain[v].newest
        cdef uint64_t n = 0
        while c:
            n += 1
            c = self.avc[c].older
        return n

    cdef int mm_room(self, mm_id parent) noexcept nogil:
        """All chains once more, an avc and an anon_vma beside for each area that is copied with its pages."""
        cdef State* s = self.s
        cdef uint64_t areas = s.mm[parent].n_areas if parent else 0
        cdef uint64_t n = s.pool[self.avcs].live + areas
        cdef vma_id v
        if parent == 0 or (pool_room(s, self.avcs, n) and pool_room(s, self.anon_vmas, areas)):
            return 0
        areas = n = 0
        v = s.mm[parent].first
        while v:
            if s.area[v].rmap and not s.area[v].flags & (VM_DONTCOPY | VM_WIPEONFORK):
                areas += 1
                n += self.depth(v) + 1
            v = s.area[v].next
        if not pool_room(s, self.avcs, n):
            return self.avcs
        return 0 if pool_room(s, self.anon_vmas, areas) else self.anon_vmas

    cdef int prepare_room(self, vma_id v) noexcept nogil:
        if not pool_room(self.s, self.avcs, 1):
            return self.avcs
        return 0 if pool_room(self.s, self.anon_vmas, 1) else self.anon_vmas

    cdef int area_room(self, vma_id v, uint32_t n) noexcept nogil:
        cdef uint64_t most = self.depth(v) if v else self.s.pool[self.avcs].live
        return 0 if pool_room(self.s, self.avcs, n * most) else self.avcs

    # areas

    cdef void area_fork(self, vma_id child, vma_id parent) noexcept nogil:
        """anon_vma_fork: the parent's chain, and before it an anon_vma of the child's own unless one could be reused."""
        cdef uint32_t o
        self.s.area[child].rmap = 0
        if self.s.area[parent].rmap == 0:
            return
        self.clone(child, parent, True)
        if self.s.area[child].rmap:
            return
        o = self.create(self.s.area[parent].rmap)
        self.anon_vma[o].users = 1
        self.s.area[child].rmap = o
        tally(self.s, C_LOCK_ANON_VMA, 1)
        self.link(child, o, False)

    cdef void area_unlink(self, vma_id v) noexcept nogil:
        self.unlink(v)

    cdef void area_emptied(self, vma_id v) noexcept nogil:
        self.unlink(v)

    # vma_adjust takes the lock once, for the bounds of one or two areas; copying chains and dropping them take their own

    cdef void area_before(self, vma_id v) noexcept nogil:
        if self.s.area[v].rmap and not self.locked:
            tally(self.s, C_LOCK_ANON_VMA, 1)
            self.locked = True

    cdef void area_after(self, vma_id v) noexcept nogil:
        self.locked = False

    cdef void area_split(self, vma_id new, vma_id v) noexcept nogil:
        if self.s.area[v].rmap:
            self.clone(new, v, False)

    cdef void area_clone(self, vma_id new, vma_id v) noexcept nogil:
        if self.s.area[v].rmap:
            self.clone(new, v, False)

    cdef void area_import(self, vma_id v, vma_id giver) noexcept nogil:
        if self.s.area[v].rmap == 0 and self.s.area[giver].rmap:
            self.s.area[v].rmap = self.s.area[giver].rmap
            self.clone(v, giver, False)

    cdef void area_merge(self, vma_id v, vma_id gone) noexcept nogil:
        """v keeps its chain: of the same anon_vma, gone's is the same."""
        self.unlink(gone)

    cdef bint singular(self, vma_id v) noexcept nogil:
        """Has its chain one avc, as that of an area has that no fork has been through? (An empty one has none.)"""
        return self.chain[v].newest != 0 and self.chain[v].newest == self.chain[v].oldest

    cdef bint may_bridge(self, vma_id prev, vma_id next) noexcept nogil:
        cdef Area* a = self.s.area
        return a[prev].rmap == 0 or a[next].rmap == 0 or a[prev].rmap == a[next].rmap

    cdef uint32_t neighbours(self, vma_id v) noexcept nogil:
        """find_mergeable_anon_vma: the next's or the previous' anon_vma, if a later mprotect could make the two one area and
        it has not been through a fork; or 0."""
        cdef Area* area = self.s.area
        cdef Area* a = &area[v]
        if a.next and self.singular(a.next) and could_merge(self.s, v, a.next):
            return area[a.next].rmap
        if a.prev and self.singular(a.prev) and could_merge(self.s, a.prev, v):
            return area[a.prev].rmap
        return 0

    cdef void anon_prepare(self, vma_id v) noexcept nogil:
        """Afterwards v has an anon_vma: its own, a neighbour's, or a new root."""
        cdef uint32_t o
        if self.s.area[v].rmap:
            return
        o = self.neighbours(v)
        if o == 0:
            o = self.create(0)
        self.s.area[v].rmap = o
        self.anon_vma[o].users += 1
        tally(self.s, C_LOCK_ANON_VMA, 1)
        self.link(v, o, True)

    # pages

    cdef void page_first(self, pfn_t pfn, vma_id v, vpn_t vpn) noexcept nogil:
        cdef Frame* f = &self.s.frame[pfn]
        if f.flags & PG_SWAPCACHE and f.rmap and not self.repoint:
            return
        f.rmap = self.s.area[v].rmap if comes_back_alone(self.s, pfn) else self.anon_vma[self.s.area[v].rmap].root
        f.index = anon_index(self.s, v, vpn)

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

    cdef void page_reused(self, pfn_t pfn, vma_id v, vpn_t vpn) noexcept nogil:
        """page_move_anon_rmap: nobody else has it any more, so the walk need not look at kin."""
        self.s.frame[pfn].rmap = self.s.area[v].rmap

    cdef void leads_walked(self, uint64_t walks, uint64_t tried) noexcept nogil:
        tally(self.s, C_LOCK_ANON_VMA, walks)
        tally(self.s, C_VMAS_TRIED, tried)
        tally(self.s, C_LOCK_ANON_VMA_HELD, tried)

    # invariants

    cdef uint32_t named(self, vma_id v) noexcept nogil:
        return self.s.area[v].rmap

    cdef set words(self, vma_id v, list names):
        return set(names)

    cdef set all_words(self, set live):
        return live

    cdef list survey(self, uint32_t o, list faults):
        """Numbers of the avcs that an anon_vma keeps, in order. Tells (AC3) what is wrong with how they are kept."""
        raise NotImplementedError

    def check(self):
        """AC1 chains: links fit, each avc names its area; an area has a word if it has a chain, and that is in the chain.
        AC2 records in use are counted; an avc in use is in one chain, an anon_vma in use has avcs. AC3 an anon_vma keeps the
        avcs that name it, in order. AC4 an area with anonymous or swap entries has an anon_vma. AC5 its frames name one of its
        chain. AC6 their index gives the entry's address. AC7 an anonymous frame names an anon_vma in use, and is mapped. AC8 a
        chain holds anon_vmas of one root, the parents of all of them, and the root, last unless copies turn round. AC9 areas of
        one anon_vma have the same chains, the order aside where copies turn round, if the scheme says so. AC10 users and
        children are counted."""
        cdef State* s = self.s
        cdef list faults = []
        cdef list entries = []
        cdef dict chains = {}                  # anon_vma -> the chain of the first area that is its user
        cdef set chained = set()
        cdef list names
        cdef uint32_t o
        cdef vma_id v
        cdef mm_id mm = s.h.mm_first
        cdef set avcs = in_use(s, self.avcs, self.avc, sizeof(AvcRecord), AVC_LINK, "AC2", "avc", faults)
        cdef set live = in_use(s, self.anon_vmas, self.anon_vma, sizeof(ChainedRecord), CHAINED_LINK, "AC2", "anon_vma", faults)
        cdef dict kept = self.check_kept(avcs, live, faults)
        cdef dict users = dict.fromkeys(live, 0)
        cdef dict lost = astray(s, self.all_words(live))
        while mm:
            v = s.mm[mm].first
            while v:
                names = self.check_chain(v, avcs, chained, faults)
                o = self.named(v)
                if self.newest_first:
                    names.sort()
                if o:
                    users[o] = users.get(o, 0) + 1
                    if self.alike and chains.setdefault(o, names) != names:
                        area_fault(s, faults, "AC9", v, f"anon_vma {o} with chain {names}, elsewhere with {chains[o]}")
                told = f"chain of anon_vmas {sorted(set(names))}"
                area_entries(s, v, self.words(v, names), told, ("AC4", "AC5", "AC6"), lost, entries)
                v = s.area[v].next
            mm = s.mm[mm].next
        for v in range(1, <vma_id> s.pool[P_AREAS].bump):
            if not s.area[v].alive and (self.chain[v].newest or self.chain[v].oldest):
                fault(faults, "AC1", 0, 0, 0, "area {0}, which is gone, has a chain", v)
        self.check_counts(avcs, live, kept, chained, users, faults)
        still_astray(s, lost, "AC7", faults)
        return faults + entries

    cdef dict check_kept(self, set avcs, set live, list faults):
        """AC2 and AC3 for the anon_vmas: avc -> the anon_vma that keeps it."""
        cdef dict kept = {}
        cdef uint32_t o, c
        for o in live:
            found = self.survey(o, faults)
            if not found:
                fault(faults, "AC2", 0, 0, 0, "anon_vma {0} has no avcs", o)
            for c in found:
                if c in kept or c not in avcs or self.avc[c].anon_vma != o:
                    text = f"anon_vma {o}: keeps avc {c}, of {kept.get(c, self.avc[c].anon_vma)}"
                    fault(faults, "AC3", 0, 0, 0, text)
                kept[c] = o
        return kept

    cdef list check_chain(self, vma_id v, set avcs, set chained, list faults):
        """AC1 and AC8 for one area: its chain's anon_vmas, newest first. Its avcs are added to chained."""
        cdef State* s = self.s
        cdef uint32_t c = self.chain[v].newest
        cdef uint32_t name, newer = 0
        cdef ChainedRecord* r
        cdef list names = []
        cdef set known, found = set()
        while c:
            if (c not in avcs or c in found or self.avc[c].vma != v or self.avc[c].newer != newer
                    or self.avc[c].anon_vma >= s.pool[self.anon_vmas].bump):
                area_fault(s, faults, "AC1", v, "its chain leads to avc {0}", c)
                break
            found.add(c)
            names.append(self.avc[c].anon_vma)
            newer = c
            c = self.avc[c].older
        known = set(names)
        if self.chain[v].oldest != newer or (self.named(v) != 0) != bool(found) or (found and self.named(v) not in known):
            area_fault(s, faults, "AC1", v, f"anon_vma {self.named(v)}, chain of anon_vmas {names}")
        root = self.anon_vma[names[len(names) - 1]].root if names else 0
        rooted = root in known if self.newest_first else names and root == names[len(names) - 1]
        for name in names:
            r = &self.anon_vma[name]
            if not rooted or r.root != root or r.parent not in known:
                area_fault(s, faults, "AC8", v, f"anon_vma {name} with root {r.root}, parent {r.parent} in {names}")
        chained.update(found)
        return names

    cdef int check_counts(self, set avcs, set live, dict kept, set chained, dict users, list faults) except -1:
        """AC2, AC3 and AC10, once all chains are known."""
        cdef dict children = {}
        cdef ChainedRecord* r
        cdef uint32_t o, c
        for c in avcs:
            if c not in chained or c not in kept:
                rule = "AC2" if c not in chained else "AC3"
                fault(faults, rule, 0, 0, 0, "avc {0} of area {1}: kept nowhere", c, self.avc[c].vma)
        for o in live:
            children[self.anon_vma[o].parent] = children.get(self.anon_vma[o].parent, 0) + 1
        for o in live:
            r = &self.anon_vma[o]
            if r.users != users[o] or r.children != children.get(o, 0):
                text = f"{r.users} users and {r.children} children counted, {users[o]} and {children.get(o, 0)} found"
                fault(faults, "AC10", 0, 0, 0, f"anon_vma {o}: {text}")
        return 0
