"""The system calls on areas (rules E1-E8); mremap is in move.pxd, fork and exit in fork.pxd.

Addresses and lengths are bytes, unchecked: every call checks them itself, before it changes anything.
"""
from libc.stdint cimport uint32_t, uint64_t

from rmapcore.pyx.engine cimport Engine
from rmapcore.pyx.ids cimport mm_id

cdef enum:
    MAP_SHARED = 0x01
    MAP_PRIVATE = 0x02
    MAP_FIXED = 0x10
    MAP_ANONYMOUS = 0x20
    MAP_GROWSDOWN = 0x0100
    MAP_LOCKED = 0x2000
    MAP_NORESERVE = 0x4000
    MAP_POPULATE = 0x8000
    MAP_FIXED_NOREPLACE = 0x100000
    MREMAP_MAYMOVE = 1
    MREMAP_FIXED = 2
    MCL_CURRENT = 1
    MCL_FUTURE = 2
    MADV_NORMAL = 0
    MADV_RANDOM = 1
    MADV_SEQUENTIAL = 2
    MADV_WILLNEED = 3
    MADV_DONTNEED = 4

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
