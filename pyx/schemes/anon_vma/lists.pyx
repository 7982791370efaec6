"""Anonymous pages by object: one list of areas per anon_vma, as all kernels from March 2004 to 2.6.33 had it.

The hooks that the schemes of this kind share; each adds what it does in anon_prepare. An area that takes over pages gets
the giver's anon_vma before (2.6.8's importer), unless a scheme says otherwise.

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
from rmapcore.pyx.base.pool cimport pool_give, pool_take
from rmapcore.pyx.base.records cimport P_AREAS, PG_ANON, Area, Frame, Mm
from rmapcore.pyx.base.state cimport X86_64, State
from rmapcore.pyx.base.x86 cimport pte_get, pte_is_swap, pte_pfn, pte_present
from rmapcore.pyx.machine.core cimport Core
from rmapcore.pyx.machine.pagetable cimport leaf_run, pt_next
from rmapcore.pyx.machine.vmas cimport area_index, could_merge
from rmapcore.pyx.schemes.anon_vma.lists cimport ANON_VMA_LINK, AnonVmaNode, AnonVmaRecord
from rmapcore.pyx.seam.scheme cimport Lead, Scheme, Walk

cdef AnonVmaRecord _record
cdef AnonVmaNode _node

ANON_VMA = np.asarray(<AnonVmaRecord[:1]> &_record).dtype
ANON_VMA_NODE = np.asarray(<AnonVmaNode[:1]> &_node).dtype
assert ANON_VMA.itemsize == 8 and ANON_VMA_NODE.itemsize == 8
assert ANON_VMA.fields["free"][1] == ANON_VMA_LINK


cdef class AnonVmas(Scheme):
    """Base of the schemes; a subclass names itself before it calls __init__. No options."""

    def __init__(self, **options):
        for option in options:
            raise ValueError(f"{self.name} has no option {option!r}")
        Scheme.__init__(self)
        self.linear = True
        self.wants_last = True

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

    # areas

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
        self.s.frame[pfn].index = area_index(self.s, v, vpn)

    cdef void pages_first(self, vma_id v, const vpn_t* vpn, const slot_t* slot, uint32_t n) noexcept nogil:
        cdef State* s = self.s
        cdef uint64_t shift = s.area[v].pgoff - s.area[v].start
        cdef uint32_t o = s.area[v].rmap
        cdef uint32_t i
        cdef Frame* f
        for i in range(n):
            f = &s.frame[pte_pfn(s, pte_get(s, slot[i]))]
            f.rmap = o
            f.index = vpn[i] + shift

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
            vpn = a.start + (index - a.pgoff)  # wraps; the comparison below sorts that out
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

    cdef void lead(self, Lead* leads, uint32_t n) noexcept nogil:
        """walk_begin and walk_next of each: no walk changes a list."""
        cdef Frame* frame = self.s.frame
        cdef Area* area = self.s.area
        cdef Mm* mm = self.s.mm
        cdef AnonVmaRecord* anon_vma = self.anon_vma
        cdef AnonVmaNode* node = self.node
        cdef Frame* f
        cdef Area* a
        cdef vma_id v
        cdef vpn_t vpn
        cdef uint32_t i, tried
        for i in range(n):
            if leads[i].pfn == 0:
                continue
            f = &frame[leads[i].pfn]
            v = anon_vma[f.rmap].first
            tried = 0
            while v:
                tried += 1
                a = &area[v]
                vpn = a.start + (f.index - a.pgoff)
                if a.start <= vpn < a.end and mm[a.mm].rss:
                    leads[i].mm = a.mm
                    leads[i].vma = v
                    leads[i].slot = 0
                    leads[i].vpn = vpn
                    leads[i].tried = tried
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

    # invariants

    def check(self):
        """AV1 lists: links fit, an area with a word is on that list, and no other. AV2 no anon_vma in use has an empty
        list. AV3 an area with anonymous or swap entries has an anon_vma. AV4 its frames name it. AV5 their index gives
        the entry's address. AV6 an anonymous frame names an anon_vma in use, and is mapped."""
        cdef State* s = self.s
        cdef uint64_t bump = s.pool[self.pool].bump
        cdef uint64_t pfn
        cdef uint32_t o
        cdef vma_id v, before
        cdef mm_id mm
        cdef Frame* f
        faults = []
        free = set()
        o = s.pool[self.pool].free
        while o and o < bump and o not in free:
            free.add(o)
            o = self.anon_vma[o].free
        live = set(range(1, bump)) - free
        if o or len(live) != <Py_ssize_t> s.pool[self.pool].live:
            text = f"{len(live)} anon_vmas off the free list, {s.pool[self.pool].live} counted"
            faults.append(("AV2", 0, 0, 0, text))

        on_list = {}                           # area -> anon_vma, by walking the lists
        for o in live:
            v = self.anon_vma[o].first
            before = 0
            if v == 0:
                faults.append(("AV2", 0, 0, 0, f"anon_vma {o} has no areas"))
            while v:
                if v >= s.pool[P_AREAS].bump or v in on_list:
                    faults.append(("AV1", 0, 0, 0, f"anon_vma {o}: its list leads to area {v}"))
                    break
                on_list[v] = o
                if self.node[v].prev != before:
                    faults.append(("AV1", 0, s.area[v].mm, s.area[v].start, f"area {v}: prev is not {before}"))
                before = v
                v = self.node[v].next

        astray = {}                            # frame -> where it is mapped, once that is known
        for pfn in range(1, s.n_frames if s.n_frames < s.pool[0].bump else s.pool[0].bump):
            f = &s.frame[pfn]
            if f.flags & PG_ANON and (f.rmap not in live or f.mapcount == 0):
                astray[pfn] = 0, 0
        entries = []
        mm = s.h.mm_first
        while mm:
            v = s.mm[mm].first
            while v:
                o = on_list.pop(v, 0)
                if o != s.area[v].rmap:
                    faults.append(("AV1", 0, mm, s.area[v].start, f"area {v}: word {s.area[v].rmap}, on list {o}"))
                self.check_entries(v, entries, astray)
                v = s.area[v].next
            mm = s.mm[mm].next
        for v, o in on_list.items():
            faults.append(("AV1", 0, 0, 0, f"anon_vma {o}: area {v} is in no address space"))
        for pfn, place in astray.items():
            f = &s.frame[pfn]
            faults.append(("AV6", pfn, *place, f"word {f.rmap}, mapcount {f.mapcount}"))
        return faults + entries

    def check_entries(self, vma_id v, faults, astray):
        """AV3 to AV5 for one area; astray: a dict of frames that gets their place."""
        cdef State* s = self.s
        cdef Area* a = &s.area[v]
        cdef vpn_t vpn = a.start
        cdef uint64_t entry
        cdef uint32_t i, n
        cdef pfn_t pfn
        cdef slot_t slot
        while True:
            slot = pt_next(s, a.mm, &vpn, a.end)
            if slot == 0:
                return
            n = leaf_run(s, vpn, a.end)
            for i in range(n):
                entry = pte_get(s, slot + i)
                if not pte_present(entry):
                    if pte_is_swap(entry) and a.rmap == 0:
                        faults.append(("AV3", 0, a.mm, vpn + i, f"area {v}: swap entry, no anon_vma"))
                    continue
                pfn = pte_pfn(s, entry)
                if pfn == 0 or pfn >= s.n_frames or not s.frame[pfn].flags & PG_ANON:
                    continue
                if astray.get(pfn) == (0, 0):
                    astray[pfn] = a.mm, vpn + i
                if a.rmap == 0:
                    faults.append(("AV3", pfn, a.mm, vpn + i, f"area {v}: anonymous page, no anon_vma"))
                elif s.frame[pfn].rmap != a.rmap:
                    faults.append(("AV4", pfn, a.mm, vpn + i,
                                   f"area {v}: anon_vma {a.rmap}, its frame names {s.frame[pfn].rmap}"))
                if s.frame[pfn].index != area_index(s, v, vpn + i):
                    faults.append(("AV5", pfn, a.mm, vpn + i, f"area {v}: the frame's index is {s.frame[pfn].index}"))
            vpn += n
