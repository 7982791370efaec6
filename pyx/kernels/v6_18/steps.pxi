"""6.18 as methods: its numbers, its own calls, and what the shared steps ask it."""
from libc.stdint cimport uint32_t, uint64_t

from rmapcore.pyx.base.ids cimport mm_id, vma_id, vpn_t
from rmapcore.pyx.base.records cimport (
    COMMON_FLAGS, OP_MBIND, OP_MSEAL, OP_NAME_AREA, PG_EXCLUSIVE, VM_DONTCOPY, VM_DONTDUMP, VM_DROPPABLE, VM_HUGEPAGE,
    VM_LOCKONFAULT, VM_MERGEABLE, VM_NOHUGEPAGE, VM_NORESERVE, VM_PKEY, VM_SEALED, VM_WIPEONFORK, Operation,
)
from rmapcore.pyx.base.state cimport X86_64
from rmapcore.pyx.base.x86 cimport PTE_GUARD, PTE_RW

from rmapcore.pyx.machine.core import MOST_SLOTS

include "../../engine/steps.pxi"


cdef class Steps618(Steps):
    """Base of 6.18's class, and of a later kernel that changes a few of its rules."""

    cdef void bring_numbers(self) noexcept:
        self.s.most_areas = 65530              # DEFAULT_MAX_MAP_COUNT, include/linux/mm.h
        self.s.plain_users = 0x3E              # SWAP_MAP_MAX, include/linux/swap.h
        self.s.most_users = 0xFFFFFFFF         # more than there can be entries
        self.slot_bytes = 1                    # unsigned char, mm/swapfile.c
        self.s.guard = PTE_GUARD
        self.s.noticed = PTE_RW
        self.s.swap_exclusive = 1 << 3 if self.s.arch == X86_64 else 1 << 5
        self.s.swap_shift = 9                  # arch/x86/include/asm/pgtable_64.h
        self.s.swap_invert = <uint64_t> 0x07FFFFFFFFFFFE00
        self.s.sole_flags = PG_EXCLUSIVE
        self.s.tied = ~<uint64_t> 0            # vm_pgoff is all there is, mm/rmap.c __folio_set_anon
        self.s.granule = self.s.bits           # each table by itself, mm/memory.c free_pgd_range
        self.s.widest_freed = self.s.top_shift
        self.known_flags = (COMMON_FLAGS | VM_DONTCOPY | VM_LOCKONFAULT | VM_NORESERVE | VM_WIPEONFORK | VM_DONTDUMP
                            | VM_DROPPABLE | VM_SEALED | VM_MERGEABLE | VM_HUGEPAGE | VM_NOHUGEPAGE | VM_PKEY)
        self.spare_areas = SPARE_AREAS

    @classmethod
    def most_slots(cls, arch):
        """Swap slots that an entry can name; on 32-bit architectures the exclusive bit is one of the type's (rule QA1)."""
        return MOST_SLOTS[arch] >> (arch != "x86_64")

    cdef int call(self, mm_id mm, const Operation* op, uint32_t file) noexcept nogil:
        if op.op == OP_MBIND:
            return do_mbind(self, mm, op.addr, op.length, <uint32_t> op.arg)
        if op.op == OP_MSEAL:
            return do_mseal(self, mm, op.addr, op.length)
        if op.op == OP_NAME_AREA:
            return do_name_area(self, mm, op.addr, op.length, op.arg)
        return Steps.call(self, mm, op, file)

    cdef int punch_hole(self, uint32_t file, uint64_t start, uint64_t length) noexcept nogil:
        return punch_hole(self, file, start, length)

    cdef int write_back(self, uint32_t file, uint64_t start, uint64_t length) noexcept nogil:
        return write_back(self, file, start, length)

    cdef int bring_in(self, mm_id mm, vpn_t vpn) noexcept nogil:
        return bring_in(self, mm, vpn)

    cdef int move_range(self, mm_id mm, vma_id source, vma_id target, vpn_t old, vpn_t new, uint64_t pages,
                        uint64_t* moved) noexcept nogil:
        return move_tables(self, mm, source, target, old, new, pages, moved)

    cdef bint unfaulted(self, vma_id v) noexcept nogil:
        return not self.s.area[v].anon

    cdef void copy_entries(self, vma_id child, vma_id parent) noexcept nogil:
        """vma_needs_copy: what faults can bring back is left out (rule QH1)."""
        if self.s.area[parent].anon or self.s.area[parent].guards:
            copy_entries(self, child, parent)
