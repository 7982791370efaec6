"""WALKS IN THE LEDGER: the measures of every walk as histograms, the longest ones, and the passes of reclaim.

   walk begins ── counters as they stand        walk ends ── what they have grown by ──> as the walk before, of the same area?
   leads of a group that hit ── what one walk of them counts, how many ─────────────────^   one more of these
                                                                                        else: histograms, its row's work

Most walks are like the one before, so they are added up (Alike) and come to their row and the histograms together: when
another kind of walk comes, and before anybody reads a row or moves one (settle).
"""
from cython cimport final
from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memcpy

from rmapcore.pyx.base.counters cimport C_LOCK_I_MMAP_HELD, C_LOCK_PAGE_TABLE, C_MMS_TRIED, C_RMAP_REMOVES
from rmapcore.pyx.base.ids cimport mm_id, pfn_t, vma_id, vpn_t
from rmapcore.pyx.profile.ledger cimport Ledger
from rmapcore.pyx.seam.scheme cimport Walk

cdef enum:
    SIDES = 2                                  # the scheme, the file side
    PURPOSES = 3                               # WALK_QUERY, WALK_REFERENCED, WALK_UNMAP
    WALKS = SIDES * PURPOSES                   # kinds of walk

cdef enum:
    EXACT = 4096                               # histograms: values below have a bucket each,
    FINE = 128                                 # those above so many to a doubling: within 0.8 %
    BUCKETS = EXACT + 52 * FINE
    LONGEST = 10                               # of each kind
    MOST_LONG = 4096                           # walks that the timeline shows,
    SHORT = 1                                  # but for those that have tried so many entries at the most
    MOST_SCENES = MOST_LONG + WALKS + 1        # each is that of a long walk, or of the last one of its kind, or number 0
    NEVER = -1
    MOST_PASSES = 1 << 14                      # passes of reclaim that it shows one by one; then two at a time, four, ...

cdef enum:                                     # Measure: what a walk is measured by
    M_PTES_TRIED
    M_PTES_FOUND
    M_MMS_TRIED
    M_VMAS_TRIED
    M_NODES_VISITED
    M_HELD                                     # steps under a lock of the scheme's or the file side's
    MEASURES

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

cdef struct Scene:                             # what the long walks of one kind have in common while nothing else comes
    LongWalk walk                              # all but its page
    uint64_t when                              # changes of areas and operations till then; NEVER: there is something else now
    mm_id mm                                   # as in Open
    vma_id vma
    uint32_t walks                             # that the timeline shows
    uint32_t next                              # of one that is free: the next free one

cdef struct Ranked:
    uint64_t tried
    uint64_t number                            # how many were taken before it
    vpn_t vpn
    pfn_t pfn
    uint32_t scene

cdef enum:                                     # counters that a walk moves: two runs of them
    LOOKED = C_MMS_TRIED
    N_LOOKED = C_RMAP_REMOVES + 1 - C_MMS_TRIED
    LOCKED = C_LOCK_PAGE_TABLE
    N_LOCKED = C_LOCK_I_MMAP_HELD + 1 - C_LOCK_PAGE_TABLE

    N_MOVED = 1 + N_LOOKED + N_LOCKED          # and the count of walks itself

cdef struct Moved:
    uint64_t[N_LOOKED] looked
    uint64_t[N_LOCKED] locked

cdef struct Open:                              # the walk under way
    Moved before                               # counters when it began
    bint given                                 # a candidate, at least
    mm_id mm                                   # where the page was found first; till then the candidate before the last; or 0
    vma_id vma
    vpn_t vpn

cdef struct Alike:                             # walks of one kind that came one after the other
    uint64_t n                                 # that are not yet in the row of their area, and in the share of its process,
    uint64_t seen                              # nor in the histograms
    mm_id mm                                   # as in Open
    vma_id vma
    uint32_t kind
    uint32_t scene                             # that of the last one which was long; 0: there was none
    uint64_t enough                            # entries that one must have tried to be one of the longest
    uint32_t lead                              # 0: they were walks one by one, else what their leads said (lead_shape)
    uint32_t n_moved
    Moved moved                                # what each of them counted,
    uint32_t[N_MOVED] counter                  # and of that what is not 0
    uint64_t[N_MOVED] each
    uint64_t[MEASURES] measure

cdef class Walked(Ledger):
    cdef uint64_t* histogram                   # WALKS of MEASURES of BUCKETS
    cdef uint64_t[WALKS * MEASURES] most            # exact
    cdef LongWalk[WALKS * LONGEST] longest          # in no order
    cdef uint32_t[WALKS] n_longest
    cdef Ranked* long_rank                     # of all walks those that tried most, the earlier ones first, MOST_LONG of them:
    #                                            a heap, the shortest of them, and of these the latest, is the first
    cdef Scene* scenes                         # MOST_SCENES of them
    cdef uint32_t free_scene                   # 0: none is free, but those that were never taken
    cdef uint32_t n_scenes
    cdef uint32_t n_long
    cdef uint64_t long_from                    # a walk must have tried more entries
    cdef uint64_t n_ranked
    cdef Pass* passes
    cdef uint32_t n_passes, passes_room
    cdef Pass under_way                        # counters when it began
    cdef Open open
    cdef Alike[WALKS] alike
    cdef object histograms                     # the array

    @final
    cdef void walk_ends(self, Walk* w, Alike* a, bint placed) noexcept nogil
    cdef void walk_differs(self, Alike* a) noexcept nogil
    cdef void take_shape(self, Alike* a, const Moved* moved, uint32_t lead) noexcept nogil
    cdef void settle_rows(self, Alike* a) noexcept nogil
    cdef void settle_histograms(self, Alike* a) noexcept nogil
    cdef void settle_all(self) noexcept nogil
    cdef void rank(self, pfn_t pfn, Alike* a) noexcept nogil
    cdef void rank_long(self, pfn_t pfn, Alike* a) noexcept nogil
    cdef void order_long(self) noexcept nogil
    cdef void sink(self, const Ranked* mine, uint32_t i) noexcept nogil
    cdef uint32_t new_scene(self, Alike* a) noexcept nogil
    cdef void leave_scene(self, uint32_t scene) noexcept nogil
    cdef void describe_walk(self, LongWalk* walk, const Alike* a) noexcept nogil


cdef inline void walk_begins(Walked ledger) noexcept nogil:
    cdef Open* o = &ledger.open
    o.given = False
    o.mm = 0
    o.vma = 0
    memcpy(o.before.looked, ledger.s.count + LOOKED, sizeof(o.before.looked))
    memcpy(o.before.locked, ledger.s.count + LOCKED, sizeof(o.before.locked))
