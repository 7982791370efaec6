"""What the file sides with a tree of areas per file share: prio_tree (2.6.7 - 3.6) and interval_tree (3.7 on).

A page-cache frame knows its file and index, so whoever maps it is an area whose interval of file pages holds that index: a
walk asks the file's tree. Which tree, and who enters it where at fork, is the subclass' part. Here is when areas enter and
leave it, and what stands beside it: the nonlinear areas, in a list of the file (i_mmap_nonlinear).

   mmap, split, mremap's copy                 insert
   bounds or file pages change                remove before, insert after
   becomes nonlinear                          remove from the tree, append to the list

What a nonlinear area maps where, only its entries know. page_referenced does not look there. try_to_unmap, when the tree
has given all it has, sweeps *clusters* of 32 pages of all such areas in turn, each from where it stopped last (`cursor`,
the kernel's vm_private_data), until as many entries are gone as the page has mappings: any entries (rule K6a).

   area   [....32....|....32....|....32....|..]        rounds go on by one cluster in each area, and begin again at the
                      ^ cursor                          front when the longest is through

The machine's own question, who maps this frame, is answered by reading their entries one by one, which no kernel does.

Costs: the list O(1); a sweep reads 32 entries for each one that goes, seldom the right one. Each hook takes i_mmap_lock once,
but where a nonlinear area changes its bounds: its place in the list does not depend on them.
In the kernel the list uses the link in the area that the tree would.
"""
import numpy as np

from libc.stdint cimport uint32_t, uint64_t

from rmapcore.pyx.base.counters cimport C_LOCK_I_MMAP, C_SCANNED_PTES, tally
from rmapcore.pyx.base.ids cimport file_id, mm_id, slot_t, vma_id
from rmapcore.pyx.base.records cimport P_AREAS, P_FILES, VM_LOCKED, VM_NONLINEAR, Area
from rmapcore.pyx.base.state cimport X86_64, State
from rmapcore.pyx.base.x86 cimport pte_get, pte_pfn, pte_present
from rmapcore.pyx.machine.core cimport Core
from rmapcore.pyx.machine.pagetable cimport leaf_run, pt_next
from rmapcore.pyx.machine.vmas cimport area_pages
from rmapcore.pyx.parts.checks cimport area_fault
from rmapcore.pyx.seam.scheme cimport CLUSTER_PAGES, WALK_CLUSTERS, WALK_QUERY, Scheme, Walk

cdef NonlinearLink _link

NONLINEAR_LINK = np.asarray(<NonlinearLink[:1]> &_link).dtype
assert NONLINEAR_LINK.itemsize == 8


cdef class TreeSide(Scheme):
    """Base of both. A subclass has the tree, area_fork, walk_next while Walk.c is below SCANNING, and names itself."""

    def __init__(self):
        Scheme.__init__(self)
        self.clusters = True

    def attach(self, Core core):
        Scheme.attach(self, core)
        self.word = 8 if self.s.arch == X86_64 else 4
        self.link = <NonlinearLink*> <size_t> core.new_arena(
            "nonlinear_links", NONLINEAR_LINK, self.s.pool[P_AREAS].capacity, P_AREAS)
        self.nonlinear = <vma_id*> <size_t> core.new_arena(
            "nonlinear_oldest", np.uint32, self.s.pool[P_FILES].capacity, P_FILES)
        self.cursor = <uint64_t*> <size_t> core.new_arena(
            "nonlinear_cursors", np.uint64, self.s.pool[P_AREAS].capacity, P_AREAS)

    cdef void tree_insert(self, vma_id v) noexcept nogil:
        pass

    cdef void tree_remove(self, vma_id v) noexcept nogil:
        pass

    cdef void nonlinear_put(self, vma_id v, vma_id before) noexcept nogil:
        """v, in no tree, enters the list right behind `before`; 0: at the end."""
        cdef NonlinearLink* n = self.link
        cdef vma_id* oldest = &self.nonlinear[self.s.area[v].file]
        if oldest[0] == 0:
            n[v].next = v
            n[v].prev = v
            oldest[0] = v
            return
        if before == 0:
            before = n[oldest[0]].prev
        n[v].next = n[before].next
        n[v].prev = before
        n[n[v].next].prev = v
        n[before].next = v

    cdef void nonlinear_remove(self, vma_id v) noexcept nogil:
        cdef NonlinearLink* n = self.link
        cdef vma_id* oldest = &self.nonlinear[self.s.area[v].file]
        n[n[v].prev].next = n[v].next
        n[n[v].next].prev = n[v].prev
        if oldest[0] == v:
            oldest[0] = n[v].next if n[v].next != v else 0
        n[v].next = 0
        n[v].prev = 0

    cdef void insert(self, vma_id v) noexcept nogil:
        if self.s.area[v].file:
            tally(self.s, C_LOCK_I_MMAP, 1)
            if self.s.area[v].flags & VM_NONLINEAR:
                self.nonlinear_put(v, 0)
            else:
                self.tree_insert(v)

    cdef void remove(self, vma_id v) noexcept nogil:
        if self.s.area[v].file:
            tally(self.s, C_LOCK_I_MMAP, 1)
            if self.s.area[v].flags & VM_NONLINEAR:
                self.nonlinear_remove(v)
            else:
                self.tree_remove(v)

    cdef void area_nonlinear(self, vma_id v) noexcept nogil:
        tally(self.s, C_LOCK_I_MMAP, 1)
        self.tree_remove(v)
        self.nonlinear_put(v, 0)
        self.cursor[v] = 0

    cdef void area_link(self, vma_id v) noexcept nogil:
        self.insert(v)

    cdef void area_unlink(self, vma_id v) noexcept nogil:
        self.remove(v)

    cdef void area_before(self, vma_id v) noexcept nogil:
        if not self.s.area[v].flags & VM_NONLINEAR:
            self.remove(v)

    cdef void area_after(self, vma_id v) noexcept nogil:
        if not self.s.area[v].flags & VM_NONLINEAR:
            self.insert(v)

    cdef void area_split(self, vma_id new, vma_id v) noexcept nogil:
        self.insert(new)
        self.cursor[new] = self.cursor[v]

    cdef void area_clone(self, vma_id new, vma_id v) noexcept nogil:
        self.insert(new)
        self.cursor[new] = self.cursor[v]

    # walks: a subclass' own fields are a to d; e is the page asked for

    cdef void walk_begin(self, Walk* w) noexcept nogil:
        if w.purpose == WALK_CLUSTERS:
            self.clusters_begin(w)
            return
        tally(self.s, C_LOCK_I_MMAP, 1)
        w.a = 0
        w.b = 0
        w.c = 0
        w.d = 0
        w.e = self.s.frame[w.pfn].index

    cdef bint past_tree(self, Walk* w) noexcept nogil:
        """The tree has no more: goes on among the nonlinear areas, if it is a query."""
        cdef vma_id oldest = self.nonlinear[self.s.frame[w.pfn].owner]
        if w.purpose != WALK_QUERY or oldest == 0:
            return False
        w.a = oldest
        w.c = SCANNING
        w.d = self.s.area[oldest].start
        areas_tried(self.s, 1)
        return self.scan_next(w)

    cdef bint beyond_tree(self, Walk* w) noexcept nogil:
        """The next candidate where Walk.c is SCANNING or SWEEPING."""
        return self.clusters_next(w) if w.c == SWEEPING else self.scan_next(w)

    cdef bint scan_next(self, Walk* w) noexcept nogil:
        """The next entry of a nonlinear area that maps the frame. Every entry read on the way counts."""
        cdef State* s = self.s
        cdef file_id file = s.frame[w.pfn].owner
        cdef uint64_t entry
        cdef uint32_t n, i
        cdef slot_t slot
        cdef Area* a
        while w.a:
            a = &s.area[w.a]
            while s.mm[a.mm].rss:
                slot = pt_next(s, a.mm, &w.d, a.end)
                if slot == 0:
                    break
                n = leaf_run(s, w.d, a.end)
                for i in range(n):
                    entry = pte_get(s, slot + i)
                    if pte_present(entry) and pte_pfn(s, entry) == w.pfn:
                        tally(s, C_SCANNED_PTES, i + 1)
                        w.vma = w.a
                        w.mm = a.mm
                        w.vpn = w.d + i
                        w.slot = slot + i
                        w.d += i + 1
                        return True
                tally(s, C_SCANNED_PTES, n)
                w.d += n
            w.a = self.nonlinear_next(file, w.a)
            if w.a:
                w.d = s.area[w.a].start
                areas_tried(self.s, 1)
        return False

    cdef void clusters_begin(self, Walk* w) noexcept nogil:
        """How much is to be swept; the first round goes as far as the area that is ahead."""
        cdef State* s = self.s
        cdef file_id file = s.frame[w.pfn].owner
        cdef vma_id v = self.nonlinear[file]
        cdef uint64_t areas = 0
        w.c = SWEEPING
        w.d = 0
        w.e = 0
        while v:
            areas += 1
            if not s.area[v].flags & VM_LOCKED:
                w.d = max(w.d, self.cursor[v])
                w.e = max(w.e, area_pages(s, v))
            v = self.nonlinear_next(file, v)
        areas_tried(s, areas)
        w.a = self.nonlinear[file] if w.e else 0
        w.b = s.frame[w.pfn].mapcount
        w.d = max(w.d, <uint64_t> CLUSTER_PAGES)
        w.e = (w.e + CLUSTER_PAGES - 1) & ~<uint64_t> (CLUSTER_PAGES - 1)

    cdef bint clusters_next(self, Walk* w) noexcept nogil:
        """The next cluster, in this round or the next; none if enough entries are gone, or if all was swept."""
        cdef State* s = self.s
        cdef file_id file = s.frame[w.pfn].owner
        cdef uint64_t at
        cdef Area* a
        cdef vma_id v
        if w.a == 0 or w.found >= w.b:
            return False
        while w.a:
            a = &s.area[w.a]
            if not a.flags & VM_LOCKED:
                at = self.cursor[w.a]
                if s.mm[a.mm].rss and at < w.d and at < a.end - a.start:
                    self.cursor[w.a] = at + CLUSTER_PAGES
                    w.vma = w.a
                    w.mm = a.mm
                    w.vpn = max((a.start + at) & ~<uint64_t> (CLUSTER_PAGES - 1), a.start)
                    return True
                self.cursor[w.a] = w.d
            w.a = self.nonlinear_next(file, w.a)
            if w.a == 0:
                w.d += CLUSTER_PAGES
                if w.d <= w.e:
                    w.a = self.nonlinear[file]
        v = self.nonlinear[file]
        while v:
            self.cursor[v] = 0
            v = self.nonlinear_next(file, v)
        return False

    cdef list tree_order(self, file_id file):
        raise NotImplementedError

    cdef list beside_tree(self, file_id file):
        """The nonlinear areas of a file, oldest first."""
        cdef list found = []
        cdef vma_id v = self.nonlinear[file]
        while v and len(found) < <Py_ssize_t> self.s.pool[P_AREAS].bump:
            found.append(v)
            v = self.nonlinear_next(file, v)
        return found

    def structure(self):
        cdef file_id file
        cdef list rows = []
        for file in range(1, <file_id> self.s.pool[P_FILES].bump):
            links = {"i_mmap": self.tree_order(file), "i_mmap_nonlinear": self.beside_tree(file)}
            rows.append(("file", file, {}, {name: [("area", v) for v in areas] for name, areas in links.items() if areas}))
        return rows

    def route(self, pfn):
        """The areas over the page, and those of which only their entries say what they map."""
        cdef uint64_t index = self.s.frame[pfn].index
        cdef file_id file = self.s.frame[pfn].owner
        cdef vma_id v
        over = [v for v in self.tree_order(file) if index - self.s.area[v].pgoff < area_pages(self.s, v)]
        return [("file", file)] + [("area", v) for v in [*over, *self.beside_tree(file)]]

    # checks

    cdef int areas_by_kind(self, dict linear, dict nonlinear) except -1:
        """Fills in, from the lists of the address spaces: area of a file -> file."""
        cdef State* s = self.s
        cdef mm_id mm = s.h.mm_first
        cdef vma_id v
        while mm:
            v = s.mm[mm].first
            while v:
                if s.area[v].file:
                    (nonlinear if s.area[v].flags & VM_NONLINEAR else linear)[v] = s.area[v].file
                v = s.area[v].next
            mm = s.mm[mm].next
        return 0

    cdef int check_nonlinear(self, dict expected, list faults) except -1:
        """NL1 every nonlinear area of a file (expected: area -> file) is on its file's list once, and nothing else. NL2 the
        links lead back, round the circle."""
        cdef NonlinearLink* n = self.link
        cdef vma_id v, before, first
        cdef file_id file
        cdef set seen = set()
        for file in range(1, <file_id> self.s.pool[P_FILES].bump):
            v = first = self.nonlinear[file]
            before = 0
            while v:
                if v in seen or expected.get(v) != file:
                    area_fault(self.s, faults, "NL1", before, "leads to area {0} on the nonlinear list of file {1}", v, file)
                    break
                seen.add(v)
                if before and n[v].prev != before:
                    area_fault(self.s, faults, "NL2", v, "prev is {0}, not {1}", n[v].prev, before)
                before = v
                v = n[v].next
                if v == 0:
                    area_fault(self.s, faults, "NL2", before, "nothing is next")
                if v == first:
                    if n[first].prev != before:
                        area_fault(self.s, faults, "NL2", first, "prev is {0}, not {1}", n[first].prev, before)
                    break
        for v, file in expected.items():
            if v not in seen:
                area_fault(self.s, faults, "NL1", v, "is not on the nonlinear list of file {0}", file)
        return 0
