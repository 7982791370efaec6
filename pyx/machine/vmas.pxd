"""The areas of an address space: sorted list and treap by address, find_vma (rule D1).

The list (next, prev) is the order; the treap (left, right) finds. A node's priority is a hash of its number, so the
shape depends on nothing but the numbers. Areas of one mm never overlap, and a bound may move without leaving the place
in the order, so adjusting an area needs no tree work. Costs: O(log n).
"""
from libc.stdint cimport uint32_t, uint64_t

from rmapcore.pyx.base.ids cimport mm_id, vma_id, vpn_t
from rmapcore.pyx.base.records cimport FILE_DISK, FILE_ZERO, VM_EXEC, VM_NONLINEAR, VM_READ, VM_WRITE, Area, Mm
from rmapcore.pyx.base.state cimport State
from rmapcore.pyx.base.x86 cimport file_pgoff, page_prot

cdef inline vma_id find_vma(State* s, mm_id mm, vpn_t vpn) noexcept nogil:
    """The first area that ends above vpn, or 0 (it may start above vpn too)."""
    cdef Mm* m = &s.mm[mm]
    cdef vma_id v = m.cache
    cdef vma_id best = 0
    if v and s.area[v].end > vpn and s.area[v].start <= vpn:
        return v
    v = m.root
    while v:
        if s.area[v].end > vpn:
            best = v
            if s.area[v].start <= vpn:
                break
            v = s.area[v].left
        else:
            v = s.area[v].right
    if best:
        m.cache = best
    return best


cdef inline vma_id peek_vma(State* s, mm_id mm, vpn_t vpn) noexcept nogil:
    """find_vma that leaves the cache alone: for looking without touching state."""
    cdef vma_id v = s.mm[mm].root
    cdef vma_id best = 0
    while v:
        if s.area[v].end > vpn:
            best = v
            v = s.area[v].left
        else:
            v = s.area[v].right
    return best


cdef inline vma_id find_prev(State* s, mm_id mm, vpn_t vpn) noexcept nogil:
    """The last area that starts below vpn and does not end above it... the area before find_vma's answer, or 0."""
    cdef vma_id v = find_vma(s, mm, vpn)
    cdef vma_id last
    if v:
        return s.area[v].prev
    last = s.mm[mm].root
    while last and s.area[last].right:
        last = s.area[last].right
    return last


cdef inline uint64_t area_pages(State* s, vma_id v) noexcept nogil:
    return s.area[v].end - s.area[v].start


cdef inline uint64_t area_index(State* s, vma_id v, vpn_t vpn) noexcept nogil:
    """Linear page index of an address in an area (docs/facts/areas.md, "The linear page index")."""
    return s.area[v].pgoff + (vpn - s.area[v].start)


cdef inline uint64_t anon_shift(State* s, vma_id v) noexcept nogil:
    """How far the anonymous pages of an area lie from their index: vpn - index, which wraps (rule QI1)."""
    return s.anon_shift[v]


cdef inline uint64_t born_shift(State* s, vpn_t start, uint64_t pgoff) noexcept nogil:
    """anon_shift of an area that begins there anew: with its page offset, or at its first page (rule QI1)."""
    return (start - pgoff) & s.tied


cdef inline uint64_t anon_index(State* s, vma_id v, vpn_t vpn) noexcept nogil:
    """Index of an anonymous page at this address of an area, in schemes whose indices are linear."""
    return vpn - anon_shift(s, v)


cdef inline uint64_t area_prot(State* s, vma_id v) noexcept nogil:
    """vm_page_prot of an area (rules C3, QA3)."""
    cdef uint64_t prot = page_prot(s, s.area[v].flags)
    if prot & s.noticed and s.file[s.area[v].file].kind == FILE_DISK:
        prot &= ~s.noticed
    return prot


cdef inline bint has_cache(State* s, vma_id v) noexcept nogil:
    """Do an area's pages come from the page cache of a file? Else they are anonymous: vma_is_anonymous."""
    return s.area[v].file != 0 and s.file[s.area[v].file].kind != FILE_ZERO


cdef inline uint64_t page_of(State* s, vma_id v, vpn_t vpn, uint64_t entry) noexcept nogil:
    """The file page that an absent entry of a file's area stands for: the one it names, else the linear one."""
    return file_pgoff(s, entry) if entry else area_index(s, v, vpn)


cdef inline uint64_t absent_entry(State* s, vma_id v, vpn_t vpn, uint64_t index) noexcept nogil:
    """The absent entry that stands for this file page: 0 at its linear place, else one that names it."""
    return nonlinear_entry(s, v, vpn, index) if s.area[v].flags & VM_NONLINEAR else 0


cdef inline bint mergeable_flags(uint32_t a, uint32_t b) noexcept nogil:
    """Flags that a later mprotect could make equal: they differ in READ, WRITE, EXEC at most."""
    return (a ^ b) & ~<uint32_t> (VM_READ | VM_WRITE | VM_EXEC) == 0


cdef inline bint could_merge(State* s, vma_id low, vma_id high) noexcept nogil:
    """Could mprotect make one area of these two neighbours? (2.6.7 mm/mmap.c find_mergeable_anon_vma)"""
    cdef Area* a = &s.area[low]
    cdef Area* b = &s.area[high]
    return (
        a.end == b.start and a.file == b.file and a.policy == b.policy and mergeable_flags(a.flags, b.flags)
        and a.pgoff + area_pages(s, low) == b.pgoff and s.anon_shift[low] == s.anon_shift[high]
    )


cdef uint64_t nonlinear_entry(State* s, vma_id v, vpn_t vpn, uint64_t index) noexcept nogil
cdef void area_insert(State* s, vma_id v) noexcept nogil
cdef void area_remove(State* s, vma_id v) noexcept nogil
cdef vma_id area_new(State* s) noexcept nogil
cdef void area_free(State* s, vma_id v) noexcept nogil
cdef mm_id mm_new(State* s, uint32_t pid) noexcept nogil
cdef void mm_free(State* s, mm_id mm) noexcept nogil
cdef void file_area_add(State* s, vma_id v) noexcept nogil
cdef void file_area_del(State* s, vma_id v) noexcept nogil
