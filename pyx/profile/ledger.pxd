"""THE LEDGER: work by area, process and call, and every walk's measures as histograms. No Python while work is done.

Whose work it is. Operations run one at a time, so work belongs to whatever was said last to be under way: an operation of a
process (`turn`), and in it an area (`at`; the hooks of the seam name it). When that changes, what the counters have grown by
goes to the row of who was there before. A walk is its page's: what it counts goes to the area where the page was found
first, or was looked for last. Each count goes to one row, so rows sum to the
counters.

   operation ── process ── area      rows: by area while it lives, by mm for what has no area, and those that are gone, by
   counters grow ─────────> row            process, start, file, name and kind
                  walk ───> row of the area where its page was found
"""
from libc.stdint cimport uint32_t, uint64_t

from rmapcore.pyx.base.counters cimport C_LOCK_I_MMAP_HELD, C_LOCK_PAGE_TABLE, C_MMS_TRIED, C_RMAP_REMOVES, N_COUNTERS
from rmapcore.pyx.base.ids cimport mm_id, vma_id, vpn_t
from rmapcore.pyx.base.state cimport State
from rmapcore.pyx.seam.account cimport Account
from rmapcore.pyx.seam.scheme cimport Walk

cdef enum:
    WORK_BYTES = N_COUNTERS                    # kernel bytes of reverse-map structures: what came less what went
    WORK = N_COUNTERS + 1                      # numbers of a row
    OPS = 32                                   # rows by call; 0: no operation was under way
    EXACT = 4096                               # histograms: values below have a bucket each,
    FINE = 128                                 # those above so many to a doubling: within 0.8 %
    BUCKETS = EXACT + 52 * FINE
    LONGEST = 10
    MOST_GONE = 1 << 18                        # rows of areas and processes that are gone
    GONE_PLACES = 1 << 19                      # a power of 2

cdef enum:                                     # Measure: what a walk is measured by
    M_PTES_TRIED
    M_PTES_FOUND
    M_MMS_TRIED
    M_VMAS_TRIED
    M_NODES_VISITED
    M_HELD                                     # steps under a lock of the scheme's or the file side's
    MEASURES

cdef enum:                                     # whom a row is about
    ROW_NOBODY = 0                             # no operation was under way
    ROW_KERNEL = 1                             # an operation of no process
    ROW_PROCESS = 2                            # what has no area
    ROW_MAPPING = 3
    ROW_HEAP = 4
    ROW_STACK = 5

cdef enum:
    SIDES = 2                                  # the scheme, the file side
    PURPOSES = 3                               # WALK_QUERY, WALK_REFERENCED, WALK_UNMAP
    WALKS = SIDES * PURPOSES                   # kinds of walk

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

cdef struct LongWalk:
    uint64_t[MEASURES] measure
    uint64_t op_index
    uint64_t address                           # where the page was found first, or was looked for
    uint64_t start                             # bytes, of that area
    uint64_t end
    uint32_t pid
    uint32_t pfn
    uint32_t file
    uint32_t name
    uint32_t kind
    uint32_t side
    uint32_t purpose
    uint32_t pad

cdef enum:                                     # counters that a walk moves: two runs of them
    LOOKED = C_MMS_TRIED
    N_LOOKED = C_RMAP_REMOVES + 1 - C_MMS_TRIED
    LOCKED = C_LOCK_PAGE_TABLE
    N_LOCKED = C_LOCK_I_MMAP_HELD + 1 - C_LOCK_PAGE_TABLE

cdef struct Open:                              # the walk under way
    uint64_t[N_LOOKED] looked                  # counters when it began
    uint64_t[N_LOCKED] locked
    bint given                                 # a candidate, at least
    bint placed                                # the page was found:
    mm_id mm                                   # there first; until then the candidate before the last. 0: none
    vma_id vma
    vpn_t vpn

cdef class Ledger(Account):
    cdef State* s
    cdef uint32_t op                           # what is under way
    cdef mm_id mm
    cdef vma_id vma
    cdef uint64_t[WORK] paid                   # counters, as far as they have gone to rows
    cdef uint64_t[WORK] paid_calls             # and to calls
    cdef uint64_t[OPS * WORK] call
    cdef uint64_t[OPS] calls                   # operations of each
    cdef Row nobody
    cdef Row kernel
    cdef Row* areas                            # by number
    cdef Row* mms
    cdef uint64_t n_areas, n_mms
    cdef Row* gone
    cdef uint32_t n_gone, gone_room
    cdef uint32_t* gone_place                  # hash of the key -> number in gone, from 1
    cdef uint64_t* histogram                   # WALKS of MEASURES of BUCKETS
    cdef uint64_t[WALKS * MEASURES] most            # exact
    cdef LongWalk[WALKS * LONGEST] longest          # in no order
    cdef uint32_t[WALKS] n_longest
    cdef Open open
    cdef object keep

    cdef void at(self, vma_id v) noexcept nogil
    cdef void pay(self) noexcept nogil
    cdef void retire_area(self, vma_id v) noexcept nogil
    cdef void retire_mm(self, mm_id mm) noexcept nogil
    cdef void join_areas(self, vma_id v, vma_id gone) noexcept nogil
    cdef void be_child(self, mm_id child, mm_id parent) noexcept nogil
    cdef void walk_begins(self) noexcept nogil
    cdef void walk_ends(self, Walk* w, int side) noexcept nogil
    cdef void count(self, uint64_t* into) noexcept nogil
    cdef Row* area_row(self, vma_id v) noexcept nogil
    cdef Row* mm_row(self, mm_id mm) noexcept nogil
    cdef Row* here(self) noexcept nogil
    cdef void charge(self, uint64_t* row, uint64_t* paid) noexcept nogil
    cdef void pay_call(self) noexcept nogil
    cdef void describe_area(self, vma_id v, Row* row) noexcept nogil
    cdef void describe_mm(self, mm_id mm, Row* row) noexcept nogil
    cdef bint worked(self, Row* row) noexcept nogil
    cdef void retire(self, Row* row) noexcept nogil
    cdef void rank(self, Walk* w, uint32_t kind, int side, const uint64_t* measure) noexcept nogil
    cdef void describe(self, Row* row, list found)
    cdef vma_id area_there(self, mm_id mm, vpn_t vpn) noexcept nogil
