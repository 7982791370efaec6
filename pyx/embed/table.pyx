"""The table of the C interface (rmapcore/include/rmapcore.h, docs/embedding.md) and its capsule.

A function of it enters the machine through its door, has one thing done, and leaves (doors.pxd). None of them may raise: what
goes wrong is a negative number, and its words are asked for by message().
"""
from cpython.pycapsule cimport PyCapsule_New
from cpython.ref cimport PyObject
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from rmapcore.pyx.base.records cimport Gone
from rmapcore.pyx.embed.access cimport (
    do_touch, do_touch_many, do_translate, do_translate_many, do_walk,
)
from rmapcore.pyx.embed.calls cimport (
    do_brk, do_execve, do_exit, do_fork, do_madvise, do_mmap, do_mprotect, do_mremap, do_munmap, do_reclaim, do_spawn,
    do_truncate, do_whomaps, do_whomaps_many,
)
from rmapcore.pyx.embed.doors cimport message
from rmapcore.pyx.embed.machines cimport (
    adopt_machine, close_machine, do_check, do_counter_name, do_counters, do_fact, do_file, do_gone, do_memory, do_save,
    do_watch, hold_machine, load_machine, machine_object, open_machine, release_machine, take_side,
)

cdef extern from "rmapcore.h" nogil:
    enum:
        RMAPCORE_ABI
        RMAPCORE_VERSION
    ctypedef struct rmapcore_gone:
        uint64_t address
    cdef struct rmapcore_api:
        uint32_t abi
        uint32_t version
        uint32_t size
        const char* (*message)() noexcept nogil
        int (*open)(const char*, uint64_t*) noexcept nogil
        int (*adopt)(PyObject*, uint64_t*) noexcept nogil
        int (*load)(const char*, uint64_t*) noexcept nogil
        PyObject* (*object)(uint64_t) noexcept nogil
        int (*close)(uint64_t) noexcept nogil
        int (*hold)(uint64_t) noexcept nogil
        int (*release)(uint64_t) noexcept nogil
        int64_t (*spawn)(uint64_t) noexcept nogil
        int64_t (*fork)(uint64_t, uint32_t) noexcept nogil
        int (*execve)(uint64_t, uint32_t) noexcept nogil
        int (*exit)(uint64_t, uint32_t) noexcept nogil
        int64_t (*mmap)(uint64_t, uint32_t, uint64_t, uint64_t, uint32_t, uint32_t, uint32_t, uint64_t) noexcept nogil
        int (*munmap)(uint64_t, uint32_t, uint64_t, uint64_t) noexcept nogil
        int (*mprotect)(uint64_t, uint32_t, uint64_t, uint64_t, uint32_t) noexcept nogil
        int64_t (*mremap)(uint64_t, uint32_t, uint64_t, uint64_t, uint64_t, uint32_t, uint64_t) noexcept nogil
        int (*madvise)(uint64_t, uint32_t, uint64_t, uint64_t, uint32_t) noexcept nogil
        int64_t (*brk)(uint64_t, uint32_t, uint64_t) noexcept nogil
        int64_t (*file)(uint64_t, const char*, uint64_t, uint32_t) noexcept nogil
        int (*truncate)(uint64_t, uint32_t, uint64_t) noexcept nogil
        int64_t (*translate)(uint64_t, uint32_t, uint64_t, int) noexcept nogil
        int64_t (*translate_many)(uint64_t, uint32_t, size_t, const uint64_t*, int, int64_t*) noexcept nogil
        int (*touch)(uint64_t, uint32_t, uint64_t, int, uint64_t*) noexcept nogil
        int64_t (*touch_many)(uint64_t, size_t, const uint32_t*, const uint64_t*, const uint8_t*, uint64_t*, uint16_t*,
                              int*) noexcept nogil
        int (*walk)(uint64_t, uint32_t, uint64_t, uint64_t*, int) noexcept nogil
        int64_t (*whomaps)(uint64_t, uint32_t, int, size_t, uint32_t*, uint64_t*) noexcept nogil
        int64_t (*whomaps_many)(uint64_t, size_t, const uint32_t*, int64_t*, size_t, uint32_t*, uint64_t*) noexcept nogil
        int64_t (*reclaim)(uint64_t, uint64_t) noexcept nogil
        int (*watch)(uint64_t, uint64_t) noexcept nogil
        int64_t (*gone)(uint64_t, size_t, Gone*) noexcept nogil
        int64_t (*fact)(uint64_t, int) noexcept nogil
        int (*counters)(uint64_t, int, uint64_t*) noexcept nogil
        const char* (*counter_name)(int) noexcept nogil
        int64_t (*memory)(uint64_t, size_t, char*) noexcept nogil
        int (*check)(uint64_t) noexcept nogil
        int (*save)(uint64_t, const char*) noexcept nogil

cdef extern from *:
    """
    static struct rmapcore_api interface;
    """
    rmapcore_api interface

assert sizeof(rmapcore_gone) == sizeof(Gone)


def capsule(python):
    """The capsule of rmapcore._C_API; once.

    python: has engine(machine), the Kernel; open(specification), load(path): machines; and, of a machine, file(name, size,
    kind), watch(records), memory(), check(), save(path), each given it first.
    """
    take_side(python)
    interface.abi = RMAPCORE_ABI
    interface.version = RMAPCORE_VERSION
    interface.size = sizeof(interface)
    interface.message = message
    interface.open = open_machine
    interface.adopt = adopt_machine
    interface.load = load_machine
    interface.object = machine_object
    interface.close = close_machine
    interface.hold = hold_machine
    interface.release = release_machine
    interface.spawn = do_spawn
    interface.fork = do_fork
    interface.execve = do_execve
    interface.exit = do_exit
    interface.mmap = do_mmap
    interface.munmap = do_munmap
    interface.mprotect = do_mprotect
    interface.mremap = do_mremap
    interface.madvise = do_madvise
    interface.brk = do_brk
    interface.file = do_file
    interface.truncate = do_truncate
    interface.translate = do_translate
    interface.translate_many = do_translate_many
    interface.touch = do_touch
    interface.touch_many = do_touch_many
    interface.walk = do_walk
    interface.whomaps = do_whomaps
    interface.whomaps_many = do_whomaps_many
    interface.reclaim = do_reclaim
    interface.watch = do_watch
    interface.gone = do_gone
    interface.fact = do_fact
    interface.counters = do_counters
    interface.counter_name = do_counter_name
    interface.memory = do_memory
    interface.check = do_check
    interface.save = do_save
    return PyCapsule_New(&interface, "rmapcore._C_API", NULL)
