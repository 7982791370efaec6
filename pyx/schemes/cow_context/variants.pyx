"""The two schemes: COW contexts repaired, and as the prototype stood in May 2026.

Holes of the prototype, by the numbers of docs/facts/cow-context.md. What it misses:
   H1, H2, H9   a page mapped once ends the walk at the first living context, after its index itself was tried: it may lie
                elsewhere, or only a child has it, or a walk that unmaps has just made it one that is mapped once
   H3           a shared page that comes from swap gets the context of whoever faults, of which its kin know nothing
   H4           an offset put before others destroys one of them
   H5           an area that grows over, or takes in, what has no record makes none
   H6           a part that is moved on takes the record of the rest along
What it wastes:
   H11, H12     arrays of high indices are not freed; a record stays when its area goes or comes home
   H13          areas with and without anonymous pages never merge
Out of reach here: H7 (a fork is one step, and does not reclaim), H8 (exec does not shift a stack; repaired would record it when
its bounds have changed, as it does growth), H10 (nothing migrates).

Repaired: a walk ends when all mappings are found, as the engine has it; a shared page from swap gets the root's context;
records follow their areas; everything merges.
"""
from libc.stdint cimport uint32_t

from rmapcore.pyx.base.ids cimport pfn_t, vma_id
from rmapcore.pyx.machine.swap cimport comes_back_alone
from rmapcore.pyx.schemes.cow_context.moved cimport anon_pgoff, tracked
from rmapcore.pyx.schemes.cow_context.shown cimport ShownContexts


cdef class CowContext(ShownContexts):
    """COW contexts without the prototype's holes: records follow their areas. Options: page_bytes=12, vma=0."""

    def __init__(self, **options):
        self.name = "cow_context"
        ShownContexts.__init__(self, **options)

    cdef void area_clone(self, vma_id new, vma_id v) noexcept nogil:
        if tracked(self.s, new):
            self.record(new)

    cdef void area_import(self, vma_id v, vma_id giver) noexcept nogil:
        ShownContexts.area_import(self, v, giver)
        if self.s.area[giver].rmap and tracked(self.s, v):
            self.record(v)

    cdef void area_after(self, vma_id v) noexcept nogil:
        if tracked(self.s, v):
            self.record(v)

    cdef void area_unlink(self, vma_id v) noexcept nogil:
        if tracked(self.s, v):
            self.forget(v)

    cdef uint32_t maker(self, pfn_t pfn, uint32_t own) noexcept nogil:
        """All kin are below the root."""
        if not comes_back_alone(self.s, pfn):
            while self.context[own].parent:
                own = self.context[own].parent
        return own


# Every rule as the prototype had it, so that what it misses can be counted.


cdef class CowContext202605(ShownContexts):
    """COW contexts as the prototype stood in May 2026. Options: page_bytes=12, vma=0."""

    def __init__(self, **options):
        self.name = "cow_context_2026_05"
        ShownContexts.__init__(self, **options)
        self.faithful = True

    cdef void area_fork(self, vma_id child, vma_id parent) noexcept nogil:
        """The parent's part of a private file is recorded again, which heals what growth left out."""
        ShownContexts.area_fork(self, child, parent)
        if self.s.area[parent].file and tracked(self.s, parent):
            self.record(parent)

    cdef void area_clone(self, vma_id new, vma_id v) noexcept nogil:
        """The start of the whole source is taken for that of the part that moves (H6)."""
        if tracked(self.s, new):
            self.replace(new, self.s.area[v].start - anon_pgoff(self.s, new))

    cdef void marked(self, vma_id v) noexcept nogil:
        if self.s.area[v].file and tracked(self.s, v):
            self.record(v)

    cdef bint compatible(self, vma_id v, vma_id source) noexcept nogil:
        """H13."""
        return self.s.area[v].rmap == (self.s.area[source].rmap if source else 0)
