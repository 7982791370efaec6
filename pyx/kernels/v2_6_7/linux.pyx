"""Linux 2.6.7 (June 2004): the rules of docs/rules/2.6.7. Every kernel's folder has the same file names.

   frames     where fresh frames begin, who may write in place     areas        what mmap, munmap, brk, truncate may and do
   entries    what swap entries keep, what fork and zap make       placement    where mmap finds room
   references what reclaim makes of references                     ranges       mprotect mlock        advice   madvise
   swapin     faults on swap entries                               mremap, remap (remap_file_pages)
   populate   what calls fault in
"""
from libc.stdint cimport uint64_t

from rmapcore.pyx.base.ids cimport mm_id, vma_id, vpn_t
from rmapcore.pyx.base.records cimport (
    COMMON_FLAGS, OP_MADVISE, OP_MBIND, OP_MLOCK, OP_MMAP, OP_MSEAL, OP_NAME_AREA, OP_PUNCH_HOLE, OP_RECLAIM, OP_WRITEBACK,
    VM_NONLINEAR,
)
from rmapcore.pyx.base.state cimport I386
from rmapcore.pyx.base.uapi cimport MADV_DONTNEED, MAP_DROPPABLE, MAP_PRIVATE, MAP_TYPE
from rmapcore.pyx.engine.move cimport move_entries

include "../shared.pxi"
include "frames.pxi"
include "entries.pxi"
include "areas.pxi"
include "references.pxi"
include "placement.pxi"
include "swapin.pxi"
include "populate.pxi"
include "ranges.pxi"
include "advice.pxi"
include "mremap.pxi"
include "remap.pxi"
include "../../engine/steps.pxi"


cdef class Linux267(Steps):
    """Linux 2.6.7, from its sources."""

    cdef void bring_numbers(self) noexcept:
        self.s.most_areas = 65536              # include/linux/sched.h
        self.s.plain_users = self.s.most_users = 0x7FFF        # SWAP_MAP_MAX, include/linux/swap.h
        self.slot_bytes = 2                    # unsigned short, mm/swapfile.c
        self.s.swap_shift = 8                  # include/asm-x86_64/pgtable.h
        self.s.sole_users = 1
        self.s.tied = ~<uint64_t> 0            # vm_pgoff is all there is, mm/rmap.c page_add_anon_rmap
        self.s.granule = 10 if self.s.arch == I386 else 18     # what an entry of its top table spans, include/asm-*/pgtable.h
        self.s.widest_freed = self.s.granule
        self.known_flags = COMMON_FLAGS | VM_NONLINEAR
        self.spare_areas = SPARE_AREAS

    @classmethod
    def taken(cls, operations):
        """Newer advice and calls become advice on a piece of no length, or reclaim of no page where they are of no process;
        droppable mappings become private ones, mlock2 mlock."""
        newer = (operations["op"] == OP_MADVISE) & (operations["arg"] > MADV_DONTNEED)
        droppable = (operations["op"] == OP_MMAP) & (operations["flags"] & MAP_TYPE == MAP_DROPPABLE)
        locks = (operations["op"] == OP_MLOCK) & (operations["flags"] != 0)
        kind = operations["op"]
        unknown = (kind == OP_MBIND) | (kind == OP_MSEAL) | (kind == OP_NAME_AREA)
        of_files = (kind == OP_PUNCH_HOLE) | (kind == OP_WRITEBACK)
        if newer.any() or droppable.any() or locks.any() or unknown.any() or of_files.any():
            operations = operations.copy()
            operations["op"][of_files] = OP_RECLAIM
            operations["op"][unknown] = OP_MADVISE
            newer |= unknown
            operations["length"][newer] = operations["arg"][newer] = 0
            operations["flags"][droppable] ^= MAP_DROPPABLE | MAP_PRIVATE
            operations["flags"][locks] = 0
            operations.flags.writeable = False
        return operations

    cdef int bring_in(self, mm_id mm, vpn_t vpn) noexcept nogil:
        return fault(self, mm, vpn, False)

    cdef int move_range(self, mm_id mm, vma_id source, vma_id target, vpn_t old, vpn_t new, uint64_t pages,
                        uint64_t* moved) noexcept nogil:
        return move_entries(self, mm, source, target, old, new, pages, moved)

    cdef bint unfaulted(self, vma_id v) noexcept nogil:
        return not self.s.area[v].rmap

    cdef void copy_entries(self, vma_id child, vma_id parent) noexcept nogil:
        copy_entries(self, child, parent)
