"""State: what every kernel borrows. Pointers into the arenas (numpy owns them), and the constants of the architecture.

It is built once by Core (machine.pyx); arenas never move, so the pointers stay good as long as the Core lives.
"""
from libc.stdint cimport uint16_t, uint32_t, uint64_t

from rmapcore.pyx.base.records cimport Area, File, Frame, Head, Mm, Pool, Table

cdef enum:
    I386 = 0
    I386_PAE = 1
    X86_64 = 2

cdef struct Rules:            # what kernels decide differently; all 0: 2.6.7 (docs/rules.md); the letters: docs/rules-6.18.md
    uint32_t most_areas       # sysctl_max_map_count
    uint32_t around           # pages that a read fault of a file maps if it can (QF3); 0: its own only
    uint32_t readable         # flags any of which lets an area be read (QF1)
    bint calls                # calls go area by area, and areas join their neighbours again (QE)
    bint top_down             # mmap looks for room from above (QD5)
    bint lazy_fork            # fork leaves out what faults can bring back (QH1)
    bint exclusive            # EXCLUSIVE frames: who may write in place (QB1, QF4, QF5)
    bint notify               # a disk file hears of the first write to a shared page (QA3)
    bint inactive_first       # anonymous frames start on the inactive list; references are judged as QK says

cdef struct State:
    Rules rules
    Head* h
    Pool* pool                # POOLS of them
    uint64_t* count           # N_COUNTERS
    Frame* frame
    uint32_t* ahead           # by frame: the frame LRU_AHEAD places newer on its list, probably (lru.pxd)
    uint64_t* stamp           # by frame; NULL: contents are not tracked
    Area* area
    Mm* mm
    File* file
    uint32_t* cache           # page-cache entries of all files, see files.pxd
    uint64_t* disk            # stamps on disk, parallel to cache; NULL
    Table* table
    uint32_t* pte32           # i386 entries
    uint64_t* pte64           # PAE and x86_64 entries
    uint16_t* swap_map        # use counts
    uint32_t* swap_cache      # slot -> frame, 0 none; of a free slot: the next free slot
    uint64_t* swap_stamp
    uint32_t* pid_mm          # pid -> mm, 0 none
    uint64_t task_vpn         # user space ends here
    uint64_t base_vpn         # mmap searches from here
    uint64_t nx               # NX bit or 0
    uint64_t swap_exclusive   # bit of a swap entry whose frame was exclusive; 0: the kernel has none (QA1)
    bint swap_inverted        # today's layout of x86_64's swap entries (QA1)
    uint32_t n_frames         # zero page included
    uint32_t n_slots          # headers included
    uint32_t n_headers        # slots with offset 0 (rule A3)
    uint32_t index_mask       # entries of a table - 1
    int arch
    int bits                  # index bits of a table: 10 or 9
    int levels
    int top_shift             # vpn bits below the top table's index
    int granule               # vpn bits of the span that munmap frees tables by (rule C2)
    bint wide                 # entries are 8 bytes
    bint high_tables          # CONFIG_HIGHPTE: leaf tables lie in high memory
