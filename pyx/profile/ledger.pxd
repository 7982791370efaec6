"""THE LEDGER: work by area, process and call. No Python while work is done.

Whose work it is. Operations run one at a time, so work belongs to whatever was said last to be under way: an operation of a
process (`turn`), and in it an area (`at`; the hooks of the seam name it). When that changes, what the counters have grown by
goes to the row of who was there before. A walk is its page's: what it counts goes to the area where the page was found
first, or was looked for last. Objects of the scheme, and their bytes, are theirs who hold them: what fork makes for a child is
the child's. Each count goes to one row and to one share, so both sum to the counters.

   operation ── process ── area      rows: by area while it lives, by mm for what has no area, and those that are gone, by
   counters grow ─────────> row            process, start, file, name and kind
         │        walk ───> row of the area where its page was found
         └────────────────> share: by process and call, the process that of the row
"""
from cython cimport final
from libc.stdint cimport uint32_t, uint64_t

from rmapcore.pyx.base.counters cimport N_COUNTERS
from rmapcore.pyx.base.ids cimport POOLS, mm_id, vma_id, vpn_t
from rmapcore.pyx.base.records cimport P_SCHEME
from rmapcore.pyx.base.state cimport State
from rmapcore.pyx.seam.account cimport Account

cdef enum:
    WORK_BYTES = N_COUNTERS                    # kernel bytes of reverse-map structures: what came less what went
    WORK_OBJECTS = N_COUNTERS + 1              # objects by the pools of schemes: what came less what went
    WORK = WORK_OBJECTS + POOLS - P_SCHEME     # numbers of a row
    OPS = 32                                   # rows by call; 0: no operation was under way
    MOST_GONE = 1 << 18                        # rows of areas and processes that are gone
    MOST_SHARES = 1 << 18
    PLACES = 1 << 19                           # of each kind; a power of 2

cdef enum:                                     # whom a row is about
    ROW_NOBODY = 0                             # no operation was under way
    ROW_KERNEL = 1                             # an operation of no process
    ROW_PROCESS = 2                            # what has no area
    ROW_MAPPING = 3
    ROW_HEAP = 4
    ROW_STACK = 5

cdef struct Row:
    uint64_t[WORK] work
    uint64_t start                             # bytes
    uint64_t end
    uint32_t pid
    uint32_t generation                        # forks since the last exec
    uint32_t file
    uint32_t name                              # number of the area's name
    uint32_t kind                              # ROW_
    uint32_t areas                             # areas that are in it
    uint32_t share                             # of a living process: its share of share_op; 0: not yet known
    uint32_t share_op

cdef struct Share:
    uint64_t[WORK] work
    uint32_t pid                               # 0: of no process
    uint32_t op                                # what was under way; 0: nothing

cdef class Ledger(Account):
    cdef State* s
    cdef int n_pools                           # of the scheme and the file side
    cdef uint32_t op                           # what is under way
    cdef mm_id mm
    cdef vma_id vma
    cdef uint64_t[WORK] paid                   # counters, as far as they have gone to rows and shares
    cdef uint64_t[OPS] calls                   # operations of each call
    cdef uint64_t begun                        # operations of all calls
    cdef Row nobody
    cdef Row kernel
    cdef Row* areas                            # by number
    cdef Row* mms
    cdef Row* gone
    cdef uint32_t n_gone
    cdef object room                           # where rows and shares lie, of all that there can be: zeros until written
    cdef uint32_t* gone_place                  # hash of the key -> number in gone, from 1
    cdef Share* shares                         # those of no process by op, then the others
    cdef uint32_t n_shares
    cdef uint32_t shared, shared_op            # the share asked for last, and of what; OPS: none
    cdef mm_id shared_mm
    cdef uint32_t* share_place                 # hash of pid and op -> number in shares
    cdef object core                           # whose arenas s leads to
    cdef bint waiting                          # walks have been added up that are not yet in their rows (walked.pxd)
    cdef uint64_t changes                      # of areas, at least: while there is none, descriptions of them hold

    cdef void settle(self) noexcept nogil

    @final
    cdef void goes_to(self, vma_id v) noexcept nogil

    @final
    cdef void pay(self) noexcept nogil
    cdef void retire_area(self, vma_id v) noexcept nogil
    cdef void retire_mm(self, mm_id mm) noexcept nogil
    cdef void join_areas(self, vma_id v, vma_id gone) noexcept nogil
    cdef void be_child(self, mm_id child, mm_id parent) noexcept nogil
    cdef void hold(self, vma_id v, mm_id mm) noexcept nogil
    cdef void count(self, uint64_t* into) noexcept nogil

    @final
    cdef Row* area_row(self, vma_id v) noexcept nogil

    @final
    cdef Row* mm_row(self, mm_id mm) noexcept nogil

    @final
    cdef Row* here(self) noexcept nogil

    @final
    cdef uint64_t* share(self, mm_id mm) noexcept nogil
    cdef void find_share(self, mm_id mm) noexcept nogil
    cdef uint32_t share_number(self, uint32_t pid) noexcept nogil

    @final
    cdef bint objects_moved(self) noexcept nogil

    @final
    cdef void charge_objects(self, uint64_t* row, uint64_t* share) noexcept nogil
    cdef void describe_area(self, vma_id v, Row* row) noexcept nogil
    cdef void describe_mm(self, mm_id mm, Row* row) noexcept nogil

    @final
    cdef bint worked(self, Row* row) noexcept nogil
    cdef void retire(self, Row* row) noexcept nogil
    cdef void describe(self, Row* row, list found)

    @final
    cdef vma_id area_there(self, mm_id mm, vpn_t vpn) noexcept nogil


cdef inline void work_at(Ledger ledger, vma_id v) noexcept nogil:
    """What comes is work in this area."""
    ledger.changes += 1
    if v != ledger.vma:
        ledger.goes_to(v)
