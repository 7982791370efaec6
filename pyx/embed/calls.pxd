"""What C asks of a machine beside single accesses: system calls, reclaim, who maps a frame."""
from libc.stdint cimport int64_t, uint32_t, uint64_t

from rmapcore.pyx.base.records cimport Operation
from rmapcore.pyx.seam.kernel cimport Kernel

cdef int perform(Kernel k, const Operation* op, uint64_t* result) noexcept nogil
cdef int users(Kernel k, uint64_t n, const uint32_t* frames, int64_t* offsets, uint32_t* processes,
               uint64_t* addresses) noexcept nogil
cdef int64_t do_spawn(uint64_t m) noexcept nogil
cdef int64_t do_fork(uint64_t m, uint32_t process) noexcept nogil
cdef int do_execve(uint64_t m, uint32_t process) noexcept nogil
cdef int do_exit(uint64_t m, uint32_t process) noexcept nogil
cdef int64_t do_mmap(uint64_t m, uint32_t process, uint64_t address, uint64_t length, uint32_t prot, uint32_t flags,
                     uint32_t file, uint64_t offset) noexcept nogil
cdef int do_munmap(uint64_t m, uint32_t process, uint64_t address, uint64_t length) noexcept nogil
cdef int do_mprotect(uint64_t m, uint32_t process, uint64_t address, uint64_t length, uint32_t prot) noexcept nogil
cdef int64_t do_mremap(uint64_t m, uint32_t process, uint64_t old_address, uint64_t old_size, uint64_t new_size, uint32_t flags,
                       uint64_t new_address) noexcept nogil
cdef int do_madvise(uint64_t m, uint32_t process, uint64_t address, uint64_t length, uint32_t advice) noexcept nogil
cdef int64_t do_brk(uint64_t m, uint32_t process, uint64_t address) noexcept nogil
cdef int do_truncate(uint64_t m, uint32_t file, uint64_t size) noexcept nogil
cdef int64_t do_reclaim(uint64_t m, uint64_t pages) noexcept nogil
cdef int64_t do_whomaps_many(uint64_t m, size_t n, const uint32_t* frames, int64_t* offsets, size_t most, uint32_t* processes,
                             uint64_t* addresses) noexcept nogil
cdef int64_t do_whomaps(uint64_t m, uint32_t frame, int how, size_t most, uint32_t* processes,
                        uint64_t* addresses) noexcept nogil
