"""Machines in slots: opening, closing, holding; what is read of one; and what Python does for C (machines.pxd)."""
from cpython.exc cimport PyErr_SetString
from cpython.ref cimport Py_DECREF, Py_INCREF, PyObject
from libc.errno cimport EFAULT, EINVAL
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset

from rmapcore.pyx.base.counters cimport N_COUNTERS
from rmapcore.pyx.base.guard cimport Guard
from rmapcore.pyx.base.ids cimport PAGE_SHIFT
from rmapcore.pyx.base.records cimport Gone
from rmapcore.pyx.base.state cimport State
from rmapcore.pyx.embed.access cimport access_all, access_page, tables_begin
from rmapcore.pyx.embed.calls cimport perform, users
from rmapcore.pyx.embed.doors cimport (
    ABSENT, BAD_ARGUMENT, BAD_HANDLE, CHANGING, DOOR_BITS, DOORS, EXCEPTION, INSIDE, NEARS, Access, Accesses, Call, Near,
    Reverse, Slot, enter, fail, fail_text, finish, leave, message, shown, slots, use_doors,
)
from rmapcore.pyx.machine.gone cimport take_gone
from rmapcore.pyx.seam.kernel cimport E_OK, Kernel

from rmapcore.pyx.base import counters as counter_names

cdef extern from "rmapcore.h" nogil:
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

cdef extern from *:
    """
    static PyObject *python_side;              /* set once, by take_side */
    #define keep_side(side) (python_side = (side))
    """
    PyObject* python_side
    void keep_side(PyObject* side)

COUNTER_NAMES = tuple(name.removeprefix("C_").lower().encode() for name in
                      sorted((name for name in vars(counter_names) if name.startswith("C_")), key=vars(counter_names).get))

use_doors(slots())


cdef void take_side(object python) noexcept:
    """Who answers for Python from now on (table.pyx says what it has)."""
    Py_INCREF(python)
    keep_side(<PyObject*> python)


cdef Slot* free_slot() except NULL:
    """An empty slot other than the first, whose generation says where to begin."""
    cdef Slot* first = <Slot*> slots()
    cdef uint32_t at = <uint32_t> first.generation
    cdef uint32_t _
    for _ in range(DOORS - 1):
        at = at % (DOORS - 1) + 1
        if first[at].handle == 0:
            first.generation = at
            return &first[at]
    raise MemoryError(f"{DOORS - 1} machines are open already")


cdef int put(object machine, uint64_t* out) except -1:
    """The handle of a machine, which goes into a slot if it is in none."""
    cdef Kernel k = (<object> python_side).engine(machine)
    cdef Guard guard = k.step.guard
    cdef Slot* slot
    if guard.door == &guard.own:
        k.operation.enter()                    # nobody is inside
        k.operation.leave()
        slot = free_slot()
        slot.near = <Near*> malloc(NEARS * sizeof(Near))
        if slot.near == NULL:
            raise MemoryError
        memset(slot.near, 0xFF, NEARS * sizeof(Near))      # regions that no address has
        Py_INCREF(machine)
        slot.machine = <void*> machine
        slot.kernel = <void*> k
        slot.s = k.s
        slot.call = <Call> <void*> perform
        slot.access = <Access> <void*> access_page
        slot.accesses = <Accesses> <void*> access_all
        slot.reverse = <Reverse> <void*> users
        slot.holds = 0
        slot.opens = 0
        guard.door = &slot.door
        slot.generation += 1
        slot.handle = (slot.generation << DOOR_BITS) | <uint64_t> (slot - <Slot*> slots())
    slot = &(<Slot*> slots())[(<char*> guard.door - <char*> slots()) // sizeof(Slot)]
    slot.opens += 1
    out[0] = slot.handle
    return 0


cdef int open_machine(const char* specification, uint64_t* out) noexcept with gil:
    if specification == NULL or out == NULL:
        return fail_text(BAD_ARGUMENT, b"open: NULL")
    try:
        put((<object> python_side).open(specification.decode()), out)
    except BaseException as error:
        return fail_text(EXCEPTION, shown(error))
    return 0


cdef int adopt_machine(PyObject* machine, uint64_t* out) noexcept with gil:
    if machine == NULL or out == NULL:
        return fail_text(BAD_ARGUMENT, b"adopt: NULL")
    try:
        put(<object> machine, out)
    except BaseException as error:
        return fail_text(EXCEPTION, shown(error))
    return 0


cdef int load_machine(const char* path, uint64_t* out) noexcept with gil:
    if path == NULL or out == NULL:
        return fail_text(BAD_ARGUMENT, b"load: NULL")
    try:
        put((<object> python_side).load(path), out)
    except BaseException as error:
        return fail_text(EXCEPTION, shown(error))
    return 0


cdef PyObject* machine_object(uint64_t m) noexcept with gil:
    cdef Slot* slot = &(<Slot*> slots())[m & (DOORS - 1)]
    if m == 0 or slot.handle != m:
        fail(BAD_HANDLE, m)
        PyErr_SetString(ValueError, message())
        return NULL
    Py_INCREF(<object> slot.machine)
    return <PyObject*> slot.machine


cdef int close_machine(uint64_t m) noexcept with gil:
    cdef Slot* slot
    cdef Guard guard
    cdef int code = enter(m, CHANGING, &slot)
    if code:
        return code
    if slot.opens > 1:
        slot.opens -= 1
        leave(slot, CHANGING)
        return 0
    if slot.door.depth != slot.holds + 1:      # a call of Python that is under way here
        leave(slot, CHANGING)
        return fail(INSIDE, m)
    guard = (<Kernel> slot.kernel).step.guard
    memset(&guard.own, 0, sizeof(guard.own))
    guard.door = &guard.own
    machine = <object> slot.machine
    slot.handle = 0
    slot.machine = slot.kernel = NULL
    free(slot.near)
    slot.near = NULL
    slot.door.marks = 0
    slot.door.depth = 1
    leave(slot, 0)
    Py_DECREF(machine)
    return 0


cdef int hold_machine(uint64_t m) noexcept nogil:
    cdef Slot* slot
    cdef int code = enter(m, 0, &slot)
    if code == 0:
        slot.holds += 1
    return code


cdef int release_machine(uint64_t m) noexcept nogil:
    cdef Slot* slot
    cdef int code = enter(m, 0, &slot)
    if code:
        return code
    if slot.holds == 0:
        leave(slot, 0)
        with gil:
            return fail_text(BAD_ARGUMENT, b"release: this thread does not hold the machine")
    slot.holds -= 1
    leave(slot, 0)
    leave(slot, 0)
    return 0


cdef int64_t do_gone(uint64_t m, size_t most, Gone* out) noexcept nogil:
    cdef Slot* slot
    cdef int64_t n
    cdef int code = enter(m, CHANGING, &slot)
    if code:
        return code
    if most and out == NULL:
        return finish(slot, CHANGING, EFAULT, 0, 0)
    n = <int64_t> take_gone(slot.s, out, most)
    leave(slot, CHANGING)
    return n


cdef int64_t fact_of(State* s, int which) noexcept nogil:
    """A fact by its number, ABSENT if there is no such."""
    if which == RMAPCORE_RAM:
        return <int64_t> s.n_frames << PAGE_SHIFT
    if which == RMAPCORE_RAM_FREE:
        return <int64_t> (s.h.frames_free << PAGE_SHIFT)
    if which == RMAPCORE_SWAP:
        return <int64_t> s.n_slots << PAGE_SHIFT
    if which == RMAPCORE_SWAP_FREE:
        return <int64_t> (s.h.slots_free << PAGE_SHIFT)
    if which == RMAPCORE_USER_END:
        return <int64_t> (s.task_vpn << PAGE_SHIFT)
    if which == RMAPCORE_LEVELS:
        return s.levels
    if which == RMAPCORE_TABLES:
        return <int64_t> tables_begin(s)
    if which == RMAPCORE_ENTRY_BYTES:
        return 8 if s.wide else 4
    if which == RMAPCORE_GONE_LOST:
        return <int64_t> s.gone.lost if s.gone else 0
    return ABSENT


cdef int64_t do_fact(uint64_t m, int which) noexcept nogil:
    cdef Slot* slot
    cdef int64_t found
    cdef int code = enter(m, 0, &slot)
    if code:
        return code
    found = fact_of(slot.s, which)
    return finish(slot, 0, EINVAL if found == ABSENT else E_OK, 0, found)


cdef int do_counters(uint64_t m, int n, uint64_t* out) noexcept nogil:
    cdef Slot* slot
    cdef int code = enter(m, 0, &slot)
    if code:
        return code
    if n < 0 or (n and out == NULL):
        return <int> finish(slot, 0, EINVAL, 0, 0)
    if n > 0:
        memcpy(out, slot.s.count, (n if n < N_COUNTERS else N_COUNTERS) * sizeof(uint64_t))
    leave(slot, 0)
    return N_COUNTERS


cdef const char* do_counter_name(int counter) noexcept with gil:
    return <const char*> <bytes> COUNTER_NAMES[counter] if 0 <= counter < N_COUNTERS else NULL


cdef object ask(uint64_t m, int64_t* code, str method, tuple arguments):
    """What a method of the Python side answers, given the machine; *code: negative if it could not. It holds the machine
    itself, in its own way; other threads are kept out meanwhile."""
    cdef Slot* slot
    code[0] = enter(m, 0, &slot)
    if code[0]:
        return None
    try:
        return getattr(<object> python_side, method)(<object> slot.machine, *arguments)
    except BaseException as error:
        code[0] = fail_text(EXCEPTION, shown(error))
    finally:
        leave(slot, 0)


cdef int do_watch(uint64_t m, uint64_t records) noexcept with gil:
    cdef int64_t code
    ask(m, &code, "watch", (records,))
    return <int> code


cdef int64_t do_file(uint64_t m, const char* name, uint64_t size, uint32_t kind) noexcept with gil:
    cdef int64_t code
    if name == NULL:
        return fail_text(BAD_ARGUMENT, b"file: its name is NULL")
    number = ask(m, &code, "file", (name, size, kind))
    return code if code else <int64_t> number


cdef int64_t do_memory(uint64_t m, size_t size, char* out) noexcept with gil:
    cdef int64_t code
    cdef size_t length
    if size and out == NULL:
        return fail_text(BAD_ARGUMENT, b"memory: NULL")
    text = ask(m, &code, "memory", ())
    if code:
        return code
    if size:
        length = min(size - 1, <size_t> len(text))
        memcpy(out, <const char*> <bytes> text, length)
        out[length] = 0
    return <int64_t> len(text)


cdef int do_check(uint64_t m) noexcept with gil:
    cdef int64_t code
    ask(m, &code, "check", ())
    return <int> code


cdef int do_save(uint64_t m, const char* path) noexcept with gil:
    cdef int64_t code
    if path == NULL:
        return fail_text(BAD_ARGUMENT, b"save: the path is NULL")
    ask(m, &code, "save", (path,))
    return <int> code
