"""Faults of 2.6.7 (rules F1-F10) [2.6.7 mm/memory.c, mm/filemap.c, mm/shmem.c].

   entry holds          area        access   what happens
   nothing              anonymous   read     zero page                              faults_zero
   nothing              anonymous   write    new frame                              faults_zero
   nothing              file        any      page cache; private write: a copy      faults_file
   a file page          nonlinear   any      that page, from the page cache         faults_file
   swap entry           anonymous   any      swap cache or slot; maybe a copy       faults_swapin
   present, no RW       any         write    reuse if nobody else holds it, or copy faults_cow
   present              any         allowed  young, dirty                           faults_spurious

Every allocation may reclaim, and reclaim may take any unpinned page: what is held across one is pinned, and entries are
read again. Under another kernel's rules the decisions here (can_share, what a swap-in may map) change, not the moves.
"""
from libc.stdint cimport uint32_t, uint64_t

from rmapcore.pyx.counters cimport (
    C_COW_REUSES, C_FAULTS_COW, C_FAULTS_FILE, C_FAULTS_SPURIOUS, C_FAULTS_SWAPIN, C_FAULTS_ZERO, C_PAGES_COPIED_COW,
    C_PAGES_COPIED_MREMAP, C_RMAP_ADDS, tally,
)
from rmapcore.pyx.engine cimport E_BUS, E_FULL, E_OK, E_OOM, E_SEGV, Engine, entry_room, full
from rmapcore.pyx.fault cimport unmap_frame, writable
from rmapcore.pyx.files cimport CACHE_SWAP, cache_add, cache_entry, file_pages
from rmapcore.pyx.frames cimport frame_give, frame_pin, frame_unpin
from rmapcore.pyx.ids cimport PAGE_SHIFT, STACK_PAGES, mm_id, pfn_t, slot_t, swp_t, vma_id, vpn_t
from rmapcore.pyx.lru cimport lru_add, mark_accessed
from rmapcore.pyx.pagetable cimport pt_alloc, pt_lookup
from rmapcore.pyx.pool cimport pool_room
from rmapcore.pyx.reclaim cimport alloc_frame
from rmapcore.pyx.records cimport (
    FILE_SHMEM, P_TABLES, PG_ANON, PG_DIRTY, PG_PIN, PG_PINS, VM_EXEC, VM_GROWSDOWN, VM_NONLINEAR, VM_READ, VM_SHARED,
    VM_WRITE, Area, Frame,
)
from rmapcore.pyx.state cimport State
from rmapcore.pyx.swap cimport can_share, slot_dup, slot_put, swap_full, swapcache_add, swapcache_del
from rmapcore.pyx.vmas cimport area_index, find_vma, page_of
from rmapcore.pyx.x86 cimport (
    PTE_ACCESSED, PTE_DIRTY, PTE_PRESENT, PTE_RW, file_pgoff, page_prot, pte_get, pte_is_swap, pte_pfn, pte_present,
    pte_set, swap_slot,
)

cdef enum:
    RETRY = -1                # the entry changed while memory was allocated: the access starts again


cdef inline uint64_t entry_of(pfn_t pfn, uint64_t bits) noexcept nogil:
    return (<uint64_t> pfn << PAGE_SHIFT) | bits


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
    map_frame(e, v, vpn, slot, fresh,
              page_prot(s, s.area[v].flags) | writable(s.area[v].flags) | PTE_DIRTY, True)
    lru_add(s, fresh, True)


cdef int fault_zero(Engine e, vma_id v, vpn_t vpn, slot_t slot, bint write) noexcept nogil:
    """do_anonymous_page (rule F5)."""
    cdef State* s = e.s
    cdef pfn_t pfn
    if not write:
        pte_set(s, slot, page_prot(s, s.area[v].flags))
        tally(s, C_FAULTS_ZERO, 1)
        return E_OK
    e.anon.anon_prepare(v)
    pfn = alloc_frame(e)
    if pfn == 0:
        return E_OOM
    map_copy(e, v, vpn, slot, pfn, 0)
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
    """do_no_page and do_file_page for a page of the file (rule F6)."""
    cdef State* s = e.s
    cdef uint32_t flags = s.area[v].flags
    cdef uint32_t file = s.area[v].file
    cdef pfn_t pfn, fresh
    if index >= file_pages(s, file):
        return E_BUS
    pfn = read_file(e, file, index)
    if pfn == 0:
        return E_OOM
    mark_accessed(s, pfn)
    if write and not flags & VM_SHARED:
        frame_pin(s, pfn)
        e.anon.anon_prepare(v)
        fresh = alloc_frame(e)
        if fresh == 0:
            frame_unpin(s, pfn)
            return E_OOM
        map_copy(e, v, vpn, slot, fresh, pfn)
        frame_unpin(s, pfn)
        tally(s, C_PAGES_COPIED_COW, 1)
    else:
        map_frame(e, v, vpn, slot, pfn, page_prot(s, flags) | (writable(flags) | PTE_DIRTY if write else 0), False)
    tally(s, C_FAULTS_FILE, 1)
    return E_OK


cdef int copy_page(Engine e, vma_id v, vpn_t vpn, slot_t slot) noexcept nogil:
    """Replaces a present page by a private copy: the slow half of do_wp_page (rule F7). RETRY if the entry changed."""
    cdef State* s = e.s
    cdef uint64_t entry = pte_get(s, slot)
    cdef pfn_t old = pte_pfn(s, entry)
    cdef pfn_t fresh
    if old:
        frame_pin(s, old)
    e.anon.anon_prepare(v)
    fresh = alloc_frame(e)
    if fresh == 0:
        if old:
            frame_unpin(s, old)
        return E_OOM
    # reclaim may have looked at the page and cleared its young bit; only another page or none is a change
    if not pte_present(pte_get(s, slot)) or pte_pfn(s, pte_get(s, slot)) != old:
        frame_give(s, fresh)
        if old:
            frame_unpin(s, old)
        return RETRY
    if old:
        unmap_frame(e, v, vpn, slot, old)
    map_copy(e, v, vpn, slot, fresh, old)
    if old:
        frame_unpin(s, old)
    return E_OK


cdef int fault_cow(Engine e, vma_id v, vpn_t vpn, slot_t slot) noexcept nogil:
    """do_wp_page: reuse in place if nobody else refers to the page, else a copy (rule F7)."""
    cdef State* s = e.s
    cdef uint64_t entry = pte_get(s, slot)
    cdef pfn_t pfn = pte_pfn(s, entry)
    cdef int status
    if pfn and can_share(s, pfn):
        pte_set(s, slot, entry | PTE_RW | PTE_DIRTY | PTE_ACCESSED)
        e.anon.page_reused(pfn, v, vpn)
        tally(s, C_COW_REUSES, 1)
    else:
        status = copy_page(e, v, vpn, slot)
        if status != E_OK:
            return status
        tally(s, C_PAGES_COPIED_COW, 1)
    tally(s, C_FAULTS_COW, 1)
    return E_OK


cdef inline bint swapin_copies(Engine e, pfn_t pfn, vpn_t vpn, bint write, bint* clash) noexcept nogil:
    """Must this swap-in make a private copy? The frame carries our one pin (rule F8)."""
    cdef Frame* f = &e.s.frame[pfn]
    clash[0] = not e.anon.may_swapin(pfn, vpn)
    if clash[0]:
        return True
    return write and not (f.mapcount == 0 and f.flags & PG_PINS == PG_PIN and e.s.swap_map[f.owner] == 2)


cdef int fault_swapin(Engine e, vma_id v, vpn_t vpn, slot_t slot, bint write) noexcept nogil:
    """do_swap_page (rule F8)."""
    cdef State* s = e.s
    cdef uint32_t flags = s.area[v].flags
    cdef swp_t swap = swap_slot(s, pte_get(s, slot))
    cdef pfn_t pfn = s.swap_cache[swap]
    cdef pfn_t fresh = 0
    cdef bint copy, clash
    cdef Frame* f
    if pfn == 0:
        pfn = alloc_frame(e)
        if pfn == 0:
            return E_OOM
        if s.stamp:
            s.stamp[pfn] = s.swap_stamp[swap]
        slot_dup(s, swap)
        swapcache_add(s, pfn, swap)
        lru_add(s, pfn, True)
    mark_accessed(s, pfn)
    frame_pin(s, pfn)
    copy = swapin_copies(e, pfn, vpn, write, &clash)
    if copy:
        fresh = alloc_frame(e)
        if fresh == 0:
            frame_unpin(s, pfn)
            return E_OOM
        copy = swapin_copies(e, pfn, vpn, write, &clash)
        if not copy:
            frame_give(s, fresh)
    f = &s.frame[pfn]
    slot_put(s, swap)
    s.mm[s.area[v].mm].swapents -= 1
    if copy:
        map_copy(e, v, vpn, slot, fresh, pfn)
        if write and not (f.mapcount == 0 and f.flags & PG_PINS == PG_PIN and s.swap_map[swap] == 1):
            tally(s, C_PAGES_COPIED_COW, 1)
        else:
            tally(s, C_PAGES_COPIED_MREMAP, 1)
    else:
        if swap_full(s) and f.mapcount == 0 and f.flags & PG_PINS == PG_PIN and s.swap_map[swap] == 1:
            swapcache_del(s, pfn)
            f.flags |= PG_DIRTY
        map_frame(e, v, vpn, slot, pfn, page_prot(s, flags) | (writable(flags) | PTE_DIRTY if write else 0), True)
    frame_unpin(s, pfn)
    tally(s, C_FAULTS_SWAPIN, 1)
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
    if a.end - vpn > STACK_PAGES or (a.file and grow > a.pgoff):
        return False
    e.anon.anon_prepare(v)
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
    if not s.area[v].flags & (VM_WRITE if write else VM_READ | VM_EXEC):
        return E_SEGV
    return handle(e, v, vpn, write)


cdef int populate(Engine e, mm_id mm, vpn_t start, vpn_t end) noexcept nogil:
    """make_pages_present: faults in what may be read or written and is inside its file (rule E8)."""
    cdef State* s = e.s
    cdef vpn_t vpn = start
    cdef vpn_t stop
    cdef vma_id v
    cdef uint64_t entry
    cdef slot_t slot
    cdef bint write, nonlinear
    cdef int status
    while vpn < end:
        v = find_vma(s, mm, vpn)
        if v == 0 or s.area[v].start >= end:
            return E_OK
        if vpn < s.area[v].start:
            vpn = s.area[v].start
        stop = s.area[v].end if s.area[v].end < end else end
        if not s.area[v].flags & (VM_READ | VM_WRITE):
            vpn = stop
            continue
        write = s.area[v].flags & VM_WRITE
        while vpn < stop:
            nonlinear = s.area[v].flags & VM_NONLINEAR
            if s.area[v].file and not nonlinear and area_index(s, v, vpn) >= file_pages(s, s.area[v].file):
                vpn = stop
                break
            slot = pt_lookup(s, mm, vpn)
            entry = pte_get(s, slot) if slot else 0
            if nonlinear and not pte_present(entry) and page_of(s, v, vpn, entry) >= file_pages(s, s.area[v].file):
                vpn += 1
                continue
            if not entry & PTE_PRESENT or (write and not entry & PTE_RW):
                status = handle(e, v, vpn, write)
                if status != E_OK:
                    e.address = vpn << PAGE_SHIFT
                    return status
            vpn += 1
    return E_OK


cdef int force_copy(Engine e, mm_id mm, vma_id v, vpn_t vpn, slot_t slot) noexcept nogil:
    """make_page_exclusive for anonmm's mremap: a private copy of a shared page; no fault is counted (rule G4)."""
    cdef int status = copy_page(e, v, vpn, slot)
    if status == E_OK:
        tally(e.s, C_PAGES_COPIED_MREMAP, 1)
    return status
