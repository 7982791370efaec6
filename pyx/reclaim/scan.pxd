"""A reclaim in progress (seam/kernel.pxd Scan). Its loops are text of every kernel: scan.pxi."""
from libc.stdint cimport uint64_t

from rmapcore.pyx.seam.kernel cimport Scan

cdef enum:
    DEF_PRIORITY = 12         # 2.6.7 linux/mmzone.h

cdef void scan_begin(Scan* r, uint64_t target, bint direct) noexcept nogil
