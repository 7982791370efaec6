"""What the parts of check() share: the machine, notes of what was seen, and the first violation (rmapcore.core.check).

   violation.pyx  P pools, M mms, V areas, C5 C6 files and extents; the order of all
   pages.pyx      T page tables, M4-M6 what they add up to, F frames, L LRU, S swap slots, C page cache

A function returns True as soon as a rule is broken, having told which by broken(). Each may trust what those before it have
seen. A number is compared with the bump of its pool before it leads anywhere, and a list is left at the first record that
was met before, so no damage leads a check astray. State is only read.
"""
from libc.stdint cimport uint8_t, uint32_t, uint64_t

from rmapcore.pyx.base.ids cimport mm_id, pfn_t, slot_t, vma_id, vpn_t
from rmapcore.pyx.base.state cimport State

cdef extern from *:
    """
    #define NOWHERE (~(uint64_t) 0)
    """
    vpn_t NOWHERE             # no address

cdef enum:                    # the note of a record
    UNSEEN = 0                # of frames and slots: in use
    LINKED = 1                # reached from where it belongs
    FREE = 2                  # on a free list, or never used

cdef enum:
    SCAN_PAGES = 1 << 22      # 16 GiB: sparse files may be far longer, and reading their entries takes seconds

cdef struct Extent:           # of the cache arena, in pages
    uint64_t base
    uint64_t pages

cdef struct Check:
    State* s
    bint linear               # the scheme's anonymous areas have page offsets
    uint32_t known_flags      # what an area may have under this kernel
    uint32_t most_areas       # of one mm
    uint8_t* mms              # notes, by record
    uint8_t* areas
    uint8_t* files
    uint8_t* tables
    uint8_t* frames
    uint8_t* slots
    uint8_t* listed           # by frame: on an LRU list
    uint32_t* mapped          # by frame: its entries
    slot_t* writable          # by frame: a private area's entry that may be written, 0 none
    uint32_t* users           # by slot: its users
    uint32_t* cached          # by file: its page-cache frames
    uint32_t* file_areas      # by file: areas that name it
    Extent* extents           # of files, and free ones
    uint64_t n_extents
    mm_id mm                  # whose tables are being swept
    vma_id area               # the sweep's place in its areas
    uint64_t rss              # what the sweep has counted
    uint64_t swapents
    uint64_t n_tables
    const char* rule          # the violation
    const char* text          # {0} and {1} stand for a and b
    uint64_t a
    uint64_t b
    pfn_t pfn                 # 0: none
    mm_id where               # 0: none
    vpn_t vpn                 # NOWHERE: none


cdef inline bint broken(Check* c, const char* rule, const char* text, uint64_t a, uint64_t b) noexcept nogil:
    """Notes the violation. True, for the caller to hand up."""
    return broken_at(c, rule, text, a, b, 0, 0, NOWHERE)


cdef inline bint broken_at(Check* c, const char* rule, const char* text, uint64_t a, uint64_t b, pfn_t pfn, mm_id mm,
                           vpn_t vpn) noexcept nogil:
    """The same, with frame, mm and page (0, 0, NOWHERE: none)."""
    c.rule = rule
    c.text = text
    c.a = a
    c.b = b
    c.pfn = pfn
    c.where = mm
    c.vpn = vpn
    return True


cdef inline bint pool_reached(Check* c, int name, uint8_t* notes) noexcept nogil:
    """P2: every record is where it belongs or free."""
    cdef uint64_t i
    for i in range(1, c.s.pool[name].bump):
        if notes[i] == UNSEEN:
            return broken(c, b"P2", b"record {1} of pool {0} is lost: nothing leads to it", name, i)
    return False


cdef inline bint blank(State* s, uint64_t first, uint64_t end, uint64_t* at) noexcept nogil:
    """Are these entries of the cache arena 0, with no stamp on their disk and no folio? *at: the first that is not."""
    at[0] = first
    while at[0] < end:
        if s.cache[at[0]] or (s.disk and s.disk[at[0]]) or s.folio[at[0]]:
            return False
        at[0] += 1
    return True
