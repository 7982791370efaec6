/* rmapcore from C and C++: emulated machines with page tables, swap and reclaim, as the memory side of another program.

   C99 and C++17. The page docs/embedding.md of rmapcore says which door is for whom, with costs and traps.

   How to get in.  Inside of a running Python (an extension module, or a program that called Py_Initialize), with the GIL:

       if (rmapcore_import() < 0) return NULL;                  // a Python exception says why
       rmapcore_machine m;
       if (rmapcore_open("Machine('anon_vma', ram='64MiB', swap='1GiB', kernel='6.18')", &m) < 0)
           fprintf(stderr, "%s\n", rmapcore_message());

   The include path is what rmapcore.get_include() says. Each file that calls one of these functions imports for itself, or
   is given the pointer rmapcore_api of another one.

   Units.  Addresses, lengths, offsets and sizes are bytes. A page has 4096. Protection, mapping flags and advice are Linux's
   integers. A process is its pid; pids count up from 1 and are never used again. Frame f lies at the physical address
   4096 * f; frame 0 is the zero page, which reads of untouched anonymous memory find.

   Errors.  Every function that can fail returns a negative number then, and has changed nothing, unless it says otherwise. -1
   to -999 are a system call's errno, negated, as the manual page has it; the others are in enum rmapcore_status.
   rmapcore_message() says it in words.

   Threads.  One thread at a time uses a machine; a second one gets RMAPCORE_BUSY at once, nobody ever waits. Machines in
   different threads are independent. Each call enters the machine and leaves it again, which costs some 6 ns; between
   rmapcore_hold and rmapcore_release the calling thread stays inside. Threads of Python obey the same guard.
   Marked [P] is what works in Python: it takes the GIL itself, may be called with or without it, and may take milliseconds.
   All others use no Python and may be called without the GIL, also by threads that Python has never seen. Of a machine whose
   scheme is written in Python, its hooks take the GIL, and what one raises comes out as RMAPCORE_EXCEPTION.
   A thread that calls something long without giving up the GIL keeps other Python threads waiting.

   Ownership.  A handle is a number: it is checked at each call, and one that was closed, or never was, is refused. An open
   handle keeps the machine alive. What functions fill in belongs to the caller.

   Versions.  The table below only ever grows at its end: a program compiled with this header runs with every later rmapcore
   of the same RMAPCORE_ABI. */
#ifndef RMAPCORE_H
#define RMAPCORE_H

#include <Python.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define RMAPCORE_ABI 1u     /* another one is another interface */
#define RMAPCORE_VERSION 1u /* counts what has been added to it */

/* A machine that C uses; 0 is none. */
typedef uint64_t rmapcore_machine;

enum rmapcore_status {
    RMAPCORE_OK = 0,
    RMAPCORE_ABSENT = -1,         /* of translate and walk: such an access would fault */
    RMAPCORE_SEGV = -1001,        /* an access outside of every area, or not allowed there */
    RMAPCORE_BUS = -1002,         /* an access beyond the end of a file */
    RMAPCORE_OOM = -1003,         /* no frame, and reclaim freed none; what was done until then stays */
    RMAPCORE_FULL = -1004,        /* an arena is full */
    RMAPCORE_BAD_HANDLE = -1101,  /* no open machine */
    RMAPCORE_BUSY = -1102,        /* another thread is inside */
    RMAPCORE_INSIDE = -1103,      /* the caller is inside of an operation of this machine: a hook may look, not change */
    RMAPCORE_BAD_ARGUMENT = -1104,
    RMAPCORE_EXCEPTION = -1105,   /* Python raised one; its text is the message */
    RMAPCORE_TOO_SMALL = -1106    /* the caller's array */
};

/* What an access was: bits 0-7, of which the order is that of Python's fault kinds. */
enum rmapcore_access {
    RMAPCORE_HIT = 0,
    RMAPCORE_FAULT_ZERO = 1,      /* first touch of an anonymous page */
    RMAPCORE_FAULT_FILE = 2,      /* from the page cache; a private write copies */
    RMAPCORE_FAULT_SWAPIN = 3,    /* it was in swap */
    RMAPCORE_FAULT_COW = 4,       /* a present page was not writable: copied, or used in place */
    RMAPCORE_FAULT_SPURIOUS = 5,
    RMAPCORE_KIND = 0xff,
    RMAPCORE_EVICTED = 0x100      /* frames were reclaimed to serve it */
};

/* Why a translation is gone. */
enum rmapcore_why {
    RMAPCORE_GONE_RECLAIM = 1,    /* reclaim took the page, asked for or not */
    RMAPCORE_GONE_UNMAP = 2,      /* munmap, MADV_DONTNEED, truncate and the like */
    RMAPCORE_GONE_MOVE = 3,       /* mremap: at the old address */
    RMAPCORE_GONE_PROTECT = 4,    /* the same frame, other permissions: mprotect, fork, writeback, a write in place */
    RMAPCORE_GONE_COPY = 5,       /* another frame: copy on write */
    RMAPCORE_GONE_EXIT = 6        /* exit and execve */
};

/* A translation that was there, and is not any more or not as it was. */
typedef struct rmapcore_gone {
    uint64_t address;             /* of the page, in its address space */
    uint32_t process;
    uint32_t frame;               /* what it led to */
    uint32_t why;
    uint32_t reserved;            /* 0 */
} rmapcore_gone;

enum rmapcore_fact {
    RMAPCORE_RAM = 1,             /* bytes, the zero page included; below it lie the frames */
    RMAPCORE_RAM_FREE = 2,        /* bytes */
    RMAPCORE_SWAP = 3,            /* bytes */
    RMAPCORE_SWAP_FREE = 4,       /* bytes */
    RMAPCORE_USER_END = 5,        /* the first address beyond user space */
    RMAPCORE_LEVELS = 6,          /* of page tables */
    RMAPCORE_TABLES = 7,          /* the physical address where page tables begin: above RAM, at a multiple of 2 MiB */
    RMAPCORE_ENTRY_BYTES = 8,     /* of a page-table entry */
    RMAPCORE_GONE_LOST = 9        /* records that found the ring full, ever: all that was cached must be forgotten */
};

enum rmapcore_how {
    RMAPCORE_COUNTED = 0,
    RMAPCORE_SCAN = 1
};

enum rmapcore_file_kind {
    RMAPCORE_DISK = 0,
    RMAPCORE_SHMEM = 1,
    RMAPCORE_ZERO = 2             /* /dev/zero, which has no size */
};

struct rmapcore_api {
    uint32_t abi;                 /* RMAPCORE_ABI */
    uint32_t version;             /* RMAPCORE_VERSION */
    uint32_t size;                /* bytes of this table */
    uint32_t reserved;
    /* version 1 */
    const char *(*message)(void);
    int (*open)(const char *specification, rmapcore_machine *out);
    int (*adopt)(PyObject *machine, rmapcore_machine *out);
    int (*load)(const char *path, rmapcore_machine *out);
    PyObject *(*object)(rmapcore_machine m);
    int (*close)(rmapcore_machine m);
    int (*hold)(rmapcore_machine m);
    int (*release)(rmapcore_machine m);
    int64_t (*spawn)(rmapcore_machine m);
    int64_t (*fork)(rmapcore_machine m, uint32_t process);
    int (*execve)(rmapcore_machine m, uint32_t process);
    int (*exit)(rmapcore_machine m, uint32_t process);
    int64_t (*mmap)(rmapcore_machine m, uint32_t process, uint64_t address, uint64_t length, uint32_t prot, uint32_t flags,
                    uint32_t file, uint64_t offset);
    int (*munmap)(rmapcore_machine m, uint32_t process, uint64_t address, uint64_t length);
    int (*mprotect)(rmapcore_machine m, uint32_t process, uint64_t address, uint64_t length, uint32_t prot);
    int64_t (*mremap)(rmapcore_machine m, uint32_t process, uint64_t old_address, uint64_t old_size, uint64_t new_size,
                      uint32_t flags, uint64_t new_address);
    int (*madvise)(rmapcore_machine m, uint32_t process, uint64_t address, uint64_t length, uint32_t advice);
    int64_t (*brk)(rmapcore_machine m, uint32_t process, uint64_t address);
    int64_t (*file)(rmapcore_machine m, const char *name, uint64_t size, uint32_t kind);
    int (*truncate)(rmapcore_machine m, uint32_t file, uint64_t size);
    int64_t (*translate)(rmapcore_machine m, uint32_t process, uint64_t address, int write);
    int64_t (*translate_many)(rmapcore_machine m, uint32_t process, size_t n, const uint64_t *addresses, int write,
                              int64_t *physical);
    int (*touch)(rmapcore_machine m, uint32_t process, uint64_t address, int write, uint64_t *physical);
    int64_t (*touch_many)(rmapcore_machine m, size_t n, const uint32_t *processes, const uint64_t *addresses,
                          const uint8_t *writes, uint64_t *physical, uint16_t *kinds, int *status);
    int (*walk)(rmapcore_machine m, uint32_t process, uint64_t address, uint64_t *entries, int levels);
    int64_t (*whomaps)(rmapcore_machine m, uint32_t frame, int how, size_t most, uint32_t *processes, uint64_t *addresses);
    int64_t (*whomaps_many)(rmapcore_machine m, size_t n, const uint32_t *frames, int64_t *offsets, size_t most,
                            uint32_t *processes, uint64_t *addresses);
    int64_t (*reclaim)(rmapcore_machine m, uint64_t pages);
    int (*watch)(rmapcore_machine m, uint64_t records);
    int64_t (*gone)(rmapcore_machine m, size_t most, rmapcore_gone *out);
    int64_t (*fact)(rmapcore_machine m, int which);
    int (*counters)(rmapcore_machine m, int n, uint64_t *out);
    const char *(*counter_name)(int counter);
    int64_t (*memory)(rmapcore_machine m, size_t size, char *out);
    int (*check)(rmapcore_machine m);
    int (*save)(rmapcore_machine m, const char *path);
};

/* The table, from rmapcore_import on. */
static const struct rmapcore_api *rmapcore_api;

/* Finds the table. 0; or -1 with a Python exception: ImportError where rmapcore is missing, is another interface, or is older
   than this header. Needs the GIL. */
static inline int rmapcore_import(void)
{
    const struct rmapcore_api *api = (const struct rmapcore_api *)PyCapsule_Import("rmapcore._C_API", 0);
    if (api == NULL)
        return -1;
    if (api->abi != RMAPCORE_ABI || api->version < RMAPCORE_VERSION || api->size < sizeof(struct rmapcore_api)) {
        PyErr_Format(PyExc_ImportError,
                     "this program was compiled for version %u.%u of rmapcore's C interface, and the rmapcore that is "
                     "installed has %u.%u: %s", RMAPCORE_ABI, RMAPCORE_VERSION, (unsigned)api->abi, (unsigned)api->version,
                     api->abi == RMAPCORE_ABI ? "install a later rmapcore" : "compile it again, with its rmapcore.h");
        return -1;
    }
    rmapcore_api = api;
    return 0;
}

/* What went wrong last in this thread, one line; "" if nothing did. The text is good until the thread's next failure. */
static inline const char *rmapcore_message(void) { return rmapcore_api->message(); }

/* --- machines ------------------------------------------------------------------------------------------------------------ */

/* [P] A new machine. specification: a call of Machine with literal arguments, as Python has it: "Machine('anon_vma',
   ram='64MiB', watch=4096)". */
static inline int rmapcore_open(const char *specification, rmapcore_machine *out)
{ return rmapcore_api->open(specification, out); }

/* [P] The machine of a Python object, an rmapcore.Machine. Both may go on using it, in turns. One that is open already has the
   same handle again, and must be closed as often. Needs the GIL. */
static inline int rmapcore_adopt(PyObject *machine, rmapcore_machine *out) { return rmapcore_api->adopt(machine, out); }

/* [P] The machine that save wrote. */
static inline int rmapcore_load(const char *path, rmapcore_machine *out) { return rmapcore_api->load(path, out); }

/* The rmapcore.Machine of a handle, a new reference, for all that is not here; NULL with a Python exception. Needs the GIL. */
static inline PyObject *rmapcore_object(rmapcore_machine m) { return rmapcore_api->object(m); }

/* [P] Gives the handle back; the last one of a machine that Python does not know frees it. */
static inline int rmapcore_close(rmapcore_machine m) { return rmapcore_api->close(m); }

/* The calling thread stays inside until it calls release as often: calls are cheaper, other threads are refused. */
static inline int rmapcore_hold(rmapcore_machine m) { return rmapcore_api->hold(m); }
static inline int rmapcore_release(rmapcore_machine m) { return rmapcore_api->release(m); }

/* --- processes and system calls ------------------------------------------------------------------------------------------- */

/* The pid of a new process with an empty address space. */
static inline int64_t rmapcore_spawn(rmapcore_machine m) { return rmapcore_api->spawn(m); }
/* The child's pid. */
static inline int64_t rmapcore_fork(rmapcore_machine m, uint32_t process) { return rmapcore_api->fork(m, process); }
/* The address space is empty again; the pid stays. */
static inline int rmapcore_execve(rmapcore_machine m, uint32_t process) { return rmapcore_api->execve(m, process); }
static inline int rmapcore_exit(rmapcore_machine m, uint32_t process) { return rmapcore_api->exit(m, process); }

/* The address of the new mapping. file: a number that rmapcore_file gave, 0 with MAP_ANONYMOUS (0x20). Flags as Linux has
   them: MAP_SHARED 1, MAP_PRIVATE 2, MAP_FIXED 0x10, MAP_POPULATE 0x8000. */
static inline int64_t rmapcore_mmap(rmapcore_machine m, uint32_t process, uint64_t address, uint64_t length, uint32_t prot,
                                    uint32_t flags, uint32_t file, uint64_t offset)
{ return rmapcore_api->mmap(m, process, address, length, prot, flags, file, offset); }
static inline int rmapcore_munmap(rmapcore_machine m, uint32_t process, uint64_t address, uint64_t length)
{ return rmapcore_api->munmap(m, process, address, length); }
static inline int rmapcore_mprotect(rmapcore_machine m, uint32_t process, uint64_t address, uint64_t length, uint32_t prot)
{ return rmapcore_api->mprotect(m, process, address, length, prot); }
/* The new address. flags: MREMAP_MAYMOVE 1, FIXED 2, DONTUNMAP 4. */
static inline int64_t rmapcore_mremap(rmapcore_machine m, uint32_t process, uint64_t old_address, uint64_t old_size,
                                      uint64_t new_size, uint32_t flags, uint64_t new_address)
{ return rmapcore_api->mremap(m, process, old_address, old_size, new_size, flags, new_address); }
static inline int rmapcore_madvise(rmapcore_machine m, uint32_t process, uint64_t address, uint64_t length, uint32_t advice)
{ return rmapcore_api->madvise(m, process, address, length, advice); }
/* The break; address 0 asks. */
static inline int64_t rmapcore_brk(rmapcore_machine m, uint32_t process, uint64_t address)
{ return rmapcore_api->brk(m, process, address); }

/* [P] The number of a new file of `size` bytes. kind: enum rmapcore_file_kind. */
static inline int64_t rmapcore_file(rmapcore_machine m, const char *name, uint64_t size, uint32_t kind)
{ return rmapcore_api->file(m, name, size, kind); }
static inline int rmapcore_truncate(rmapcore_machine m, uint32_t file, uint64_t size)
{ return rmapcore_api->truncate(m, file, size); }

/* --- accesses ---------------------------------------------------------------------------------------------------------------- */

/* The physical address that a read or write there would reach without a fault, else RMAPCORE_ABSENT. Changes nothing at all. */
static inline int64_t rmapcore_translate(rmapcore_machine m, uint32_t process, uint64_t address, int write)
{ return rmapcore_api->translate(m, process, address, write); }
/* The same of n addresses: physical[i] is an address or RMAPCORE_ABSENT. How many are not absent. */
static inline int64_t rmapcore_translate_many(rmapcore_machine m, uint32_t process, size_t n, const uint64_t *addresses,
                                              int write, int64_t *physical)
{ return rmapcore_api->translate_many(m, process, n, addresses, write, physical); }

/* One access: what it was (enum rmapcore_access), and in *physical, which may be NULL, the address that it reached. */
static inline int rmapcore_touch(rmapcore_machine m, uint32_t process, uint64_t address, int write, uint64_t *physical)
{ return rmapcore_api->touch(m, process, address, write, physical); }
/* n accesses in order, each by its process, at its address, reading or (writes[i] not 0) writing. writes may be NULL: all
   read; physical and kinds may be NULL. How many succeeded; where that is less than n, *status, which may be NULL, says why,
   and it is RMAPCORE_OK else. Those that succeeded stay done. Negative: none was begun. */
static inline int64_t rmapcore_touch_many(rmapcore_machine m, size_t n, const uint32_t *processes, const uint64_t *addresses,
                                          const uint8_t *writes, uint64_t *physical, uint16_t *kinds, int *status)
{ return rmapcore_api->touch_many(m, n, processes, addresses, writes, physical, kinds, status); }

/* The physical addresses of the page-table entries that lead there, from the top table down, at most `levels` of them. How many
   there are: fewer than RMAPCORE_LEVELS where a table is missing. Tables lie above RAM, at RMAPCORE_TABLES. */
static inline int rmapcore_walk(rmapcore_machine m, uint32_t process, uint64_t address, uint64_t *entries, int levels)
{ return rmapcore_api->walk(m, process, address, entries, levels); }

/* --- the reverse map ----------------------------------------------------------------------------------------------------------- */

/* Who maps a frame: how many do; RMAPCORE_TOO_SMALL if these are more than `most`. how: RMAPCORE_COUNTED, found through the
   scheme, which moves the work counters; RMAPCORE_SCAN, from a scan of all page tables, which moves none. */
static inline int64_t rmapcore_whomaps(rmapcore_machine m, uint32_t frame, int how, size_t most, uint32_t *processes,
                                       uint64_t *addresses)
{ return rmapcore_api->whomaps(m, frame, how, most, processes, addresses); }
/* The same, counted, of n frames: those of frames[i] stand at [offsets[i], offsets[i + 1]); offsets has n + 1. How many in all;
   RMAPCORE_TOO_SMALL if that may be more than `most`. */
static inline int64_t rmapcore_whomaps_many(rmapcore_machine m, size_t n, const uint32_t *frames, int64_t *offsets, size_t most,
                                            uint32_t *processes, uint64_t *addresses)
{ return rmapcore_api->whomaps_many(m, n, frames, offsets, most, processes, addresses); }

/* Frees so many frames by reclaim, or as many as will go: how many. */
static inline int64_t rmapcore_reclaim(rmapcore_machine m, uint64_t pages) { return rmapcore_api->reclaim(m, pages); }

/* --- what is gone ------------------------------------------------------------------------------------------------------------- */

/* From now on every translation that is removed or changed is kept in a ring of so many records, a power of 2 (at most 2^30),
   until rmapcore_gone_take takes it; what is in the ring now is forgotten. 0: no more. Costs 24 bytes a record. */
static inline int rmapcore_watch(rmapcore_machine m, uint64_t records) { return rmapcore_api->watch(m, records); }
/* Takes at most `most` records out, oldest first: how many. What found the ring full is counted: RMAPCORE_GONE_LOST. */
static inline int64_t rmapcore_gone_take(rmapcore_machine m, size_t most, rmapcore_gone *out)
{ return rmapcore_api->gone(m, most, out); }

/* --- looking ------------------------------------------------------------------------------------------------------------------- */

/* which: enum rmapcore_fact. */
static inline int64_t rmapcore_fact(rmapcore_machine m, int which) { return rmapcore_api->fact(m, which); }
/* The first n work counters; how many there are. */
static inline int rmapcore_counters(rmapcore_machine m, int n, uint64_t *out) { return rmapcore_api->counters(m, n, out); }
/* The name of a counter, NULL if there is none. */
static inline const char *rmapcore_counter_name(int counter) { return rmapcore_api->counter_name(counter); }
/* [P] Machine.memory() as JSON, as far as it goes into `size` bytes, with a 0 at its end: the length of all of it, without
   that. */
static inline int64_t rmapcore_memory(rmapcore_machine m, size_t size, char *out) { return rmapcore_api->memory(m, size, out); }
/* [P] Every invariant, and the scheme beside a scan of all page tables; RMAPCORE_EXCEPTION says what is wrong. */
static inline int rmapcore_check(rmapcore_machine m) { return rmapcore_api->check(m); }
/* [P] The whole machine in a file; what is in the ring is not. */
static inline int rmapcore_save(rmapcore_machine m, const char *path) { return rmapcore_api->save(m, path); }

#ifdef __cplusplus
}
#endif

#endif
