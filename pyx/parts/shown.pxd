"""What structure() of several families is made of (shown.pyx)."""
from libc.stdint cimport uint32_t

from rmapcore.pyx.base.state cimport State

cdef struct OnList:           # what stands first in records of areas on a list
    uint32_t next             # 0: the last
    uint32_t prev

cdef list areas_on(void* nodes, uint32_t first)
cdef list live_areas(State* s)
cdef list live_mms(State* s)
cdef list frames_shown(State* s, uint32_t kind, object to)
cdef list areas_shown(State* s, object to)
cdef list mms_shown(State* s, object to)
cdef set records_shown(State* s, int pool, void* base, size_t size, size_t link)
