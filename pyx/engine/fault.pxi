"""Faults (rules F1-F10, QF1-QF6) [2.6.7 mm/memory.c, mm/filemap.c, mm/shmem.c; 6.18 mm/memory.c].

   entry holds          area        access   what happens
   nothing              anonymous   read     zero page                              faults_zero
   nothing              anonymous   write    new frame                              faults_zero
   nothing              file        any      page cache; private write: a copy      faults_file
   a file page          nonlinear   any      that page, from the page cache         faults_file
   swap entry           anonymous   any      the kernel's swapin.pxi                faults_swapin
   present, no RW       any         write    reuse if nobody else holds it, or copy faults_cow
   present              any         allowed  young, dirty                           faults_spurious

Every allocation may reclaim, and reclaim may take any unpinned page: what is held across one is pinned, and entries are
read again. Text of every kernel, which says what fresh frames are and where they begin (`fresh_flags`, STARTS_ACTIVE,
`first_use`), which areas may be read (READABLE), what else a file read maps (`asks_around`), what comes with a page
(`map_folio`), who may write in place (`reuse`, `dirties`), what becomes of a page left behind (`let_go`) and of a leaf table
made for nothing (`leave_fresh_leaf`), how far a stack grows (`may_grow`), and how a page comes back from swap (swapin.pxi).
"""
from libc.errno cimport EINVAL
from libc.stdint cimport uint32_t, uint64_t

from rmapcore.pyx.base.counters cimport (
    C_COW_REUSES, C_FAULTS_COW, C_FAULTS_FILE, C_FAULTS_SPURIOUS, C_FAULTS_ZERO, C_PAGES_COPIED_COW, C_PAGES_COPIED_MREMAP,
    tally,
)
from rmapcore.pyx.base.ids cimport PAGE_SHIFT, PAGE_SIZE, mm_id, pfn_t, slot_t, swp_t, vma_id, vpn_t
from rmapcore.pyx.base.pool cimport pool_room
from rmapcore.pyx.base.records cimport (
    FILE_DISK, FILE_SHMEM, GONE_COPY, GONE_PROTECT, MOST_FOLIO_ORDER, NOT_CACHED, PG_DIRTY, P_TABLES, VM_GROWSDOWN, VM_SHARED,
    VM_WRITE, Area,
)
from rmapcore.pyx.base.state cimport State
from rmapcore.pyx.base.x86 cimport (
    PTE_ACCESSED, PTE_DIRTY, PTE_RW, file_pgoff, pte_get, pte_is_guard, pte_is_swap, pte_pfn, pte_present, pte_set,
)
from rmapcore.pyx.engine.mapping cimport map_frame, prepare, unmap_frame, unpin_frame, writable
from rmapcore.pyx.engine.room cimport growth_room, late_room
from rmapcore.pyx.machine.files cimport CACHE_SWAP, cache_add, cache_entry, file_pages, file_set_folios
from rmapcore.pyx.machine.frames cimport frame_give, frame_pin
from rmapcore.pyx.machine.gone cimport tell_gone
from rmapcore.pyx.machine.lru cimport lru_add
from rmapcore.pyx.machine.pagetable cimport pt_alloc
from rmapcore.pyx.machine.swap cimport slot_dup, slot_put, swapcache_add
from rmapcore.pyx.machine.vmas cimport area_index, area_prot, find_vma, has_cache
from rmapcore.pyx.seam.kernel cimport E_BUS, E_FULL, E_OK, E_OOM, E_SEGV, RETRY, Kernel, entry_room, full, prepare_room, seldom


cdef void map_copy(Kernel k, vma_id v, vpn_t vpn, slot_t slot, pfn_t fresh, pfn_t old) noexcept nogil:
    """Maps a fresh anonymous frame with old's contents, writable where the area is."""
    cdef State* s = k.s
    if s.stamp and old:
        s.stamp[fresh] = s.stamp[old]
    s.frame[fresh].flags |= fresh_flags(s, v)
    map_frame(k, v, vpn, slot, fresh, area_prot(s, v) | writable(s.area[v].flags) | PTE_DIRTY, True)
    lru_add(s, fresh, STARTS_ACTIVE)


cdef int fault_zero(Kernel k, vma_id v, vpn_t vpn, slot_t slot, bint write) noexcept nogil:
    """do_anonymous_page (rule F5)."""
    cdef State* s = k.s
    cdef pfn_t pfn
    if not write:
        pte_set(s, slot, area_prot(s, v))
        tally(s, C_FAULTS_ZERO, 1)
        return E_OK
    prepare(k, v)
    pfn = alloc_frame(k)
    if pfn == 0:
        return E_OOM
    map_copy(k, v, vpn, slot, pfn, 0)
    first_use(s, pfn)
    tally(s, C_FAULTS_ZERO, 1)
    return E_OK


cdef pfn_t read_file(Kernel k, uint32_t file, uint64_t index) noexcept nogil:
    """The page-cache frame of a file page, read in if need be; 0: out of memory (rule F6)."""
    cdef State* s = k.s
    cdef uint32_t entry = cache_entry(s, file, index)
    cdef swp_t slot
    cdef pfn_t pfn
    if entry and not entry & CACHE_SWAP:
        return entry
    pfn = alloc_frame(k)
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
    if s.file[file].folios and s.folio[s.file[file].base + index] == NOT_CACHED:
        s.folio[s.file[file].base + index] = 0
    lru_add(s, pfn, False)
    return pfn


cdef int readahead(Kernel k, uint32_t file, uint64_t start, uint64_t length, uint64_t order) noexcept nogil:
    """Pages of a file on disk that come into the page cache, in folios of that order, mapped by nobody, as long as there are
    free frames (rule F6). A warm file's are there already, but for those of which NOT_CACHED is said."""
    cdef State* s = k.s
    cdef uint64_t index = start >> PAGE_SHIFT
    cdef uint64_t end = (start + length + PAGE_SIZE - 1) >> PAGE_SHIFT
    if start + length < start or order > MOST_FOLIO_ORDER and order != NOT_CACHED:
        return EINVAL
    if 0 < order <= MOST_FOLIO_ORDER and (start | length) & ((<uint64_t> PAGE_SIZE << order) - 1):
        return EINVAL
    if end > file_pages(s, file):
        end = file_pages(s, file)
    if s.file[file].kind != FILE_DISK or index >= end:
        return E_OK
    if order == NOT_CACHED and not s.file[file].warm:
        return E_OK
    file_set_folios(s, file, index, end, <unsigned char> order)
    while index < end and s.h.frames_free and not s.file[file].warm:
        if read_file(k, file, index) == 0:
            break
        index += 1
    return E_OK


cdef int fault_file(Kernel k, vma_id v, vpn_t vpn, slot_t slot, uint64_t index, bint write, bint new_leaf) noexcept nogil:
    """do_no_page and do_file_page for a page of the file (rules F6, QF3). new_leaf: its leaf table has been made for it."""
    cdef State* s = k.s
    cdef uint32_t flags = s.area[v].flags
    cdef uint32_t file = s.area[v].file
    cdef pfn_t pfn, fresh
    if asks_around(k, v, vpn, slot, write, new_leaf):
        tally(s, C_FAULTS_FILE, 1)
        return E_OK
    if index >= file_pages(s, file):
        return E_BUS
    pfn = read_file(k, file, index)
    if pfn == 0:
        return E_OOM
    first_use(s, pfn)
    if write and not flags & VM_SHARED:
        frame_pin(s, pfn)
        prepare(k, v)
        fresh = alloc_frame(k)
        if fresh == 0:
            unpin_frame(k, pfn)
            return E_OOM
        map_copy(k, v, vpn, slot, fresh, pfn)
        unpin_frame(k, pfn)
        tally(s, C_PAGES_COPIED_COW, 1)
    elif not map_folio(k, v, vpn, slot, write):
        map_frame(k, v, vpn, slot, pfn, area_prot(s, v) | (writable(flags) | PTE_DIRTY if write else 0), False)
        if write and dirties(flags) and s.file[file].kind != FILE_SHMEM:
            s.frame[pfn].flags |= PG_DIRTY
    tally(s, C_FAULTS_FILE, 1)
    return E_OK


cdef void copy_to(Kernel k, vma_id v, vpn_t vpn, slot_t slot, pfn_t fresh, pfn_t old) noexcept nogil:
    """Replaces what an entry maps by a fresh frame with its contents; the caller has pinned it (rules F7, QF4)."""
    cdef State* s = k.s
    if old:
        unmap_frame(k, v, vpn, slot, old)
    map_copy(k, v, vpn, slot, fresh, old)
    let_go(s, old)


cdef int copy_page(Kernel k, vma_id v, vpn_t vpn, slot_t slot) noexcept nogil:
    """Replaces a present page by a private copy: the slow half of do_wp_page (rule F7). RETRY if the entry changed."""
    cdef State* s = k.s
    cdef pfn_t old = pte_pfn(s, pte_get(s, slot))
    cdef pfn_t fresh
    cdef int status = E_OK
    if old:
        frame_pin(s, old)
    prepare(k, v)
    fresh = alloc_frame(k)
    if fresh == 0:
        status = E_OOM
    # reclaim may have looked at the page and cleared its young bit; only another page or none is a change
    elif not pte_present(pte_get(s, slot)) or pte_pfn(s, pte_get(s, slot)) != old:
        frame_give(s, fresh)
        status = RETRY
    else:
        if s.gone:
            tell_gone(s, s.area[v].mm, vpn, old, GONE_COPY)
        copy_to(k, v, vpn, slot, fresh, old)
    if old:
        unpin_frame(k, old)
    return status


cdef inline void write_in_place(State* s, vma_id v, vpn_t vpn, slot_t slot, uint64_t entry) noexcept nogil:
    if s.gone:
        tell_gone(s, s.area[v].mm, vpn, pte_pfn(s, entry), GONE_PROTECT)
    pte_set(s, slot, entry | PTE_RW | PTE_DIRTY | PTE_ACCESSED)


cdef int fault_cow(Kernel k, vma_id v, vpn_t vpn, slot_t slot) noexcept nogil:
    """do_wp_page: reuse in place if nobody else refers to the page, else a copy (rules F7, QF1, QF4)."""
    cdef State* s = k.s
    cdef uint64_t entry = pte_get(s, slot)
    cdef pfn_t pfn = pte_pfn(s, entry)
    cdef int status
    if dirties(s.area[v].flags):
        write_in_place(s, v, vpn, slot, entry)
        s.frame[pfn].flags |= PG_DIRTY
    elif pfn and reuse(k, v, vpn, pfn):
        write_in_place(s, v, vpn, slot, entry)
        tally(s, C_COW_REUSES, 1)
    else:
        status = copy_page(k, v, vpn, slot)
        if status != E_OK:
            return status
        tally(s, C_PAGES_COPIED_COW, 1)
    tally(s, C_FAULTS_COW, 1)
    return E_OK


cdef int handle(Kernel k, vma_id v, vpn_t vpn, bint write) noexcept nogil:
    """handle_mm_fault: the access is allowed; the area contains vpn (rules C1, F4)."""
    cdef State* s = k.s
    cdef uint64_t entry
    cdef slot_t slot
    cdef uint64_t leaves = s.h.n_leaves
    cdef int status = RETRY
    if not pool_room(s, P_TABLES, s.levels - 1):
        return full(k, P_TABLES)
    if entry_room(k, 1) != E_OK:
        return E_FULL
    if write and seldom(prepare_room(k, v) != E_OK):
        return E_FULL
    slot = pt_alloc(s, s.area[v].mm, vpn)
    while status == RETRY:
        entry = pte_get(s, slot)
        if entry == 0:
            if has_cache(s, v):
                status = fault_file(k, v, vpn, slot, area_index(s, v, vpn), write, s.h.n_leaves != leaves)
            else:
                status = fault_zero(k, v, vpn, slot, write)
        elif pte_is_swap(entry):
            status = fault_swapin(k, v, vpn, slot, write)
        elif MARKERS and pte_is_guard(s, entry):
            return E_SEGV
        elif not pte_present(entry):
            status = late_room(k, s.area[v].file, file_pgoff(s, entry))
            if status == E_OK:
                status = fault_file(k, v, vpn, slot, file_pgoff(s, entry), write, False)
        elif write and not entry & PTE_RW:
            status = fault_cow(k, v, vpn, slot)
        else:
            pte_set(s, slot, entry | PTE_ACCESSED | (PTE_DIRTY if write else 0))
            tally(s, C_FAULTS_SPURIOUS, 1)
            status = E_OK
    if status != E_OK and s.h.n_leaves != leaves:
        leave_fresh_leaf(s, v, vpn, slot)
    return status


cdef void grow_stack(Kernel k, vma_id v, vpn_t vpn) noexcept nogil:
    """expand_stack: moves the start of a growing area down to vpn, which may be (rule F2)."""
    cdef Area* a = &k.s.area[v]
    cdef uint64_t grow = a.start - vpn
    if a.file:
        k.side.area_before(v)
    k.anon.area_before(v)
    a.start = vpn
    if a.file or k.anon.linear:
        a.pgoff -= grow
    if a.file:
        k.side.area_after(v)
    k.anon.area_after(v)


cdef int fault(Kernel k, mm_id mm, vpn_t vpn, bint write) noexcept nogil:
    """A page fault of a program: finds the area, checks, handles (rules F2-F4)."""
    cdef State* s = k.s
    cdef vma_id v
    cdef int status
    k.address = vpn << PAGE_SHIFT
    if vpn >= s.task_vpn:
        return E_SEGV
    v = find_vma(s, mm, vpn)
    if v == 0:
        return E_SEGV
    if s.area[v].start > vpn:
        if not s.area[v].flags & VM_GROWSDOWN:
            return E_SEGV
        status = growth_room(k, v)             # before the area grows
        if status != E_OK or not may_grow(k, v, vpn):
            return status if status != E_OK else E_SEGV
        grow_stack(k, v, vpn)
    if not s.area[v].flags & (VM_WRITE if write else READABLE):
        return E_SEGV
    return handle(k, v, vpn, write)


cdef int force_copy(Kernel k, mm_id mm, vma_id v, vpn_t vpn, slot_t slot) noexcept nogil:
    """make_page_exclusive for anonmm's mremap: a private copy of a shared page; no fault is counted (rule G4)."""
    cdef int status = copy_page(k, v, vpn, slot)
    if status == E_OK:
        tally(k.s, C_PAGES_COPIED_MREMAP, 1)
    return status


cdef inline pfn_t read_swap(Kernel k, swp_t swap) noexcept nogil:
    """The slot's frame in the swap cache, read in if need be, with a pin of ours; 0: out of memory."""
    cdef State* s = k.s
    cdef pfn_t pfn = s.swap_cache[swap]
    if pfn == 0:
        pfn = alloc_frame(k)
        if pfn == 0:
            return 0
        if s.stamp:
            s.stamp[pfn] = s.swap_stamp[swap]
        slot_dup(s, swap)
        swapcache_add(s, pfn, swap)
        lru_add(s, pfn, STARTS_ACTIVE)
    first_use(s, pfn)
    frame_pin(s, pfn)
    return pfn
