"""Entry layouts of i386, i386-pae and x86_64: bits, protections, swap and nonlinear-file entries, get and set.

  bit   0 PRESENT  1 RW  2 USER  5 ACCESSED  6 DIRTY (FILE if absent)  7 PROTNONE (if absent)  63 NX   [2.6.7 asm/pgtable.h]
  pfn   from bit 12
  swap  i386, PAE: type 1-5, offset 8-31      x86_64: type 1-6, offset 8-                             [2.6.7 asm]
        of 6.18: bit 5 exclusive              type 59-63, inverse of the offset 9-58, bit 3 exclusive [6.19 asm/pgtable_64.h]
  file  i386: pgoff low 5 bits in 1-5, rest in 8-31, bit 6    PAE: 0x40 and pgoff in the high word    x86_64: pgoff << 12, bit 6

An entry is a uint64 in registers on every architecture; i386 stores its low 32 bits.

Public: schemes outside may use it (docs/schemes-of-your-own.md).
"""
from libc.stdint cimport uint32_t, uint64_t

from rmapcore.pyx.base.ids cimport PAGE_SHIFT, slot_t, swp_t
from rmapcore.pyx.base.records cimport VM_ACCESS, VM_EXEC, VM_SHARED, VM_WRITE
from rmapcore.pyx.base.state cimport X86_64, I386, State

cdef extern from *:
    """
    /* the empty asm keeps gcc from dropping calls of functions that do nothing else */
    #define fetch_ahead(p) do { __builtin_prefetch(p); __asm__ volatile (""); } while (0)
    """
    void fetch_ahead(void* p) noexcept nogil

cdef enum:
    PTE_PRESENT = 0x1
    PTE_RW = 0x2
    PTE_USER = 0x4
    PTE_ACCESSED = 0x20
    PTE_DIRTY = 0x40
    PTE_FILE = 0x40           # only in absent entries: those of nonlinear areas name a file page
    PTE_GUARD = 0x40          # the whole of a guard marker, where there are no nonlinear areas (rule QA2)
    PTE_PROTNONE = 0x80       # only in absent entries
    PTE_TABLE = 0x67          # what an entry for a lower table carries: present, rw, user, accessed, dirty

cdef enum:
    I386_SWAP_OFFSET_BITS = 24


cdef inline uint64_t pte_get(State* s, slot_t slot) noexcept nogil:
    if s.wide:
        return s.pte64[slot]
    return s.pte32[slot]


cdef inline void pte_set(State* s, slot_t slot, uint64_t entry) noexcept nogil:
    if s.wide:
        s.pte64[slot] = entry
    else:
        s.pte32[slot] = <uint32_t> entry


cdef inline void pte_fetch(State* s, slot_t slot) noexcept nogil:
    """Brings an entry into the cache."""
    if s.wide:
        fetch_ahead(s.pte64 + slot)
    else:
        fetch_ahead(s.pte32 + slot)


cdef inline bint pte_present(uint64_t entry) noexcept nogil:
    return (entry & (PTE_PRESENT | PTE_PROTNONE)) != 0


cdef inline uint32_t pte_pfn(State* s, uint64_t entry) noexcept nogil:
    return <uint32_t> (entry >> PAGE_SHIFT)    # NX lies beyond the 32 bits that are kept


cdef inline bint pte_is_swap(uint64_t entry) noexcept nogil:
    return entry != 0 and not entry & (PTE_PRESENT | PTE_PROTNONE | PTE_FILE)


cdef inline bint pte_is_guard(State* s, uint64_t entry) noexcept nogil:
    return entry != 0 and entry == s.guard


cdef inline uint64_t swap_entry(State* s, swp_t slot) noexcept nogil:
    if s.arch == X86_64:
        return (<uint64_t> slot << s.swap_shift) ^ s.swap_invert
    return ((<uint64_t> slot >> I386_SWAP_OFFSET_BITS) << 1) | ((<uint64_t> slot & 0xFFFFFF) << 8)


cdef inline void swap_entries(State* s, const swp_t* slots, uint64_t* entries, uint32_t n) noexcept nogil:
    """swap_entry of each."""
    cdef int shift = s.swap_shift
    cdef uint64_t invert = s.swap_invert
    cdef uint32_t i
    if s.arch == X86_64:
        for i in range(n):
            entries[i] = (<uint64_t> slots[i] << shift) ^ invert
    else:
        for i in range(n):
            entries[i] = swap_entry(s, slots[i])


cdef inline swp_t swap_slot(State* s, uint64_t entry) noexcept nogil:
    entry &= ~s.swap_exclusive
    if s.arch == X86_64:
        return <swp_t> ((entry ^ s.swap_invert) >> s.swap_shift)
    return <swp_t> ((((entry >> 1) & 0x1F) << I386_SWAP_OFFSET_BITS) | (entry >> 8))


cdef inline uint64_t file_entry(State* s, uint64_t pgoff) noexcept nogil:
    """The entry of a nonlinear file page that is not present."""
    if s.arch == I386:
        return ((pgoff & 0x1F) << 1) | ((pgoff >> 5) << 8) | PTE_FILE
    if s.arch == X86_64:
        return (pgoff << PAGE_SHIFT) | PTE_FILE
    return (pgoff << 32) | PTE_FILE


cdef inline uint64_t file_pgoff(State* s, uint64_t entry) noexcept nogil:
    if s.arch == I386:
        return ((entry >> 1) & 0x1F) | ((entry >> 8) << 5)
    if s.arch == X86_64:
        return entry >> PAGE_SHIFT
    return entry >> 32


cdef inline uint32_t file_bits(State* s) noexcept nogil:
    """PTE_FILE_MAX_BITS: how long a page number such an entry can hold; x86_64's physical mask."""
    return 29 if s.arch == I386 else 40 if s.arch == X86_64 else 32


cdef inline uint64_t page_prot(State* s, uint32_t vm_flags) noexcept nogil:
    """Rule C3: vm_page_prot of an area; private areas never carry RW."""
    cdef uint64_t prot
    if not vm_flags & VM_ACCESS:
        return PTE_PROTNONE | PTE_ACCESSED
    prot = PTE_PRESENT | PTE_USER | PTE_ACCESSED
    if vm_flags & VM_WRITE and vm_flags & VM_SHARED:
        prot |= PTE_RW
    if not vm_flags & VM_EXEC:
        prot |= s.nx
    return prot
