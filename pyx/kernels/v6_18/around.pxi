"""6.18: fault-around: a read fault of a file maps what is in the page cache near it as well (rule QF3) [6.18 mm/filemap.c].

   block of 16 pages     |................|       the block that holds the page, no lower than the area's start, and then
   area              [   .................        16 pages from there, up to the end of the area, the leaf table and the file
   mapped                .......x........         only empty entries, only frames that are there

A warm file's pages are there as long as there are free frames for them: they are read in when something maps them first.
"""
from libc.stdint cimport uint64_t

from rmapcore.pyx.base.ids cimport pfn_t, slot_t, vma_id, vpn_t
from rmapcore.pyx.base.records cimport Area
from rmapcore.pyx.base.state cimport State
from rmapcore.pyx.base.x86 cimport pte_get
from rmapcore.pyx.engine.mapping cimport map_frame
from rmapcore.pyx.machine.files cimport cache_pfn, file_pages
from rmapcore.pyx.machine.vmas cimport area_index, area_prot
from rmapcore.pyx.seam.kernel cimport E_OK, Kernel, entry_room

cdef enum:
    AROUND = 16               # fault_around_bytes, in pages


cdef void map_around(Kernel k, vma_id v, vpn_t vpn, slot_t slot) noexcept nogil:
    """Maps what is there around vpn, whose entry, in `slot`, is empty; perhaps vpn too."""
    cdef State* s = k.s
    cdef Area* a = &s.area[v]
    cdef uint64_t pages = AROUND
    cdef vpn_t at = vpn & ~(pages - 1)
    cdef vpn_t end
    cdef uint64_t index
    cdef uint64_t last = file_pages(s, a.file)
    cdef uint64_t prot = area_prot(s, v)
    cdef pfn_t pfn
    if at < a.start:
        at = a.start
    if at >> s.bits != vpn >> s.bits:          # the area's start is in a table below
        at = vpn & ~<vpn_t> s.index_mask
    end = at + pages
    if end > a.end:
        end = a.end
    if end > (vpn | s.index_mask) + 1:
        end = (vpn | s.index_mask) + 1
    if entry_room(k, pages) != E_OK:
        return
    slot -= <slot_t> (vpn - at)
    while at < end:
        index = area_index(s, v, at)
        if index >= last:
            return
        pfn = cache_pfn(s, a.file, index)
        if pfn == 0 and s.file[a.file].warm and s.h.frames_free and pte_get(s, slot) == 0:
            pfn = read_file(k, a.file, index)
        if pfn and pte_get(s, slot) == 0:
            map_frame(k, v, at, slot, pfn, prot, False)
        at += 1
        slot += 1
