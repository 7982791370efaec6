"""6.18: what is made of the references to a page (rules QK1-QK3) [6.18 mm/vmscan.c folio_check_references, shrink_active_list].

   inactive list    used by two areas, or again since the last look, or code   active list
                    used once                                                 another round, and marked REFERENCED
                    not used                                                  reclaimed (file pages used before: if clean)
   active list      code that was used                                        stays; all else goes to the inactive list
"""
from libc.stdint cimport uint32_t, uint64_t

from rmapcore.pyx.base.counters cimport C_VMA_LOOKUPS, tally
from rmapcore.pyx.base.ids cimport pfn_t, slot_t, vma_id
from rmapcore.pyx.base.records cimport (
    FILE_DISK, PG_ANON, PG_CACHED, PG_DIRTY, PG_LAZYFREE, PG_REFERENCED, VM_DROPPABLE, VM_EXEC, VM_LOCKED, VM_RAND_READ,
    VM_SEQ_READ, Frame,
)
from rmapcore.pyx.base.state cimport State
from rmapcore.pyx.base.x86 cimport PTE_ACCESSED, PTE_DIRTY, pte_set
from rmapcore.pyx.machine.frames cimport page_count
from rmapcore.pyx.machine.vmas cimport find_vma
from rmapcore.pyx.reclaim.walk cimport (
    VERDICT_ACTIVATE, VERDICT_KEEP, VERDICT_RECLAIM, VERDICT_RECLAIM_CLEAN, Verdict, area_of, walk,
)
from rmapcore.pyx.seam.kernel cimport Kernel
from rmapcore.pyx.seam.scheme cimport HIT_FAIL, HIT_SEEN, WALK_REFERENCED, Lead, Outcome, Scheme, Walk

cdef enum:
    STUCK_IS_ACTIVE = 1                    # what could not be unmapped is activated (rule QK4)
    LOOKUPS = 2                            # of the area, by walks of one victim: folio_referenced's and try_to_unmap's
    NO_USE = PG_REFERENCED                 # flags of anonymous victims that do not say that somebody used them (rule QK3)

cdef struct Users:            # who used a page since it was looked at last
    uint32_t n                # areas
    uint32_t flags            # what they are, all flags together; with VM_LOCKED the walk has ended


cdef inline bint is_file(State* s, Frame* f) noexcept nogil:
    """folio_is_file_lru: it can be had again from a disk, or need not be had again."""
    if f.flags & PG_CACHED:
        return s.file[f.owner].kind == FILE_DISK
    return f.flags & PG_LAZYFREE != 0


cdef Outcome note_use(Kernel k, Walk* w, slot_t slot, uint64_t entry, void* told) noexcept nogil:
    """folio_referenced_one: takes the young bit; told: Users."""
    cdef State* s = k.s
    cdef Users* users = <Users*> told
    cdef uint32_t flags = s.area[area_of(k, w)].flags
    if flags & VM_LOCKED:
        users.flags |= VM_LOCKED
        return HIT_FAIL
    if entry & PTE_ACCESSED:
        pte_set(s, slot, entry & ~<uint64_t> PTE_ACCESSED)
        if not flags & (VM_SEQ_READ | VM_RAND_READ):
            users.flags |= flags
            users.n += 1
    return HIT_SEEN


cdef void walk_users(Kernel k, Scheme scheme, pfn_t pfn, Users* users) noexcept nogil:
    cdef Walk w
    walk(k, scheme, &w, pfn, WALK_REFERENCED, note_use, users, scheme.table_locks)
    if w.stop:                                 # a file side that knows an area to be locked
        users.flags |= VM_LOCKED


cdef Users folio_referenced(Kernel k, pfn_t pfn) noexcept nogil:
    """Who used a page; clears the signs (rule QK2)."""
    cdef Users users
    users.n = 0
    users.flags = 0
    if k.s.frame[pfn].mapcount and not k.anon.sweeps:
        if k.s.frame[pfn].flags & PG_ANON:
            walk_users(k, k.anon, pfn, &users)
        else:
            walk_users(k, k.side, pfn, &users)
    return users


cdef Verdict judge(Kernel k, pfn_t pfn) noexcept nogil:
    """folio_check_references: the judgement on a frame of the inactive list (rule QK3)."""
    cdef State* s = k.s
    cdef Frame* f = &s.frame[pfn]
    cdef bint before
    cdef Users users
    if k.anon.sweeps:
        return judge_referenced(k, pfn)
    users = folio_referenced(k, pfn)
    before = f.flags & PG_REFERENCED
    if users.flags & VM_LOCKED:
        return VERDICT_ACTIVATE
    f.flags &= ~<uint32_t> PG_REFERENCED
    if users.n:
        f.flags |= PG_REFERENCED
        if before or users.n > 1 or (users.flags & VM_EXEC and is_file(s, f)):
            return VERDICT_ACTIVATE
        return VERDICT_KEEP
    return VERDICT_RECLAIM_CLEAN if before and is_file(s, f) else VERDICT_RECLAIM


cdef inline bint lead_used(State* s, Lead* lead, uint64_t entry, Verdict* verdict) noexcept nogil:
    """judge by a lead whose entry is a young hit, of an anonymous frame that is not LAZYFREE. False: its area is one of those
    where this is another question, and nothing has changed.
    """
    cdef Frame* f = &s.frame[lead.pfn]
    cdef vma_id v = lead.vma if lead.vma else find_vma(s, lead.mm, lead.vpn)
    if s.area[v].flags & (VM_LOCKED | VM_SEQ_READ | VM_RAND_READ):
        return False
    if lead.vma == 0:
        tally(s, C_VMA_LOOKUPS, 1)
    pte_set(s, lead.slot, entry & ~<uint64_t> PTE_ACCESSED)
    verdict[0] = VERDICT_ACTIVATE if f.flags & PG_REFERENCED else VERDICT_KEEP
    f.flags |= PG_REFERENCED
    return True


cdef inline bint takes_mapped(State* s) noexcept nogil:
    """May mapped frames of the active list go? (rule QK1)"""
    return True


cdef bint stays_active(Kernel k, pfn_t pfn, bint reclaim_mapped) noexcept nogil:
    """Does a frame of the active list stay there? (rule QK1)"""
    cdef State* s = k.s
    cdef Frame* f = &s.frame[pfn]
    cdef Users users = folio_referenced(k, pfn)
    if users.n and users.flags & VM_EXEC and is_file(s, f):
        return True
    return f.flags & PG_ANON and s.n_slots < 2             # nowhere to swap: not looked at


cdef inline bint lead_stays_active(State* s, Lead* lead, uint64_t entry) noexcept nogil:
    """The same for an anonymous frame whose lead's entry is a hit: the young bit goes, unless it is locked."""
    cdef vma_id v = lead.vma
    if v == 0:
        tally(s, C_VMA_LOOKUPS, 1)
        v = find_vma(s, lead.mm, lead.vpn)
    if entry & PTE_ACCESSED and not s.area[v].flags & VM_LOCKED:
        pte_set(s, lead.slot, entry & ~<uint64_t> PTE_ACCESSED)
    return s.n_slots < 2


cdef bint may_drop(State* s, pfn_t pfn, uint64_t entry, vma_id v) noexcept nogil:
    """Is a LAZYFREE frame as worthless as when it became one? One that was written since is an ordinary one (rule QK4)."""
    cdef Frame* f = &s.frame[pfn]
    if entry & PTE_DIRTY:
        f.flags |= PG_DIRTY
    if f.flags & PG_DIRTY and not s.area[v].flags & VM_DROPPABLE:
        f.flags &= ~<uint32_t> PG_LAZYFREE
        return False
    return page_count(s, pfn) == f.mapcount


cdef inline bint must_stay(State* s, pfn_t pfn, vma_id v, slot_t slot, uint64_t entry) noexcept nogil:
    """try_to_unmap_one: locked entries stay, and those of LAZYFREE frames that are worth something (rule QK4)."""
    if s.area[v].flags & VM_LOCKED:
        return True
    return s.frame[pfn].flags & PG_LAZYFREE and not may_drop(s, pfn, entry, v)
