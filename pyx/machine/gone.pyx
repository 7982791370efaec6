"""Telling what is gone, and taking it out of the ring (gone.pxd)."""
from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memcpy

from rmapcore.pyx.base.ids cimport PAGE_SHIFT, mm_id, pfn_t, slot_t, vpn_t
from rmapcore.pyx.base.records cimport Gone, Ring
from rmapcore.pyx.base.state cimport State
from rmapcore.pyx.base.x86 cimport PTE_ACCESSED, PTE_DIRTY, pte_get, pte_pfn, pte_present
from rmapcore.pyx.machine.pagetable cimport leaf_run, pt_next


cdef inline void note(Ring* ring, uint64_t address, uint32_t process, pfn_t pfn, uint32_t why) noexcept nogil:
    cdef Gone* r
    if ring.written - ring.taken > ring.mask:
        ring.lost += 1
        return
    r = &ring.record[ring.written & ring.mask]
    r.address = address
    r.process = process
    r.pfn = pfn
    r.why = why
    ring.written += 1


cdef void tell_gone(State* s, mm_id mm, vpn_t vpn, pfn_t pfn, uint32_t why) noexcept nogil:
    """One mapping has gone, or is about to; somebody watches."""
    note(s.gone, vpn << PAGE_SHIFT, s.mm[mm].pid, pfn, why)


cdef void tell_changed(State* s, mm_id mm, vpn_t vpn, uint64_t old, uint64_t new, uint32_t why) noexcept nogil:
    """An entry becomes another: told if it was present, and more than its young and dirty bits change; somebody watches."""
    if pte_present(old) and (old ^ new) & ~<uint64_t> (PTE_ACCESSED | PTE_DIRTY):
        note(s.gone, vpn << PAGE_SHIFT, s.mm[mm].pid, pte_pfn(s, old), why)


cdef void tell_run(State* s, mm_id mm, vpn_t vpn, slot_t slot, uint32_t n, uint64_t wanted, uint64_t spared, uint32_t kept,
                   uint32_t why) noexcept nogil:
    """n entries of one leaf table from `slot` on are about to go or to change: the present ones that have all bits of
    `wanted`, none of `spared`, and frames with none of the flags `kept`; somebody watches."""
    cdef Ring* ring = s.gone
    cdef uint32_t process = s.mm[mm].pid
    cdef uint64_t entry
    cdef uint32_t i
    for i in range(n):
        entry = pte_get(s, slot + i)
        if not pte_present(entry) or entry & wanted != wanted or entry & spared:
            continue
        if kept and s.frame[pte_pfn(s, entry)].flags & kept:
            continue
        note(ring, (vpn + i) << PAGE_SHIFT, process, pte_pfn(s, entry), why)


cdef void tell_tables(State* s, mm_id mm, vpn_t start, vpn_t end, uint32_t why) noexcept nogil:
    """All that the leaf tables of [start, end) hold is about to go; somebody watches."""
    cdef vpn_t vpn = start
    cdef uint32_t n
    cdef slot_t slot
    while True:
        slot = pt_next(s, mm, &vpn, end)
        if slot == 0:
            return
        n = leaf_run(s, vpn, end)
        tell_run(s, mm, vpn, slot, n, 0, 0, 0, why)
        vpn += n


cdef uint64_t take_gone(State* s, Gone* out, uint64_t most) noexcept nogil:
    """Moves at most `most` records to out, oldest first; how many. None where nobody watches. out may be NULL if most is 0."""
    cdef Ring* ring = s.gone
    cdef uint64_t n, first, at
    if ring == NULL:
        return 0
    n = ring.written - ring.taken
    if n > most:
        n = most
    if n == 0:
        return 0
    at = ring.taken & ring.mask
    first = ring.mask + 1 - at
    if first > n:
        first = n
    memcpy(out, ring.record + at, first * sizeof(Gone))
    memcpy(out + first, ring.record, (n - first) * sizeof(Gone))
    ring.taken += n
    return n
