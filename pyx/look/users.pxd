"""Who maps frames: found through the scheme, or by a scan of all page tables. For Python (query.pyx) and for C (embed/)."""
from libc.stdint cimport int64_t, uint32_t, uint64_t

from rmapcore.pyx.base.ids cimport pfn_t, slot_t
from rmapcore.pyx.base.state cimport State
from rmapcore.pyx.seam.kernel cimport Kernel

cdef uint64_t count_entries(State* s) noexcept nogil
cdef uint32_t query_frame(Kernel k, pfn_t pfn, uint32_t* pids, uint64_t* addresses, slot_t* slots) noexcept nogil
cdef void find_users(Kernel k, uint64_t n, const uint32_t* frames, int64_t* offsets, uint32_t* pids,
                     uint64_t* addresses) noexcept nogil
cdef uint64_t scan_users(State* s, pfn_t pfn, uint64_t most, uint32_t* pids, uint64_t* addresses) noexcept nogil
