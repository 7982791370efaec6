"""Handles and sizes. Everything is named by a number; number 0 is the null value everywhere.

Frame 0 is the zero page, swap slot 0 the swap header, table 0, area 0, mm 0, file 0 and every scheme's object 0 do
not exist. Fresh arena memory is zero, so a record nobody has written points nowhere.

Public: schemes outside may use it (docs/schemes-of-your-own.md).
"""
from libc.stdint cimport uint32_t, uint64_t

from rmapcore.pyx.base.layout cimport *          # whoever uses these asks when it is imported whether they fit

ctypedef uint32_t pfn_t       # frame number
ctypedef uint64_t vpn_t       # user address / 4096
ctypedef uint32_t slot_t      # index of a page-table entry in the entry arena (table number * entries + index)
ctypedef uint32_t swp_t       # swap slot
ctypedef uint32_t mm_id
ctypedef uint32_t vma_id
ctypedef uint32_t file_id

cdef enum:
    PAGE_SHIFT = 12
    PAGE_SIZE = 4096
    POOLS = 24                # arenas with a free list, schemes' included
