"""What is gone: a ring of translations that were there and are not any more, or not as they were (docs/embedding.md).

Whoever clears or changes a present entry tells of it, in the order in which it happens, if somebody watches: State.gone. Who
does so for many pages asks once for a call, a leaf table or a group of victims, so that machines that nobody watches pay
nothing. An entry that is written where none was, and young and dirty bits, are no news. What finds the ring full is lost, and
counted. Costs: 3 ns a record.
"""
from libc.stdint cimport uint32_t, uint64_t

from rmapcore.pyx.base.ids cimport mm_id, pfn_t, slot_t, vpn_t
from rmapcore.pyx.base.records cimport Gone
from rmapcore.pyx.base.state cimport State

cdef void tell_gone(State* s, mm_id mm, vpn_t vpn, pfn_t pfn, uint32_t why) noexcept nogil
cdef void tell_changed(State* s, mm_id mm, vpn_t vpn, uint64_t old, uint64_t new, uint32_t why) noexcept nogil
cdef void tell_run(State* s, mm_id mm, vpn_t vpn, slot_t slot, uint32_t n, uint64_t wanted, uint64_t spared, uint32_t kept,
                   uint32_t why) noexcept nogil
cdef void tell_tables(State* s, mm_id mm, vpn_t start, vpn_t end, uint32_t why) noexcept nogil
cdef uint64_t take_gone(State* s, Gone* out, uint64_t most) noexcept nogil
