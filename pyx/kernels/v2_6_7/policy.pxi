"""2.6.7: answers to the shared text, most of them a line (docs/rules)."""
from libc.stdint cimport uint32_t, uint64_t

from rmapcore.pyx.base.ids cimport mm_id, pfn_t, slot_t, vma_id, vpn_t
from rmapcore.pyx.base.records cimport PG_ANON, PG_SWAPCACHE, VM_EXEC, VM_LOCKED, VM_NONLINEAR, VM_READ, Area, Frame
from rmapcore.pyx.base.state cimport X86_64, State
from rmapcore.pyx.base.uapi cimport MAP_POPULATE, MAP_PRIVATE, MAP_SHARED
from rmapcore.pyx.base.x86 cimport PTE_ACCESSED, pte_set
from rmapcore.pyx.engine.areas cimport Range, merge, splits_of
from rmapcore.pyx.engine.arguments cimport round_pages
from rmapcore.pyx.machine.frames cimport page_count
from rmapcore.pyx.machine.lru cimport mark_accessed
from rmapcore.pyx.machine.swap cimport can_share
from rmapcore.pyx.reclaim.leads cimport lead_referenced
from rmapcore.pyx.reclaim.walk cimport Verdict, page_referenced
from rmapcore.pyx.seam.kernel cimport KEEP_MARKS, KEEP_SWAP, Kernel
from rmapcore.pyx.seam.scheme cimport Lead

cdef enum:
    READABLE = VM_READ | VM_EXEC           # flags any of which lets an area be read
    STARTS_ACTIVE = 1                      # fresh anonymous frames begin on the active list (rule K1)
    SPARE_AREAS = 0
    QUIET = 0                              # frames whose entries say nothing when they are zapped: none
    STUCK_IS_ACTIVE = 0                    # what could not be unmapped for want of a walk stays inactive
    LAZY = 0                               # the flag of frames that are worth nothing (rule QB2): there are none
    KEEPS_COPIES = 0                       # no call zaps a range but its private copies
    MARKERS = 0                            # no guard markers
    LOOKUPS = 1                            # of the area, by walks of one victim: try_to_unmap's
    SWAPPINESS = 60                        # vm_swappiness
    STACK_PAGES = 2048                     # RLIMIT_STACK 8 MiB


# frames


cdef inline uint32_t fresh_flags(State* s, vma_id v) noexcept nogil:
    return 0


cdef inline void first_use(State* s, pfn_t pfn) noexcept nogil:
    mark_accessed(s, pfn)


cdef inline bint reuse(Kernel k, vma_id v, vpn_t vpn, pfn_t pfn) noexcept nogil:
    """can_share_swap_page: may the one who maps it write in place? (rule F7)"""
    if not can_share(k.s, pfn):
        return False
    k.anon.page_reused(pfn, v, vpn)
    return True


cdef inline bint dirties(uint32_t vm_flags) noexcept nogil:
    """Does a write to a shared page only make it writable? Entries of shared areas are writable from the start."""
    return False


cdef inline void let_go(State* s, pfn_t old) noexcept nogil:
    pass


cdef inline bint asks_around(Kernel k, vma_id v, vpn_t vpn, slot_t slot, bint write) noexcept nogil:
    return False


# entries


cdef inline uint64_t exclusive_bit(State* s, uint32_t flags) noexcept nogil:
    return 0


cdef inline void share(State* s, pfn_t pfn) noexcept nogil:
    pass


cdef inline uint64_t share_swapped(State* s, slot_t slot, uint64_t entry) noexcept nogil:
    return entry


cdef inline bint notes_use(uint32_t vm_flags) noexcept nogil:
    return True


# areas


cdef bint may_grow(Kernel k, vma_id v, vpn_t vpn) noexcept nogil:
    """Whether a growing area may begin at vpn (rule F2)."""
    cdef Area* a = &k.s.area[v]
    return a.end - vpn <= STACK_PAGES and not (a.file and a.start - vpn > a.pgoff)


cdef inline bint populates(uint32_t flags) noexcept nogil:
    return flags & MAP_POPULATE != 0


cdef inline bint mmap_type(uint32_t flags, uint32_t file) noexcept nogil:
    """Do the flags of an mmap name one kind of mapping? (rule E1)"""
    return (flags & MAP_SHARED != 0) != (flags & MAP_PRIVATE != 0)


cdef inline uint32_t mapping_flags(uint32_t flags) noexcept nogil:
    return 0


cdef inline vpn_t hint(uint64_t addr) noexcept nogil:
    return round_pages(addr)


cdef inline int may_unmap(Kernel k, mm_id mm, vpn_t start, vpn_t end) noexcept nogil:
    return room_for_areas(k, mm, splits_of(k, mm, start, end))


cdef inline int may_replace(Kernel k, mm_id mm, vpn_t start, vpn_t end) noexcept nogil:
    return room_for_areas(k, mm, 1 + splits_of(k, mm, start, end))


cdef inline int may_shrink_heap(Kernel k, mm_id mm, vpn_t start, vpn_t end) noexcept nogil:
    return may_unmap(k, mm, start, end)


cdef inline uint32_t heap_flags(State* s) noexcept nogil:
    """i386's VM_DATA_DEFAULT_FLAGS [2.6.7 asm-i386/page.h]."""
    return 0 if s.arch == X86_64 else VM_EXEC


cdef inline vma_id join_heap(Kernel k, mm_id mm, vma_id prev, Range* r) noexcept nogil:
    return merge(k, mm, prev, r)


cdef void truncate_area(Kernel k, vma_id v, uint64_t first) noexcept nogil:
    """The pages from `first` on leave the area; swapped copies and names of file pages stay (rule H4)."""
    cdef Area* a = &k.s.area[v]
    if a.flags & VM_NONLINEAR:
        zap_nonlinear(k, v, a.start, a.end, first)
    elif a.pgoff + (a.end - a.start) > first:
        zap(k, v, a.start if a.pgoff >= first else a.start + (first - a.pgoff), a.end, KEEP_SWAP | KEEP_MARKS)


# reclaim


cdef inline bint takes_mapped(State* s) noexcept nogil:
    """Whether the distress is such that mapped frames of the active list may go [refill_inactive_zone]."""
    return s.h.n_mapped * 100 // s.n_frames // 2 + (<uint64_t> 100 >> s.h.prev_priority) + SWAPPINESS >= 100


cdef inline bint stays_active(Kernel k, pfn_t pfn, bint reclaim_mapped) noexcept nogil:
    """Does a frame of the active list stay there? (rule K3)"""
    cdef Frame* f = &k.s.frame[pfn]
    if f.mapcount == 0:
        return False
    return not reclaim_mapped or page_referenced(k, pfn) or (f.flags & PG_ANON and k.s.n_slots < 2)


cdef inline bint lead_stays_active(State* s, Lead* lead, uint64_t entry) noexcept nogil:
    return lead_referenced(s, lead, entry) != 0 or s.n_slots < 2


cdef inline Verdict judge(Kernel k, pfn_t pfn) noexcept nogil:
    return judge_referenced(k, pfn)


cdef inline bint must_stay(State* s, pfn_t pfn, vma_id v, slot_t slot, uint64_t entry) noexcept nogil:
    """try_to_unmap_one: locked and young entries stay, and those of pages that somebody else refers to (rule K6)."""
    cdef Frame* f = &s.frame[pfn]
    if s.area[v].flags & VM_LOCKED:
        return True
    if entry & PTE_ACCESSED:
        pte_set(s, slot, entry & ~<uint64_t> PTE_ACCESSED)
        return True
    return f.flags & PG_SWAPCACHE and page_count(s, pfn) != f.mapcount + 1
