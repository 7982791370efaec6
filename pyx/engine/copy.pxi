"""copy_page_range (rules H3, QH1): what fork does to the entries of one area [2.6.7 and 6.18 mm/memory.c].

Text of every kernel, which says what sharing does to a frame and to a swap entry (`share`, `share_swapped`).
"""
from libc.stdint cimport uint32_t, uint64_t

from rmapcore.pyx.base.counters cimport C_RMAP_DUPS, C_SCANNED_PTES, tally
from rmapcore.pyx.base.ids cimport mm_id, pfn_t, slot_t, vma_id, vpn_t
from rmapcore.pyx.base.records cimport GONE_PROTECT, VM_MAYWRITE, VM_SHARED
from rmapcore.pyx.base.state cimport State
from rmapcore.pyx.base.x86 cimport (
    PTE_ACCESSED, PTE_DIRTY, PTE_RW, pte_get, pte_is_swap, pte_pfn, pte_present, pte_set, swap_slot,
)
from rmapcore.pyx.machine.gone cimport tell_run
from rmapcore.pyx.machine.pagetable cimport leaf_run, pt_alloc, pt_make_uppers, pt_next
from rmapcore.pyx.machine.swap cimport slot_dup
from rmapcore.pyx.seam.kernel cimport Kernel


cdef inline uint64_t copy_leaf(State* s, mm_id to, slot_t old, slot_t new, uint32_t n, bint cow, bint shared) noexcept nogil:
    """Copies n entries of one leaf table to address space `to`; how many map a frame."""
    cdef uint64_t dups = 0
    cdef uint64_t entry
    cdef uint32_t i
    cdef pfn_t pfn
    for i in range(n):
        entry = pte_get(s, old + i)
        if entry == 0:
            continue
        if pte_present(entry):
            pfn = pte_pfn(s, entry)
            if pfn:
                if cow and entry & PTE_RW:
                    entry &= ~<uint64_t> PTE_RW
                    pte_set(s, old + i, entry)
                if shared:
                    entry &= ~<uint64_t> PTE_DIRTY
                entry &= ~<uint64_t> PTE_ACCESSED
                share(s, pfn)
                s.frame[pfn].mapcount += 1
                dups += 1
        elif pte_is_swap(entry):
            entry = share_swapped(s, old + i, entry)
            slot_dup(s, swap_slot(s, entry))
            s.mm[to].swapents += 1
        pte_set(s, new + i, entry)
    return dups


cdef void copy_entries(Kernel k, vma_id child, vma_id parent) noexcept nogil:
    """copy_page_range for one area (rule H3)."""
    cdef State* s = k.s
    cdef mm_id to = s.area[child].mm
    cdef mm_id source = s.area[parent].mm
    cdef uint32_t flags = s.area[parent].flags
    cdef bint cow = flags & (VM_SHARED | VM_MAYWRITE) == VM_MAYWRITE
    cdef bint shared = flags & VM_SHARED
    cdef bint files = s.area[child].file and k.side.wants_entries
    cdef vpn_t vpn = s.area[parent].start
    cdef vpn_t end = s.area[parent].end
    cdef vpn_t passed = vpn
    cdef uint64_t rss = 0
    cdef uint64_t dups
    cdef slot_t old, new
    cdef uint32_t n
    while True:
        old = pt_next(s, source, &vpn, end)
        if vpn != passed:                      # no leaf tables there, but perhaps upper ones, which are copied too
            pt_make_uppers(s, to, source, passed, vpn if vpn < end else end)
        if old == 0:
            break
        n = leaf_run(s, vpn, end)
        new = pt_alloc(s, to, vpn)
        tally(s, C_SCANNED_PTES, n)
        if cow and s.gone:
            tell_run(s, source, vpn, old, n, PTE_RW, 0, 0, GONE_PROTECT)
        dups = copy_leaf(s, to, old, new, n, cow, shared)
        tally(s, C_RMAP_DUPS, dups)
        rss += dups
        if k.anon.wants_entries:
            k.anon.pages_forked(child, vpn, new, n)
        if files:
            k.side.pages_forked(child, vpn, new, n)
        vpn += n
        passed = vpn
    s.mm[to].rss += rss
