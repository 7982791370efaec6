"""Machines that C uses: opened and closed, held, looked at; and what Python does for them under the GIL."""
from cpython.ref cimport PyObject
from libc.stdint cimport int64_t, uint32_t, uint64_t

from rmapcore.pyx.base.records cimport Gone

cdef void take_side(object python) noexcept
cdef int open_machine(const char* specification, uint64_t* out) noexcept with gil
cdef int adopt_machine(PyObject* machine, uint64_t* out) noexcept with gil
cdef int load_machine(const char* path, uint64_t* out) noexcept with gil
cdef PyObject* machine_object(uint64_t m) noexcept with gil
cdef int close_machine(uint64_t m) noexcept with gil
cdef int hold_machine(uint64_t m) noexcept nogil
cdef int release_machine(uint64_t m) noexcept nogil
cdef int64_t do_gone(uint64_t m, size_t most, Gone* out) noexcept nogil
cdef int64_t do_fact(uint64_t m, int which) noexcept nogil
cdef int do_counters(uint64_t m, int n, uint64_t* out) noexcept nogil
cdef const char* do_counter_name(int counter) noexcept with gil
cdef int do_watch(uint64_t m, uint64_t records) noexcept with gil
cdef int64_t do_file(uint64_t m, const char* name, uint64_t size, uint32_t kind) noexcept with gil
cdef int64_t do_memory(uint64_t m, size_t size, char* out) noexcept with gil
cdef int do_check(uint64_t m) noexcept with gil
cdef int do_save(uint64_t m, const char* path) noexcept with gil
