"""What the schemes with anon_vma_chains share (chains.pyx): the records, and the steps on chains that they call."""
from libc.stdint cimport uint32_t, uint64_t

from rmapcore.pyx.base.ids cimport pfn_t, vma_id
from rmapcore.pyx.seam.scheme cimport Scheme

cdef struct AvcRecord:        # 16 bytes: joins one area to one anon_vma
    uint32_t vma
    uint32_t anon_vma         # 0 in a free record
    uint32_t older            # on the area's chain, towards the root; in a free record the next free one
    uint32_t newer

cdef enum:
    AVC_LINK = 8              # offsets of the free links, asserted in chains.pyx
    CHAINED_LINK = 4

cdef struct ChainedRecord:    # 24 bytes: an anon_vma
    uint32_t first            # its avcs: the head of a list, or the root of a tree; 0 in a free record
    uint32_t last             # the tail of a list; in a free record the next free one
    uint32_t root             # the anon_vma that its tree began with, maybe itself; 0 in a free record
    uint32_t parent           # that of the area from which the area was forked that it was made for; a root's is itself
    uint32_t children         # anon_vmas whose parent it is; a root counts itself
    uint32_t users            # areas whose word it is

cdef struct Chain:            # by area
    uint32_t newest           # avc of the area's own anon_vma, as a rule; 0: none
    uint32_t oldest           # of the root, unless copies of chains turn round

cdef class AvChains(Scheme):
    cdef AvcRecord* avc
    cdef ChainedRecord* anon_vma
    cdef Chain* chain         # by area
    cdef int avcs             # pools
    cdef int anon_vmas
    cdef int word             # bytes of a kernel pointer
    cdef bint locked          # an adjust holds the lock between area_before and area_after
    cdef bint lock_each       # a lock in each anon_vma, taken for each avc; else one in the root, for a whole chain
    cdef bint repoint         # a frame that comes back from the swap cache forgets what it named before
    cdef bint newest_first    # a copy of a chain is made from its newest avc on, and is the other way round
    cdef bint alike           # areas of one anon_vma have the same chains

    # of the schemes: how an anon_vma keeps its avcs
    cdef void enter(self, uint32_t c, bint founder) noexcept nogil     # by prepare, or by a copy of another's chain
    cdef void leave(self, uint32_t c) noexcept nogil
    cdef bint reusable(self, uint32_t o, vma_id parent) noexcept nogil  # may a child of this area take it?

    cdef void link(self, vma_id v, uint32_t o, bint founder) noexcept nogil
    cdef void clone(self, vma_id v, vma_id source, bint forked) noexcept nogil
    cdef void unlink(self, vma_id v) noexcept nogil
    cdef uint32_t create(self, uint32_t parent) noexcept nogil
    cdef uint64_t depth(self, vma_id v) noexcept nogil
    cdef bint singular(self, vma_id v) noexcept nogil
    cdef uint32_t neighbours(self, vma_id v) noexcept nogil
    # checks
    cdef uint32_t named(self, vma_id v) noexcept nogil                  # the anon_vma that its word is; 0: none
    cdef set words(self, vma_id v, list names)                         # what its pages may name; names: anon_vmas of its chain
    cdef set all_words(self, set live)                                 # what any page may name; live: all anon_vmas
    cdef list survey(self, uint32_t o, list faults)
    cdef dict check_kept(self, set avcs, set live, list faults)
    cdef list check_chain(self, vma_id v, set avcs, set chained, list faults)
    cdef int check_counts(self, set avcs, set live, dict kept, set chained, dict users, list faults) except -1
