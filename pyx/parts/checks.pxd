"""What the check() of several families is made of (checks.pyx). Cold: it runs when somebody asks."""
from libc.stdint cimport uint32_t, uint64_t

from rmapcore.pyx.base.ids cimport mm_id, pfn_t, slot_t, vma_id, vpn_t
from rmapcore.pyx.base.state cimport State

cdef struct Entries:          # where next_anonymous is in an address space; 0 but for mm in the beginning
    mm_id mm
    vpn_t vpn                 # of the entry
    pfn_t pfn                 # that it maps
    vpn_t next
    slot_t slot               # of `next`, if there are any left of its table
    uint32_t left

cdef int fault(list faults, str rule, pfn_t pfn, uint32_t mm, vpn_t vpn, str text, uint64_t a=*, uint64_t b=*) except -1
cdef int area_fault(State* s, list faults, str rule, vma_id area, str text, uint64_t a=*, uint64_t b=*) except -1
cdef set in_use(State* s, int pool, void* base, size_t size, size_t link, str rule, str what, list faults)
cdef dict astray(State* s, set live)
cdef int still_astray(State* s, dict lost, str rule, list faults) except -1
cdef int area_entries(State* s, vma_id v, set names, str told, tuple rules, dict lost, list faults) except -1
cdef bint next_anonymous(State* s, Entries* e) noexcept nogil
