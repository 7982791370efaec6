"""Doors: how C comes into a machine. One slot for each machine that C uses, in memory that is never freed.

A handle names a slot and a generation of it, so that a number which was closed, or never was one, is found out whoever calls
at that moment. While a machine is in a slot its Guard uses the slot's door (base/guard.pxd): C enters by swapping one word,
without Python, and threads of Python meet it there. Costs: 6 ns a call, 1 ns for a thread that holds the machine.

    handle   | generation, from 1 on | slot, from 1 on: 16 bits |
"""
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from rmapcore.pyx.base.guard cimport IN_OPERATION, IN_STEP, Door
from rmapcore.pyx.base.ids cimport slot_t
from rmapcore.pyx.base.records cimport Operation
from rmapcore.pyx.base.state cimport State
from rmapcore.pyx.seam.kernel cimport E_OK

cdef extern from * nogil:
    """
    #if defined(__x86_64__) && defined(__GLIBC__)
    static inline size_t this_thread(void)     /* pthread_self, as PyThread_get_thread_ident gives it, without a call */
    {
        size_t self;
        __asm__("mov %%fs:16, %0" : "=r"(self));
        return self;
    }
    #else
    #include <pthread.h>
    #define this_thread() ((size_t) pthread_self())
    #endif
    static char *door_memory;                  /* of this module: where the slots lie, which doors.pyx has */
    #define use_doors(memory) (door_memory = (char *) (memory))
    """
    char* door_memory
    void use_doors(void* memory)
    size_t this_thread() noexcept
    bint __sync_bool_compare_and_swap(size_t* where, size_t before, size_t after) noexcept
    void __sync_lock_release(size_t* where) noexcept

cdef enum:
    DOOR_BITS = 16
    DOORS = 1 << DOOR_BITS
    CHANGING = IN_OPERATION | IN_STEP

cdef enum:                    # rmapcore_status of rmapcore.h; statuses of operations are negated: errno, E_SEGV and the like
    ABSENT = -1
    BAD_HANDLE = -1101
    BUSY = -1102
    INSIDE = -1103
    BAD_ARGUMENT = -1104
    EXCEPTION = -1105
    TOO_SMALL = -1106

cdef enum:
    HOOK_RAISED = 2000        # a status of those below: an exception of a hook in Python is kept

cdef enum:
    NEARS = 32                # tables of leaf tables that a machine remembers

cdef struct Near:             # 32 bytes: a table of leaf tables that a single access met (access.pxd)
    uint64_t* entries         # of which there are 512
    uint64_t region           # address >> REGION_SHIFT of all its pages
    uint64_t gone             # State.tables_gone then: it is good as long as that is the same
    uint64_t process

# What needs the Kernel: functions whose first argument is one, which here is a pointer, as nothing is counted without the GIL.
ctypedef int (*Call)(void* kernel, const Operation* op, uint64_t* result) noexcept nogil
ctypedef int (*Access)(void* kernel, uint32_t mm, uint64_t vpn, bint write, uint32_t* kind) noexcept nogil
ctypedef uint64_t (*Accesses)(void* kernel, uint64_t n, const uint32_t* processes, const uint64_t* addresses,
                              const uint8_t* writes, uint64_t* physical, uint16_t* kinds, int* status) noexcept nogil
ctypedef int (*Reverse)(void* kernel, uint64_t n, const uint32_t* frames, int64_t* offsets, uint32_t* processes,
                        uint64_t* addresses) noexcept nogil

cdef struct Slot:             # 128 bytes: two cache lines
    uint64_t handle           # of the machine in it; 0: none
    Door door
    State* s
    Near* near                # NEARS of them
    void* kernel
    void* machine             # the object of Python, referred to as long as the handle is open
    uint32_t opens
    uint32_t holds            # of the thread that is inside
    uint64_t generation
    Call call
    Access access
    Accesses accesses
    Reverse reverse
    uint64_t[3] pad


cdef void* slots() noexcept
cdef int fail(int code, uint64_t about) noexcept nogil
cdef int fail_text(int code, bytes text) noexcept
cdef int explained(Slot* slot, int status, uint64_t address) noexcept nogil
cdef bytes shown(error)
cdef const char* message() noexcept nogil


cdef inline int look_in(uint64_t m, uint32_t refused, Slot** out, bint* mine) noexcept nogil:
    """Comes in for what calls nobody: 0, or BAD_HANDLE, BUSY or INSIDE, noted. refused: marks of the own thread that keep it
    out. *mine: the door is to be left again; not where the thread holds the machine already, which then costs a look.
    """
    cdef Slot* slot = &(<Slot*> door_memory)[m & (DOORS - 1)]
    cdef size_t me = this_thread()
    if m == 0 or slot.handle != m:
        return fail(BAD_HANDLE, m)
    mine[0] = slot.door.owner != me
    if mine[0]:
        if not __sync_bool_compare_and_swap(&slot.door.owner, 0, me):
            return fail(BUSY, m)
        if slot.handle != m:                   # closed meanwhile
            __sync_lock_release(&slot.door.owner)
            return fail(BAD_HANDLE, m)
    elif slot.door.marks & refused:
        return fail(INSIDE, m)
    out[0] = slot
    return 0


cdef inline Slot* held_slot(uint64_t m) noexcept nogil:
    """The slot of a machine that this thread is inside of, NULL for any other number. Nobody is inside of slot 0."""
    cdef Slot* slot = &(<Slot*> door_memory)[m & (DOORS - 1)]
    return slot if slot.handle == m and slot.door.owner == this_thread() else NULL


cdef inline void look_away(Slot* slot, bint mine) noexcept nogil:
    if mine:
        __sync_lock_release(&slot.door.owner)


cdef inline void stay(Slot* slot, uint32_t marks) noexcept nogil:
    """After look_in: for what may call somebody, who may come in again. leave() ends it."""
    slot.door.depth += 1
    slot.door.marks |= marks


cdef inline int enter(uint64_t m, uint32_t marks, Slot** out) noexcept nogil:
    """Comes in, to look (0) or to change (CHANGING): 0, or what look_in says."""
    cdef bint mine
    cdef int code = look_in(m, marks, out, &mine)
    if code == 0:
        stay(out[0], marks)
    return code


cdef inline void leave(Slot* slot, uint32_t marks) noexcept nogil:
    slot.door.marks &= ~marks
    slot.door.depth -= 1
    if slot.door.depth == 0:
        __sync_lock_release(&slot.door.owner)


cdef inline int64_t finish(Slot* slot, uint32_t marks, int status, uint64_t address, int64_t result) noexcept nogil:
    """Goes out: result, or the code of what went wrong, noted."""
    if status != E_OK:
        result = explained(slot, status, address)
    leave(slot, marks)
    return result
