"""Guard: one thread at a time uses a machine, and no change begins in the middle of another (rules O).

A thread holds a machine for the whole of each call; one that comes meanwhile gets an error and has changed nothing.
Nobody ever waits, so there is no deadlock. There are three ways to hold, each an attribute of the Kernel:

                          another thread    own thread: between two steps of    in a hook or a walk
                          is inside         a long operation                    of the scheme
    alone      looking    refused           passes                              passes
    operation  changing   refused           refused                             refused
    step       one step   refused           passes                              refused

`alone` and `operation` are held by the public methods of Machine, Process and File, so that what they read before and
after a kernel belongs together, and by who calls kernels in a row. An operation may pause, and a signal handler run
meanwhile: it may look, and ask whomaps, check or save, as the machine is consistent then. `step` is held by those
functions of kernels that change the machine or walk a scheme, `alone` by the others that take long, so that they are safe
whoever calls them. Not held at all, and good for a glance, are reads of a single record under the GIL (mm_of, next_pid,
mm_facts of replay, reclaimed of reclaim) and the views that Core gives.

Holds are taken and given back in C: a KeyboardInterrupt, which comes between two bytecodes, finds a machine either held
inside of a `try`, or free. The owner is swapped in one step, so that this does not lean on the GIL. A host process that
forks while another of its threads is inside has a copy that stays refused: it is half changed.
"""
from libc.stdint cimport uint32_t

cdef enum:                    # marks of a Guard
    IN_OPERATION = 1
    IN_STEP = 2

cdef struct Door:
    size_t owner              # the thread that is inside, as pthread_self names it; 0: none
    uint32_t depth            # holds it has
    uint32_t marks            # what it is in the middle of

cdef class Guard:
    cdef Door* door           # its own, or while C uses the machine one that outlives it (embed/doors.pxd)
    cdef Door own
    cdef object busy          # the exception to raise: a class, made with a text

cdef class Hold:
    cdef Guard guard
    cdef uint32_t mark        # set while held
    cdef uint32_t refused_by  # marks that refuse the own thread
    cdef int enter(self) except -1
    cdef void leave(self) noexcept
