"""What munmap, exit, DONTNEED and truncate do to entries (rules H1, QB4)."""
from libc.stdint cimport uint32_t, uint64_t

from rmapcore.pyx.base.ids cimport swp_t, vma_id, vpn_t
from rmapcore.pyx.base.state cimport State
from rmapcore.pyx.seam.kernel cimport Engine

cdef enum:                    # what a zap leaves alone
    KEEP_NOTHING = 0          # munmap, exit
    KEEP_SWAP = 1             # truncate of 2.6.7: swap and file entries
    KEEP_ANON = 2             # MADV_REMOVE: private copies
    KEEP_GUARDS = 4           # all but munmap and exit, under 6.18

cdef void zap(Engine e, vma_id v, vpn_t start, vpn_t end, uint32_t keep) noexcept nogil
cdef void zap_nonlinear(Engine e, vma_id v, vpn_t start, vpn_t end, uint64_t first) noexcept nogil
cdef void free_swap_and_cache(State* s, swp_t slot) noexcept nogil
