"""Single accesses at the speed of the page table: what needs no fault is answered here, the rest is the engine's, and batches
are pyx/run/batch.pyx's. A translation changes nothing."""
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from rmapcore.pyx.base.ids cimport mm_id, slot_t, vpn_t
from rmapcore.pyx.base.state cimport State
from rmapcore.pyx.base.x86 cimport PTE_ACCESSED, PTE_DIRTY, PTE_PRESENT, PTE_RW, pte_pfn, pte_set
from rmapcore.pyx.embed.doors cimport Near
from rmapcore.pyx.machine.pagetable cimport pt_lookup
from rmapcore.pyx.run.batch cimport find_mm
from rmapcore.pyx.seam.kernel cimport Kernel


cdef inline slot_t find_entry(State* s, Near* near, uint32_t process, vpn_t vpn, bint* known) noexcept nogil:
    """The entry of a page, 0 if it has no leaf table. *known: whether there is such a process."""
    cdef uint32_t index = <uint32_t> vpn & s.index_mask
    cdef slot_t slot
    cdef mm_id mm
    known[0] = True
    if near.process == process and near.leaf == vpn >> s.bits and near.gone == s.tables_gone and process:
        return near.base + index
    mm = find_mm(s, process)
    known[0] = mm != 0
    if mm == 0 or vpn >= s.task_vpn:
        return 0
    slot = pt_lookup(s, mm, vpn)
    if slot:
        near.process = process
        near.leaf = vpn >> s.bits
        near.gone = s.tables_gone
        near.base = slot - index
    return slot


cdef inline bint allows(uint64_t entry, bint write) noexcept nogil:
    return entry & PTE_PRESENT != 0 and (not write or entry & PTE_RW != 0)


cdef inline void hit(State* s, slot_t slot, uint64_t entry, bint write) noexcept nogil:
    """An access that the entry allows: one operation, which writes what engine/touch.pxi writes.

    The loop of batches has it in its own text: inlined there it takes 6 instructions more a page.
    """
    s.h.op_index += 1
    pte_set(s, slot, entry | PTE_ACCESSED | (PTE_DIRTY if write else 0))
    if s.stamp and write:
        s.stamp[pte_pfn(s, entry)] = s.h.op_index


cdef uint64_t translate_all(State* s, mm_id mm, uint64_t n, const uint64_t* addresses, bint write, int64_t* out) noexcept nogil
cdef int walk_tables(State* s, mm_id mm, uint64_t address, uint64_t* entries, int levels) noexcept nogil
cdef uint64_t tables_begin(State* s) noexcept nogil
cdef int access_page(Kernel k, mm_id mm, vpn_t vpn, bint write, uint32_t* kind) noexcept nogil
cdef uint64_t access_all(Kernel k, uint64_t n, const uint32_t* processes, const uint64_t* addresses, const uint8_t* writes,
                         uint64_t* physical, uint16_t* kinds, int* status) noexcept nogil
cdef int64_t do_translate(uint64_t m, uint32_t process, uint64_t address, int write) noexcept nogil
cdef int64_t do_translate_many(uint64_t m, uint32_t process, size_t n, const uint64_t* addresses, int write,
                               int64_t* physical) noexcept nogil
cdef int do_touch(uint64_t m, uint32_t process, uint64_t address, int write, uint64_t* physical) noexcept nogil
cdef int64_t do_touch_many(uint64_t m, size_t n, const uint32_t* processes, const uint64_t* addresses, const uint8_t* writes,
                           uint64_t* physical, uint16_t* kinds, int* status) noexcept nogil
cdef int do_walk(uint64_t m, uint32_t process, uint64_t address, uint64_t* entries, int levels) noexcept nogil
