"""Schemes written in Python, at the same seam: slow, for small machines and for trying an idea in fifty lines.

A subclass of Prototype defines the hooks it wants as plain methods, by the names of scheme.pxd; those it does not define
do nothing, or, with an `inner` scheme, are that scheme's. So a prototype can be a whole scheme, or a compiled scheme with
one hook changed (which is how the tests seed defects). The walk is a generator:

    def walk(self, pfn, purpose):            # purpose: QUERY, REFERENCED, UNMAP, SWEEP
        for ...:
            outcome = yield mm, vma, vpn     # or mm, vma, vpn, slot;   outcome: NONE, SEEN, UNMAPPED, FAIL

Ids are plain integers; records are read through self.core.view(name) and self.core.writable(name). An exception in a
hook is kept in `error`, and the machine raises it when the operation has ended.

    class Everyone(Prototype):               # named "everyone"; asks every address space about every page
        traits = {"linear": False}
"""
from libc.stdint cimport uint32_t
from libc.string cimport memset

from rmapcore.pyx.base.ids cimport mm_id, pfn_t, slot_t, vma_id, vpn_t
from rmapcore.pyx.machine.core cimport Core
from rmapcore.pyx.seam.scheme cimport (
    HIT_FAIL, HIT_NONE, HIT_SEEN, HIT_UNMAPPED, WALK_QUERY, WALK_REFERENCED, WALK_SWEEP, WALK_UNMAP, Outcome, Scheme, Walk,
)

QUERY, REFERENCED, UNMAP, SWEEP = WALK_QUERY, WALK_REFERENCED, WALK_UNMAP, WALK_SWEEP
NONE, SEEN, UNMAPPED, FAIL = HIT_NONE, HIT_SEEN, HIT_UNMAPPED, HIT_FAIL

HOOKS = (
    "mm_exec", "mm_fork", "mm_exit", "area_link", "area_unlink", "area_before", "area_after", "area_split",
    "area_clone", "area_import", "area_merge", "area_fork", "compatible", "anon_prepare", "page_first", "page_last",
    "page_reused", "pages_mapped", "pages_forked", "pages_unmapping", "may_move", "page_moved", "may_swapin", "walk",
    "area_emptied", "may_bridge",
)

cdef enum:                    # bits of Prototype.defined, in the order of HOOKS
    MM_EXEC = 1 << 0
    MM_FORK = 1 << 1
    MM_EXIT = 1 << 2
    AREA_LINK = 1 << 3
    AREA_UNLINK = 1 << 4
    AREA_BEFORE = 1 << 5
    AREA_AFTER = 1 << 6
    AREA_SPLIT = 1 << 7
    AREA_CLONE = 1 << 8
    AREA_IMPORT = 1 << 9
    AREA_MERGE = 1 << 10
    AREA_FORK = 1 << 11
    COMPATIBLE = 1 << 12
    ANON_PREPARE = 1 << 13
    PAGE_FIRST = 1 << 14
    PAGE_LAST = 1 << 15
    PAGE_REUSED = 1 << 16
    PAGES_MAPPED = 1 << 17
    PAGES_FORKED = 1 << 18
    PAGES_UNMAPPING = 1 << 19
    MAY_MOVE = 1 << 20
    PAGE_MOVED = 1 << 21
    MAY_SWAPIN = 1 << 22
    WALK = 1 << 23
    AREA_EMPTIED = 1 << 24
    MAY_BRIDGE = 1 << 25


cdef class Prototype(Scheme):
    """Base of schemes in Python. inner: a compiled scheme whose hooks serve where the subclass defines none.

    The scheme's name is that of the class, in lower case. Class attribute traits: {"linear", "table_locks",
    "exhaustive", "sweeps"} where they differ from the inner scheme's.
    """
    cdef readonly Scheme inner
    cdef uint32_t defined
    cdef dict walks                    # open generators by number
    cdef uint32_t opened
    traits = {}

    def __init__(self, Scheme inner=None):
        Scheme.__init__(self, **(inner.options if inner is not None else {}))
        self.name = type(self).__name__.lower()
        self.inner = inner
        self.walks = {}
        self.era = inner.era if inner is not None else self.era
        self.table_locks = self.traits.get("table_locks", inner.table_locks if inner is not None else True)
        self.linear = self.traits.get("linear", inner.linear if inner is not None else False)
        self.exhaustive = self.traits.get("exhaustive", inner.exhaustive if inner is not None else False)
        self.sweeps = self.traits.get("sweeps", inner.sweeps if inner is not None else False)
        for bit, hook in enumerate(HOOKS):
            if hasattr(type(self), hook):
                self.defined |= <uint32_t> 1 << <int> bit
        self.wants_entries = self.defined & (PAGES_MAPPED | PAGES_FORKED | PAGES_UNMAPPING) or (
            inner is not None and inner.wants_entries)
        self.wants_last = self.defined & PAGE_LAST or (inner is not None and inner.wants_last)
        self.wants_moves = self.defined & (MAY_MOVE | PAGE_MOVED) or (inner is not None and inner.wants_moves)

    def attach(self, Core core):
        Scheme.attach(self, core)
        if self.inner is not None:
            self.inner.attach(core)
            self.entry_pool = self.inner.entry_pool

    def census(self):
        return self.inner.census() if self.inner is not None else {}

    def overhead(self):
        return self.inner.overhead() if self.inner is not None else {}

    def check(self):
        return self.inner.check() if self.inner is not None else ()

    cdef object call(self, str hook, tuple arguments):
        """A hook of the subclass; its first exception is kept."""
        try:
            return getattr(self, hook)(*arguments)
        except BaseException as error:
            if self.error is None:
                self.error = error
            return None

    cdef void mm_exec(self, mm_id mm) noexcept nogil:
        if self.defined & MM_EXEC:
            with gil:
                self.call("mm_exec", (mm,))
        elif self.inner is not None:
            self.inner.mm_exec(mm)

    cdef void mm_fork(self, mm_id child, mm_id parent) noexcept nogil:
        if self.defined & MM_FORK:
            with gil:
                self.call("mm_fork", (child, parent))
        elif self.inner is not None:
            self.inner.mm_fork(child, parent)

    cdef void mm_exit(self, mm_id mm) noexcept nogil:
        if self.defined & MM_EXIT:
            with gil:
                self.call("mm_exit", (mm,))
        elif self.inner is not None:
            self.inner.mm_exit(mm)

    cdef void area_link(self, vma_id v) noexcept nogil:
        if self.defined & AREA_LINK:
            with gil:
                self.call("area_link", (v,))
        elif self.inner is not None:
            self.inner.area_link(v)

    cdef void area_unlink(self, vma_id v) noexcept nogil:
        if self.defined & AREA_UNLINK:
            with gil:
                self.call("area_unlink", (v,))
        elif self.inner is not None:
            self.inner.area_unlink(v)

    cdef void area_before(self, vma_id v) noexcept nogil:
        if self.defined & AREA_BEFORE:
            with gil:
                self.call("area_before", (v,))
        elif self.inner is not None:
            self.inner.area_before(v)

    cdef void area_after(self, vma_id v) noexcept nogil:
        if self.defined & AREA_AFTER:
            with gil:
                self.call("area_after", (v,))
        elif self.inner is not None:
            self.inner.area_after(v)

    cdef void area_split(self, vma_id new, vma_id v) noexcept nogil:
        if self.defined & AREA_SPLIT:
            with gil:
                self.call("area_split", (new, v))
        elif self.inner is not None:
            self.inner.area_split(new, v)

    cdef void area_clone(self, vma_id new, vma_id v) noexcept nogil:
        if self.defined & AREA_CLONE:
            with gil:
                self.call("area_clone", (new, v))
        elif self.inner is not None:
            self.inner.area_clone(new, v)

    cdef void area_import(self, vma_id v, vma_id giver) noexcept nogil:
        if self.defined & AREA_IMPORT:
            with gil:
                self.call("area_import", (v, giver))
        elif self.inner is not None:
            self.inner.area_import(v, giver)

    cdef void area_merge(self, vma_id v, vma_id gone) noexcept nogil:
        if self.defined & AREA_MERGE:
            with gil:
                self.call("area_merge", (v, gone))
        elif self.inner is not None:
            self.inner.area_merge(v, gone)

    cdef void area_fork(self, vma_id child, vma_id parent) noexcept nogil:
        if self.defined & AREA_FORK:
            with gil:
                self.call("area_fork", (child, parent))
        elif self.inner is not None:
            self.inner.area_fork(child, parent)

    cdef void area_emptied(self, vma_id v) noexcept nogil:
        if self.defined & AREA_EMPTIED:
            with gil:
                self.call("area_emptied", (v,))
        elif self.inner is not None:
            self.inner.area_emptied(v)

    cdef bint may_bridge(self, vma_id prev, vma_id next) noexcept nogil:
        if self.defined & MAY_BRIDGE:
            with gil:
                return self.call("may_bridge", (prev, next))
        if self.defined & COMPATIBLE or self.inner is None:
            return self.compatible(prev, next)
        return self.inner.may_bridge(prev, next)

    cdef bint compatible(self, vma_id v, vma_id source) noexcept nogil:
        if self.defined & COMPATIBLE:
            with gil:
                return bool(self.call("compatible", (v, source)))
        return self.inner is None or self.inner.compatible(v, source)

    cdef void anon_prepare(self, vma_id v) noexcept nogil:
        if self.defined & ANON_PREPARE:
            with gil:
                self.call("anon_prepare", (v,))
        elif self.inner is not None:
            self.inner.anon_prepare(v)

    cdef void page_first(self, pfn_t pfn, vma_id v, vpn_t vpn) noexcept nogil:
        if self.defined & PAGE_FIRST:
            with gil:
                self.call("page_first", (pfn, v, vpn))
        elif self.inner is not None:
            self.inner.page_first(pfn, v, vpn)

    cdef void page_last(self, pfn_t pfn) noexcept nogil:
        if self.defined & PAGE_LAST:
            with gil:
                self.call("page_last", (pfn,))
        elif self.inner is not None:
            self.inner.page_last(pfn)

    cdef void page_reused(self, pfn_t pfn, vma_id v, vpn_t vpn) noexcept nogil:
        if self.defined & PAGE_REUSED:
            with gil:
                self.call("page_reused", (pfn, v, vpn))
        elif self.inner is not None:
            self.inner.page_reused(pfn, v, vpn)

    cdef void pages_mapped(self, vma_id v, vpn_t vpn, slot_t slot, uint32_t n) noexcept nogil:
        if self.defined & PAGES_MAPPED:
            with gil:
                self.call("pages_mapped", (v, vpn, slot, n))
        elif self.inner is not None:
            self.inner.pages_mapped(v, vpn, slot, n)

    cdef void pages_forked(self, vma_id child, vpn_t vpn, slot_t slot, uint32_t n) noexcept nogil:
        if self.defined & PAGES_FORKED:
            with gil:
                self.call("pages_forked", (child, vpn, slot, n))
        elif self.inner is not None:
            self.inner.pages_forked(child, vpn, slot, n)

    cdef void pages_unmapping(self, vma_id v, vpn_t vpn, slot_t slot, uint32_t n) noexcept nogil:
        if self.defined & PAGES_UNMAPPING:
            with gil:
                self.call("pages_unmapping", (v, vpn, slot, n))
        elif self.inner is not None:
            self.inner.pages_unmapping(v, vpn, slot, n)

    cdef bint may_move(self, pfn_t pfn, vpn_t vpn) noexcept nogil:
        if self.defined & MAY_MOVE:
            with gil:
                return self.call("may_move", (pfn, vpn)) is not False     # a failed hook must not loop
        return self.inner is None or self.inner.may_move(pfn, vpn)

    cdef void page_moved(self, pfn_t pfn, vma_id v, vpn_t vpn, slot_t old, slot_t new) noexcept nogil:
        if self.defined & PAGE_MOVED:
            with gil:
                self.call("page_moved", (pfn, v, vpn, old, new))
        elif self.inner is not None:
            self.inner.page_moved(pfn, v, vpn, old, new)

    cdef bint may_swapin(self, pfn_t pfn, vpn_t vpn) noexcept nogil:
        if self.defined & MAY_SWAPIN:
            with gil:
                return self.call("may_swapin", (pfn, vpn)) is not False
        return self.inner is None or self.inner.may_swapin(pfn, vpn)

    cdef void walk_begin(self, Walk* w) noexcept nogil:
        if self.defined & WALK:
            with gil:
                self.open(w)
        elif self.inner is not None:
            self.inner.walk_begin(w)

    cdef bint walk_next(self, Walk* w) noexcept nogil:
        if self.defined & WALK:
            with gil:
                return self.step(w)
        return self.inner is not None and self.inner.walk_next(w)

    cdef void walk_hit(self, Walk* w, Outcome outcome) noexcept nogil:
        if self.defined & WALK:
            w.b = outcome
        elif self.inner is not None:
            self.inner.walk_hit(w, outcome)

    cdef void walk_end(self, Walk* w, bint complete) noexcept nogil:
        if self.defined & WALK:
            with gil:
                self.close(w)
        elif self.inner is not None:
            self.inner.walk_end(w, complete)

    # a walk in Python: w.a number of its generator, w.b outcome of the candidate given last, w.c: one was given
    cdef int open(self, Walk* w) except -1:
        self.opened += 1
        w.a = self.opened
        w.c = 0
        self.walks[w.a] = self.call("walk", (w.pfn, w.purpose))
        return 0

    cdef bint step(self, Walk* w) noexcept:
        generator = self.walks.get(w.a)
        if generator is None:
            return False
        try:
            candidate = generator.send(w.b if w.c else None)
        except StopIteration:
            return False
        except BaseException as error:
            if self.error is None:
                self.error = error
            return False
        w.c = 1
        w.slot = candidate[3] if len(candidate) > 3 else 0
        w.mm, w.vma, w.vpn = candidate[0], candidate[1], candidate[2]
        return True

    cdef int close(self, Walk* w) except -1:
        generator = self.walks.pop(w.a, None)
        if generator is not None:
            generator.close()
        return 0

    def candidates(self, pfn, purpose):
        """The inner scheme's candidates for one frame, as (mm, vma, vpn, slot); nothing is looked up or reported."""
        cdef Walk w
        cdef list found = []
        memset(&w, 0, sizeof(Walk))
        w.pfn = pfn
        w.purpose = purpose
        self.inner.walk_begin(&w)
        while self.inner.walk_next(&w):
            found.append((w.mm, w.vma, w.vpn, w.slot))
            self.inner.walk_hit(&w, HIT_NONE)
        self.inner.walk_end(&w, False)
        return found
