"""Single accesses at the speed of the page table: what needs no fault is answered here, the rest is the engine's, and batches
are pyx/run/batch.pyx's. A translation changes nothing."""
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from rmapcore.pyx.base.ids cimport PAGE_SHIFT, PAGE_SIZE, mm_id, vpn_t
from rmapcore.pyx.base.state cimport State
from rmapcore.pyx.base.x86 cimport PTE_PRESENT, PTE_RW
from rmapcore.pyx.embed.doors cimport NEARS, Near, Slot
from rmapcore.pyx.seam.kernel cimport Kernel


cdef enum:
    INDEX_BITS = 9            # of tables that are remembered; those of i386 have 10, and are but two levels
    LEAF_SHIFT = PAGE_SHIFT + INDEX_BITS
    REGION_SHIFT = LEAF_SHIFT + INDEX_BITS
    INDEX = (1 << INDEX_BITS) - 1


cdef inline Near* near_of(Slot* slot, uint32_t process, uint64_t address) noexcept nogil:
    """Where the table of a region's leaf tables is remembered: four regions of each of eight processes lie apart."""
    return &slot.near[<uint32_t> ((address >> REGION_SHIFT) + 4 * process) & (NEARS - 1)]


cdef inline uint64_t* near_entry(Slot* slot, uint32_t process, uint64_t address) noexcept nogil:
    """The entry of a page, NULL if the table of its leaf tables is not remembered. Without a leaf table it is one of table 0,
    which is none and holds nothing. A table's number, where an entry has it, is how many pages of entries lie before it.
    """
    cdef State* s = slot.s
    cdef Near* near = near_of(slot, process, address)
    cdef uint64_t above
    if near.region != address >> REGION_SHIFT or near.process != process or near.gone != s.tables_gone:
        return NULL
    above = near.entries[(address >> LEAF_SHIFT) & INDEX]
    return <uint64_t*> (<char*> s.pte64 + (above & ~<uint64_t> (PAGE_SIZE - 1))) + ((address >> PAGE_SHIFT) & INDEX)


cdef inline bint allows(uint64_t entry, bint write) noexcept nogil:
    return entry & PTE_PRESENT != 0 and (not write or entry & PTE_RW != 0)


cdef uint64_t translate_all(State* s, mm_id mm, uint64_t n, const uint64_t* addresses, bint write, int64_t* out) noexcept nogil
cdef int walk_tables(State* s, mm_id mm, uint64_t address, uint64_t* entries, int levels) noexcept nogil
cdef uint64_t tables_begin(State* s) noexcept nogil
cdef int access_page(Kernel k, mm_id mm, vpn_t vpn, bint write, uint32_t* kind) noexcept nogil
cdef uint64_t access_all(Kernel k, uint64_t n, const uint32_t* processes, const uint64_t* addresses, const uint8_t* writes,
                         uint64_t* physical, uint16_t* kinds, int* status) noexcept nogil
# declared so that the compiler does not write them into the two that call them, which would save registers for them each time
cdef int64_t translate_inside(uint64_t m, uint32_t process, uint64_t address, int write) noexcept nogil
cdef int touch_inside(uint64_t m, uint32_t process, uint64_t address, int write, uint64_t* physical) noexcept nogil
cdef int64_t do_translate(uint64_t m, uint32_t process, uint64_t address, int write) noexcept nogil
cdef int64_t do_translate_many(uint64_t m, uint32_t process, size_t n, const uint64_t* addresses, int write,
                               int64_t* physical) noexcept nogil
cdef int do_touch(uint64_t m, uint32_t process, uint64_t address, int write, uint64_t* physical) noexcept nogil
cdef int64_t do_touch_many(uint64_t m, size_t n, const uint32_t* processes, const uint64_t* addresses, const uint8_t* writes,
                           uint64_t* physical, uint16_t* kinds, int* status) noexcept nogil
cdef int do_walk(uint64_t m, uint32_t process, uint64_t address, uint64_t* entries, int levels) noexcept nogil
