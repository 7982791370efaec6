"""Every packed record, declared once. numpy's dtypes are derived from these structs (records.pyx).

Fields are ordered so that no padding arises; records.pyx asserts the sizes.

Public: schemes outside may use it (docs/schemes-of-your-own.md).
"""
# Every module that casts to an array, as records.pyx does, sees this, and the shared memoryview module (setup.py)
# lacks its declarations without it.
from cython cimport view  # no-cython-lint
from libc.stdint cimport int32_t, int64_t, uint16_t, uint32_t, uint64_t

from rmapcore.pyx.base.layout cimport *          # whoever uses records asks when it is imported whether they fit

cdef enum:                    # FrameFlag
    PG_REFERENCED = 1 << 2    # touched since reclaim last looked; bit positions 2-6, 20: 2.6.7 page-flags.h
    PG_DIRTY = 1 << 4         # contents differ from disk or slot
    PG_LRU = 1 << 5           # on a list
    PG_ACTIVE = 1 << 6        # on the active list
    PG_DIRECT = 1 << 13       # pte_chain: the word is an entry, not a block
    PG_SWAPCACHE = 1 << 16    # owner is the swap slot
    PG_CACHED = 1 << 17       # in the page cache: owner is the file, index the file page
    PG_ANON = 1 << 20         # mapped anonymously; word and index belong to the scheme
    PG_EXCLUSIVE = 1 << 21    # its one mapping may write without asking (rule QB1)
    PG_LAZYFREE = 1 << 22     # anonymous, and worth nothing unless it is written again (rule QB2)
    PG_PIN = 1 << 24          # pins are counted in bits 24-27: at most 15
    PG_PINS = 15 << 24

cdef struct Frame:            # 32 bytes: half a cache line
    uint32_t flags            # FrameFlag
    uint32_t mapcount         # present page-table entries naming this frame
    uint32_t rmap             # the word of the scheme (ANON) or the file side (CACHED); 0 none
    uint32_t owner            # CACHED: file; SWAPCACHE: slot; else 0
    uint64_t index            # CACHED: file page; ANON: what the scheme says
    uint32_t next             # LRU: towards older; free list
    uint32_t prev             # LRU: towards newer

cpdef enum:                   # VmFlag # 2.6.7 include/linux/mm.h
    VM_READ = 0x1
    VM_WRITE = 0x2
    VM_EXEC = 0x4
    VM_SHARED = 0x8
    VM_MAYREAD = 0x10
    VM_MAYWRITE = 0x20
    VM_MAYEXEC = 0x40
    VM_MAYSHARE = 0x80
    VM_GROWSDOWN = 0x100
    VM_PKEY = 0x1E00          # 6.18: number of the protection key; the kernel has it above bit 31
    VM_LOCKED = 0x2000
    VM_SEQ_READ = 0x8000
    VM_RAND_READ = 0x10000
    VM_DONTCOPY = 0x20000
    VM_LOCKONFAULT = 0x80000  # from here on 6.18's, where 2.6.7 has none; DROPPABLE and SEALED stand above bit 31 there,
    VM_ACCOUNT = 0x100000     #   MERGEABLE at bit 31
    VM_NORESERVE = 0x200000
    VM_MERGEABLE = 0x400000   # KSM may look at it
    VM_NONLINEAR = 0x800000   # remap_file_pages: entries may name any page of the file
    VM_WIPEONFORK = 0x2000000
    VM_DONTDUMP = 0x4000000
    VM_DROPPABLE = 0x8000000
    VM_SEALED = 0x10000000
    VM_HUGEPAGE = 0x20000000
    VM_NOHUGEPAGE = 0x40000000
    VM_ACCESS = 0x7           # READ|WRITE|EXEC
    VM_MAY = 0x70             # MAYREAD|MAYWRITE|MAYEXEC
    PKEY_SHIFT = 9
    PKEYS = 16
    COMMON_FLAGS = 0x11A1FF   # what every kernel here has: ACCESS, MAY, SHARED, MAYSHARE, GROWSDOWN, LOCKED, *_READ, ACCOUNT

cdef struct Area:             # 72 bytes; the kernel's vm_area_struct
    uint64_t start            # vpn, inclusive
    uint64_t end              # vpn, exclusive
    uint64_t pgoff            # pages
    uint32_t flags            # VmFlag
    uint32_t mm
    uint32_t file             # 0: anonymous
    uint32_t rmap             # the scheme's word
    uint32_t next             # by address; free list
    uint32_t prev
    uint32_t left             # treap by address
    uint32_t right
    uint32_t fnext            # areas of the same file, newest first
    uint32_t fprev
    unsigned char anon        # 1: it may hold anonymous pages, whatever the scheme (rule QD1)
    unsigned char guards      # 1: it may hold guard markers (VM_MAYBE_GUARD, rule QE9)
    uint16_t policy           # memory policy: 0 default, 1 preferred, 2 bind, 3 interleave
    uint16_t alive            # 1 while linked into an mm
    uint16_t name             # number of its name, 0 none (rule QE15)

cpdef enum:
    NAMES = 0xFFFF            # numbers of names there are

cdef struct Mm:               # 96 bytes
    uint64_t rss              # pages
    uint64_t swapents         # swap entries
    uint64_t start_brk        # bytes
    uint64_t brk              # bytes
    uint64_t hole_vpn         # what mmap remembers of its last search: the kernel's (placement.pxi)
    uint64_t hole_pages
    uint32_t pid
    uint32_t pgd              # top table
    uint32_t root             # treap of areas
    uint32_t first            # lowest area
    uint32_t cache            # area found last; 0 none
    uint32_t n_areas
    uint32_t rmap             # the scheme's word
    uint32_t def_flags        # flags every new mapping gets (VM_LOCKED after mlockall(MCL_FUTURE))
    uint32_t next             # living mms, oldest first; free list
    uint32_t prev
    uint32_t alive
    uint32_t n_tables         # page tables, top table included

cpdef enum:
    FILE_DISK = 0
    FILE_SHMEM = 1
    FILE_ZERO = 2             # /dev/zero: its private pages are anonymous memory

cpdef enum:
    MOST_FOLIO_ORDER = 9      # of a folio in the page cache: 2 MiB
    NOT_CACHED = 255          # in place of an order: of a warm file, what is not in the page cache

cdef struct File:             # 56 bytes
    uint64_t size             # bytes
    uint64_t base             # first entry of this file in the cache extents
    uint32_t kind             # FILE_DISK, FILE_SHMEM, FILE_ZERO
    uint32_t order            # the extent holds 1 << order pages
    uint32_t n_areas
    uint32_t handle           # 1: somebody holds it open; it outlives its areas
    uint32_t areas            # newest area mapping it; free list
    uint32_t rmap             # the file side's word (root of its tree)
    uint32_t n_cached         # page-cache frames
    uint32_t n_swapped        # shmem pages in swap
    uint32_t alive
    uint16_t warm             # 1: pages that were never read count as in the page cache
    uint16_t folios           # 1: some of its pages lie in folios of several pages, or are NOT_CACHED

cdef struct Table:            # 16 bytes beside each page table
    uint64_t first_vpn        # vpn of its first entry
    uint32_t mm               # owner; free list
    uint32_t level            # 0: leaf; 1..: tables of tables

cdef struct Pool:             # 48 bytes: a record arena with free list
    uint64_t capacity         # records, number 0 included
    uint64_t bump             # lowest number never used
    uint64_t live
    uint64_t peak
    uint32_t free             # last freed record, 0 none
    uint32_t rmap_bytes       # kernel bytes one record costs for reverse mapping
    uint32_t low_bytes        # kernel bytes one record costs in low memory
    uint32_t reserved

cdef enum:                    # PoolName
    P_FRAMES
    P_AREAS
    P_MMS
    P_FILES
    P_TABLES
    P_EXTENTS                 # cache extents: bump counts pages
    P_SLOTS
    P_PIDS
    P_SCHEME                  # first of those that schemes ask for

cdef enum:
    LRU_AHEAD = 32            # how far ahead a frame on an LRU list leads (lru.pxd): victims of one group, and a power of 2

cdef struct Head:             # all scalar state of a machine
    uint64_t op_index         # operations so far; the next stamp is op_index + 1
    uint64_t rmap_bytes       # kernel bytes of reverse-map structures now
    uint64_t rmap_bytes_peak
    uint64_t low_bytes        # kernel bytes in low memory now
    uint64_t low_bytes_peak
    uint64_t n_leaves         # page tables that hold entries of pages
    uint64_t n_leaves_peak
    uint64_t n_mapped         # frames with mapcount > 0
    uint64_t n_pins           # pins that users hold (rule QE13)
    uint64_t n_active
    uint64_t n_inactive
    uint64_t acc_active       # scan accumulators, rule K2
    uint64_t acc_inactive
    uint64_t slots_free       # swap slots nobody uses
    uint64_t frames_free
    uint64_t frames_used_peak
    uint32_t active           # head (newest) and tail (oldest) of the LRU lists
    uint32_t active_tail
    uint32_t inactive
    uint32_t inactive_tail
    uint32_t mm_first         # living mms, oldest first
    uint32_t mm_last
    uint32_t slot_free        # last freed swap slot
    uint32_t slot_bump        # lowest slot never used
    uint32_t next_pid
    int32_t prev_priority     # rule K7
    uint32_t zone_free[3]     # last freed frame of DMA (or the only zone), NORMAL, HIGHMEM
    uint32_t zone_bump[3]     # lowest frame never used of each
    uint64_t reclaimed[8]     # what reclaim did since birth: R_SCANNED..
    uint32_t recent[2 * LRU_AHEAD]     # the last frames that came to the inactive and to the active list, as two rings
    uint32_t recent_at[2]     # the oldest of each
    uint32_t extent_free[40]  # freed cache extents by order, as base >> 4, linked through their first entry

cpdef enum:                   # indices of Head.reclaimed; scanned = referenced + failed + freed (rule K4)
    R_SCANNED
    R_REFERENCED
    R_UNMAPPED
    R_SWAPPED
    R_WRITTEN
    R_FREED
    R_FAILED
    R_SCANNED_PTES            # page-table entries that its scans read: what of C_SCANNED_PTES is reclaim's

cdef struct Operation:        # 48 bytes; rmapcore.operations says which field means what
    uint16_t op
    uint16_t prot
    uint32_t flags
    uint32_t process          # pid
    uint32_t other
    uint64_t addr
    uint64_t length
    uint64_t arg
    uint64_t arg2

cpdef enum:                   # rmapcore.operations.Op says what each means; core.running compares the two
    OP_SPAWN = 1
    OP_MMAP = 2
    OP_MUNMAP = 3
    OP_MPROTECT = 4
    OP_MREMAP = 5
    OP_BRK = 6
    OP_MADVISE = 7
    OP_MLOCK = 8
    OP_MUNLOCK = 9
    OP_MLOCKALL = 10
    OP_MUNLOCKALL = 11
    OP_FORK = 12
    OP_EXECVE = 13
    OP_EXIT = 14
    OP_READ = 15
    OP_WRITE = 16
    OP_FAULT = 17
    OP_SETBRK = 18
    OP_RECLAIM = 19
    OP_TRUNCATE = 20
    OP_REMAP_FILE_PAGES = 21
    OP_MBIND = 22
    OP_MSEAL = 23
    OP_NAME_AREA = 24
    OP_PUNCH_HOLE = 25
    OP_READAHEAD = 26
    OP_WRITEBACK = 27

cdef struct PageRecord:       # one record of pagemap()
    int64_t pfn               # -1: none
    int64_t slot              # -1: none
    uint32_t mapcount
    unsigned char present
    unsigned char swapped
    unsigned char anon
    unsigned char writable
    unsigned char young
    unsigned char dirty
    unsigned char guard
    unsigned char pad[5]

cpdef enum:                   # Gone.why: rmapcore.Why and RMAPCORE_GONE_ of rmapcore.h say the same
    GONE_RECLAIM = 1          # reclaim took the page, asked for or not
    GONE_UNMAP = 2            # munmap, MADV_DONTNEED, truncate and the like
    GONE_MOVE = 3             # mremap: at the old address
    GONE_PROTECT = 4          # the same frame with other permissions: mprotect, fork, writeback, a write in place
    GONE_COPY = 5             # another frame: copy on write
    GONE_EXIT = 6             # exit and execve

cdef struct Gone:             # 24 bytes: a translation that was there, and is not any more or not as it was
    uint64_t address          # bytes
    uint32_t process          # pid
    uint32_t pfn
    uint32_t why              # GONE_
    uint32_t pad

cdef struct Ring:             # what is gone and nobody has taken yet (machine/gone.pxd)
    Gone* record
    uint64_t mask             # records there are, a power of 2, less 1
    uint64_t written          # so far; the next goes to written & mask
    uint64_t taken
    uint64_t lost             # that found it full

cdef struct AreaRecord:       # one record of maps()
    uint64_t start            # bytes
    uint64_t end
    uint64_t pgoff            # pages
    uint32_t prot             # 1 read, 2 write, 4 exec
    uint32_t flags            # VmFlag
    uint32_t file             # file number, 0 anonymous
    uint32_t name             # number of its name, 0 none
