"""THE OTHER SEAM. A scheme says where a page may be mapped; a kernel says what happens now.

A Kernel is one machine under one kernel's rules, with one scheme and one file side. What all kernels have in common are the
shared steps (engine/, reclaim/). They come in two kinds:

    modules (.pyx)   do what no kernel decides; where one does, they call a method of Kernel: once for a call, a fault, an
                     area or a batch, never for a page
    text (.pxi)      hot loops, written once and compiled into each kernel, whose answers they call by name: no kernel pays
                     for a question that only another one asks

A kernel is a folder of kernels/: a module with a subclass, its own rules, and the shared text. It is registered by one line in
rmapcore/kernels.py. How the shared text answers for every kernel is in engine/steps.pxi.

Every function is `noexcept nogil` and returns a status: 0, an errno, or one of E_SEGV.. below. What went wrong stands in the
Kernel (address, full_pool); the Python layer turns it into an exception. A failure leaves the machine consistent, and
unchanged where the rules promise it.
"""
from libc.stdint cimport uint32_t, uint64_t, uint8_t

from rmapcore.pyx.base.guard cimport Hold
from rmapcore.pyx.base.ids cimport mm_id, pfn_t, slot_t, vma_id, vpn_t
from rmapcore.pyx.base.pool cimport pool_room
from rmapcore.pyx.base.records cimport Operation
from rmapcore.pyx.base.state cimport State
from rmapcore.pyx.machine.core cimport Core
from rmapcore.pyx.machine.pagetable cimport Cursor
from rmapcore.pyx.seam.account cimport Account
from rmapcore.pyx.seam.scheme cimport Scheme

cdef extern from *:
    """
    #define seldom(truth) __builtin_expect(!!(truth), 0)
    """
    bint seldom(bint truth) nogil      # keeps what follows out of the way of faults

cdef enum:
    E_OK = 0
    E_SEGV = 1001             # no area, or not allowed
    E_BUS = 1002              # beyond the end of the file
    E_OOM = 1003              # no frame, and reclaim freed none
    E_FULL = 1004             # an arena is full: full_pool

cdef enum:
    RETRY = -1                # the entry changed while memory was allocated: the access starts again

cdef enum:                    # what a zap leaves alone
    KEEP_NOTHING = 0          # munmap, exit
    KEEP_SWAP = 1             # swap entries
    KEEP_ANON = 2             # private copies
    KEEP_MARKS = 4            # entries that are neither present nor swapped: guard markers, names of file pages
    AT_EXIT = 8               # nothing: the whole address space goes

cdef struct Scan:             # a reclaim in progress (rules K2-K8); results do not depend on where it pauses
    int priority
    int stage                 # 0: a pass begins, 1: active list, 2: inactive list
    bint direct               # target counts per pass, one round
    bint reclaim_mapped
    int idle                  # rounds in a row that freed nothing
    uint64_t active_left
    uint64_t inactive_left
    uint64_t mapped_left      # mapped frames that this run may yet meet before it ends with a sweep (rule K9)
    uint64_t target
    uint64_t freed            # since the start
    uint64_t pass_freed
    uint64_t round_freed
    uint64_t round_swept      # frames that sweeps made freeable

cdef enum:
    LEAVES = 64               # mms whose leaf table is remembered: a power of 2

cdef struct Leaf:
    mm_id mm                  # 0: none
    slot_t base               # slot of its first entry
    uint64_t number           # vpn >> bits of its entries

cdef struct Searched:         # where mmap takes it that no hole of Mm.hole_pages or more begins; start >= end: nowhere
    vpn_t start
    vpn_t end
    vpn_t top                 # holes end here at the latest

cdef class Kernel:
    cdef readonly Core core
    cdef State* s
    cdef readonly Scheme anon          # answers for PG_ANON frames
    cdef readonly Scheme side          # answers for page-cache frames
    cdef Scheme keeper                 # who has the records of `anon`: itself, or the scheme inside a Prototype
    cdef bint asks_room                # its wants_room
    cdef readonly Account account      # is told whose work it is; None: nobody wants to know
    cdef readonly Hold alone           # context managers, in which to use the machine (guard.pxd)
    cdef readonly Hold operation
    cdef readonly Hold step
    # what Python knows, and kernels call where it raises: fails(kernel, status, done) for a status, and checked(value, name of
    # the argument, bits) for an argument that is no plain number in range
    cdef public object fails
    cdef public object checked
    cdef uint64_t address              # of the access that failed, bytes
    cdef int full_pool
    cdef uint64_t result               # of the last call: address or break
    cdef Scan scan
    cdef Leaf[LEAVES] leaf             # by mm: the leaf table that a walk looked into last (walk.pxd)
    cdef uint64_t leaves_gone          # State.tables_gone then: they are good as long as that is the same
    cdef public bint one_by_one        # walks begin one at a time, as groups must not show: for comparing
    cdef readonly uint32_t known_flags         # VmFlags that an area may have
    cdef readonly uint32_t spare_areas         # areas that a process may have beyond most_areas
    cdef readonly uint32_t slot_bytes          # of swap_map for each slot

    cdef void bring_numbers(self) noexcept     # into the State and those above, before the sides attach
    # what programs do
    cdef int call(self, mm_id mm, const Operation* op, uint32_t file) noexcept nogil    # a system call on areas
    cdef int truncate(self, uint32_t file, uint64_t size) noexcept nogil
    cdef int punch_hole(self, uint32_t file, uint64_t start, uint64_t length) noexcept nogil
    cdef int write_back(self, uint32_t file, uint64_t start, uint64_t length) noexcept nogil
    cdef int readahead(self, uint32_t file, uint64_t start, uint64_t length, uint64_t order) noexcept nogil
    cdef int touch(self, mm_id mm, const vpn_t* vpn, uint32_t n, bint write, Cursor* c, uint64_t* done) noexcept nogil
    cdef int fault(self, mm_id mm, vpn_t vpn, bint write) noexcept nogil
    cdef int bring_in(self, mm_id mm, vpn_t vpn) noexcept nogil                          # get_user_pages, of one page to read
    # what the shared steps ask for
    cdef int force_copy(self, mm_id mm, vma_id v, vpn_t vpn, slot_t slot) noexcept nogil   # of a page that may not move
    cdef int move_range(self, mm_id mm, vma_id source, vma_id target, vpn_t old, vpn_t new, uint64_t pages,
                        uint64_t* moved) noexcept nogil                 # mremap: of entries; *moved: pages when it failed
    cdef bint unfaulted(self, vma_id v) noexcept nogil                  # mremap: may its copy begin anew where it lies?
    cdef void zap(self, vma_id v, vpn_t start, vpn_t end, uint32_t keep) noexcept nogil
    cdef void copy_entries(self, vma_id child, vma_id parent) noexcept nogil               # of one area, by fork
    cdef void hole_opens(self, vma_id v) noexcept nogil                 # v has been unmapped and leaves its mm
    # calls: True: the flags of an mmap name one kind of mapping; with the VmFlags, and whether it is populated
    cdef bint mapping_kind(self, uint32_t flags, uint32_t file, uint32_t* vm_flags, bint* fills) noexcept nogil
    cdef vpn_t choose_range(self, mm_id mm, uint64_t addr, uint64_t pages, uint32_t file, uint32_t flags,
                            uint64_t pgoff) noexcept nogil              # where a mapping goes that may go anywhere; 0: nowhere
    cdef vpn_t gap_end(self, vma_id v) noexcept nogil                   # where what may lie below an area ends
    cdef int may_unmap(self, mm_id mm, vpn_t start, vpn_t end) noexcept nogil
    cdef int may_shrink_heap(self, mm_id mm, vpn_t start, vpn_t end) noexcept nogil
    cdef void grow_heap(self, mm_id mm, vpn_t start, vpn_t end) noexcept nogil
    cdef int populate(self, mm_id mm, vpn_t start, vpn_t end) noexcept nogil
    cdef void truncate_area(self, vma_id v, uint64_t first) noexcept nogil              # pages from `first` of the file on go
    # reclaim
    cdef bint scan_step(self, Scan* r, uint64_t budget) noexcept nogil  # about `budget` frames; True: it has ended
    cdef uint64_t age(self, uint64_t n, bint reclaim_mapped) noexcept nogil
    cdef bint take_frame(self, pfn_t pfn) noexcept nogil                # whoever used it; True: it is free
    cdef void unmap_frames(self, const uint32_t* pfns, uint32_t n, uint8_t* answers) noexcept nogil
    # check
    cdef Searched searched(self, mm_id mm) noexcept nogil               # what mmap remembers of holes

cdef int full(Kernel k, int pool) noexcept nogil
cdef int first_room(Kernel k, vma_id v) noexcept nogil
cdef int mm_room(Kernel k, mm_id parent) noexcept nogil


cdef inline int entry_room(Kernel k, uint64_t n) noexcept nogil:
    """Can n entries be added, for schemes that may need a record for each? E_OK or E_FULL."""
    if k.anon.entry_pool and not pool_room(k.s, k.anon.entry_pool, n):
        return full(k, k.anon.entry_pool)
    if k.side.entry_pool and not pool_room(k.s, k.side.entry_pool, n):
        return full(k, k.side.entry_pool)
    return E_OK


cdef inline int prepare_room(Kernel k, vma_id v) noexcept nogil:
    """May an anonymous page enter v, as far as the scheme's records go? E_OK or E_FULL."""
    if seldom(k.asks_room and k.s.area[v].rmap == 0):
        return first_room(k, v)
    return E_OK
