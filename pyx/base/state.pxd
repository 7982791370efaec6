"""State: what everything below borrows. Pointers into the arenas (numpy owns them), and the constants of the architecture.

It is built once by Core (core.pyx); arenas never move, so the pointers stay good as long as the Core lives.

Public: schemes outside may use it (docs/schemes-of-your-own.md).
"""
from libc.stdint cimport uint32_t, uint64_t

from rmapcore.pyx.base.records cimport Area, File, Frame, Head, Mm, Pool, Ring, Table

cdef enum:
    I386 = 0
    I386_PAE = 1
    X86_64 = 2

cdef struct State:
    Head* h
    Pool* pool                # POOLS of them
    uint64_t* count           # N_COUNTERS
    Frame* frame
    uint32_t* ahead           # by frame: the frame LRU_AHEAD places newer on its list, probably (lru.pxd)
    uint64_t* stamp           # by frame; NULL: contents are not tracked
    Area* area
    uint64_t* anon_shift      # by area: vpn - index of its anonymous pages (wraps); 0 where pgoff says nothing (QI1)
    Mm* mm
    File* file
    uint32_t* cache           # page-cache entries of all files, see files.pxd
    uint64_t* disk            # stamps on disk, parallel to cache; NULL
    unsigned char* folio      # order of the folio that a page lies in, parallel to cache; written only where one is not 0
    Table* table
    uint32_t* pte32           # i386 entries
    uint64_t* pte64           # PAE and x86_64 entries
    uint32_t* swap_map        # use counts
    unsigned char* swap_pages  # by SWAP_GROUP slots: pages with what their counts have beyond one byte (rule J4)
    uint32_t* swap_cache      # slot -> frame, 0 none; of a free slot: the next free slot
    uint64_t* swap_stamp
    uint32_t* pid_mm          # pid -> mm, 0 none
    Ring* gone                # translations that are gone; NULL: nobody watches
    uint64_t tables_gone      # page tables freed or moved so far: who remembers a leaf table asks for it
    uint64_t task_vpn         # user space ends here
    uint64_t base_vpn         # mmap searches from here
    uint64_t nx               # NX bit or 0
    uint64_t stack_pages      # RLIMIT_STACK
    # numbers that a kernel brings (seam/kernel.pxd)
    uint64_t swap_invert      # bits of a 64-bit swap entry that stand inverted (QA1)
    uint64_t swap_exclusive   # bit of a swap entry whose frame was exclusive; 0: the kernel has none (QA1)
    uint64_t guard            # the entry that is a guard marker; 0: the kernel has none (QA2)
    uint64_t tied             # of start - pgoff, what a new area's anon_shift has: all, or nothing (QI1)
    uint64_t noticed          # bits that a shared entry of a disk file has only after a first write (QA3)
    uint32_t most_areas       # sysctl_max_map_count, which a machine may set
    uint32_t plain_users      # the most users of a slot that need no pages of their own (J4)
    uint32_t most_users       # a use count that reached this never falls (J1)
    uint32_t sole_flags       # a cached frame with one of these flags is one that a single entry leads to,
    uint32_t sole_users       #   and one whose slot has so many users; 0: the count does not tell
    uint32_t copied_from      # end of a chain of anon_vmas with which a copy of it begins: 0 the oldest, 1 the newest (QI4)
    int swap_shift            # where the offset begins in a 64-bit swap entry
    int granule               # vpn bits of the span that must be empty for its tables to go (C2, QC2)
    int widest_freed          # vpn bits that the largest table which munmap frees spans
    uint32_t n_frames         # zero page included
    uint32_t n_slots          # headers included
    uint32_t n_headers        # slots with offset 0 (rule A3)
    uint32_t index_mask       # entries of a table - 1
    int arch
    int bits                  # index bits of a table: 10 or 9
    int levels
    int top_shift             # vpn bits below the top table's index
    bint wide                 # entries are 8 bytes
    bint high_tables          # CONFIG_HIGHPTE: leaf tables lie in high memory
