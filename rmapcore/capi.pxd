"""The C interface for Cython: rmapcore.h, function by function. What each does, its units and errors stand there.

    from rmapcore.capi cimport rmapcore_import, rmapcore_machine, rmapcore_touch

    rmapcore_import()                          # once in each module, at its top

Compile with rmapcore.get_include() on the include path. Functions that can fail answer a negative number; nothing raises but
rmapcore_import and rmapcore_object.
"""
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

cdef extern from "rmapcore.h":
    ctypedef uint64_t rmapcore_machine
    int rmapcore_import() except -1
    object rmapcore_object(rmapcore_machine m)
    int rmapcore_adopt(object machine, rmapcore_machine* out)

cdef extern from "rmapcore.h" nogil:
    enum:
        RMAPCORE_OK
        RMAPCORE_ABSENT
        RMAPCORE_SEGV
        RMAPCORE_BUS
        RMAPCORE_OOM
        RMAPCORE_FULL
        RMAPCORE_BAD_HANDLE
        RMAPCORE_BUSY
        RMAPCORE_INSIDE
        RMAPCORE_BAD_ARGUMENT
        RMAPCORE_EXCEPTION
        RMAPCORE_TOO_SMALL

    enum:
        RMAPCORE_HIT
        RMAPCORE_FAULT_ZERO
        RMAPCORE_FAULT_FILE
        RMAPCORE_FAULT_SWAPIN
        RMAPCORE_FAULT_COW
        RMAPCORE_FAULT_SPURIOUS
        RMAPCORE_KIND
        RMAPCORE_EVICTED

    enum:
        RMAPCORE_GONE_RECLAIM
        RMAPCORE_GONE_UNMAP
        RMAPCORE_GONE_MOVE
        RMAPCORE_GONE_PROTECT
        RMAPCORE_GONE_COPY
        RMAPCORE_GONE_EXIT

    ctypedef struct rmapcore_gone:
        uint64_t address
        uint32_t process
        uint32_t frame
        uint32_t why

    enum:
        RMAPCORE_RAM
        RMAPCORE_RAM_FREE
        RMAPCORE_SWAP
        RMAPCORE_SWAP_FREE
        RMAPCORE_USER_END
        RMAPCORE_LEVELS
        RMAPCORE_TABLES
        RMAPCORE_ENTRY_BYTES
        RMAPCORE_GONE_LOST

    enum:
        RMAPCORE_COUNTED
        RMAPCORE_SCAN
        RMAPCORE_DISK
        RMAPCORE_SHMEM
        RMAPCORE_ZERO

    const char* rmapcore_message()
    int rmapcore_open(const char* specification, rmapcore_machine* out)
    int rmapcore_load(const char* path, rmapcore_machine* out)
    int rmapcore_close(rmapcore_machine m)
    int rmapcore_hold(rmapcore_machine m)
    int rmapcore_release(rmapcore_machine m)

    int64_t rmapcore_spawn(rmapcore_machine m)
    int64_t rmapcore_fork(rmapcore_machine m, uint32_t process)
    int rmapcore_execve(rmapcore_machine m, uint32_t process)
    int rmapcore_exit(rmapcore_machine m, uint32_t process)
    int64_t rmapcore_mmap(rmapcore_machine m, uint32_t process, uint64_t address, uint64_t length, uint32_t prot,
                          uint32_t flags, uint32_t file, uint64_t offset)
    int rmapcore_munmap(rmapcore_machine m, uint32_t process, uint64_t address, uint64_t length)
    int rmapcore_mprotect(rmapcore_machine m, uint32_t process, uint64_t address, uint64_t length, uint32_t prot)
    int64_t rmapcore_mremap(rmapcore_machine m, uint32_t process, uint64_t old_address, uint64_t old_size, uint64_t new_size,
                            uint32_t flags, uint64_t new_address)
    int rmapcore_madvise(rmapcore_machine m, uint32_t process, uint64_t address, uint64_t length, uint32_t advice)
    int64_t rmapcore_brk(rmapcore_machine m, uint32_t process, uint64_t address)
    int64_t rmapcore_file(rmapcore_machine m, const char* name, uint64_t size, uint32_t kind)
    int rmapcore_truncate(rmapcore_machine m, uint32_t file, uint64_t size)

    int64_t rmapcore_translate(rmapcore_machine m, uint32_t process, uint64_t address, int write)
    int64_t rmapcore_translate_many(rmapcore_machine m, uint32_t process, size_t n, const uint64_t* addresses, int write,
                                    int64_t* physical)
    int rmapcore_touch(rmapcore_machine m, uint32_t process, uint64_t address, int write, uint64_t* physical)
    int64_t rmapcore_touch_many(rmapcore_machine m, size_t n, const uint32_t* processes, const uint64_t* addresses,
                                const uint8_t* writes, uint64_t* physical, uint16_t* kinds, int* status)
    int rmapcore_walk(rmapcore_machine m, uint32_t process, uint64_t address, uint64_t* entries, int levels)
    int64_t rmapcore_whomaps(rmapcore_machine m, uint32_t frame, int how, size_t most, uint32_t* processes,
                             uint64_t* addresses)
    int64_t rmapcore_whomaps_many(rmapcore_machine m, size_t n, const uint32_t* frames, int64_t* offsets, size_t most,
                                  uint32_t* processes, uint64_t* addresses)
    int64_t rmapcore_reclaim(rmapcore_machine m, uint64_t pages)
    int rmapcore_watch(rmapcore_machine m, uint64_t records)
    int64_t rmapcore_gone_take(rmapcore_machine m, size_t most, rmapcore_gone* out)
    int64_t rmapcore_fact(rmapcore_machine m, int which)
    int rmapcore_counters(rmapcore_machine m, int n, uint64_t* out)
    const char* rmapcore_counter_name(int counter)
    int64_t rmapcore_memory(rmapcore_machine m, size_t size, char* out)
    int rmapcore_check(rmapcore_machine m)
    int rmapcore_save(rmapcore_machine m, const char* path)
