"""The seam's defaults: a scheme that hears nothing and finds nothing."""
from libc.stdint cimport uint32_t, uint64_t

from rmapcore.pyx.base.ids cimport mm_id, pfn_t, slot_t, vma_id, vpn_t
from rmapcore.pyx.base.x86 cimport pte_get, pte_pfn
from rmapcore.pyx.machine.core cimport Core
from rmapcore.pyx.seam.scheme cimport Lead, Outcome, Walk

cdef extern from *:           # whether a class overrides a hook: its table of methods has another function there
    """
    #define OVERRIDES(scheme, hook) \
        ((scheme)->__pyx_vtab->hook != __pyx_vtabptr_8rmapcore_3pyx_4seam_6scheme_Scheme->hook)
    #define hears_entries(s) (OVERRIDES(s, pages_mapped) || OVERRIDES(s, pages_forked) || OVERRIDES(s, pages_unmapping))
    #define hears_last(s) OVERRIDES(s, page_last)
    #define hears_freed(s) OVERRIDES(s, page_freed)
    #define hears_moves(s) (OVERRIDES(s, may_move) || OVERRIDES(s, page_moved))
    #define answers_room(s) (OVERRIDES(s, prepare_room) || OVERRIDES(s, area_room))
    """
    bint hears_entries(Scheme scheme)
    bint hears_last(Scheme scheme)
    bint hears_freed(Scheme scheme)
    bint hears_moves(Scheme scheme)
    bint answers_room(Scheme scheme)


cdef class Scheme:
    """Base of every scheme and file side. Subclasses name themselves, take options, and override hooks.

    options: what stood after the colon of the scheme's name, a dict of str to str; a scheme raises ValueError for one
    it does not know.
    """

    def __init__(self, **options):
        self.options = options
        self.era = "2.6.7"
        self.table_locks = True
        self.wants_entries = hears_entries(self)
        self.wants_last = hears_last(self)
        self.wants_freed = hears_freed(self)
        self.wants_moves = hears_moves(self)
        self.wants_room = answers_room(self)

    def attach(self, Core core):
        """Binds the scheme to a machine; subclasses go on to make their arenas. Called once, by the Kernel."""
        if self.core is not None:
            raise ValueError(f"this {self.name} object belongs to another machine already")
        self.core = core
        self.s = &core.state

    def census(self):
        """Kernel structures in use: {name: (pool number, bytes of one)} of this scheme's own objects."""
        return {}

    def overhead(self):
        """Bytes that the scheme adds to existing kernel structures: {"page": n, "vma": n, "mm": n, "file": n}."""
        return {}

    def raise_kept(self):
        """Raises what a hook written in Python raised since the last time, if one did."""
        self.failed = False
        if self.error is not None:
            error, self.error = self.error, None
            raise error

    def restored(self):
        """The arenas have just been filled by load() or copy()."""

    def check(self):
        """The scheme's own invariants; yields (rule, frame, mm, vpn, text) for each violation."""
        return ()

    # looking: for pictures, and for whoever wants to see how it stands. Kinds of objects are the scheme's own names, and the
    # machine's: "frame", "area", "mm", "file", "entry", whose numbers are its handles

    def structure(self):
        """What it keeps: rows (kind, number, fields, links).

        fields: {name: value} to be read with it.  links: {name: (kind, number), or a list of them in the order in which the
        scheme goes through them}. One object may have several rows.
        """
        return []

    def route(self, pfn):
        """Whom a walk of this frame asks, one after the other, candidates or not, if it goes on to the end: (kind, number).

        Areas and address spaces are those that it counts as tried. []: its candidates say it.
        """
        return []

    cdef int mm_room(self, mm_id parent) noexcept nogil:
        return 0

    cdef int prepare_room(self, vma_id v) noexcept nogil:
        return 0

    cdef int area_room(self, vma_id v, uint32_t n) noexcept nogil:
        return 0

    cdef void mm_exec(self, mm_id mm) noexcept nogil:
        pass

    cdef void mm_fork(self, mm_id child, mm_id parent) noexcept nogil:
        pass

    cdef void mm_exit(self, mm_id mm) noexcept nogil:
        pass

    cdef void area_link(self, vma_id v) noexcept nogil:
        pass

    cdef void area_unlink(self, vma_id v) noexcept nogil:
        pass

    cdef void area_before(self, vma_id v) noexcept nogil:
        pass

    cdef void area_after(self, vma_id v) noexcept nogil:
        pass

    cdef void area_split(self, vma_id new, vma_id v) noexcept nogil:
        pass

    cdef void area_clone(self, vma_id new, vma_id v) noexcept nogil:
        pass

    cdef void area_import(self, vma_id v, vma_id giver) noexcept nogil:
        pass

    cdef void area_merge(self, vma_id v, vma_id gone) noexcept nogil:
        pass

    cdef void area_fork(self, vma_id child, vma_id parent) noexcept nogil:
        pass

    cdef void area_nonlinear(self, vma_id v) noexcept nogil:
        pass

    cdef void area_emptied(self, vma_id v) noexcept nogil:
        pass

    cdef bint compatible(self, vma_id v, vma_id source) noexcept nogil:
        return True

    cdef bint may_bridge(self, vma_id prev, vma_id next) noexcept nogil:
        return self.compatible(prev, next)

    cdef void anon_prepare(self, vma_id v) noexcept nogil:
        pass

    cdef void page_first(self, pfn_t pfn, vma_id v, vpn_t vpn) noexcept nogil:
        pass

    cdef void pages_first(self, vma_id v, const vpn_t* vpn, const slot_t* slot, uint32_t n) noexcept nogil:
        cdef uint32_t i
        for i in range(n):
            self.page_first(pte_pfn(self.s, pte_get(self.s, slot[i])), v, vpn[i])
            if self.wants_entries:
                self.pages_mapped(v, vpn[i], slot[i], 1)

    cdef void page_last(self, pfn_t pfn) noexcept nogil:
        pass

    cdef void page_freed(self, pfn_t pfn) noexcept nogil:
        pass

    cdef void page_reused(self, pfn_t pfn, vma_id v, vpn_t vpn) noexcept nogil:
        pass

    cdef void pages_mapped(self, vma_id v, vpn_t vpn, slot_t slot, uint32_t n) noexcept nogil:
        pass

    cdef void pages_forked(self, vma_id child, vpn_t vpn, slot_t slot, uint32_t n) noexcept nogil:
        pass

    cdef void pages_unmapping(self, vma_id v, vpn_t vpn, slot_t slot, uint32_t n) noexcept nogil:
        pass

    cdef bint may_move(self, pfn_t pfn, vpn_t vpn) noexcept nogil:
        return True

    cdef void page_moved(self, pfn_t pfn, vma_id v, vpn_t vpn, slot_t old, slot_t new) noexcept nogil:
        pass

    cdef bint may_swapin(self, pfn_t pfn, vpn_t vpn) noexcept nogil:
        return True

    cdef void walk_begin(self, Walk* w) noexcept nogil:
        pass

    cdef bint walk_next(self, Walk* w) noexcept nogil:
        return False

    cdef void walk_hit(self, Walk* w, Outcome outcome) noexcept nogil:
        pass

    cdef void walk_end(self, Walk* w, bint complete) noexcept nogil:
        pass

    cdef pfn_t circle(self, Walk* w) noexcept nogil:
        return 0

    cdef uint32_t lock_of_area(self, vma_id v) noexcept nogil:
        return 0

    cdef uint32_t lock_of_frame(self, pfn_t pfn) noexcept nogil:
        return 0

    cdef uint32_t lock_of_mm(self, mm_id mm, bint forks) noexcept nogil:
        return 0

    cdef void lead(self, Lead* leads, uint32_t n) noexcept nogil:
        """No lead: every frame is walked by itself."""

    cdef void leads_walked(self, uint64_t walks, uint64_t tried) noexcept nogil:
        pass

    cdef void leads_unmapped(self, Lead* leads, uint32_t n) noexcept nogil:
        pass
