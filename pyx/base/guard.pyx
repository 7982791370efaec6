"""Guard, Hold: taking a machine and giving it back. guarded: for all public methods of a class in one place."""
from functools import wraps
from types import FunctionType

cimport cython
from cpython.pythread cimport PyThread_get_thread_ident
from libc.stdint cimport uint32_t

cdef extern from * nogil:     # of the compiler
    bint __sync_bool_compare_and_swap(size_t* where, size_t before, size_t after)
    void __sync_lock_release(size_t* where)


cdef class Guard:
    """Who is inside of one machine.  busy: class of the exception for those who may not come in."""

    def __init__(self, busy):
        self.door = &self.own
        self.busy = busy


cdef class Hold:
    """One way to hold a machine, a context manager for kernels. Raises the guard's `busy`; then nothing is held."""

    def __init__(self, Guard guard, uint32_t mark=0, uint32_t refused_by=0):
        self.guard = guard
        self.mark = mark
        self.refused_by = refused_by

    cdef int enter(self) except -1:
        cdef Guard guard = self.guard
        cdef Door* door = guard.door
        cdef size_t me = <size_t> PyThread_get_thread_ident()
        if door.owner != me and not __sync_bool_compare_and_swap(&door.owner, 0, me):
            raise guard.busy("another thread uses this machine at this moment: let threads take turns, "
                             "or give each a machine of its own")
        if door.marks & self.refused_by:
            raise guard.busy("this machine is in the middle of an operation: what runs meanwhile, such as a hook of its "
                             "scheme, may look at it but not change it")
        door.marks |= self.mark
        door.depth += 1
        return 0

    cdef void leave(self) noexcept:
        cdef Door* door = self.guard.door
        door.marks &= ~self.mark
        door.depth -= 1
        if door.depth == 0:
            __sync_lock_release(&door.owner)

    def __enter__(self):
        self.enter()

    def __exit__(self, kind, error, trace):
        self.leave()

    def run(self, function, *arguments):
        """function(*arguments), held: what Python code uses."""
        self.enter()
        try:
            return function(*arguments)
        finally:
            self.leave()


@cython.binding(True)                          # what it returns becomes a method of its class, under the name of the other
def held(function, str way):
    """A method that holds `self._engine.<way>` from beginning to end."""
    def method(self, *arguments, **options):
        cdef Hold hold = getattr(self._engine, way)
        hold.enter()
        try:
            return function(self, *arguments, **options)
        finally:
            hold.leave()
    return wraps(function)(method)


def guarded(alone="", step="", inside=""):
    """Class decorator: every public method and property holds the machine, so that a new one cannot be forgotten.

    alone, step: names of those that hold it in these ways; all others are operations.  inside: those that are one call of a
    kernel, which holds it itself. Objects have the Kernel of their machine as `_engine`. What is private relies on its caller.
    """
    ways = {**dict.fromkeys(alone.split(), "alone"), **dict.fromkeys(step.split(), "step")}
    themselves = inside.split()

    def decorate(cls):
        for name, member in list(vars(cls).items()):
            way = ways.get(name, "operation")
            if name.startswith("_") or name in themselves:
                continue
            if isinstance(member, property):
                setattr(cls, name, property(held(member.fget, way)))
            elif isinstance(member, FunctionType):
                setattr(cls, name, held(member, way))
        return cls
    return decorate
