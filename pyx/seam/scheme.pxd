"""THE SEAM. A scheme says where a page may be mapped, and hears what it needs for that; nothing else.

The engine changes the machine and tells the scheme; the scheme answers walks with candidates, one at a time and in its own
order; the engine looks each up in the page table, acts, and reports back. Every hook defaults to nothing. The file side
(filemap/) is a Scheme too: it hears the same moments, answers for page-cache frames, and keeps its word in File.rmap.
Schemes answer for frames that have PG_ANON. In ranges of entries each side looks after its own frames only.

A scheme may read all of State; it writes only: its own arenas, frame.rmap and frame.index of its frames, area.rmap, mm.rmap,
and counters. It never allocates frames and cannot fail: where its arenas may be too small for a step, the engine asks first
(room, entry_pool), and the step fails before it changed anything.

Public: schemes outside may use it (docs/schemes-of-your-own.md).
"""
from libc.stdint cimport uint32_t, uint64_t

from rmapcore.pyx.base.ids cimport mm_id, pfn_t, slot_t, vma_id, vpn_t
from rmapcore.pyx.base.state cimport State
from rmapcore.pyx.machine.core cimport Core

cdef enum Purpose:
    WALK_QUERY = 0            # changes nothing but counters
    WALK_REFERENCED = 1       # page_referenced: may migrate (anonmm) or collapse (pte_chain) at its end
    WALK_UNMAP = 2            # try_to_unmap: hits may leave the scheme's structures
    WALK_SWEEP = 3            # schemes that sweep: candidates are entries in the scheme's order, pfn is 0
    WALK_CLUSTERS = 4         # file sides with clusters, when WALK_UNMAP left mappings: candidates are clusters

cdef enum:
    CLUSTER_PAGES = 32        # a cluster: vpn and what follows it in its area, up to a multiple of this [2.6.7 mm/rmap.c]

cdef enum Outcome:            # what became of a candidate that was looked up
    HIT_NONE = 0              # the entry does not map the frame
    HIT_SEEN = 1              # it does, and stays
    HIT_UNMAPPED = 2          # it did; the entry is gone
    HIT_FAIL = 3              # it does, and must stay (locked, young): the walk ends

cdef struct Walk:             # the caller's cursor, 64 bytes; many can be open at once
    pfn_t pfn                 # whom the walk is for
    uint32_t purpose          # Purpose
    mm_id mm                  # the candidate: address space,
    vma_id vma                #   area, or 0 where the scheme knows none,
    vpn_t vpn                 #   page,
    slot_t slot               #   entry, or 0: the engine looks it up
    uint32_t found            # hits so far (engine); WALK_CLUSTERS: entries unmapped so far
    uint32_t stop             # set by a file side that knows the page referenced without looking (rule G7)
    uint32_t a                # the rest belongs to the scheme
    uint32_t b
    uint32_t c
    uint64_t d
    uint64_t e

cdef struct Lead:             # how the walk of one frame would begin; many frames' at once (leads.pyx)
    pfn_t pfn                 # in: whose; 0: nobody's. mm and tried are 0 until the scheme says more
    mm_id mm                  # the first candidate: address space, 0 where none is known,
    vma_id vma                #   area, or 0 where the scheme knows none,
    slot_t slot               #   entry, or 0: the engine looks it up,
    vpn_t vpn                 #   page
    uint32_t tried            # what walk_next would count as looked at to get there; 0: the candidate is good for fetching only
    uint32_t reserved

cdef class Scheme:
    cdef State* s             # set by attach
    cdef readonly Core core   # for arenas
    cdef readonly str name
    cdef readonly dict options
    cdef readonly str era            # kernel whose page and area it was part of: a key of rmapcore.core.memory.ERAS
    cdef object error                # a hook written in Python raised it, where nothing can be raised; raise_kept does
    cdef bint failed                 # there is one, of this scheme or of its inner one
    cdef Scheme outer                # the prototype that this is the inner scheme of
    cdef readonly bint linear        # anonymous areas carry linear page offsets, which must continue in a merge
    cdef readonly bint table_locks   # page_referenced takes page_table_lock for each candidate
    cdef readonly bint exhaustive    # a walk looks at every candidate, also when all mappings have been found
    cdef readonly bint sweeps        # no walk of one page: reclaim uses WALK_SWEEP; of a file side: it needs such a scheme
    cdef readonly bint clusters      # nonlinear areas are swept by WALK_CLUSTERS (rule K6a)
    # the next five spare the engine calls that would do nothing: which hooks a class overrides, found by Scheme.__init__
    cdef readonly bint wants_entries     # pages_mapped, pages_forked, pages_unmapping
    cdef readonly bint wants_last        # page_last
    cdef readonly bint wants_freed       # page_freed
    cdef readonly bint wants_moves       # may_move, page_moved
    cdef readonly bint wants_room        # prepare_room, area_room
    cdef readonly bint keeps_places      # of entries: no may_move, page_moved for a table that moves whole
    cdef readonly int entry_pool         # a pool that may need one more record per entry; 0: none

    # room, asked of the scheme (not of a file side, which has records by area, file and entry only) before anything changes:
    # 0, or the number of its pool that cannot give all the records which the step takes at the most. Nothing is taken yet
    cdef int mm_room(self, mm_id parent) noexcept nogil                        # mm_exec (0); or mm_fork, all area_fork
    cdef int prepare_room(self, vma_id v) noexcept nogil                       # anon_prepare; only while v's word is 0
    cdef int area_room(self, vma_id v, uint32_t n) noexcept nogil              # n splits, clones, imports, growths; 0: any v
    # address spaces
    cdef void mm_exec(self, mm_id mm) noexcept nogil
    cdef void mm_fork(self, mm_id child, mm_id parent) noexcept nogil          # before any area is copied
    cdef void mm_exit(self, mm_id mm) noexcept nogil                           # after its areas have gone
    # areas
    cdef void area_link(self, vma_id v) noexcept nogil                         # a fresh area is in its mm
    cdef void area_unlink(self, vma_id v) noexcept nogil                       # an area leaves for good (entries gone)
    cdef void area_before(self, vma_id v) noexcept nogil                       # its bounds or pgoff are about to change
    cdef void area_after(self, vma_id v) noexcept nogil                        # they have
    cdef void area_split(self, vma_id new, vma_id v) noexcept nogil            # new has v's word and is in the mm
    cdef void area_clone(self, vma_id new, vma_id v) noexcept nogil            # mremap's copy of v is in the mm
    cdef void area_import(self, vma_id v, vma_id giver) noexcept nogil         # v is about to take over pages of giver
    cdef void area_merge(self, vma_id v, vma_id gone) noexcept nogil           # gone is swallowed, already out of the mm
    cdef void area_fork(self, vma_id child, vma_id parent) noexcept nogil      # child is a copy, not in its mm yet
    cdef void area_nonlinear(self, vma_id v) noexcept nogil                    # it has VM_NONLINEAR from now on
    cdef void area_emptied(self, vma_id v) noexcept nogil                      # all its pages moved away; it begins anew
    cdef bint compatible(self, vma_id v, vma_id source) noexcept nogil         # may source's pages (0: fresh) join v?
    cdef bint may_bridge(self, vma_id prev, vma_id next) noexcept nogil        # may pages that fit both make them one?
    cdef void anon_prepare(self, vma_id v) noexcept nogil                      # before an anonymous page enters v
    # pages
    cdef void page_first(self, pfn_t pfn, vma_id v, vpn_t vpn) noexcept nogil  # mapcount went 0 -> 1
    cdef void page_last(self, pfn_t pfn) noexcept nogil                        # mapcount went 1 -> 0
    cdef void page_freed(self, pfn_t pfn) noexcept nogil                       # given back with a word that page_last left
    cdef void page_reused(self, pfn_t pfn, vma_id v, vpn_t vpn) noexcept nogil  # the last sharer writes in place
    cdef void pages_mapped(self, vma_id v, vpn_t vpn, slot_t slot, uint32_t n) noexcept nogil     # entries written
    # page_first and pages_mapped of n pages anywhere in v, whose frames are fresh
    cdef void pages_first(self, vma_id v, const vpn_t* vpn, const slot_t* slot, uint32_t n) noexcept nogil
    cdef void pages_forked(self, vma_id child, vpn_t vpn, slot_t slot, uint32_t n) noexcept nogil  # child's are written
    cdef void pages_unmapping(self, vma_id v, vpn_t vpn, slot_t slot, uint32_t n) noexcept nogil  # still in place
    cdef bint may_move(self, pfn_t pfn, vpn_t vpn) noexcept nogil              # mremap to vpn uncopied? True if mapped once
    cdef void page_moved(self, pfn_t pfn, vma_id v, vpn_t vpn, slot_t old, slot_t new) noexcept nogil
    cdef bint may_swapin(self, pfn_t pfn, vpn_t vpn) noexcept nogil            # map a swap-cache frame at vpn?
    # walks
    cdef void walk_begin(self, Walk* w) noexcept nogil
    cdef bint walk_next(self, Walk* w) noexcept nogil                          # fills mm, vma, vpn, slot; False: no more
    cdef void walk_hit(self, Walk* w, Outcome outcome) noexcept nogil          # of the candidate just given
    cdef void walk_end(self, Walk* w, bint complete) noexcept nogil            # complete: all mappings were found
    # asked after walk_begin where hooks are kept from the scheme (hooked.pyx): its frame if the walk goes in a circle, or 0
    cdef pfn_t circle(self, Walk* w) noexcept nogil
    # locks, for who logs them (pyx/profile): number of the object whose lock guards what the scheme keeps, 0: none. Of an
    # area; of a frame that is walked; of an address space that forks, or goes
    cdef uint32_t lock_of_area(self, vma_id v) noexcept nogil
    cdef uint32_t lock_of_frame(self, pfn_t pfn) noexcept nogil
    cdef uint32_t lock_of_mm(self, mm_id mm, bint forks) noexcept nogil
    # groups of walks of frames with one mapping. A lead with `tried`: a walk now would give this candidate first, and if it
    # hits, ending there would change nothing of the scheme's. It stays so while frames of other leads are walked and unmapped
    cdef void lead(self, Lead* leads, uint32_t n) noexcept nogil                   # fills n leads, counts nothing
    cdef void leads_walked(self, uint64_t walks, uint64_t tried) noexcept nogil    # counts: walks that hit, their `tried`
    cdef void leads_unmapped(self, Lead* leads, uint32_t n) noexcept nogil         # walk_hit UNMAPPED and page_last of each
