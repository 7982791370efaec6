"""The system calls on areas (rules E1-E8); mremap is in move.pxd, fork and exit in fork.pxd.

Addresses and lengths are bytes, unchecked: every call checks them itself, before it changes anything.
"""
from libc.stdint cimport uint32_t, uint64_t

from rmapcore.pyx.base.ids cimport PAGE_SHIFT, PAGE_SIZE, mm_id, vpn_t
from rmapcore.pyx.base.state cimport State
from rmapcore.pyx.seam.kernel cimport Engine

cdef enum:
    MAP_SHARED = 0x01
    MAP_PRIVATE = 0x02
    MAP_DROPPABLE = 0x08
    MAP_TYPE = 0x0F
    MAP_FIXED = 0x10
    MAP_ANONYMOUS = 0x20
    MAP_GROWSDOWN = 0x0100
    MAP_LOCKED = 0x2000
    MAP_NORESERVE = 0x4000
    MAP_POPULATE = 0x8000
    MAP_NONBLOCK = 0x10000
    MAP_FIXED_NOREPLACE = 0x100000
    MREMAP_MAYMOVE = 1
    MREMAP_FIXED = 2
    MREMAP_DONTUNMAP = 4
    MCL_CURRENT = 1
    MCL_FUTURE = 2
    MCL_ONFAULT = 4
    MLOCK_ONFAULT = 1
    MADV_NORMAL = 0
    MADV_RANDOM = 1
    MADV_SEQUENTIAL = 2
    MADV_WILLNEED = 3
    MADV_DONTNEED = 4
    MADV_FREE = 8
    MADV_REMOVE = 9
    MADV_DONTFORK = 10
    MADV_DOFORK = 11
    MADV_DONTDUMP = 16
    MADV_DODUMP = 17
    MADV_WIPEONFORK = 18
    MADV_KEEPONFORK = 19
    MADV_COLD = 20
    MADV_PAGEOUT = 21
    MADV_POPULATE_READ = 22
    MADV_POPULATE_WRITE = 23
    MADV_DONTNEED_LOCKED = 24
    MADV_GUARD_INSTALL = 102
    MADV_GUARD_REMOVE = 103

    PROT_SEM = 0x8            # accepted and ignored, as on x86


cdef inline uint64_t round_pages(uint64_t length) noexcept nogil:
    """Bytes to pages, rounded up; the caller has excluded lengths near 2^64."""
    return (length + PAGE_SIZE - 1) >> PAGE_SHIFT


cdef inline bint unaligned(uint64_t addr) noexcept nogil:
    return addr & (PAGE_SIZE - 1) != 0


cdef inline bint too_long(State* s, uint64_t length) noexcept nogil:
    """Longer than user space (and so near an overflow perhaps)?"""
    return length > s.task_vpn << PAGE_SHIFT


cdef int may_unmap(Engine e, mm_id mm, vpn_t start, vpn_t end) noexcept nogil
cdef void change_protection(Engine e, mm_id mm, vpn_t start, vpn_t end, uint64_t prot) noexcept nogil
cdef int do_mmap(Engine e, mm_id mm, uint64_t addr, uint64_t length, uint32_t prot, uint32_t flags, uint32_t file,
                 uint64_t offset) noexcept nogil
cdef int do_munmap(Engine e, mm_id mm, uint64_t addr, uint64_t length) noexcept nogil
cdef int do_mprotect(Engine e, mm_id mm, uint64_t addr, uint64_t length, uint32_t prot) noexcept nogil
cdef int do_mlock(Engine e, mm_id mm, uint64_t addr, uint64_t length, bint lock) noexcept nogil
cdef int do_mlockall(Engine e, mm_id mm, uint32_t flags) noexcept nogil
cdef int do_munlockall(Engine e, mm_id mm) noexcept nogil
cdef int do_madvise(Engine e, mm_id mm, uint64_t addr, uint64_t length, uint32_t advice) noexcept nogil
cdef int do_brk(Engine e, mm_id mm, uint64_t addr) noexcept nogil
cdef int do_setbrk(Engine e, mm_id mm, uint64_t addr) noexcept nogil
cdef int do_truncate(Engine e, uint32_t file, uint64_t size) noexcept nogil
