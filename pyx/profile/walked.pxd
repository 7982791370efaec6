"""WALKS IN THE LEDGER: the measures of every walk as histograms, the longest ones, and the passes of reclaim.

   walk begins ── counters as they stand        walk ends ── what they have grown by: histograms, the longest, its row's work
"""
from libc.stdint cimport uint32_t, uint64_t

from rmapcore.pyx.base.counters cimport C_LOCK_I_MMAP_HELD, C_LOCK_PAGE_TABLE, C_MMS_TRIED, C_RMAP_REMOVES
from rmapcore.pyx.base.ids cimport mm_id, vma_id, vpn_t
from rmapcore.pyx.profile.ledger cimport Ledger
from rmapcore.pyx.seam.scheme cimport Walk

cdef enum:
    EXACT = 4096                               # histograms: values below have a bucket each,
    FINE = 128                                 # those above so many to a doubling: within 0.8 %
    BUCKETS = EXACT + 52 * FINE
    LONGEST = 10                               # of each kind
    MOST_LONG = 4096                           # walks that the timeline shows
    MOST_PASSES = 1 << 14                      # passes of reclaim that it shows one by one; then two at a time, four, ...

cdef enum:                                     # Measure: what a walk is measured by
    M_PTES_TRIED
    M_PTES_FOUND
    M_MMS_TRIED
    M_VMAS_TRIED
    M_NODES_VISITED
    M_HELD                                     # steps under a lock of the scheme's or the file side's
    MEASURES

cdef enum:
    SIDES = 2                                  # the scheme, the file side
    PURPOSES = 3                               # WALK_QUERY, WALK_REFERENCED, WALK_UNMAP
    WALKS = SIDES * PURPOSES                   # kinds of walk

cdef struct Pass:                              # of reclaim, or several neighbours as one
    uint64_t first_op
    uint64_t last_op
    uint64_t begun                             # operations, when the first of them was
    uint64_t last_begun
    uint64_t passes
    uint64_t scanned
    uint64_t freed
    uint64_t walks
    uint64_t tried                             # entries, in these walks
    uint32_t pid                               # who waited for the first of them; 0: nobody, it was asked for
    uint32_t priority                          # of the first

cdef struct LongWalk:
    uint64_t[MEASURES] measure
    uint64_t op_index
    uint64_t begun                             # operations
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

cdef struct Ranked:
    uint64_t tried
    uint64_t number                            # how many were taken before it
    uint32_t place                             # in the array of walks
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

cdef class Walked(Ledger):
    cdef uint64_t* histogram                   # WALKS of MEASURES of BUCKETS
    cdef uint64_t[WALKS * MEASURES] most            # exact
    cdef LongWalk[WALKS * LONGEST] longest          # in no order
    cdef uint32_t[WALKS] n_longest
    cdef LongWalk* long_walk                   # MOST_LONG of them: of all walks those that tried most, the earlier ones first
    cdef Ranked* long_rank                     # a heap: the shortest of them, and of these the latest, is the first
    cdef uint32_t n_long
    cdef uint64_t long_from                    # a walk must have tried more entries
    cdef uint64_t n_ranked
    cdef Pass* passes
    cdef uint32_t n_passes, passes_room
    cdef Pass under_way                        # counters when it began
    cdef Open open
    cdef object histograms                     # the array

    cdef void walk_begins(self) noexcept nogil
    cdef void walk_ends(self, Walk* w, int side) noexcept nogil
    cdef void rank(self, Walk* w, uint32_t kind, int side, const uint64_t* measure) noexcept nogil
    cdef void rank_long(self, Walk* w, int side, const uint64_t* measure) noexcept nogil
    cdef void describe_walk(self, LongWalk* walk, Walk* w, int side, const uint64_t* measure) noexcept nogil
