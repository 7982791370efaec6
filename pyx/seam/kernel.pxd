"""Engine: one machine, one scheme, one file side; and the status codes of everything that can fail.

Every engine function is `noexcept nogil` and returns a status: 0, an errno, or one of E_SEGV.. below. What went wrong
stands in the Engine (address, full_pool); the Python layer turns it into an exception. A failure leaves the machine
consistent, and unchanged where the rules promise it.
"""
from libc.stdint cimport uint32_t, uint64_t

from rmapcore.pyx.base.guard cimport Hold
from rmapcore.pyx.base.ids cimport mm_id, slot_t
from rmapcore.pyx.base.pool cimport pool_room
from rmapcore.pyx.base.state cimport State
from rmapcore.pyx.machine.core cimport Core
from rmapcore.pyx.seam.scheme cimport Scheme

cdef enum:
    E_OK = 0
    E_SEGV = 1001             # no area, or not allowed
    E_BUS = 1002              # beyond the end of the file
    E_OOM = 1003              # no frame, and reclaim freed none
    E_FULL = 1004             # an arena is full: full_pool

cdef struct Scan:             # a reclaim in progress (rules K2-K8); results do not depend on where it pauses
    int priority
    int stage                 # 0: a pass begins, 1: active list, 2: inactive list
    bint direct               # target counts per pass, one round
    bint reclaim_mapped
    int idle                  # rounds in a row that freed nothing
    uint64_t active_left
    uint64_t inactive_left
    uint64_t mapped_left      # mapped frames that this run may yet meet before it ends with a sweep (rule K9)
    uint64_t target
    uint64_t freed            # since the start
    uint64_t pass_freed
    uint64_t round_freed
    uint64_t round_swept      # frames that sweeps made freeable

cdef enum:
    LEAVES = 64               # mms whose leaf table is remembered: a power of 2

cdef struct Leaf:
    mm_id mm                  # 0: none
    slot_t base               # slot of its first entry
    uint64_t number           # vpn >> bits of its entries

cdef class Engine:
    cdef readonly Core core
    cdef State* s
    cdef readonly Scheme anon          # answers for PG_ANON frames
    cdef readonly Scheme side          # answers for page-cache frames
    cdef readonly Hold alone           # context managers, in which to use the machine (guard.pxd)
    cdef readonly Hold operation
    cdef readonly Hold kernel
    cdef uint64_t address              # of the access that failed, bytes
    cdef int full_pool
    cdef uint64_t result               # of the last call: address or break
    cdef Scan scan
    cdef Leaf[LEAVES] leaf             # by mm: the leaf table that a walk looked into last (rmap.pxd)
    cdef public bint one_by_one        # walks begin one at a time, as groups must not show: for comparing

cdef int full(Engine e, int pool) noexcept nogil


cdef inline int entry_room(Engine e, uint64_t n) noexcept nogil:
    """Can n entries be added, for schemes that may need a record for each? E_OK or E_FULL."""
    if e.anon.entry_pool and not pool_room(e.s, e.anon.entry_pool, n):
        return full(e, e.anon.entry_pool)
    if e.side.entry_pool and not pool_room(e.s, e.side.entry_pool, n):
        return full(e, e.side.entry_pool)
    return E_OK
