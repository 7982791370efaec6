"""6.18: madvise's ways into reclaim: FREE, COLD, PAGEOUT for one area (rule QE9) [6.18 mm/madvise.c, swap.c]."""
from libc.stdint cimport uint32_t, uint64_t

from rmapcore.pyx.base.ids cimport mm_id, pfn_t, slot_t, vma_id, vpn_t
from rmapcore.pyx.base.records cimport (
    PG_ACTIVE, PG_ANON, PG_DIRTY, PG_LAZYFREE, PG_LRU, PG_REFERENCED, PG_SWAPCACHE, Frame,
)
from rmapcore.pyx.base.state cimport State
from rmapcore.pyx.base.uapi cimport MADV_COLD, MADV_FREE
from rmapcore.pyx.base.x86 cimport PTE_ACCESSED, PTE_DIRTY, pte_get, pte_is_swap, pte_pfn, pte_present, pte_set, swap_slot
from rmapcore.pyx.machine.lru cimport lru_move
from rmapcore.pyx.machine.pagetable cimport leaf_run, pt_next
from rmapcore.pyx.machine.swap cimport free_swap
from rmapcore.pyx.reclaim.walk cimport forget_leaves
from rmapcore.pyx.seam.kernel cimport Kernel


cdef void free_lazily(State* s, slot_t slot, pfn_t pfn) noexcept nogil:
    """MADV_FREE of a present page: nothing in it matters unless it is written again."""
    cdef Frame* f = &s.frame[pfn]
    if not f.flags & PG_ANON:
        return
    if f.flags & (PG_SWAPCACHE | PG_DIRTY):
        if f.mapcount != 1 or (f.flags & PG_SWAPCACHE and not free_swap(s, pfn)):
            return
        f.flags &= ~<uint32_t> PG_DIRTY
    pte_set(s, slot, pte_get(s, slot) & ~<uint64_t> (PTE_ACCESSED | PTE_DIRTY))
    if not f.flags & PG_LAZYFREE:
        f.flags = f.flags & ~<uint32_t> PG_REFERENCED | PG_LAZYFREE
        lru_move(s, pfn, False)


cdef void forget_use(State* s, slot_t slot, pfn_t pfn) noexcept nogil:
    """MADV_COLD of a page that only this entry maps: nobody has used it lately."""
    cdef Frame* f = &s.frame[pfn]
    if f.mapcount != 1:
        return
    pte_set(s, slot, pte_get(s, slot) & ~<uint64_t> PTE_ACCESSED)
    f.flags &= ~<uint32_t> PG_REFERENCED
    if f.flags & PG_ACTIVE:
        lru_move(s, pfn, False)


cdef void advise_pages(Kernel k, vma_id v, vpn_t start, vpn_t end, uint32_t advice) noexcept nogil:
    """MADV_FREE, COLD or PAGEOUT for [start, end), which lies in area v; the area allows it."""
    cdef State* s = k.s
    cdef mm_id mm = s.area[v].mm
    cdef vpn_t vpn = start
    cdef uint64_t entry
    cdef uint32_t n, i
    cdef slot_t slot
    cdef pfn_t pfn
    forget_leaves(k)
    while True:
        slot = pt_next(s, mm, &vpn, end)
        if slot == 0:
            return
        n = leaf_run(s, vpn, end)
        for i in range(n):
            entry = pte_get(s, slot + i)
            if advice == MADV_FREE and pte_is_swap(entry):
                pte_set(s, slot + i, 0)
                s.mm[mm].swapents -= 1
                free_swap_and_cache(k, s, swap_slot(s, entry))
                continue
            pfn = pte_pfn(s, entry) if pte_present(entry) else 0
            if pfn == 0:
                continue
            if advice == MADV_FREE:
                free_lazily(s, slot + i, pfn)
            elif advice == MADV_COLD:
                forget_use(s, slot + i, pfn)
            elif s.frame[pfn].mapcount == 1 and s.frame[pfn].flags & PG_LRU:
                forget_use(s, slot + i, pfn)
                page_out(k, pfn)
        vpn += n
