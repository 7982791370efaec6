"""Binding of a machine to its kernel, its scheme and its file side; a Kernel without rules has no calls."""
from libc.errno cimport ENOSYS
from libc.stdint cimport uint32_t, uint64_t, uint8_t
from libc.string cimport memset

from rmapcore.pyx.base.guard cimport IN_OPERATION, IN_STEP, Guard, Hold
from rmapcore.pyx.base.ids cimport mm_id, pfn_t, slot_t, vma_id, vpn_t
from rmapcore.pyx.base.records cimport VM_SHARED, Operation
from rmapcore.pyx.machine.core cimport Core
from rmapcore.pyx.machine.pagetable cimport Cursor
from rmapcore.pyx.seam.account cimport Account
from rmapcore.pyx.seam.kernel cimport E_FULL, E_OK, Kernel, Scan, Searched
from rmapcore.pyx.seam.scheme cimport Scheme

from rmapcore.pyx.machine.core import MOST_SLOTS


cdef class Kernel:
    """core: the machine's state.  anon: the scheme.  side: the file side.

    busy: class of the exception for a second thread, and for changes in the middle of an operation (guard.pxd).
    """

    def __init__(self, Core core, Scheme anon, Scheme side, busy):
        guard = Guard(busy)
        self.alone = Hold(guard)
        self.operation = Hold(guard, IN_OPERATION, IN_OPERATION | IN_STEP)
        self.step = Hold(guard, IN_STEP, IN_STEP)
        self.core = core
        self.s = &core.state
        self.bring_numbers()
        anon.attach(core)
        side.attach(core)
        for scheme in (anon, side):
            if scheme.core is not core:
                raise TypeError(f"scheme {scheme.name}: its attach does not call that of the class it is made of")
        core.complete()
        self.anon = anon
        self.side = side
        self.keeper = anon
        while getattr(self.keeper, "inner", None) is not None:
            self.keeper = self.keeper.inner
        self.asks_room = self.keeper.wants_room

    def watch(self, Account account, Scheme anon, Scheme side):
        """Puts these in the place of the scheme and the file side, whom they ask (pyx/profile)."""
        self.account = account
        self.anon = anon
        self.side = side

    @classmethod
    def most_slots(cls, arch):
        """Swap slots that an entry can name; arch: a key of ARCHES."""
        return MOST_SLOTS[arch]

    @classmethod
    def taken(cls, operations):
        """Recorded operations (an array of OPERATION) as this kernel takes them: what it does not have has no effect."""
        return operations

    @property
    def failed_address(self):
        """Address (bytes) of the access that failed last."""
        return self.address

    @property
    def failed_pool(self):
        """(name, capacity) of the arena that was full."""
        return self.core.pool_names.get(self.full_pool, "?"), self.s.pool[self.full_pool].capacity

    @property
    def max_map_count(self):
        """Areas of a process at the most; the kernel's own number until it is set."""
        return self.s.most_areas

    @max_map_count.setter
    def max_map_count(self, uint32_t count):
        self.s.most_areas = count

    def limit_stacks(self, uint64_t pages):
        """RLIMIT_STACK of every process from now on."""
        self.s.stack_pages = pages

    @property
    def answer(self):
        """Result of the last successful call: an address or the break."""
        return self.result

    cdef void bring_numbers(self) noexcept:
        pass

    cdef int call(self, mm_id mm, const Operation* op, uint32_t file) noexcept nogil:
        return ENOSYS

    cdef int truncate(self, uint32_t file, uint64_t size) noexcept nogil:
        return ENOSYS

    cdef int punch_hole(self, uint32_t file, uint64_t start, uint64_t length) noexcept nogil:
        return ENOSYS

    cdef int write_back(self, uint32_t file, uint64_t start, uint64_t length) noexcept nogil:
        return ENOSYS

    cdef int readahead(self, uint32_t file, uint64_t start, uint64_t length, uint64_t order) noexcept nogil:
        return ENOSYS

    cdef int touch(self, mm_id mm, const vpn_t* vpn, uint32_t n, bint write, Cursor* c, uint64_t* done) noexcept nogil:
        return ENOSYS

    cdef int fault(self, mm_id mm, vpn_t vpn, bint write) noexcept nogil:
        return ENOSYS

    cdef int bring_in(self, mm_id mm, vpn_t vpn) noexcept nogil:
        return ENOSYS

    cdef int force_copy(self, mm_id mm, vma_id v, vpn_t vpn, slot_t slot) noexcept nogil:
        return ENOSYS

    cdef int move_range(self, mm_id mm, vma_id source, vma_id target, vpn_t old, vpn_t new, uint64_t pages,
                        uint64_t* moved) noexcept nogil:
        return ENOSYS

    cdef bint unfaulted(self, vma_id v) noexcept nogil:
        return False

    cdef void zap(self, vma_id v, vpn_t start, vpn_t end, uint32_t keep) noexcept nogil:
        pass

    cdef void copy_entries(self, vma_id child, vma_id parent) noexcept nogil:
        pass

    cdef void hole_opens(self, vma_id v) noexcept nogil:
        pass

    cdef bint mapping_kind(self, uint32_t flags, uint32_t file, uint32_t* vm_flags, bint* fills) noexcept nogil:
        return False

    cdef vpn_t choose_range(self, mm_id mm, uint64_t addr, uint64_t pages, uint32_t file, uint32_t flags,
                            uint64_t pgoff) noexcept nogil:
        return 0

    cdef vpn_t gap_end(self, vma_id v) noexcept nogil:
        return 0

    cdef int may_unmap(self, mm_id mm, vpn_t start, vpn_t end) noexcept nogil:
        return ENOSYS

    cdef int may_shrink_heap(self, mm_id mm, vpn_t start, vpn_t end) noexcept nogil:
        return ENOSYS

    cdef void grow_heap(self, mm_id mm, vpn_t start, vpn_t end) noexcept nogil:
        pass

    cdef int populate(self, mm_id mm, vpn_t start, vpn_t end) noexcept nogil:
        return ENOSYS

    cdef void truncate_area(self, vma_id v, uint64_t first) noexcept nogil:
        pass

    cdef bint scan_step(self, Scan* r, uint64_t budget) noexcept nogil:
        return True

    cdef uint64_t age(self, uint64_t n, bint reclaim_mapped) noexcept nogil:
        return 0

    cdef bint take_frame(self, pfn_t pfn) noexcept nogil:
        return False

    cdef void unmap_frames(self, const uint32_t* pfns, uint32_t n, uint8_t* answers) noexcept nogil:
        pass

    cdef Searched searched(self, mm_id mm) noexcept nogil:
        cdef Searched nothing
        memset(&nothing, 0, sizeof(Searched))
        return nothing


cdef int full(Kernel k, int pool) noexcept nogil:
    """Notes which arena is full."""
    k.full_pool = pool
    return E_FULL


cdef int first_room(Kernel k, vma_id v) noexcept nogil:
    """prepare_room for an area without a word."""
    cdef int pool = 0 if k.s.area[v].flags & VM_SHARED else k.keeper.prepare_room(v)
    return full(k, pool) if pool else E_OK


cdef int mm_room(Kernel k, mm_id parent) noexcept nogil:
    """May an address space be made, as far as the scheme's records go: a fork of parent, or (0) an empty one?"""
    cdef int pool = k.keeper.mm_room(parent)
    return full(k, pool) if pool else E_OK
