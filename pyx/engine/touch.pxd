"""Accesses of a program: what a touch does where nothing has to fault, and runs of first touches (rules F1, L1, L2, N5)."""
from libc.stdint cimport uint32_t, uint64_t

from rmapcore.pyx.base.ids cimport mm_id, vpn_t
from rmapcore.pyx.machine.pagetable cimport Cursor
from rmapcore.pyx.seam.kernel cimport Engine

cdef enum:
    TOUCHED = 64              # most pages of one call: 32-64 fetched together hide the misses of random addresses

cdef int touch(Engine e, mm_id mm, const vpn_t* vpn, uint32_t n, bint write, Cursor* c, uint64_t* done) noexcept nogil
