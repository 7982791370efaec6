"""Accesses of a program: what a touch does where nothing has to fault, and runs of first touches (rules F1, L1, L2, N5)."""
from libc.stdint cimport uint32_t, uint64_t

from rmapcore.pyx.engine cimport Engine
from rmapcore.pyx.ids cimport mm_id, slot_t, vpn_t

cdef enum:
    TOUCHED = 64              # most pages of one call: 32-64 fetched together hide the misses of random addresses

cdef struct Cursor:           # the leaf table touched last; good as long as no table is freed
    uint64_t leaf             # vpn >> bits of its entries, plus 1; 0: none
    slot_t base               # slot of its first entry

cdef int touch(Engine e, mm_id mm, const vpn_t* vpn, uint32_t n, bint write, Cursor* c, uint64_t* done) noexcept nogil
