"""Schemes written in Python, at the same seam: slow, for small machines and for trying an idea in fifty lines.

A subclass of Prototype defines the hooks it wants as plain methods, by the names of scheme.pxd; those it does not define
do nothing, or, with an `inner` scheme, are that scheme's. So a prototype can be a whole scheme, or a compiled scheme with
one hook changed (which is how the tests seed defects). The walk is a generator:

    def walk(self, pfn, purpose):            # purpose: QUERY, REFERENCED, UNMAP, SWEEP
        for ...:
            outcome = yield mm, vma, vpn     # or mm, vma, vpn, slot;   outcome: NONE, SEEN, UNMAPPED, FAIL

Ids are plain integers; records are read through self.core.view(name) and self.core.writable(name). An exception in a
hook comes out of the call that met it, when the operation has ended.

What a scheme knows it keeps in arrays that it declares, numbered by frame, area or address space. They are saved and copied
with the machine, and the bytes named count as the kernel's, in each struct page, vm_area_struct or mm_struct:

    class Everyone(Prototype):               # named "everyone": remembers who mapped a page first, and asks all relatives
        traits = {"linear": False}
        arrays = {"owner": ("frame", np.uint32, "word")}       # self.owner[pfn]; "word": a pointer, 4 or 8 bytes

Every other public method would be a hook that nobody calls, so it is refused; names of helpers begin with an underscore.
"""
import numpy as np

from libc.stdint cimport uint32_t

from rmapcore.pyx.base.ids cimport mm_id, pfn_t, slot_t, vma_id, vpn_t
from rmapcore.pyx.base.records cimport P_AREAS, P_FRAMES, P_MMS
from rmapcore.pyx.base.state cimport X86_64
from rmapcore.pyx.machine.core cimport Core
from rmapcore.pyx.seam.hooked cimport Hooked
from rmapcore.pyx.seam.scheme cimport (
    HIT_FAIL, HIT_NONE, HIT_SEEN, HIT_UNMAPPED, WALK_QUERY, WALK_REFERENCED, WALK_SWEEP, WALK_UNMAP, Outcome, Scheme, Walk,
)

from rmapcore.pyx.seam.declarations import validate

QUERY, REFERENCED, UNMAP, SWEEP = WALK_QUERY, WALK_REFERENCED, WALK_UNMAP, WALK_SWEEP
NONE, SEEN, UNMAPPED, FAIL = HIT_NONE, HIT_SEEN, HIT_UNMAPPED, HIT_FAIL

cpdef enum Hook:              # the hooks there are; Prototype.defined has a bit for each, in this order
    MM_EXEC
    MM_FORK
    MM_EXIT
    AREA_LINK
    AREA_UNLINK
    AREA_BEFORE
    AREA_AFTER
    AREA_SPLIT
    AREA_CLONE
    AREA_IMPORT
    AREA_MERGE
    AREA_FORK
    AREA_EMPTIED
    COMPATIBLE
    MAY_BRIDGE
    ANON_PREPARE
    PAGE_FIRST
    PAGE_LAST
    PAGE_FREED
    PAGE_REUSED
    PAGES_MAPPED
    PAGES_FORKED
    PAGES_UNMAPPING
    MAY_MOVE
    PAGE_MOVED
    MAY_SWAPIN
    WALK

HOOKS = tuple(hook.name.lower() for hook in Hook)
TRAITS = ("era", "linear", "table_locks", "exhaustive", "sweeps")
PER = {"frame": (P_FRAMES, "page"), "area": (P_AREAS, "vma"), "mm": (P_MMS, "mm")}      # of arrays: pool, structure


IN_USE = {"frame": "mapcount", "area": "alive", "mm": "alive"}                          # fields that say so


cdef class Prototype(Hooked):
    """Base of schemes in Python. inner: a compiled scheme whose hooks serve where the subclass defines none.

    The scheme's name is that of the class, in lower case. Class attributes:
    traits: {"era", "linear", "table_locks", "exhaustive", "sweeps"} where they differ from the inner scheme's (scheme.pxd).
    arrays: {name: (per, dtype, size)}: an array of that dtype, numbered by "frame", "area" or "mm", becomes the attribute
    `name` when the machine is made. size: bytes that it would add to the kernel's structure, or "word" for a pointer. A
    number that is used again finds what its last owner left.
    file_rmap, defects: as in the registry (rmapcore.schemes).
    Raises ValueError for public methods that are no hooks, and for declarations that say nothing.
    """
    cdef uint32_t defined
    traits = {}
    arrays = {}

    def __init__(self, Scheme inner=None):
        Scheme.__init__(self)
        self.name = type(self).__name__.lower()
        self.inner = inner
        if inner is not None:
            inner.outer = self
        validate(type(self), Prototype, HOOKS, TRAITS, PER)
        traits = {"era": self.era, "table_locks": True, "linear": False, "exhaustive": False, "sweeps": False}
        if inner is not None:
            traits = {name: getattr(inner, name) for name in TRAITS}
        traits |= self.traits
        self.era = traits["era"]
        self.table_locks = traits["table_locks"]
        self.linear = traits["linear"]
        self.exhaustive = traits["exhaustive"]
        self.sweeps = traits["sweeps"]
        for hook in Hook:
            if hasattr(type(self), hook.name.lower()):
                self.defined |= <uint32_t> 1 << <int> hook.value
        self.wants_entries = self.hears(PAGES_MAPPED) or self.hears(PAGES_FORKED) or self.hears(PAGES_UNMAPPING) or (
            inner is not None and inner.wants_entries)
        self.wants_last = self.hears(PAGE_LAST) or (inner is not None and inner.wants_last)
        self.wants_freed = self.hears(PAGE_FREED) or (inner is not None and inner.wants_freed)
        self.wants_moves = self.hears(MAY_MOVE) or self.hears(PAGE_MOVED) or (inner is not None and inner.wants_moves)
        self.keeps_places = inner is not None and inner.keeps_places and not self.hears(MAY_MOVE) and not self.hears(PAGE_MOVED)

    cdef inline bint hears(self, Hook hook) noexcept nogil:
        """Whether the subclass defines it."""
        return self.defined >> <int> hook & 1

    def attach(self, Core core):
        Scheme.attach(self, core)
        if self.inner is not None:
            self.inner.attach(core)
            self.entry_pool = self.inner.entry_pool
        for name, (per, dtype, _) in self.arrays.items():
            pool = PER[per][0]
            core.new_arena(f"{self.name}.{name}", dtype, self.s.pool[<int> pool].capacity, pool, anchor=True)
            setattr(self, name, core.arenas[f"{self.name}.{name}"].array)
        added = self.declared()
        core.charge_area(added["vma"])
        core.charge_mm(added["mm"])

    def declared(self):
        """Bytes that the declared arrays add to the kernel's structures: {"page", "vma", "mm"}."""
        added = {"page": 0, "vma": 0, "mm": 0}
        for per, _, size in self.arrays.values():
            added[PER[per][1]] += (8 if self.s.arch == X86_64 else 4) if size == "word" else size
        return added

    def census(self):
        return self.inner.census() if self.inner is not None else {}

    def overhead(self):
        return {name: size + (self.inner.overhead().get(name, 0) if self.inner is not None else 0)
                for name, size in self.declared().items()}

    def restored(self):
        if self.inner is not None:
            self.inner.restored()

    def check(self):
        return self.inner.check() if self.inner is not None else ()

    def structure(self):
        """The inner scheme's, and what is in the declared arrays."""
        rows = list(self.inner.structure()) if self.inner is not None else []
        for name, (per, _, _) in self.arrays.items():
            array = getattr(self, name)
            numbers = np.flatnonzero(self.core.view(f"{per}s")[IN_USE[per]])
            rows += [(per, int(number), {name: array[number].item()}, {}) for number in numbers]
        return rows

    def route(self, pfn):
        return [] if self.hears(WALK) or self.inner is None else self.inner.route(pfn)

    cdef void mm_exec(self, mm_id mm) noexcept nogil:
        if self.hears(MM_EXEC):
            with gil:
                self.tell("mm_exec", (mm,))
        elif self.inner is not None:
            self.inner.mm_exec(mm)

    cdef void mm_fork(self, mm_id child, mm_id parent) noexcept nogil:
        if self.hears(MM_FORK):
            with gil:
                self.tell("mm_fork", (child, parent))
        elif self.inner is not None:
            self.inner.mm_fork(child, parent)

    cdef void mm_exit(self, mm_id mm) noexcept nogil:
        if self.hears(MM_EXIT):
            with gil:
                self.tell("mm_exit", (mm,))
        elif self.inner is not None:
            self.inner.mm_exit(mm)

    cdef void area_link(self, vma_id v) noexcept nogil:
        if self.hears(AREA_LINK):
            with gil:
                self.tell("area_link", (v,))
        elif self.inner is not None:
            self.inner.area_link(v)

    cdef void area_unlink(self, vma_id v) noexcept nogil:
        if self.hears(AREA_UNLINK):
            with gil:
                self.tell("area_unlink", (v,))
        elif self.inner is not None:
            self.inner.area_unlink(v)

    cdef void area_before(self, vma_id v) noexcept nogil:
        if self.hears(AREA_BEFORE):
            with gil:
                self.tell("area_before", (v,))
        elif self.inner is not None:
            self.inner.area_before(v)

    cdef void area_after(self, vma_id v) noexcept nogil:
        if self.hears(AREA_AFTER):
            with gil:
                self.tell("area_after", (v,))
        elif self.inner is not None:
            self.inner.area_after(v)

    cdef void area_split(self, vma_id new, vma_id v) noexcept nogil:
        if self.hears(AREA_SPLIT):
            with gil:
                self.tell("area_split", (new, v))
        elif self.inner is not None:
            self.inner.area_split(new, v)

    cdef void area_clone(self, vma_id new, vma_id v) noexcept nogil:
        if self.hears(AREA_CLONE):
            with gil:
                self.tell("area_clone", (new, v))
        elif self.inner is not None:
            self.inner.area_clone(new, v)

    cdef void area_import(self, vma_id v, vma_id giver) noexcept nogil:
        if self.hears(AREA_IMPORT):
            with gil:
                self.tell("area_import", (v, giver))
        elif self.inner is not None:
            self.inner.area_import(v, giver)

    cdef void area_merge(self, vma_id v, vma_id gone) noexcept nogil:
        if self.hears(AREA_MERGE):
            with gil:
                self.tell("area_merge", (v, gone))
        elif self.inner is not None:
            self.inner.area_merge(v, gone)

    cdef void area_fork(self, vma_id child, vma_id parent) noexcept nogil:
        if self.hears(AREA_FORK):
            with gil:
                self.tell("area_fork", (child, parent))
        elif self.inner is not None:
            self.inner.area_fork(child, parent)

    cdef void area_emptied(self, vma_id v) noexcept nogil:
        if self.hears(AREA_EMPTIED):
            with gil:
                self.tell("area_emptied", (v,))
        elif self.inner is not None:
            self.inner.area_emptied(v)

    cdef bint may_bridge(self, vma_id prev, vma_id next) noexcept nogil:
        if self.hears(MAY_BRIDGE):
            with gil:
                return self.ask("may_bridge", (prev, next), False)
        if self.hears(COMPATIBLE) or self.inner is None:
            return self.compatible(prev, next)
        return self.inner.may_bridge(prev, next)

    cdef bint compatible(self, vma_id v, vma_id source) noexcept nogil:
        if self.hears(COMPATIBLE):
            with gil:
                return self.ask("compatible", (v, source), False)
        return self.inner is None or self.inner.compatible(v, source)

    cdef void anon_prepare(self, vma_id v) noexcept nogil:
        if self.hears(ANON_PREPARE):
            with gil:
                self.tell("anon_prepare", (v,))
        elif self.inner is not None:
            self.inner.anon_prepare(v)

    cdef void page_first(self, pfn_t pfn, vma_id v, vpn_t vpn) noexcept nogil:
        if self.hears(PAGE_FIRST):
            with gil:
                self.tell("page_first", (pfn, v, vpn))
        elif self.inner is not None:
            self.inner.page_first(pfn, v, vpn)

    cdef void page_last(self, pfn_t pfn) noexcept nogil:
        if self.hears(PAGE_LAST):
            with gil:
                self.tell("page_last", (pfn,))
        elif self.inner is not None:
            self.inner.page_last(pfn)

    cdef void page_freed(self, pfn_t pfn) noexcept nogil:
        if self.hears(PAGE_FREED):
            with gil:
                self.tell("page_freed", (pfn,))
        elif self.inner is not None:
            self.inner.page_freed(pfn)

    cdef void page_reused(self, pfn_t pfn, vma_id v, vpn_t vpn) noexcept nogil:
        if self.hears(PAGE_REUSED):
            with gil:
                self.tell("page_reused", (pfn, v, vpn))
        elif self.inner is not None:
            self.inner.page_reused(pfn, v, vpn)

    cdef void pages_mapped(self, vma_id v, vpn_t vpn, slot_t slot, uint32_t n) noexcept nogil:
        if self.hears(PAGES_MAPPED):
            with gil:
                self.tell("pages_mapped", (v, vpn, slot, n))
        elif self.inner is not None:
            self.inner.pages_mapped(v, vpn, slot, n)

    cdef void pages_forked(self, vma_id child, vpn_t vpn, slot_t slot, uint32_t n) noexcept nogil:
        if self.hears(PAGES_FORKED):
            with gil:
                self.tell("pages_forked", (child, vpn, slot, n))
        elif self.inner is not None:
            self.inner.pages_forked(child, vpn, slot, n)

    cdef void pages_unmapping(self, vma_id v, vpn_t vpn, slot_t slot, uint32_t n) noexcept nogil:
        if self.hears(PAGES_UNMAPPING):
            with gil:
                self.tell("pages_unmapping", (v, vpn, slot, n))
        elif self.inner is not None:
            self.inner.pages_unmapping(v, vpn, slot, n)

    cdef bint may_move(self, pfn_t pfn, vpn_t vpn) noexcept nogil:
        if self.hears(MAY_MOVE):
            with gil:
                return self.lets_go(pfn, self.ask("may_move", (pfn, vpn), True))
        return self.inner is None or self.inner.may_move(pfn, vpn)

    cdef void page_moved(self, pfn_t pfn, vma_id v, vpn_t vpn, slot_t old, slot_t new) noexcept nogil:
        if self.hears(PAGE_MOVED):
            with gil:
                self.tell("page_moved", (pfn, v, vpn, old, new))
        elif self.inner is not None:
            self.inner.page_moved(pfn, v, vpn, old, new)

    cdef bint may_swapin(self, pfn_t pfn, vpn_t vpn) noexcept nogil:
        if self.hears(MAY_SWAPIN):
            with gil:
                return self.ask("may_swapin", (pfn, vpn), True)
        return self.inner is None or self.inner.may_swapin(pfn, vpn)

    cdef void walk_begin(self, Walk* w) noexcept nogil:
        if self.hears(WALK):
            with gil:
                self.open(w)
        elif self.inner is not None:
            self.begin(w)

    cdef bint walk_next(self, Walk* w) noexcept nogil:
        if self.hears(WALK):
            with gil:
                return self.step(w)
        return self.inner is not None and self.next(w)

    cdef void walk_hit(self, Walk* w, Outcome outcome) noexcept nogil:
        if self.hears(WALK):
            w.b = outcome
        elif self.inner is not None:
            self.inner.walk_hit(w, outcome)

    cdef void walk_end(self, Walk* w, bint complete) noexcept nogil:
        if self.hears(WALK):
            with gil:
                self.close(w)
        elif self.inner is not None:
            self.inner.walk_end(w, complete)

    cdef uint32_t lock_of_area(self, vma_id v) noexcept nogil:
        return self.inner.lock_of_area(v) if self.inner is not None else 0

    cdef uint32_t lock_of_frame(self, pfn_t pfn) noexcept nogil:
        return self.inner.lock_of_frame(pfn) if self.inner is not None else 0

    cdef uint32_t lock_of_mm(self, mm_id mm, bint forks) noexcept nogil:
        return self.inner.lock_of_mm(mm, forks) if self.inner is not None else 0
