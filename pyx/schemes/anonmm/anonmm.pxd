"""What the schemes with anonmms share (anonmm.pyx): the records, and the steps on them."""
from libc.stdint cimport uint32_t

from rmapcore.pyx.base.ids cimport mm_id, pfn_t, vpn_t
from rmapcore.pyx.seam.scheme cimport Scheme

cdef struct AnonmmRecord:
    uint32_t count            # pages + (mm alive) + (head ? 1 + other members : 0)
    uint32_t mm               # 0: the mm has gone
    uint32_t head             # the exec's anonmm; its own is itself
    uint32_t next             # ring; free list
    uint32_t prev

cdef enum:
    ANONMM_LINK = 12          # offset of the free link, asserted below

cdef class ForkGroup(Scheme):
    cdef AnonmmRecord* anonmm
    cdef int pool
    cdef int word             # bytes of a kernel pointer

    cdef int record_bytes(self)
    cdef uint32_t create(self, mm_id mm, uint32_t count) noexcept nogil
    cdef void release(self, uint32_t o) noexcept nogil
    cdef bint knows(self, pfn_t pfn, vpn_t vpn) noexcept nogil

    cdef list ring_from(self, uint32_t o)
    cdef dict expected(self, set live, list faults)
    cdef dict check_rings(self, set live, dict want, list faults)
    cdef int check_entries(self, mm_id mm, dict ring_of, list faults) except -1

    cdef inline void put(self, uint32_t o) noexcept nogil:
        """One reference less. The last one of a member takes it off the ring: one reference less on the head."""
        cdef AnonmmRecord* r = &self.anonmm[o]
        r.count -= 1
        if r.count == 0:                       # a head is held by itself: mm_exit frees it
            self.anonmm[r.prev].next = r.next
            self.anonmm[r.next].prev = r.prev
            self.anonmm[r.head].count -= 1
            self.release(o)
