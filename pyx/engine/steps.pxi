"""The shared text as methods: what every kernel answers through the seam (seam/kernel.pxd). Included last."""
from libc.errno cimport EINVAL
from libc.stdint cimport uint32_t, uint64_t, uint8_t

from rmapcore.pyx.base.ids cimport mm_id, pfn_t, slot_t, vma_id, vpn_t
from rmapcore.pyx.base.records cimport (
    OP_BRK, OP_MADVISE, OP_MLOCK, OP_MLOCKALL, OP_MMAP, OP_MPROTECT, OP_MREMAP, OP_MUNLOCK, OP_MUNLOCKALL, OP_MUNMAP,
    OP_REMAP_FILE_PAGES, OP_SETBRK, PG_ACTIVE, Operation,
)
from rmapcore.pyx.engine.calls cimport do_brk, do_mmap, do_munmap, do_setbrk, do_truncate
from rmapcore.pyx.machine.lru cimport lru_move
from rmapcore.pyx.machine.pagetable cimport Cursor
from rmapcore.pyx.reclaim.walk cimport forget_leaves
from rmapcore.pyx.seam.kernel cimport Kernel, Scan, Searched


cdef class Steps(Kernel):
    """Base of a kernel's class, compiled beside it."""

    cdef int call(self, mm_id mm, const Operation* op, uint32_t file) noexcept nogil:
        if op.op == OP_MMAP:
            return do_mmap(self, mm, op.addr, op.length, op.prot, op.flags, file, op.arg)
        if op.op == OP_MUNMAP:
            return do_munmap(self, mm, op.addr, op.length)
        if op.op == OP_MPROTECT:
            return do_mprotect(self, mm, op.addr, op.length, op.prot | op.flags, op.arg)
        if op.op == OP_MREMAP:
            return do_mremap(self, mm, op.addr, op.length, op.arg, op.flags, op.arg2)
        if op.op == OP_BRK:
            return do_brk(self, mm, op.addr)
        if op.op == OP_SETBRK:
            return do_setbrk(self, mm, op.addr)
        if op.op == OP_MADVISE:
            return do_madvise(self, mm, op.addr, op.length, <uint32_t> op.arg)
        if op.op == OP_MLOCK:
            return do_mlock(self, mm, op.addr, op.length, op.flags)
        if op.op == OP_MUNLOCK:
            return do_munlock(self, mm, op.addr, op.length)
        if op.op == OP_MLOCKALL:
            return do_mlockall(self, mm, op.flags)
        if op.op == OP_MUNLOCKALL:
            return do_munlockall(self, mm)
        if op.op == OP_REMAP_FILE_PAGES:
            return do_remap_file_pages(self, mm, op.addr, op.length, op.prot, op.arg, op.flags)
        return EINVAL

    cdef int truncate(self, uint32_t file, uint64_t size) noexcept nogil:
        return do_truncate(self, file, size)

    cdef int touch(self, mm_id mm, const vpn_t* vpn, uint32_t n, bint write, Cursor* c, uint64_t* done) noexcept nogil:
        return touch(self, mm, vpn, n, write, c, done)

    cdef int fault(self, mm_id mm, vpn_t vpn, bint write) noexcept nogil:
        return fault(self, mm, vpn, write)

    cdef int force_copy(self, mm_id mm, vma_id v, vpn_t vpn, slot_t slot) noexcept nogil:
        return force_copy(self, mm, v, vpn, slot)

    cdef void zap(self, vma_id v, vpn_t start, vpn_t end, uint32_t keep) noexcept nogil:
        zap(self, v, start, end, keep)

    cdef bint scan_step(self, Scan* r, uint64_t budget) noexcept nogil:
        return scan_step(self, r, budget)

    cdef uint64_t age(self, uint64_t n, bint reclaim_mapped) noexcept nogil:
        return age(self, n, reclaim_mapped)

    cdef int readahead(self, uint32_t file, uint64_t start, uint64_t length, uint64_t order) noexcept nogil:
        return readahead(self, file, start, length, order)

    cdef bint take_frame(self, pfn_t pfn) noexcept nogil:
        forget_leaves(self)
        if self.s.frame[pfn].flags & PG_ACTIVE:
            lru_move(self.s, pfn, False)
        return page_out(self, pfn)

    cdef void unmap_frames(self, const uint32_t* pfns, uint32_t n, uint8_t* answers) noexcept nogil:
        unmap_frames(self, pfns, n, answers)

    cdef void hole_opens(self, vma_id v) noexcept nogil:
        forget_hole(self.s, v)

    cdef bint mapping_kind(self, uint32_t flags, uint32_t file, uint32_t* vm_flags, bint* fills) noexcept nogil:
        vm_flags[0] = mapping_flags(flags)
        fills[0] = populates(flags)
        return mmap_type(flags, file)

    cdef vpn_t choose_range(self, mm_id mm, uint64_t addr, uint64_t pages, uint32_t file, uint32_t flags,
                            uint64_t pgoff) noexcept nogil:
        return choose_range(self, mm, addr, pages, file, flags, pgoff)

    cdef vpn_t gap_end(self, vma_id v) noexcept nogil:
        return gap_end(self.s, v)

    cdef int may_unmap(self, mm_id mm, vpn_t start, vpn_t end) noexcept nogil:
        return may_unmap(self, mm, start, end)

    cdef int may_shrink_heap(self, mm_id mm, vpn_t start, vpn_t end) noexcept nogil:
        return may_shrink_heap(self, mm, start, end)

    cdef void grow_heap(self, mm_id mm, vpn_t start, vpn_t end) noexcept nogil:
        grow_heap(self, mm, start, end)

    cdef int populate(self, mm_id mm, vpn_t start, vpn_t end) noexcept nogil:
        return populate(self, mm, start, end)

    cdef void truncate_area(self, vma_id v, uint64_t first) noexcept nogil:
        truncate_area(self, v, first)

    cdef Searched searched(self, mm_id mm) noexcept nogil:
        return searched(self.s, mm)
