"""Bytes that a call was given, as pages. They come unchecked: every call checks them before it changes anything."""
from libc.stdint cimport uint64_t

from rmapcore.pyx.base.ids cimport PAGE_SHIFT, PAGE_SIZE, vpn_t
from rmapcore.pyx.base.state cimport State

cdef inline uint64_t round_pages(uint64_t length) noexcept nogil:
    """Bytes to pages, rounded up; the caller has excluded lengths near 2^64."""
    return (length + PAGE_SIZE - 1) >> PAGE_SHIFT


cdef inline bint unaligned(uint64_t addr) noexcept nogil:
    return addr & (PAGE_SIZE - 1) != 0


cdef inline bint too_long(State* s, uint64_t length) noexcept nogil:
    """Longer than user space (and so near an overflow perhaps)?"""
    return length > s.task_vpn << PAGE_SHIFT


cdef inline vpn_t larger(vpn_t a, vpn_t b) noexcept nogil:
    return a if a > b else b


cdef inline vpn_t smaller(vpn_t a, vpn_t b) noexcept nogil:
    return a if a < b else b
