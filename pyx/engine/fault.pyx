"""Faults (rules F1-F10, QF1-QF6) [2.6.7 mm/memory.c, mm/filemap.c, mm/shmem.c; 6.18 mm/memory.c].

   entry holds          area        access   what happens
   nothing              anonymous   read     zero page                              faults_zero
   nothing              anonymous   write    new frame                              faults_zero
   nothing              file        any      page cache; private write: a copy      faults_file
   a file page          nonlinear   any      that page, from the page cache         faults_file
   swap entry           anonymous   any      swapin.pyx                             faults_swapin
   present, no RW       any         write    reuse if nobody else holds it, or copy faults_cow
   present              any         allowed  young, dirty                           faults_spurious

Every allocation may reclaim, and reclaim may take any unpinned page: what is held across one is pinned, and entries are
read again. Kernels differ in decisions (who may write in place, what else a file read maps), not in the moves.
"""
from libc.stdint cimport uint32_t, uint64_t

from rmapcore.pyx.base.counters cimport (
    C_COW_REUSES, C_FAULTS_COW, C_FAULTS_FILE, C_FAULTS_SPURIOUS, C_FAULTS_ZERO, C_PAGES_COPIED_COW, C_PAGES_COPIED_MREMAP,
    C_RMAP_ADDS, tally,
)
from rmapcore.pyx.base.ids cimport PAGE_SHIFT, STACK_GAP, STACK_PAGES, mm_id, pfn_t, slot_t, swp_t, vma_id, vpn_t
from rmapcore.pyx.base.pool cimport pool_room
from rmapcore.pyx.base.records cimport (
    FILE_SHMEM, P_TABLES, PG_ANON, PG_DIRTY, PG_EXCLUSIVE, PG_SWAPCACHE, VM_ACCESS, VM_GROWSDOWN,
    VM_SHARED, VM_WRITE, Area, Frame,
)
from rmapcore.pyx.base.state cimport State
from rmapcore.pyx.base.x86 cimport (
    PTE_ACCESSED, PTE_DIRTY, PTE_RW, file_pgoff, pte_get, pte_is_guard, pte_is_swap, pte_pfn, pte_present, pte_set,
)
from rmapcore.pyx.engine.fault cimport RETRY, unmap_frame, writable
from rmapcore.pyx.engine.swapin cimport fault_swapin
from rmapcore.pyx.kernels.v6_18.around cimport map_around
from rmapcore.pyx.machine.files cimport CACHE_SWAP, cache_add, cache_entry, file_pages
from rmapcore.pyx.machine.frames cimport frame_give, frame_pin, frame_unpin, page_count
from rmapcore.pyx.machine.lru cimport lru_add, lru_add_new, mark_accessed
from rmapcore.pyx.machine.pagetable cimport pt_alloc
from rmapcore.pyx.machine.swap cimport can_share, free_swap, slot_put
from rmapcore.pyx.machine.vmas cimport area_index, area_prot, find_vma
from rmapcore.pyx.reclaim.scan cimport alloc_frame
from rmapcore.pyx.seam.kernel cimport E_BUS, E_FULL, E_OK, E_OOM, E_SEGV, Engine, entry_room, full


cdef inline uint64_t entry_of(pfn_t pfn, uint64_t bits) noexcept nogil:
    return (<uint64_t> pfn << PAGE_SHIFT) | bits


cdef void prepare(Engine e, vma_id v) noexcept nogil:
    """Before an anonymous page enters v."""
    e.anon.anon_prepare(v)
    e.s.area[v].anon = 1


cdef void map_frame(Engine e, vma_id v, vpn_t vpn, slot_t slot, pfn_t pfn, uint64_t bits, bint anon) noexcept nogil:
    """Writes the entry and adds the mapping (rule F9). rss is counted here."""
    cdef State* s = e.s
    pte_set(s, slot, entry_of(pfn, bits))
    tally(s, C_RMAP_ADDS, 1)
    s.mm[s.area[v].mm].rss += 1
    s.frame[pfn].mapcount += 1
    if s.frame[pfn].mapcount == 1:
        s.h.n_mapped += 1
        if anon:
            s.frame[pfn].flags |= PG_ANON
            e.anon.page_first(pfn, v, vpn)
        else:
            e.side.page_first(pfn, v, vpn)
    if anon and e.anon.wants_entries:
        e.anon.pages_mapped(v, vpn, slot, 1)
    if not anon and e.side.wants_entries:
        e.side.pages_mapped(v, vpn, slot, 1)


cdef void map_copy(Engine e, vma_id v, vpn_t vpn, slot_t slot, pfn_t fresh, pfn_t old) noexcept nogil:
    """Maps a fresh anonymous frame with old's contents, writable where the area is."""
    cdef State* s = e.s
    if s.stamp and old:
        s.stamp[fresh] = s.stamp[old]
    s.frame[fresh].flags |= fresh_flags(s, v)
    map_frame(e, v, vpn, slot, fresh, area_prot(s, v) | writable(s.area[v].flags) | PTE_DIRTY, True)
    lru_add_new(s, fresh)


cdef int fault_zero(Engine e, vma_id v, vpn_t vpn, slot_t slot, bint write) noexcept nogil:
    """do_anonymous_page (rule F5)."""
    cdef State* s = e.s
    cdef pfn_t pfn
    if not write:
        pte_set(s, slot, area_prot(s, v))
        tally(s, C_FAULTS_ZERO, 1)
        return E_OK
    prepare(e, v)
    pfn = alloc_frame(e)
    if pfn == 0:
        return E_OOM
    map_copy(e, v, vpn, slot, pfn, 0)
    if not s.rules.inactive_first:
        mark_accessed(s, pfn)
    tally(s, C_FAULTS_ZERO, 1)
    return E_OK


cdef pfn_t read_file(Engine e, uint32_t file, uint64_t index) noexcept nogil:
    """The page-cache frame of a file page, read in if need be; 0: out of memory (rule F6)."""
    cdef State* s = e.s
    cdef uint32_t entry = cache_entry(s, file, index)
    cdef swp_t slot
    cdef pfn_t pfn
    if entry and not entry & CACHE_SWAP:
        return entry
    pfn = alloc_frame(e)
    if pfn == 0:
        return 0
    if entry & CACHE_SWAP:
        slot = entry & ~CACHE_SWAP
        if s.stamp:
            s.stamp[pfn] = s.swap_stamp[slot]
        slot_put(s, slot)
        s.file[file].n_swapped -= 1
        s.frame[pfn].flags |= PG_DIRTY
    elif s.disk and s.file[file].kind != FILE_SHMEM:
        s.stamp[pfn] = s.disk[s.file[file].base + index]
    cache_add(s, file, index, pfn)
    lru_add(s, pfn, False)
    return pfn


cdef int fault_file(Engine e, vma_id v, vpn_t vpn, slot_t slot, uint64_t index, bint write) noexcept nogil:
    """do_no_page and do_file_page for a page of the file (rules F6, QF3)."""
    cdef State* s = e.s
    cdef uint32_t flags = s.area[v].flags
    cdef uint32_t file = s.area[v].file
    cdef pfn_t pfn, fresh
    if s.rules.around and not write:
        map_around(e, v, vpn, slot)
        if pte_get(s, slot):
            tally(s, C_FAULTS_FILE, 1)
            return E_OK
    if s.rules.calls and write and not flags & VM_SHARED:
        prepare(e, v)                          # 6.18 does so before it asks for the page
    if index >= file_pages(s, file):
        return E_BUS
    pfn = read_file(e, file, index)
    if pfn == 0:
        return E_OOM
    if not s.rules.inactive_first:
        mark_accessed(s, pfn)
    if write and not flags & VM_SHARED:
        frame_pin(s, pfn)
        prepare(e, v)
        fresh = alloc_frame(e)
        if fresh == 0:
            frame_unpin(s, pfn)
            return E_OOM
        map_copy(e, v, vpn, slot, fresh, pfn)
        frame_unpin(s, pfn)
        tally(s, C_PAGES_COPIED_COW, 1)
    else:
        map_frame(e, v, vpn, slot, pfn, area_prot(s, v) | (writable(flags) | PTE_DIRTY if write else 0), False)
    tally(s, C_FAULTS_FILE, 1)
    return E_OK


cdef void copy_to(Engine e, vma_id v, vpn_t vpn, slot_t slot, pfn_t fresh, pfn_t old) noexcept nogil:
    """Replaces what an entry maps by a fresh frame with its contents; the caller has pinned it (rules F7, QF4)."""
    cdef State* s = e.s
    if old:
        unmap_frame(e, v, vpn, slot, old)
    map_copy(e, v, vpn, slot, fresh, old)
    if s.rules.exclusive and old and s.frame[old].mapcount == 0:
        free_swap(s, old)


cdef int copy_page(Engine e, vma_id v, vpn_t vpn, slot_t slot) noexcept nogil:
    """Replaces a present page by a private copy: the slow half of do_wp_page (rule F7). RETRY if the entry changed."""
    cdef State* s = e.s
    cdef pfn_t old = pte_pfn(s, pte_get(s, slot))
    cdef pfn_t fresh
    cdef int status = E_OK
    if old:
        frame_pin(s, old)
    prepare(e, v)
    fresh = alloc_frame(e)
    if fresh == 0:
        status = E_OOM
    # reclaim may have looked at the page and cleared its young bit; only another page or none is a change
    elif not pte_present(pte_get(s, slot)) or pte_pfn(s, pte_get(s, slot)) != old:
        frame_give(s, fresh)
        status = RETRY
    else:
        copy_to(e, v, vpn, slot, fresh, old)
    if old:
        frame_unpin(s, old)
    return status


cdef bint reuse_alone(State* s, pfn_t pfn) noexcept nogil:
    """wp_can_reuse_anon_folio: nobody else refers to an anonymous frame, which is exclusive from now on (rule QF4)."""
    cdef Frame* f = &s.frame[pfn]
    if not f.flags & PG_ANON or page_count(s, pfn) > 1 + (f.flags & PG_SWAPCACHE != 0):
        return False
    if f.flags & PG_SWAPCACHE and not free_swap(s, pfn):
        return False
    f.flags |= PG_EXCLUSIVE
    return True


cdef inline bint reuse(Engine e, vma_id v, vpn_t vpn, pfn_t pfn) noexcept nogil:
    """May the one who maps it write in place? (can_share_swap_page, rule F7; do_wp_page, rule QF4)"""
    cdef State* s = e.s
    if s.rules.exclusive:
        if s.frame[pfn].flags & PG_EXCLUSIVE:
            return True
        if not reuse_alone(s, pfn):
            return False
    elif not can_share(s, pfn):
        return False
    e.anon.page_reused(pfn, v, vpn)
    return True


cdef int fault_cow(Engine e, vma_id v, vpn_t vpn, slot_t slot) noexcept nogil:
    """do_wp_page: reuse in place if nobody else refers to the page, else a copy (rules F7, QF1, QF4)."""
    cdef State* s = e.s
    cdef uint64_t entry = pte_get(s, slot)
    cdef pfn_t pfn = pte_pfn(s, entry)
    cdef int status
    if s.area[v].flags & VM_SHARED and s.rules.notify:
        pte_set(s, slot, entry | PTE_RW | PTE_DIRTY | PTE_ACCESSED)
    elif pfn and reuse(e, v, vpn, pfn):
        pte_set(s, slot, entry | PTE_RW | PTE_DIRTY | PTE_ACCESSED)
        tally(s, C_COW_REUSES, 1)
    else:
        status = copy_page(e, v, vpn, slot)
        if status != E_OK:
            return status
        tally(s, C_PAGES_COPIED_COW, 1)
    tally(s, C_FAULTS_COW, 1)
    return E_OK


cdef int handle(Engine e, vma_id v, vpn_t vpn, bint write) noexcept nogil:
    """handle_mm_fault: the access is allowed; the area contains vpn (rules C1, F4)."""
    cdef State* s = e.s
    cdef uint64_t entry
    cdef slot_t slot
    cdef int status = RETRY
    if not pool_room(s, P_TABLES, s.levels - 1):
        return full(e, P_TABLES)
    if entry_room(e, 1) != E_OK:
        return E_FULL
    slot = pt_alloc(s, s.area[v].mm, vpn)
    while status == RETRY:
        entry = pte_get(s, slot)
        if entry == 0:
            if s.area[v].file:
                status = fault_file(e, v, vpn, slot, area_index(s, v, vpn), write)
            else:
                status = fault_zero(e, v, vpn, slot, write)
        elif pte_is_swap(entry):
            status = fault_swapin(e, v, vpn, slot, write)
        elif pte_is_guard(s, entry):
            return E_SEGV
        elif not pte_present(entry):
            status = fault_file(e, v, vpn, slot, file_pgoff(s, entry), write)
        elif write and not entry & PTE_RW:
            status = fault_cow(e, v, vpn, slot)
        else:
            pte_set(s, slot, entry | PTE_ACCESSED | (PTE_DIRTY if write else 0))
            tally(s, C_FAULTS_SPURIOUS, 1)
            status = E_OK
    return status


cdef bint grow_stack(Engine e, vma_id v, vpn_t vpn) noexcept nogil:
    """expand_stack: moves the start of a growing area down to vpn. False: over the limit (rule F2)."""
    cdef State* s = e.s
    cdef Area* a = &s.area[v]
    cdef uint64_t grow = a.start - vpn
    cdef Area* below = &s.area[a.prev]
    if a.end - vpn > STACK_PAGES or ((a.file or e.anon.linear and s.rules.calls) and grow > a.pgoff):
        return False
    if s.rules.calls and a.prev and not below.flags & VM_GROWSDOWN and below.flags & VM_ACCESS and vpn - below.end < STACK_GAP:
        return False
    prepare(e, v)
    if a.file:
        e.side.area_before(v)
    e.anon.area_before(v)
    a.start = vpn
    if a.file or e.anon.linear:
        a.pgoff -= grow
    if a.file:
        e.side.area_after(v)
    e.anon.area_after(v)
    return True


cdef int fault(Engine e, mm_id mm, vpn_t vpn, bint write) noexcept nogil:
    """A page fault of a program: finds the area, checks, handles (rules F2-F4)."""
    cdef State* s = e.s
    cdef vma_id v
    e.address = vpn << PAGE_SHIFT
    if vpn >= s.task_vpn:
        return E_SEGV
    v = find_vma(s, mm, vpn)
    if v == 0:
        return E_SEGV
    if s.area[v].start > vpn:
        if not s.area[v].flags & VM_GROWSDOWN or not grow_stack(e, v, vpn):
            return E_SEGV
    if not s.area[v].flags & (VM_WRITE if write else s.rules.readable):
        return E_SEGV
    return handle(e, v, vpn, write)


cdef int force_copy(Engine e, mm_id mm, vma_id v, vpn_t vpn, slot_t slot) noexcept nogil:
    """make_page_exclusive for anonmm's mremap: a private copy of a shared page; no fault is counted (rule G4)."""
    cdef int status = copy_page(e, v, vpn, slot)
    if status == E_OK:
        tally(e.s, C_PAGES_COPIED_MREMAP, 1)
    return status
