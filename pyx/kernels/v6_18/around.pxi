"""6.18: fault-around: a read fault of a file maps what is in the page cache near it as well (rule QF3) [6.18 mm/filemap.c].

   block of 16 pages     |................|       the block that holds the page, no lower than the area's start, and then
   area              [   .................        16 pages from there, up to the end of the area, the leaf table and the file
   mapped                .......x........         only empty entries, only frames that are there
   folio                             |....|...|   one that begins or ends outside is mapped whole, where it may be

A warm file's pages are there as long as there are free frames for them: they are read in when something maps them first.
A folio of several pages, which the page cache reads or writes as one, is mapped whole by fault-around and by the fault on one
of its pages, if it lies in the area and in the leaf table [6.18 mm/filemap.c filemap_map_folio_range,
mm/memory.c finish_fault].
"""
from libc.stdint cimport uint64_t

from rmapcore.pyx.base.ids cimport file_id, pfn_t, slot_t, vma_id, vpn_t
from rmapcore.pyx.base.records cimport NOT_CACHED, PG_DIRTY, Area
from rmapcore.pyx.base.state cimport State
from rmapcore.pyx.base.x86 cimport PTE_DIRTY, pte_get
from rmapcore.pyx.engine.mapping cimport map_frame, writable
from rmapcore.pyx.machine.files cimport cache_pfn, file_pages, folio_order
from rmapcore.pyx.machine.vmas cimport area_index, area_prot
from rmapcore.pyx.seam.kernel cimport E_OK, Kernel, entry_room

cdef enum:
    AROUND = 16               # fault_around_bytes, in pages


cdef inline bint is_there(State* s, file_id file, uint64_t index) noexcept nogil:
    """Is the page in the page cache, as all pages of a warm file are while frames are free?"""
    if cache_pfn(s, file, index) != 0:
        return True
    return s.file[file].warm and s.h.frames_free and not (
        s.file[file].folios and s.folio[s.file[file].base + index] == NOT_CACHED)


cdef vpn_t folio_start(State* s, vma_id v, vpn_t vpn, uint64_t pages, uint64_t last) noexcept nogil:
    """Where a folio of so many pages, of which one lies at vpn, begins, if it may be mapped whole: it lies in the area, in the
    leaf table and in the first `last` pages of the file. Else vpn + 1."""
    cdef Area* a = &s.area[v]
    cdef uint64_t index = area_index(s, v, vpn)
    cdef uint64_t before = index & (pages - 1)
    cdef vpn_t start = vpn - before
    if before > vpn - a.start or start + pages > a.end or index - before + pages > last:
        return vpn + 1
    return start if start >> s.bits == (start + pages - 1) >> s.bits else vpn + 1


cdef void map_around(Kernel k, vma_id v, vpn_t vpn, slot_t slot, bint new_leaf) noexcept nogil:
    """Maps what is there around vpn, whose entry, in `slot`, is empty; perhaps vpn too. new_leaf: it has no entry.

    A folio at the very end of a file is not mapped whole here; and if it is the first that is found, and there was no leaf
    table, then nothing is mapped: the kernel leaves making the table to the step that maps huge pages, and has none.
    """
    cdef State* s = k.s
    cdef Area* a = &s.area[v]
    cdef uint64_t pages = AROUND
    cdef vpn_t at = vpn & ~(pages - 1)
    cdef vpn_t end, part, past
    cdef uint64_t index
    cdef uint64_t last = file_pages(s, a.file)
    cdef uint64_t prot = area_prot(s, v)
    cdef uint64_t folio
    if at < a.start:
        at = a.start
    if at >> s.bits != vpn >> s.bits:          # the area's start is in a table below
        at = vpn & ~<vpn_t> s.index_mask
    end = at + pages
    if end > a.end:
        end = a.end
    if end > (vpn | s.index_mask) + 1:
        end = (vpn | s.index_mask) + 1
    if entry_room(k, pages if not s.file[a.file].folios else s.index_mask + 1) != E_OK:
        return
    slot -= <slot_t> vpn                       # of page 0, if the table had one
    while at < end:
        index = area_index(s, v, at)
        if index >= last:
            return
        part = at
        past = at + 1
        if s.file[a.file].folios and folio_order(s, a.file, index) and is_there(s, a.file, index):
            folio = <uint64_t> 1 << folio_order(s, a.file, index)
            if new_leaf and index - (index & (folio - 1)) + folio >= last:
                return
            part = folio_start(s, v, at, folio, last - 1)
            past = part + folio
            if part > at:
                part = at
                past = at + 1
        while part < past:
            if pte_get(s, slot + <slot_t> part) == 0 and is_there(s, a.file, area_index(s, v, part)):
                map_frame(k, v, part, slot + <slot_t> part, read_file(k, a.file, area_index(s, v, part)), prot, False)
                new_leaf = False
            part += 1
        at = past


cdef bint map_folio(Kernel k, vma_id v, vpn_t vpn, slot_t slot, bint write) noexcept nogil:
    """Maps the folio of the page at vpn, which is in the page cache, if none of its entries is used. False: the page is to be
    mapped alone."""
    cdef State* s = k.s
    cdef file_id file = s.area[v].file
    cdef uint64_t folio = <uint64_t> 1 << folio_order(s, file, area_index(s, v, vpn))
    cdef uint64_t bits = area_prot(s, v) | (writable(s.area[v].flags) | PTE_DIRTY if write else 0)
    cdef vpn_t at = vpn + 1
    cdef vpn_t start
    cdef pfn_t pfn
    if folio > 1:
        at = folio_start(s, v, vpn, folio, file_pages(s, file))
    if at > vpn or entry_room(k, folio) != E_OK:
        return False
    start = at
    slot -= <slot_t> (vpn - start)
    for at in range(start, start + folio):
        if pte_get(s, slot + <slot_t> (at - start)):
            return False
    for at in range(start, start + folio):
        if is_there(s, file, area_index(s, v, at)):
            pfn = read_file(k, file, area_index(s, v, at))
            map_frame(k, v, at, slot + <slot_t> (at - start), pfn, bits, False)
            if write:
                s.frame[pfn].flags |= PG_DIRTY
    return True
