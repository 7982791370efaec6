"""2.6.7: madvise (rule E6) [2.6.7 mm/madvise.c]; and what it and truncate do in nonlinear areas (rule H1a)."""
from libc.errno cimport EBADF, EINVAL, ENOMEM
from libc.stdint cimport uint32_t, uint64_t

from rmapcore.pyx.base.counters cimport C_SCANNED_PTES, tally
from rmapcore.pyx.base.ids cimport PAGE_SHIFT, PAGE_SIZE, mm_id, pfn_t, slot_t, vma_id, vpn_t
from rmapcore.pyx.base.records cimport GONE_UNMAP, PG_DIRTY, VM_LOCKED, VM_NONLINEAR, VM_RAND_READ, VM_SEQ_READ, Area
from rmapcore.pyx.base.state cimport State
from rmapcore.pyx.base.uapi cimport MADV_DONTNEED, MADV_RANDOM, MADV_SEQUENTIAL, MADV_WILLNEED
from rmapcore.pyx.base.x86 cimport PTE_ACCESSED, PTE_DIRTY, pte_get, pte_pfn, pte_present, pte_set
from rmapcore.pyx.engine.arguments cimport round_pages, smaller, unaligned
from rmapcore.pyx.engine.mapping cimport unmap_frame
from rmapcore.pyx.machine.gone cimport tell_gone
from rmapcore.pyx.machine.lru cimport mark_accessed
from rmapcore.pyx.machine.pagetable cimport leaf_run, pt_next
from rmapcore.pyx.machine.vmas cimport absent_entry, find_vma
from rmapcore.pyx.seam.kernel cimport E_OK, KEEP_NOTHING, Kernel


cdef int advise_area(Kernel k, vma_id v, vpn_t start, vpn_t end, uint32_t advice) noexcept nogil:
    """madvise_vma: the part [start, end) of an area."""
    cdef Area* a = &k.s.area[v]
    cdef int status = E_OK
    if advice > MADV_DONTNEED:
        return EINVAL
    if advice == MADV_WILLNEED:
        return E_OK if a.file else EBADF
    if advice == MADV_DONTNEED:
        if a.flags & VM_LOCKED:
            return EINVAL
        if a.flags & VM_NONLINEAR:
            zap_nonlinear(k, v, start, end, 0)
        else:
            zap(k, v, start, end, KEEP_NOTHING)
        return E_OK
    status = cut_or_again(k, v, start, end)    # 2.6.7 splits even if the advice is nothing new
    if status == E_OK:
        a.flags &= ~<uint32_t> (VM_RAND_READ | VM_SEQ_READ)
        if advice == MADV_RANDOM:
            a.flags |= VM_RAND_READ
        elif advice == MADV_SEQUENTIAL:
            a.flags |= VM_SEQ_READ
    return status


cdef int do_madvise(Kernel k, mm_id mm, uint64_t addr, uint64_t length, uint32_t advice) noexcept nogil:
    """madvise (rule E6): area by area; holes are passed over, and said when all is done."""
    cdef State* s = k.s
    cdef vpn_t at = addr >> PAGE_SHIFT
    cdef vpn_t end
    cdef vma_id v
    cdef bint holes = False
    cdef int status
    if unaligned(addr) or addr + length + PAGE_SIZE < addr + PAGE_SIZE:
        return EINVAL
    end = at + round_pages(length)
    v = find_vma(s, mm, at)
    while at < end:
        if v == 0 or s.area[v].start >= end:
            return ENOMEM
        if s.area[v].start > at:
            holes = True
            at = s.area[v].start
        status = advise_area(k, v, at, smaller(s.area[v].end, end), advice)
        if status != E_OK:
            return status
        at = s.area[v].end
        v = s.area[v].next
    return ENOMEM if holes else E_OK


cdef void zap_nonlinear(Kernel k, vma_id v, vpn_t start, vpn_t end, uint64_t first) noexcept nogil:
    """What MADV_DONTNEED and truncate do in a nonlinear area: pages of the file from `first` on leave [start, end).

    Which page was where is not forgotten: an entry off its linear place goes on to name it.
    """
    cdef State* s = k.s
    cdef mm_id mm = s.area[v].mm
    cdef vpn_t vpn = start
    cdef uint32_t n, i
    cdef slot_t slot
    cdef uint64_t entry
    cdef pfn_t pfn
    while True:
        slot = pt_next(s, mm, &vpn, end)
        if slot == 0:
            return
        n = leaf_run(s, vpn, end)
        tally(s, C_SCANNED_PTES, n)
        for i in range(n):
            entry = pte_get(s, slot + i)
            pfn = pte_pfn(s, entry)
            if not pte_present(entry) or s.frame[pfn].index < first:
                continue
            if entry & PTE_DIRTY:
                s.frame[pfn].flags |= PG_DIRTY
            if entry & PTE_ACCESSED:
                mark_accessed(s, pfn)
            if s.gone:
                tell_gone(s, mm, vpn + i, pfn, GONE_UNMAP)
            unmap_frame(k, v, vpn + i, slot + i, pfn)      # the page cache keeps the frame
            pte_set(s, slot + i, absent_entry(s, v, vpn + i, s.frame[pfn].index))
        vpn += n
