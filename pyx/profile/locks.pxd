"""THE LOG OF LOCKS: which lock each operation and each walk takes, on which object, and what is counted while it is held.

A scheme counts its acquisitions (C_LOCK_...), and says whose lock guards an area, a frame or an address space (lock_of_... in
seam/scheme.pxd). So who stands around a hook or a walk (logged.pyx) knows both: how often a counter moved, and for which
object. What moved elsewhere (bits of pages, say) is found when the operation ends, and stands without an object. Every
acquisition that the counters count is in one event.

   operation   |--------------------------------------------------------|      clock: what was counted, each at its cost
   hook             |--|  |--|     event: lock, object, at, hold, steps
   walk                            |----------|

Which mode that is under which kernel, and which locks the operation itself takes around it all, is said in Python
(rmapcore/core/lockrules.py), from docs/locks.md.
"""
from libc.stdint cimport uint32_t, uint64_t

from rmapcore.pyx.base.counters cimport N_COUNTERS
from rmapcore.pyx.base.ids cimport mm_id, pfn_t, vma_id, vpn_t
from rmapcore.pyx.base.state cimport State
from rmapcore.pyx.seam.account cimport Account
from rmapcore.pyx.seam.scheme cimport Walk

cdef enum:
    MOST_EVENTS = 1 << 25
    MOST_POOLS = 8
    OPENED = 8                # changes of bounds that may be under way
    MARKS = 4                 # marks of areas remembered, so that most are taken once an operation

cdef enum:                     # which lock: in the order of the counters, from C_LOCK_PAGE_TABLE on; then what has no counter
    LOG_PAGE_TABLE
    LOG_CHAIN
    LOG_FAMILY
    LOG_OBJECT
    LOG_I_MMAP
    LOG_COUNTED               # so many have one
    LOG_AREA = 5              # the mark of an area that is to change
    LOG_FRAME                 # of the page that is walked,
    LOG_TABLE                 # of a page table that is copied or emptied,
    LOG_FILE                  # i_mmap of a file whose pages leave all page tables

cdef enum:                    # why a lock was taken
    WHY_QUERY                 # as Purpose
    WHY_REFERENCED
    WHY_UNMAP
    WHY_SWEEP
    WHY_CLUSTERS
    WHY_HOOK                  # a step on structures
    WHY_REST                  # what the operation took beside

cdef struct LockEvent:        # 48 bytes
    uint64_t at               # ns after the operation began, by its own clock
    uint64_t hold             # ns
    uint64_t object           # 0: none, or many; else its number, and above bit 32 how often that had been used before
    uint32_t operation        # row of LoggedOperation
    uint32_t count            # acquisitions
    uint32_t steps            # counted meanwhile
    uint32_t lock             # LogLock
    uint32_t why              # LogWhy
    uint32_t reserved

cdef struct LoggedOperation:  # 64 bytes
    uint64_t ns
    uint64_t index            # Head.op_index when it began
    uint64_t first            # its first event
    uint64_t page             # vpn, or NO_PAGE
    uint64_t steps
    uint32_t pid
    uint32_t op
    uint32_t area             # of that page, 0 none
    uint32_t faults           # in it
    uint32_t child            # pid of a fork's
    uint32_t reserved

cdef class LockLog(Account):
    cdef State* s
    cdef Account inner
    cdef object keep
    cdef uint64_t[N_COUNTERS] cost             # ns of one count
    cdef uint64_t[N_COUNTERS] step             # 1: a count is a step
    cdef uint64_t operation_cost
    cdef uint64_t[N_COUNTERS] last             # counts that the clock knows of
    cdef uint64_t clock, steps                 # of the operation under way
    cdef int[MOST_POOLS] pool                  # areas, and the objects of scheme and file side
    cdef uint64_t[MOST_POOLS] live
    cdef uint64_t[MOST_POOLS] pool_cost        # ns of one that comes or goes
    cdef int n_pools
    cdef bint owns                             # the second is that of the scheme's objects with a lock
    cdef bint busy                             # an operation is under way
    cdef bint announced                        # it did not say that it begins
    cdef uint64_t[LOG_COUNTED] logged          # acquisitions that events of this operation have
    cdef uint64_t[LOG_COUNTED] began           # and the counters when it began
    cdef uint64_t[LOG_COUNTED] mark            # before the hook,
    cdef uint64_t entered, entered_steps       # with the clock
    cdef uint64_t[LOG_COUNTED] walk_mark
    cdef uint64_t walk_at, walk_steps, walk_event, walk_frame
    cdef bint walking
    cdef uint64_t* candidates                  # of the walk under way: whose page tables it looks into
    cdef uint64_t n_candidates, candidate_room
    cdef uint64_t table_of                     # pages of a page table's lock; 0: the address space has one
    cdef mm_id parent                          # of the fork under way
    cdef uint64_t emptied                      # event of the table that is being emptied, number from 1
    cdef uint64_t cut                          # and of the file that is being cut
    cdef uint64_t[2 * OPENED] opened           # events of bounds that are under way, number from 1; of the scheme, of the side
    cdef int[2] depth
    cdef uint64_t[2] closed                    # of the last one that was let go of
    cdef uint32_t[MARKS] marked
    cdef int next_mark
    cdef uint32_t* births                      # by number of an object: how often it was made
    cdef uint64_t n_births
    cdef uint64_t faulted                      # faults when the operation began
    cdef LoggedOperation* operations
    cdef uint64_t n_operations, operation_room
    cdef LockEvent* events
    cdef uint64_t n_events, event_room
    cdef readonly uint64_t lost                # events without room

    cdef void advance(self) noexcept nogil
    cdef uint64_t fault_count(self) noexcept nogil
    cdef void resume(self) noexcept nogil
    cdef bint goes_on(self, mm_id mm, uint32_t op, vpn_t vpn) noexcept nogil
    cdef void close_up(self) noexcept nogil
    cdef uint64_t add(self, uint32_t lock, uint32_t why, uint64_t o, uint64_t count, uint64_t at, uint64_t hold,
                      uint64_t steps) noexcept nogil
    cdef void enter(self) noexcept nogil
    cdef void leave(self, uint32_t before, uint32_t o) noexcept nogil
    cdef uint64_t named(self, uint32_t o) noexcept nogil
    cdef bint grew(self) noexcept nogil
    cdef void born(self, uint32_t o) noexcept nogil
    cdef void bounds_open(self, uint32_t o, bint side) noexcept nogil
    cdef void bounds_close(self, bint side) noexcept nogil
    cdef void mark_area(self, vma_id v) noexcept nogil
    cdef void forked(self, mm_id child) noexcept nogil
    cdef void walk_begins(self, Walk* w) noexcept nogil
    cdef void walk_began(self, Walk* w, uint32_t o) noexcept nogil
    cdef void let_go(self, uint64_t number, uint64_t clock, uint64_t steps) noexcept nogil
    cdef void walk_ends(self, Walk* w) noexcept nogil
    cdef uint64_t table_at(self, mm_id mm, vpn_t vpn) noexcept nogil
    cdef void tables_copied(self, mm_id child, mm_id parent, vpn_t vpn, uint32_t n) noexcept nogil
    cdef void table_empties(self, mm_id mm, vpn_t vpn, uint32_t n) noexcept nogil
    cdef void close_table(self) noexcept nogil
    cdef void candidate(self, mm_id mm, vpn_t vpn) noexcept nogil
