"""OPERATIONS ON N PROCESSORS: a discrete-event simulation of who waits for which lock (docs/locks.md, "On N processors").

Each operation is work cut into pieces by the locks that it takes and lets go of. Actors do their operations one after the
other; a processor runs one actor at a time. Nothing is drawn at random, and what happens at the same time happens in the order
in which it was decided, so equal input gives equal output.

   actor    ready ──> running ──> waiting for a lock ──> ready ...      spinning: waiting, but on its processor
   lock     one writer, or readers; who waits stands in line, and readers do not pass a writer that stands there. A lock that
            one may sleep for goes to a writer that spins, or that comes before the sleeper that was woken has come

Costs: O(log actors) a piece of work, O(1) a lock that is free; no memory is asked for while it runs.
"""
from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t

from rmapcore.pyx.profile.points cimport Point

cdef enum:
    WRITES = 1                # bits of a mode, as rmapcore.core.locks.MODES counts them
    TRIES = 2
    SPINS = 1                 # bits of a lock: nobody sleeps for it
    FAIR = 2                  # nobody passes who stands in line

cdef enum:                    # what an actor is at
    UNBORN
    AWAY                      # its next operation waits for a phase,
    LATER                     #   or for its time
    READY
    RUNNING
    SPINNING
    SLEEPING
    DONE

cdef struct Lock:
    int32_t writer
    uint32_t nested           # holds of the writer beside its first
    uint32_t readers
    int32_t first             # who waits longest; NOBODY
    int32_t last
    uint32_t spins
    uint64_t acquired
    uint64_t waits
    uint64_t slept            # waits in which somebody slept
    uint64_t failed           # tries
    uint64_t waited           # ns
    uint64_t longest
    int32_t longest_who
    int32_t longest_whom
    int32_t giver             # who let go of it last

cdef struct Actor:
    uint64_t since            # when it came to the processor, or began to wait
    uint64_t came             # when it began to wait
    uint64_t waited           # ns in all
    uint32_t at               # point
    uint32_t operation        # place in the order of its operations
    int32_t next              # in line for the same lock
    int32_t lock              # that it waits for
    uint32_t mode
    uint32_t state
    uint32_t switched         # 1: it pays for a switch when it runs again
    uint32_t begun            # 1: an operation is under way
    uint32_t slept            # 1: in this wait
    uint32_t woken            # 1: it is on its way to the lock that it sleeps for, which may be gone when it comes

cdef struct Wait:
    uint64_t start            # ns
    uint64_t wait
    int32_t who
    int32_t whom              # who let go of it last
    int32_t lock
    uint32_t operation

cdef class Processors:
    cdef readonly uint64_t time
    cdef readonly uint64_t busy                # ns that processors ran actors, waiting apart
    cdef readonly uint64_t left_out            # waits beyond MOST_WAITS
    cdef readonly object locks, actors
    cdef object kept_waits, keep
    cdef Point* point
    cdef Lock* lock
    cdef Actor* actor
    cdef Wait* wait
    cdef const uint64_t* first
    cdef const uint32_t* order
    cdef const uint64_t* bounds
    cdef const int64_t* born
    cdef const uint64_t* begins
    cdef const uint32_t* phase
    cdef uint64_t* phase_left
    cdef int32_t* child                        # by operation: the first actor that it is the birth of; NOBODY
    cdef int32_t* sibling                      # by actor
    cdef uint64_t n_waits, most_waits, switch, slice, handoff
    cdef uint32_t n_actors, n_phases, n_now, done
    cdef int32_t idle
    cdef uint64_t[::1] heap_time
    cdef uint64_t[::1] heap_number
    cdef int32_t[::1] heap_actor
    cdef uint64_t heaped, number
    cdef int32_t[::1] line                     # ready actors, a ring
    cdef uint64_t line_first, line_n
    cdef int32_t[::1] spinners                 # on locks that one may sleep for
    cdef uint32_t n_spinners

    cdef void push(self, uint64_t when, int32_t a) noexcept nogil
    cdef int32_t pop(self) noexcept nogil
    cdef bint earlier(self, uint64_t i, uint64_t when, uint64_t number) noexcept nogil
    cdef void make_ready(self, int32_t a) noexcept nogil
    cdef void dispatch(self) noexcept nogil
    cdef void work(self, int32_t a, uint64_t more) noexcept nogil
    cdef void give_up(self, int32_t a, uint32_t state) noexcept nogil
    cdef bint begin(self, int32_t a) noexcept nogil
    cdef void ended(self, int32_t a) noexcept nogil
    cdef void phase_begins(self) noexcept nogil
    cdef void go_on(self, int32_t a) noexcept nogil
    cdef void acquire(self, int32_t a, Actor* r, Point* p) noexcept nogil
    cdef bint may_pass(self, Lock* k, uint32_t mode) noexcept nogil
    cdef bint overdue(self, Lock* k) noexcept nogil
    cdef void grant(self, int32_t a, Lock* k, uint32_t mode) noexcept nogil
    cdef void stand_in_line(self, int32_t a, Actor* r, Point* p, Lock* k) noexcept nogil
    cdef bint owner_runs(self, Lock* k) noexcept nogil
    cdef void sleep(self, int32_t a) noexcept nogil
    cdef void come_again(self, int32_t a, Lock* k) noexcept nogil
    cdef void leave_line(self, int32_t a, Lock* k) noexcept nogil
    cdef int32_t who_spins(self, Lock* k) noexcept nogil
    cdef bint wake(self, Lock* k, int32_t lock, int32_t from_whom) noexcept nogil
    cdef void release(self, int32_t a, Lock* k, uint32_t mode, int32_t lock) noexcept nogil
    cdef void got(self, int32_t a, Lock* k, int32_t lock, int32_t from_whom) noexcept nogil
