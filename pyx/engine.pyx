"""Binding of a machine to its scheme and its file side."""
from libc.stdint cimport uint64_t

from rmapcore.pyx.engine cimport E_FULL, E_OK, Engine
from rmapcore.pyx.guard cimport IN_KERNEL, IN_OPERATION, Guard, Hold
from rmapcore.pyx.machine cimport Core
from rmapcore.pyx.pool cimport pool_room
from rmapcore.pyx.scheme cimport Scheme


cdef class Engine:
    """core: the machine's state.  anon: the scheme.  side: the file side.

    busy: class of the exception for a second thread, and for changes in the middle of an operation (guard.pxd).
    """

    def __init__(self, Core core, Scheme anon, Scheme side, busy):
        guard = Guard(busy)
        self.alone = Hold(guard)
        self.operation = Hold(guard, IN_OPERATION, IN_OPERATION | IN_KERNEL)
        self.kernel = Hold(guard, IN_KERNEL, IN_KERNEL)
        self.core = core
        self.s = &core.state
        anon.attach(core)
        side.attach(core)
        self.anon = anon
        self.side = side

    @property
    def failed_address(self):
        """Address (bytes) of the access that failed last."""
        return self.address

    @property
    def failed_pool(self):
        """Name of the arena that was full."""
        return self.core.pool_names.get(self.full_pool, "?")

    @property
    def answer(self):
        """Result of the last successful call: an address or the break."""
        return self.result


cdef int full(Engine e, int pool) noexcept nogil:
    """Notes which arena is full."""
    e.full_pool = pool
    return E_FULL


cdef int entry_room(Engine e, uint64_t n) noexcept nogil:
    """Can n entries be added, for schemes that may need a record for each? E_OK or E_FULL."""
    if e.anon.entry_pool and not pool_room(e.s, e.anon.entry_pool, n):
        return full(e, e.anon.entry_pool)
    if e.side.entry_pool and not pool_room(e.s, e.side.entry_pool, n):
        return full(e, e.side.entry_pool)
    return E_OK
