"""Many accesses and look-ups at once: the loops behind Process.touch, Process.translate and the C interface (batch.pyx)."""
from libc.stdint cimport int64_t, uint16_t, uint32_t, uint64_t, uint8_t

from rmapcore.pyx.base.counters cimport C_FAULTS_ZERO
from rmapcore.pyx.base.ids cimport PAGE_SHIFT, PAGE_SIZE, mm_id
from rmapcore.pyx.base.records cimport P_PIDS, R_FREED
from rmapcore.pyx.base.state cimport State
from rmapcore.pyx.base.x86 cimport pte_pfn
from rmapcore.pyx.seam.kernel cimport Kernel

cdef enum:
    SHORT = 64                # so many are done without letting other threads run: the GIL takes longer to give and take

cdef enum:                    # what an access was; rmapcore.operations.Fault says which number is which kind
    FAULT_KINDS = 5           # they count from 1, in the order of the counters from C_FAULTS_ZERO on; 0: no fault
    KIND_MASK = 0xFF
    EVICTED = 0x100           # frames were reclaimed to serve it

cdef struct Touches:          # n accesses, one page each, in order
    const uint64_t* address   # bytes
    const uint32_t* pid       # of each; NULL: all are of mm
    const uint8_t* write      # of each; NULL: all are as `writes` says
    mm_id mm
    bint writes
    uint16_t* kind            # gets what each was; NULL: nobody asks
    uint64_t* place           # gets where each byte is, physically; NULL
    uint64_t n
    uint64_t done             # so many have succeeded


cdef inline mm_id find_mm(State* s, uint32_t pid) noexcept nogil:
    """The mm of a living process, 0 for any other number."""
    return s.pid_mm[pid] if pid < s.pool[P_PIDS].bump else 0


cdef inline uint64_t place_of(State* s, uint64_t entry, uint64_t address) noexcept nogil:
    """The physical address (bytes)."""
    return (<uint64_t> pte_pfn(s, entry) << PAGE_SHIFT) | (address & (PAGE_SIZE - 1))


cdef inline uint16_t kind_since(State* s, const uint64_t* before, uint64_t freed) noexcept nogil:
    """What an access was, by the counters before it: it has one fault at the most."""
    cdef uint16_t kind = EVICTED if s.h.reclaimed[R_FREED] != freed else 0
    cdef uint16_t i
    for i in range(FAULT_KINDS):
        if s.count[C_FAULTS_ZERO + i] != before[i]:
            return kind | (i + 1)
    return kind


# goes on up to n or for `budget` accesses, or to the first that fails: its status; ends where a scheme raised (k.anon.failed)
cdef int touch_some(Kernel k, Touches* t, uint64_t budget) noexcept nogil
# physical addresses (bytes), -1 where no page is mapped
cdef void translate_all(State* s, mm_id mm, uint64_t n, const uint64_t* address, int64_t* place) noexcept nogil
cdef dict faults_since(State* s, const uint64_t* before)
cdef uint64_t number(Kernel k, object value, str what) except? 0xBAD0BAD0
